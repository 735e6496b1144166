//! Reading the configuration again while the server runs: all or nothing, the last request wins.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use super::{Household, now};
use crate::config::{self, Change, Findings, Holds, Loaded, Reload, Source};
use crate::link::control::Order;
use crate::operator::Answer;
use crate::supervisor::child::Event;
use crate::supervisor::control_socket::Asker;
use crate::supervisor::crew::Member;
use crate::supervisor::notify;
use crate::types::ConfigNumber;

/// How long the processes may take to confirm a configuration; one that hangs is replaced anyway,
/// and its successor has the new one.
const CONFIRM_WAIT: Duration = Duration::from_secs(5);
/// A file that was written less than this ago may be half a file.
const SETTLED: Duration = Duration::from_millis(50);
/// How often a file that keeps changing is waited for.
const LOOKS_MAX: usize = 40;

/// How far a reload is.
#[derive(Debug, Default)]
pub(super) struct Reloading {
    stage: Stage,
    /// Who asked while it was under way: it is done once more for them.
    next: Option<Vec<Asker>>,
    /// What became of the last one, for the status.
    pub(super) last: Option<String>,
    /// What only a restart will change, for the status.
    pub(super) waits_for_restart: Vec<String>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Idle,
    /// The files are being read.
    Reading { askers: Vec<Asker> },
    /// The processes are told.
    Confirming {
        askers: Vec<Asker>,
        number: ConfigNumber,
        waits: BTreeSet<Member>,
        lines: Vec<String>,
        until: Instant,
    },
}

impl Reloading {
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Confirming { until, .. } => Some(*until),
            _ => None,
        }
    }
}

impl Household {
    /// Somebody wants the configuration to be read again: by a command, or (without an asker) by
    /// SIGHUP.
    pub(super) fn asked_to_reload(&mut self, asker: Option<Asker>) {
        if self.crew.is_ending() {
            return asker.into_iter().for_each(|asker| asker.answer(is_ending()));
        }
        match &self.reloading.stage {
            Stage::Idle => self.begin_reload(asker.into_iter().collect()),
            _ => self.reloading.next.get_or_insert_default().extend(asker),
        }
    }

    fn begin_reload(&mut self, askers: Vec<Asker>) {
        tracing::info!("reading the configuration again");
        notify::reloading();
        self.reloading.stage = Stage::Reading { askers };
        let (source, events) = (self.source.clone(), self.events.clone());
        tokio::task::spawn_blocking(move || read(&source, &events));
    }

    /// The files were read.
    pub(super) fn reread(&mut self, read: Result<Loaded, Findings>) {
        let Stage::Reading { askers } = std::mem::take(&mut self.reloading.stage) else { return };
        match read.and_then(|fresh| self.loaded.reload(fresh)) {
            Ok(reload) => self.apply(askers, reload),
            Err(findings) => {
                let lines: Vec<String> = findings.0.iter().map(ToString::to_string).collect();
                for line in &lines {
                    tracing::error!(finding = line, "the new configuration is wrong");
                }
                tracing::error!(findings = lines.len(), "nothing was reloaded, the former holds");
                self.reloading.last = Some(format!("failed, {} findings", lines.len()));
                self.finish_reload(&askers, &Answer::Failed(lines));
            }
        }
    }

    fn apply(&mut self, askers: Vec<Asker>, reload: Reload) {
        let Reload { loaded, changes } = reload;
        let mut lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
        for line in &lines {
            tracing::info!(change = line, "configuration");
        }
        let of_restart = |change: &&Change| change.holds == Holds::AfterRestart;
        self.reloading.waits_for_restart =
            changes.iter().filter(of_restart).map(|change| change.what.clone()).collect();
        lines.extend(loaded.warnings.iter().map(|warning| format!("warning: {warning}")));
        if changes.iter().all(|change| change.holds == Holds::AfterRestart) {
            lines.insert(0, "nothing has changed".to_owned());
            self.reloading.last = Some("nothing has changed".to_owned());
            return self.finish_reload(&askers, &Answer::Done(lines));
        }
        let number = self.prepared.reconfigure(loaded.config.clone());
        self.loaded = loaded;
        self.crew.set_drain_time(self.prepared.config.limits.drain_time);
        self.tell_level();
        self.watch_memory();
        for member in self.children.keys() {
            self.order(*member, Order::Configure { number, json: self.prepared.json_for(*member) });
        }
        let waits = self.children.keys().copied().collect();
        let until = now() + CONFIRM_WAIT;
        self.reloading.stage = Stage::Confirming { askers, number, waits, lines, until };
    }

    /// A process has taken a configuration over.
    pub(super) fn confirmed(&mut self, member: Member, of: ConfigNumber) {
        if let Stage::Confirming { number, waits, .. } = &mut self.reloading.stage
            && *number == of
        {
            waits.remove(&member);
        }
    }

    /// Whoever died needs not confirm: its successor begins with the new configuration.
    pub(super) fn confirms_no_more(&mut self, member: Member) {
        if let Stage::Confirming { waits, .. } = &mut self.reloading.stage {
            waits.remove(&member);
        }
    }

    /// Ends a reload that everybody has confirmed, or that took too long.
    pub(super) fn look_at_reload(&mut self) {
        let Stage::Confirming { waits, until, .. } = &self.reloading.stage else { return };
        if !waits.is_empty() && *until > now() {
            return;
        }
        let stage = std::mem::take(&mut self.reloading.stage);
        let Stage::Confirming { askers, number, waits, mut lines, .. } = stage else { return };
        for member in waits {
            tracing::error!(role = %member, "does not confirm the new configuration");
            lines.push(format!("warning: {member} has not confirmed it yet"));
        }
        tracing::info!(number = number.0, "configuration reloaded");
        self.reloading.last = Some(format!("configuration {number}"));
        lines.insert(0, format!("configuration {number} holds"));
        self.finish_reload(&askers, &Answer::Done(lines));
    }

    fn finish_reload(&mut self, askers: &[Asker], answer: &Answer) {
        askers.iter().for_each(|asker| asker.answer(answer.clone()));
        let next = self.reloading.next.take();
        if self.crew.is_ending() {
            // The last word was that it ends: ready it will never be again.
            next.into_iter().flatten().for_each(|asker| asker.answer(is_ending()));
            return;
        }
        notify::ready();
        if let Some(askers) = next {
            self.begin_reload(askers);
        }
    }
}

fn is_ending() -> Answer {
    Answer::Failed(vec!["the server is ending".to_owned()])
}

/// Reads the files once nobody writes them any more.
fn read(source: &Source, events: &mpsc::Sender<Event>) {
    let mut looks = 0;
    let read = loop {
        let files = config::files(source);
        let before = stamps(&files);
        let read = config::load(source);
        looks += 1;
        if looks == LOOKS_MAX || (is_settled(&before) && stamps(&files) == before) {
            break read;
        }
        pause();
    };
    let _ended = events.blocking_send(Event::Reread(Box::new(read)));
}

/// When and how large each file was written last.
fn stamps(files: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(stamp).collect()
}

fn is_settled(stamps: &[Option<(SystemTime, u64)>]) -> bool {
    let settled = |(written, _): &(SystemTime, u64)| {
        // A file of the future was not written just now.
        written.elapsed().map_or(true, |ago| ago >= SETTLED)
    };
    stamps.iter().flatten().all(settled)
}

#[expect(clippy::disallowed_methods, reason = "on a thread of its own, for a file to be written")]
fn pause() {
    std::thread::sleep(SETTLED);
}
