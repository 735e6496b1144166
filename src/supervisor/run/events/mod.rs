//! The last events of a server, for `tagcast top` and for operators.

mod counted;

use std::collections::VecDeque;
use std::time::Instant;

use self::counted::CountedEvents;
use crate::admin::{EventPage, EventPosition, ServerEvent, ServerEventKind};
use crate::telemetry::unix_seconds;
use crate::types::limits::{SERVER_EVENT_BYTES_MAX, SERVER_EVENTS_MAX};
use crate::types::{MetricsSnapshot, Pressure};

/// The last events, oldest first.
#[derive(Debug, Default)]
pub(super) struct RecentEvents {
    events: VecDeque<ServerEvent>,
    /// The number of the last one.
    last: u64,
    counted: CountedEvents,
}

impl RecentEvents {
    /// Adds an event of the server.
    pub(super) fn note(&mut self, kind: ServerEventKind, text: impl Into<String>) {
        self.push(kind, None, text.into());
    }

    /// Adds a change of the memory pressure.
    pub(super) fn note_pressure(&mut self, changed: Option<Pressure>) {
        let Some(pressure) = changed else { return };
        let text = match pressure {
            Pressure::None => "memory is no longer scarce".to_owned(),
            _ => format!("memory is scarce: {}", pressure.text()),
        };
        self.note(ServerEventKind::Memory, text);
    }

    /// Adds a change of an operator.
    pub(super) fn note_change(&mut self, application: Option<String>, text: String) {
        self.push(ServerEventKind::OperatorChange, application, text);
    }

    /// Adds what has been counted since the last call: refusals, and limits that were reached.
    pub(super) fn count(&mut self, snapshot: &MetricsSnapshot, now: Instant) {
        for (kind, text) in self.counted.update(snapshot, now) {
            self.note(kind, text);
        }
    }

    /// Returns the last events, oldest first.
    pub(super) fn last(&self, count: usize) -> Vec<ServerEvent> {
        let older = self.events.len().saturating_sub(count);
        self.events.iter().skip(older).cloned().collect()
    }

    /// Returns the events after a position. One of another start is before all of them.
    pub(super) fn page(&self, started_at: u64, after: Option<EventPosition>) -> EventPage {
        let after = after.filter(|it| it.started_at == started_at && it.id <= self.last);
        let kept = self.last - self.events.len() as u64;
        let missed = after.map_or(0, |after| kept.saturating_sub(after.id));
        let after = after.map_or(0, |after| after.id);
        let position = EventPosition { started_at, id: self.last };
        let events = self.events.iter().filter(|event| event.id > after).cloned().collect();
        EventPage { position, missed, events }
    }

    fn push(&mut self, kind: ServerEventKind, application: Option<String>, mut text: String) {
        text.truncate(text.floor_char_boundary(SERVER_EVENT_BYTES_MAX));
        if self.events.len() >= SERVER_EVENTS_MAX {
            self.events.pop_front();
        }
        self.last += 1;
        let (id, at) = (self.last, unix_seconds());
        self.events.push_back(ServerEvent { id, at, kind, application, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: u64 = 7;

    fn noted(count: usize) -> RecentEvents {
        let mut events = RecentEvents::default();
        (0..count).for_each(|number| events.note(ServerEventKind::Ready, number.to_string()));
        events
    }

    fn position(id: u64) -> Option<EventPosition> {
        Some(EventPosition { started_at: STARTED, id })
    }

    #[test]
    fn the_last_events_are_kept() {
        let events = noted(SERVER_EVENTS_MAX + 3);
        let texts: Vec<_> = events.last(2).into_iter().map(|event| event.text).collect();
        assert_eq!(texts, ["1001", "1002"]);
        let all = events.page(STARTED, None);
        assert_eq!((all.events.len(), all.missed, all.events[0].id), (SERVER_EVENTS_MAX, 0, 4));
        assert_eq!(events.page(STARTED, position(1)).missed, 2);
    }

    #[test]
    fn a_page_begins_after_its_position() {
        let events = noted(5);
        let page = |after| {
            let page = events.page(STARTED, after);
            (page.events.first().map(|event| event.id), page.events.len(), page.missed)
        };
        assert_eq!(page(position(3)), (Some(4), 2, 0));
        assert_eq!(page(position(5)), (None, 0, 0));
        assert_eq!(events.page(STARTED, position(3)).position, position(5).unwrap());
        let other = Some(EventPosition { started_at: 6, id: 3 });
        for unknown in [position(6), other, None] {
            assert_eq!(page(unknown), (Some(1), 5, 0), "{unknown:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut events = RecentEvents::default();
        events.note_change(Some("shop".to_owned()), format!("a{}", "é".repeat(1000)));
        let text = &events.last(1)[0].text;
        assert_eq!(text.len(), SERVER_EVENT_BYTES_MAX - 1);
    }
}
