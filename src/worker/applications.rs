//! Figures of the applications of a worker's clients.

use std::collections::{HashMap, HashSet};

use crate::auth::Applications;
use crate::types::limits::APPLICATION_ROWS_MAX;
use crate::types::{ApplicationFigures, ApplicationTable};

/// Key of the only application of a server without `auth.yml`, as the HTTP API has it.
const OPEN_KEY: &str = "-";

/// Number of an application within a worker. It does not change while the application has clients, as its
/// index in the configuration does. 0: an application beyond the limit, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct ApplicationNumber(u16);

/// Figures by number.
#[derive(Debug, Default)]
pub(in crate::worker) struct ApplicationStats {
    rows: Vec<ApplicationRow>,
    numbers: HashMap<Box<str>, ApplicationNumber>,
    /// Numbers by index in the configuration.
    by_index: Vec<ApplicationNumber>,
    /// Number of a client whose server has no applications.
    open: ApplicationNumber,
    free: Vec<ApplicationNumber>,
}

#[derive(Debug, Default)]
struct ApplicationRow {
    key: Box<str>,
    figures: ApplicationFigures,
}

impl ApplicationStats {
    /// Gives numbers to the applications of a configuration. Removed ones keep theirs while they have clients.
    pub(in crate::worker) fn configure(&mut self, applications: Option<&Applications>) {
        let list = applications.map(|all| &*all.list).unwrap_or_default();
        let wanted: HashSet<&str> = match applications {
            Some(_) => list.iter().map(|it| &*it.key).collect(),
            None => [OPEN_KEY].into(),
        };
        if self.rows.is_empty() {
            self.rows.push(ApplicationRow::default());
        }
        self.forget_others(&wanted);
        self.by_index = list.iter().map(|it| self.number_for(&it.key)).collect();
        self.open = match applications {
            Some(_) => ApplicationNumber::default(),
            None => self.number_for(OPEN_KEY),
        };
    }

    fn forget_others(&mut self, wanted: &HashSet<&str>) {
        let Self { rows, numbers, free, .. } = self;
        let mut rest = ApplicationFigures::default();
        numbers.retain(|key, number| {
            let row = rows.get_mut(usize::from(number.0));
            let unused = row.filter(|row| row.figures.clients == 0 && !wanted.contains(&**key));
            let Some(row) = unused else { return true };
            rest.add(&std::mem::take(row).figures);
            free.push(*number);
            false
        });
        if let Some(first) = rows.first_mut() {
            first.figures.add(&rest);
        }
    }

    fn number_for(&mut self, key: &str) -> ApplicationNumber {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        let next = u16::try_from(self.rows.len()).ok().map(ApplicationNumber);
        let next = next.filter(|_| self.rows.len() < APPLICATION_ROWS_MAX);
        let row = ApplicationRow { key: key.into(), figures: ApplicationFigures::default() };
        let number = match (self.free.pop(), next) {
            (Some(free), _) => {
                if let Some(place) = self.rows.get_mut(usize::from(free.0)) {
                    *place = row;
                }
                free
            }
            (None, Some(next)) => {
                self.rows.push(row);
                next
            }
            (None, None) => return ApplicationNumber::default(),
        };
        self.numbers.insert(key.into(), number);
        number
    }

    /// Returns the number of an application by its index in the configuration. `None`: a server without
    /// applications.
    pub(in crate::worker) fn number(&self, index: Option<u32>) -> ApplicationNumber {
        match index {
            None => self.open,
            Some(index) => self.by_index.get(index as usize).copied().unwrap_or_default(),
        }
    }

    /// Changes the figures of an application.
    #[inline]
    pub(in crate::worker) fn note(
        &mut self,
        number: ApplicationNumber,
        change: impl FnOnce(&mut ApplicationFigures),
    ) {
        if let Some(row) = self.rows.get_mut(usize::from(number.0)) {
            change(&mut row.figures);
        }
    }

    /// Returns the figures by key.
    pub(in crate::worker) fn table(&self) -> ApplicationTable {
        let mut table = ApplicationTable::default();
        for ApplicationRow { key, figures } in &self.rows {
            // Rows that are free, and the one of others, may have none.
            if !key.is_empty() || *figures != ApplicationFigures::default() {
                table.add(key, figures);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Application;

    fn applications(keys: &[&str]) -> Applications {
        let list = keys
            .iter()
            .map(|key| Application { key: (*key).to_owned(), ..Application::placeholder() })
            .collect();
        Applications { list, anonymous: None }
    }

    fn messages(stats: &ApplicationStats, key: &str) -> Option<u64> {
        let table = stats.table();
        table.rows().find(|(it, _)| *it == key).map(|(_, figures)| figures.messages)
    }

    #[test]
    fn numbers_stay_while_an_application_has_clients() {
        let mut stats = ApplicationStats::default();
        stats.configure(Some(&applications(&["a", "b"])));
        let (a, b) = (stats.number(Some(0)), stats.number(Some(1)));
        stats.note(a, |it| (it.clients, it.messages) = (1, 5));
        stats.note(b, |it| it.messages = 7);
        stats.configure(Some(&applications(&["c", "d"])));
        assert_eq!((messages(&stats, "a"), messages(&stats, "b")), (Some(5), None));
        assert_eq!(messages(&stats, ""), Some(7), "counters of removed applications are kept");
        let (c, d) = (stats.number(Some(0)), stats.number(Some(1)));
        assert!(c != a && d != a && c != d);
        stats.note(a, |it| it.clients = 0);
        stats.configure(None);
        assert_eq!((messages(&stats, "a"), messages(&stats, "")), (None, Some(12)));
        assert_eq!(messages(&stats, "-"), Some(0));
        assert_ne!(stats.number(None), ApplicationNumber::default());
        assert_eq!(stats.rows.len(), 4, "free rows are used again");
    }
}
