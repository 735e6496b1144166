//! Draws a screen into a buffer of cells, for a terminal or as text.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table, Widget};

use super::screen::{Screen, ScreenRow};

/// Lines of the list of outboxes and events, with its title.
const BOTTOM: u16 = 11;
/// Lines of the server.
const TOP: u16 = 2;
/// Most rows of a table that is printed as text.
const TEXT_ROWS_MAX: usize = 100;

/// Returns the style of warnings. What a colour means is in the text too (<https://no-color.org>).
pub(super) fn warning_style() -> Style {
    match std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        true => Style::new(),
        false => COLOURED,
    }
}

const COLOURED: Style = Style::new().fg(Color::Yellow);

/// A screen with the style of its warnings.
#[derive(Debug)]
pub(super) struct DrawnScreen<'a> {
    pub(super) screen: &'a Screen,
    pub(super) warning: Style,
}

/// A table of the screen.
struct Section<'a> {
    titles: &'a [&'a str],
    widths: &'a [Constraint],
    rows: &'a [ScreenRow],
}

const PROCESSES: Section<'static> = Section {
    titles: &["PROCESS", "CPU", "MEMORY", "TURN p99", "CLIENTS", ""],
    widths: &[
        Constraint::Length(14),
        Constraint::Length(8),
        Constraint::Length(10),
        Constraint::Length(11),
        Constraint::Length(8),
        Constraint::Min(9),
    ],
    rows: &[],
};
const APPLICATIONS: Section<'static> = Section {
    titles: &["APPLICATION", "CLIENTS", "IN/S", "OUT/S", "THROTTLED"],
    widths: &[
        Constraint::Min(20),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Length(12),
    ],
    rows: &[],
};
const OUTBOXES: Section<'static> = Section {
    titles: &["OUTBOX OF", "BYTES", "AGE"],
    widths: &[Constraint::Length(10), Constraint::Length(9), Constraint::Length(8)],
    rows: &[],
};

impl Widget for &DrawnScreen<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let screen = self.screen;
        let needed = u16::try_from(screen.processes.len() + 1).unwrap_or(u16::MAX);
        let room = area.height.saturating_sub(TOP + BOTTOM + 1);
        let [top, processes, applications, bottom, keys] = Layout::vertical([
            Constraint::Length(TOP),
            Constraint::Length(needed.min(room / 2)),
            Constraint::Min(0),
            Constraint::Length(BOTTOM),
            Constraint::Length(1),
        ])
        .areas(area);
        let lines = screen.server.iter().map(|line| Line::raw(line.as_str()));
        Paragraph::new(lines.collect::<Vec<_>>()).render(top, buffer);
        self.table(&Section { rows: &screen.processes, ..PROCESSES }, processes, buffer);
        self.table(&Section { rows: &screen.applications, ..APPLICATIONS }, applications, buffer);
        let [outboxes, events] =
            Layout::horizontal([Constraint::Length(31), Constraint::Min(0)]).areas(bottom);
        self.table(&Section { rows: &screen.outboxes, ..OUTBOXES }, outboxes, buffer);
        let title = Line::styled("EVENTS (UTC)", title_style());
        let lines = screen.events.iter().map(|event| Line::raw(event.as_str()));
        Paragraph::new([title].into_iter().chain(lines).collect::<Vec<_>>()).render(events, buffer);
        self.keys().render(keys, buffer);
    }
}

fn title_style() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

impl DrawnScreen<'_> {
    fn keys(&self) -> Line<'_> {
        match &self.screen.problem {
            Some(problem) => Line::styled(problem.as_str(), self.warning),
            None => Line::raw(format!("q quits, s sorts by {}", self.screen.order.next().word())),
        }
    }

    /// Draws a table. If there is not room for all rows, the last line has the number of the others.
    fn table(&self, section: &Section<'_>, area: Rect, buffer: &mut Buffer) {
        let room = usize::from(area.height.saturating_sub(1));
        let shown = if section.rows.len() > room { room.saturating_sub(1) } else { room };
        let row = |row: &ScreenRow| {
            let style = if row.is_warning { self.warning } else { Style::new() };
            TableRow::new(row.cells.iter().cloned().map(Cell::new)).style(style)
        };
        let mut rows: Vec<_> = section.rows.iter().take(shown).map(row).collect();
        let hidden = section.rows.len().saturating_sub(shown);
        if hidden > 0 {
            rows.push(TableRow::new([Cell::new(Span::raw(format!("… {hidden} more")))]));
        }
        let titles = section.titles.iter().map(|title| Cell::new(*title));
        let header = TableRow::new(titles).style(title_style());
        Table::new(rows, section.widths.iter().copied())
            .header(header)
            .column_spacing(1)
            .render(area, buffer);
    }
}

/// Returns a screen as lines of text, with all rows.
pub(super) fn lines(screen: &Screen, columns: u16) -> Vec<String> {
    let rows = screen.processes.len().max(screen.applications.len()).min(TEXT_ROWS_MAX);
    let all = 2 * (rows + 1);
    let height = TOP + BOTTOM + 1 + u16::try_from(all).unwrap_or(u16::MAX);
    let area = Rect::new(0, 0, columns, height);
    let mut buffer = Buffer::empty(area);
    (&DrawnScreen { screen, warning: Style::new() }).render(area, &mut buffer);
    let mut lines = text(&buffer);
    // A file has no keys.
    lines.pop();
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    lines
}

/// Returns the characters of a buffer, line by line.
fn text(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width).max(1);
    let line = |cells: &[ratatui::buffer::Cell]| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    };
    buffer.content.chunks(width).map(line).collect()
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::screen::SortOrder;
    use super::super::screen::tests::report;
    use super::*;

    fn drawn(width: u16, height: u16, warning: Style) -> Buffer {
        let screen = Screen::new(Some(&report(1, 30)), &report(2, 30), SortOrder::Load);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let drawn = DrawnScreen { screen: &screen, warning };
        terminal.draw(|frame| frame.render_widget(&drawn, frame.area())).unwrap();
        terminal.backend().buffer().clone()
    }

    #[test]
    fn a_small_terminal_has_all_parts() {
        let lines = text(&drawn(80, 24, Style::new()));
        assert_eq!(lines.len(), 24);
        let shown = lines.join("\n");
        for part in [
            "tagcast 1.2.3: serving, up",
            "connections 4, in 600/s",
            "PROCESS        CPU      MEMORY     TURN p99    CLIENTS",
            "worker 1       50.0 %   8.0 MB",
            "no answer",
            "APPLICATION",
            "app00",
            "50 ms/s",
            "… 25 more",
            "1234abc0   5.0 MB    1.5 s",
            "1234abc9",
            "01:00:09 event 9",
            "01:00:00 event 0",
            "q quits, s sorts by size",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn a_large_terminal_has_more_applications() {
        let lines = text(&drawn(120, 40, Style::new()));
        assert_eq!(lines.len(), 40);
        let shown = lines.join("\n");
        assert!(shown.contains("app20") && shown.contains("… 9 more"), "{shown}");
    }

    #[test]
    fn without_colour_nothing_is_coloured_and_the_text_is_the_same() {
        let (with, without) = (drawn(80, 24, COLOURED), drawn(80, 24, Style::new()));
        assert_eq!(text(&with), text(&without));
        assert!(without.content.iter().all(|cell| cell.fg == Color::Reset));
        assert!(with.content.iter().any(|cell| cell.fg == Color::Yellow));
    }

    #[test]
    fn the_text_has_every_row() {
        let screen = Screen::new(Some(&report(1, 30)), &report(2, 30), SortOrder::Name);
        let shown = lines(&screen, 80).join("\n");
        assert!(shown.contains("app29") && !shown.contains(" more"), "{shown}");
        assert!(!shown.contains("q quits"), "{shown}");
    }

    #[test]
    fn a_terminal_may_be_too_small() {
        for (width, height) in [(1, 1), (10, 3), (80, 5), (3, 40)] {
            drawn(width, height, COLOURED);
        }
    }
}
