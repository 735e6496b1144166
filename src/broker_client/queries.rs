//! Questions to the broker that it has not answered. A new broker is asked again.

use std::collections::{BTreeMap, VecDeque};

use crate::link::query::{BrokerQuery, QueryKind};
use crate::types::limits::ASKS_PER_CLIENT_MAX;
use crate::types::{Slot, Tenant};

/// Maximum number of open questions of one client. Further questions are dropped, so that a client cannot use
/// unbounded memory.
const OPEN_MAX: usize = 16;
/// The same with those about what became on other hosts of a question to a client.
const OPEN_WITH_ASKS_MAX: usize = OPEN_MAX + ASKS_PER_CLIENT_MAX;
/// Maximum number of open questions of the process itself: those that resources ask on their own, or the
/// requests of the API.
const OPEN_OF_PROCESS_MAX: usize = 1000;

/// All open questions of a process.
#[derive(Debug, Default)]
pub(crate) struct OpenQueries {
    slots: BTreeMap<Slot, SlotQueries>,
    last: u32,
}

/// The open questions of one client, or of the process itself.
#[derive(Debug, Default)]
struct SlotQueries {
    /// In the order in which they were asked, which is the order of their answers.
    open: VecDeque<BrokerQuery>,
    /// Memory that they use, in bytes.
    held: usize,
}

impl OpenQueries {
    /// Stores a question and assigns its number; `None` if the client has too many open questions.
    pub(crate) fn open(
        &mut self,
        slot: Slot,
        tenant: Tenant,
        kind: QueryKind,
    ) -> Option<BrokerQuery> {
        let most = match &kind {
            _ if slot == Slot::NONE => OPEN_OF_PROCESS_MAX,
            QueryKind::Hosts(_) => OPEN_WITH_ASKS_MAX,
            _ => OPEN_MAX,
        };
        let own = self.slots.entry(slot).or_default();
        if own.open.len() >= most {
            return None;
        }
        self.last = self.last.wrapping_add(1);
        let query = BrokerQuery { number: self.last, tenant, kind };
        own.held += query.kind.held();
        own.open.push_back(query.clone());
        Some(query)
    }

    /// Removes and returns a question; `None` if it is answered, or its client has left.
    pub(crate) fn take(&mut self, slot: Slot, number: u32) -> Option<BrokerQuery> {
        let own = self.slots.get_mut(&slot)?;
        let at = own.open.iter().position(|query| query.number == number)?;
        let query = own.open.remove(at)?;
        own.held -= query.kind.held();
        if own.open.is_empty() {
            self.slots.remove(&slot);
        }
        Some(query)
    }

    /// Returns the memory used for the questions of a client, in bytes.
    pub(crate) fn held(&self, slot: Slot) -> usize {
        self.slots.get(&slot).map_or(0, |own| own.held)
    }

    /// Removes the questions of a client that is gone, because its slot may soon belong to another client.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.slots.remove(&slot);
    }

    /// Returns all questions; those of one client are in the order in which they were asked.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &BrokerQuery)> {
        self.slots.iter().flat_map(|(slot, own)| own.open.iter().map(|query| (*slot, query)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::query::PresenceQuery;
    use crate::types::{Tag, TagQuery};

    fn ask(questions: &mut OpenQueries, slot: u32) -> Option<u32> {
        let filter = TagQuery::new([Tag::new("room", "1").unwrap()]).unwrap().into();
        let kind = QueryKind::Presence(PresenceQuery { filter, tag: "nick".into() });
        questions.open(Slot(slot), Tenant::shared(), kind).map(|query| query.number)
    }

    #[test]
    fn an_answer_reaches_the_client_that_queried_and_not_its_successor() {
        let mut questions = OpenQueries::default();
        let (first, second) = (ask(&mut questions, 1).unwrap(), ask(&mut questions, 2).unwrap());
        assert!(questions.take(Slot(2), first).is_none());
        assert!(questions.take(Slot(1), first).is_some());
        assert!(questions.take(Slot(1), first).is_none());
        questions.forget(Slot(2));
        assert!(questions.take(Slot(2), second).is_none());
        assert_eq!(questions.iter().count(), 0);
    }

    #[test]
    fn one_client_has_so_many_open_questions_and_no_more() {
        let mut questions = OpenQueries::default();
        let asked = (0..2 * OPEN_MAX).filter_map(|_| ask(&mut questions, 1)).count();
        assert_eq!(asked, OPEN_MAX);
        assert!(ask(&mut questions, 2).is_some());
    }

    #[test]
    fn memory_is_counted_until_the_answer() {
        let mut questions = OpenQueries::default();
        let first = ask(&mut questions, 1).unwrap();
        let one = questions.held(Slot(1));
        assert!(one > 0);
        ask(&mut questions, 1);
        ask(&mut questions, 2);
        assert_eq!(questions.held(Slot(1)), 2 * one);
        questions.take(Slot(1), first);
        assert_eq!(questions.held(Slot(1)), one);
        questions.forget(Slot(1));
        assert_eq!((questions.held(Slot(1)), questions.held(Slot(2))), (0, one));
    }
}
