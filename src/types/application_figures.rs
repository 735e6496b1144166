//! Figures of one application, counted by each process and added up by the supervisor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::limits::{APPLICATION_ROWS_MAX, APPLICATIONS_SHOWN_MAX};

/// Figures of one application. All but `clients` are counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 9]", into = "[u64; 9]")]
pub struct ApplicationFigures {
    /// Open WebSockets.
    pub clients: u64,
    /// Messages from its clients.
    pub messages: u64,
    /// Publications of its clients, and of its backends by the HTTP API.
    pub publications: u64,
    /// Deliveries to its clients.
    pub deliveries: u64,
    /// Bytes of messages from its clients, and of publications of its backends.
    pub bytes_in: u64,
    /// Bytes of frames of publications for its clients.
    pub bytes_out: u64,
    /// Requests, and publications of batches, that got 429.
    pub rate_limited: u64,
    /// Messages and requests with wrong credentials.
    pub auth_failures: u64,
    /// Milliseconds that its publishers had to wait, all together.
    pub throttled_ms: u64,
}

impl From<[u64; 9]> for ApplicationFigures {
    fn from(figures: [u64; 9]) -> Self {
        let [
            clients,
            messages,
            publications,
            deliveries,
            bytes_in,
            bytes_out,
            rate_limited,
            auth_failures,
            throttled_ms,
        ] = figures;
        Self {
            clients,
            messages,
            publications,
            deliveries,
            bytes_in,
            bytes_out,
            rate_limited,
            auth_failures,
            throttled_ms,
        }
    }
}

impl From<ApplicationFigures> for [u64; 9] {
    fn from(it: ApplicationFigures) -> Self {
        [
            it.clients,
            it.messages,
            it.publications,
            it.deliveries,
            it.bytes_in,
            it.bytes_out,
            it.rate_limited,
            it.auth_failures,
            it.throttled_ms,
        ]
    }
}

impl ApplicationFigures {
    /// Adds other figures.
    pub fn add(&mut self, other: &Self) {
        let mut sum: [u64; 9] = (*self).into();
        for (own, more) in sum.iter_mut().zip(<[u64; 9]>::from(*other)) {
            *own += more;
        }
        *self = sum.into();
    }

    fn work(&self) -> u64 {
        self.messages + self.publications + self.deliveries + self.rate_limited
    }
}

/// Figures by application. The empty key has those of applications beyond a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationTable(BTreeMap<String, ApplicationFigures>);

impl ApplicationTable {
    /// Adds figures of an application.
    pub fn add(&mut self, key: &str, figures: &ApplicationFigures) {
        if let Some(own) = self.0.get_mut(key) {
            return own.add(figures);
        }
        let key = if self.0.len() < APPLICATION_ROWS_MAX { key } else { "" };
        self.0.entry(key.to_owned()).or_default().add(figures);
    }

    /// Adds all figures of another table.
    pub fn add_all(&mut self, other: &Self) {
        other.rows().for_each(|(key, figures)| self.add(key, figures));
    }

    /// Adds the counters of a process that has ended.
    pub fn add_ended(&mut self, other: &Self) {
        for (key, figures) in other.rows() {
            self.add(key, &ApplicationFigures { clients: 0, ..*figures });
        }
    }

    /// Returns all rows by key.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &ApplicationFigures)> {
        self.0.iter().map(|(key, figures)| (&**key, figures))
    }

    /// Returns true if there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The applications that have rows of their own in the metrics. One that was chosen stays, because a counter
/// of the others would fall whenever another one took its place.
#[derive(Clone, Debug, Default)]
pub struct ShownApplications(std::collections::BTreeSet<String>);

impl ShownApplications {
    /// Returns a table with the chosen applications, and the sum of the others without a name. While there is
    /// room, the busiest of the others are chosen.
    pub fn choose(&mut self, all: &ApplicationTable) -> ApplicationTable {
        let mut others: Vec<_> =
            all.rows().filter(|(key, _)| !key.is_empty() && !self.0.contains(*key)).collect();
        others.sort_by_key(|(_, figures)| std::cmp::Reverse(figures.work()));
        let room = APPLICATIONS_SHOWN_MAX.saturating_sub(self.0.len());
        self.0.extend(others.iter().take(room).map(|(key, _)| (*key).to_owned()));
        let mut shown = ApplicationTable::default();
        for (key, figures) in all.rows() {
            let key = if self.0.contains(key) { key } else { "" };
            shown.add(key, figures);
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(keys: std::ops::Range<u64>, messages: impl Fn(u64) -> u64) -> ApplicationTable {
        let mut table = ApplicationTable::default();
        for number in keys {
            let figures = ApplicationFigures {
                clients: 1,
                messages: messages(number),
                ..ApplicationFigures::default()
            };
            table.add(&format!("a{number}"), &figures);
        }
        table
    }

    #[test]
    fn the_busiest_are_shown_and_stay() {
        let mut shown = ShownApplications::default();
        let first = shown.choose(&table(0..3000, |number| number));
        assert_eq!(first.rows().count(), APPLICATIONS_SHOWN_MAX + 1);
        let of = |table: &ApplicationTable, key: &str| {
            table.rows().find(|(it, _)| *it == key).map(|(_, figures)| figures.messages)
        };
        assert_eq!((of(&first, "a2999"), of(&first, "a0")), (Some(2999), None));
        let rest = (0..2000).sum();
        assert_eq!(of(&first, ""), Some(rest));
        let later = shown.choose(&table(0..3000, |number| 5000 - number));
        assert_eq!((of(&later, "a2999"), of(&later, "a0")), (Some(2001), None));
    }

    #[test]
    fn a_table_has_a_bound_and_loses_nothing() {
        let rows = APPLICATION_ROWS_MAX as u64 + 10;
        let mut all = table(0..rows, |_| 1);
        assert_eq!(all.rows().count(), APPLICATION_ROWS_MAX + 1);
        assert_eq!(all.rows().map(|(_, figures)| figures.messages).sum::<u64>(), rows);
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<ApplicationTable>(&json).unwrap(), all);
        let mut ended = ApplicationTable::default();
        ended.add_ended(&all);
        assert_eq!(ended.rows().map(|(_, figures)| figures.clients).sum::<u64>(), 0);
        all.add_all(&ended);
        assert_eq!(all.rows().map(|(_, figures)| figures.messages).sum::<u64>(), 2 * rows);
    }
}
