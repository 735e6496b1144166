//! The screen in a terminal: a thread asks the server, and this one draws and reads keys.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::draw::{DrawnScreen, warning_style};
use super::screen::{Screen, SortOrder};
use super::{EVERY, report};
use crate::admin::{AdminError, ServerReport};
use crate::cli::failure::Failure;

/// Longest time until a report is drawn, and until a thread notices that it should end.
const KEY_WAIT: Duration = Duration::from_millis(100);

/// The last two reports.
#[derive(Debug)]
struct Shown {
    before: Option<ServerReport>,
    now: ServerReport,
    order: SortOrder,
    problem: Option<String>,
}

/// Draws until a key ends it.
///
/// # Errors
///
/// If the server does not answer the first request, or if the terminal cannot be used.
pub(super) fn run(folder: &Path) -> Result<(), Failure> {
    let now = report(folder)?;
    let (sender, reports) = sync_channel(1);
    let asked = folder.to_owned();
    let asking = thread::Builder::new().name("reports".to_owned());
    asking.spawn(move || ask(&asked, &sender)).map_err(|error| no_terminal(&error))?;
    let mut shown = Shown { before: None, now, order: SortOrder::Load, problem: None };
    let mut terminal = ratatui::try_init().map_err(|error| no_terminal(&error))?;
    let ended = draw(&mut terminal, &mut shown, &reports);
    let restored = ratatui::try_restore();
    ended.and(restored).map_err(|error| no_terminal(&error))
}

fn no_terminal(error: &std::io::Error) -> Failure {
    Failure::unavailable(format!("the terminal cannot be used: {error}"))
}

/// Asks for reports until the screen has ended.
#[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do")]
fn ask(folder: &Path, reports: &SyncSender<Result<ServerReport, AdminError>>) {
    loop {
        thread::sleep(EVERY);
        if reports.send(report(folder)).is_err() {
            return;
        }
    }
}

fn draw(
    terminal: &mut DefaultTerminal,
    shown: &mut Shown,
    reports: &Receiver<Result<ServerReport, AdminError>>,
) -> std::io::Result<()> {
    let warning = warning_style();
    loop {
        let mut screen = Screen::new(shown.before.as_ref(), &shown.now, shown.order);
        screen.problem.clone_from(&shown.problem);
        let drawn = DrawnScreen { screen: &screen, warning };
        terminal.draw(|frame| frame.render_widget(&drawn, frame.area()))?;
        loop {
            let is_changed = shown.take(reports);
            match event::poll(KEY_WAIT)?.then(event::read).transpose()? {
                Some(Event::Key(key)) if ends(key) => return Ok(()),
                Some(Event::Key(key)) if sorts(key) => shown.order = shown.order.next(),
                Some(Event::Resize(..)) => {}
                _ if is_changed => {}
                _ => continue,
            }
            break;
        }
    }
}

impl Shown {
    /// Takes a report, if there is one. Returns true if something else is to be drawn.
    fn take(&mut self, reports: &Receiver<Result<ServerReport, AdminError>>) -> bool {
        match reports.try_recv() {
            Ok(Ok(now)) => {
                self.before = Some(std::mem::replace(&mut self.now, now));
                self.problem = None;
                true
            }
            Ok(Err(error)) => {
                self.problem = Some(error.to_string());
                true
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => false,
        }
    }
}

fn ends(key: KeyEvent) -> bool {
    let is_interrupt =
        key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    is_pressed(key) && (is_interrupt || matches!(key.code, KeyCode::Char('q' | 'Q') | KeyCode::Esc))
}

fn sorts(key: KeyEvent) -> bool {
    is_pressed(key) && matches!(key.code, KeyCode::Char('s' | 'S'))
}

fn is_pressed(key: KeyEvent) -> bool {
    key.kind == KeyEventKind::Press
}
