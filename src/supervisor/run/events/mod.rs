//! The last events of a server, for `tagcast top`.

use std::collections::VecDeque;

use crate::admin::ServerEvent;
use crate::telemetry::unix_seconds;
use crate::types::limits::TOP_ROWS;

/// The last events, oldest first.
#[derive(Debug, Default)]
pub(super) struct RecentEvents(VecDeque<ServerEvent>);

impl RecentEvents {
    /// Adds an event.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        if self.0.len() >= TOP_ROWS {
            self.0.pop_front();
        }
        self.0.push_back(ServerEvent { at: unix_seconds(), text: text.into() });
    }

    pub(super) fn list(&self) -> Vec<ServerEvent> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_kept() {
        let mut events = RecentEvents::default();
        (0..TOP_ROWS + 3).for_each(|number| events.note(number.to_string()));
        let texts: Vec<_> = events.list().into_iter().map(|event| event.text).collect();
        assert_eq!((texts.len(), &*texts[0]), (TOP_ROWS, "3"));
    }
}
