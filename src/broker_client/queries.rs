//! Presence queries of clients that the broker has not answered. A new broker is asked again.

use std::collections::VecDeque;

use crate::link::message::PresenceQuery;
use crate::types::{ClientFilter, Slot, Tenant};

/// Maximum number of open queries of one client. Further queries are dropped, so that a client cannot use
/// unbounded memory.
const OPEN_MAX: usize = 16;
/// Maximum number of open queries that resources have made on their own.
const OPEN_OF_RESOURCES_MAX: usize = 1000;

/// A query for the number of clients that match, and for their values of another tag.
#[derive(Clone, Debug)]
pub struct PresenceQuestion {
    /// The tenant whose clients are searched.
    pub tenant: Tenant,
    /// The clients that match.
    pub query: ClientFilter,
    /// Name of the tag whose values are requested; empty if clients are only counted.
    pub tag: Box<str>,
}

/// All open queries of a worker, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct PresenceQueries {
    open: VecDeque<(Slot, PresenceQuery)>,
    last: u32,
}

impl PresenceQueries {
    /// Stores a query and assigns its number; `None` if the client has too many open queries.
    pub(crate) fn open(
        &mut self,
        slot: Slot,
        PresenceQuestion { tenant, query, tag }: PresenceQuestion,
    ) -> Option<PresenceQuery> {
        let most = if slot == Slot::NONE { OPEN_OF_RESOURCES_MAX } else { OPEN_MAX };
        if self.open.iter().filter(|(known, _)| *known == slot).count() >= most {
            return None;
        }
        self.last = self.last.wrapping_add(1);
        let question = PresenceQuery { number: self.last, tenant, query, tag };
        self.open.push_back((slot, question.clone()));
        Some(question)
    }

    /// Removes and returns the query that was answered; `None` if its client has left.
    pub(crate) fn answered(&mut self, slot: Slot, number: u32) -> Option<PresenceQuery> {
        let is_it =
            |(known, question): &(Slot, PresenceQuery)| *known == slot && question.number == number;
        let at = self.open.iter().position(is_it)?;
        self.open.remove(at).map(|(_, question)| question)
    }

    /// Returns the memory used for the queries of a client, in bytes.
    pub(crate) fn held(&self, slot: Slot) -> usize {
        let of_client = self.open.iter().filter(|(known, _)| *known == slot);
        of_client.map(|(_, question)| question.query.held() + question.tag.len()).sum()
    }

    /// Removes the queries of a client that is gone, because its slot may soon belong to another client.
    pub(crate) fn forget(&mut self, slot: Slot) {
        if !self.open.is_empty() {
            self.open.retain(|(known, _)| *known != slot);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &PresenceQuery)> {
        self.open.iter().map(|(slot, question)| (*slot, question))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TagQuery;

    fn ask(questions: &mut PresenceQueries, slot: u32) -> Option<u32> {
        let (tenant, query) = (Tenant::shared(), TagQuery::default().into());
        let question = PresenceQuestion { tenant, query, tag: "nick".into() };
        questions.open(Slot(slot), question).map(|question| question.number)
    }

    #[test]
    fn an_answer_reaches_the_client_that_queried_and_not_its_successor() {
        let mut questions = PresenceQueries::default();
        let (first, second) = (ask(&mut questions, 1).unwrap(), ask(&mut questions, 2).unwrap());
        assert!(questions.answered(Slot(2), first).is_none());
        assert!(questions.answered(Slot(1), first).is_some());
        assert!(questions.answered(Slot(1), first).is_none());
        questions.forget(Slot(2));
        assert!(questions.answered(Slot(2), second).is_none());
    }

    #[test]
    fn one_client_has_so_many_open_questions_and_no_more() {
        let mut questions = PresenceQueries::default();
        let asked = (0..2 * OPEN_MAX).filter_map(|_| ask(&mut questions, 1)).count();
        assert_eq!(asked, OPEN_MAX);
        assert!(ask(&mut questions, 2).is_some());
    }
}
