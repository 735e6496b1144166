//! Detects publications that this worker has already received, so that none is delivered twice (rule L6).

use std::collections::{BTreeMap, VecDeque};

use crate::link::message::DeliverTo;
use crate::types::limits::WINDOW_PUBLICATIONS;
use crate::types::{Number, Slot, WorkerId, WorkerIncarnation};

/// The publications received by this worker, by the worker that they were published through.
#[derive(Debug, Default)]
pub(crate) struct Deduplicator(BTreeMap<WorkerId, SourceHistory>);

#[derive(Debug)]
struct SourceHistory {
    source: WorkerIncarnation,
    /// The highest number received. All lower numbers were received or are not for this worker.
    last: Number,
    /// Numbers of publications to a single recipient, as far back as their source could still repeat them.
    singles: VecDeque<Number>,
}

impl Deduplicator {
    /// Returns whether a publication arrives for the first time, and records it.
    pub(crate) fn is_new(
        &mut self,
        source: WorkerIncarnation,
        number: Number,
        target: &DeliverTo,
    ) -> bool {
        let line = self.0.entry(source.worker).or_insert_with(|| SourceHistory::new(source));
        if line.source != source {
            // The worker was replaced. The old process is dead and repeats nothing.
            *line = SourceHistory::new(source);
        }
        if number <= line.last {
            return false;
        }
        line.last = number;
        if matches!(target, DeliverTo::One(_)) {
            line.note_single(number);
        }
        true
    }

    /// Records a change of a client's tags. Unlike a publication it may arrive after a higher number of its
    /// source, if a new broker has applied it and the old one had not.
    pub(crate) fn saw_single(&mut self, source: WorkerIncarnation, number: Number) {
        let is_new = self.is_new(source, number, &DeliverTo::One(Slot::NONE));
        let line = self.0.get_mut(&source.worker).filter(|line| !is_new && line.source == source);
        if let Some(line) = line
            && let Err(at) = line.singles.binary_search(&number)
        {
            line.singles.insert(at, number);
        }
    }

    /// Records a publication that the broker has kept for a client. It may be older than others of its source, which
    /// may be dead.
    pub(crate) fn saw_replayed(&mut self, source: WorkerIncarnation, number: Number) {
        let line = self.0.entry(source.worker).or_insert_with(|| SourceHistory::new(source));
        let is_repeatable = number.0.saturating_add(WINDOW_PUBLICATIONS) > line.last.0;
        if line.source == source
            && is_repeatable
            && let Err(at) = line.singles.binary_search(&number)
        {
            line.singles.insert(at, number);
        }
    }

    /// Records a publication to several clients of which one has got it later than the others. Everything before it of
    /// its source was received here too, or is not for this worker: the broker sends what it stores before it sends it
    /// again.
    pub(crate) fn saw_replayed_to_many(&mut self, source: WorkerIncarnation, number: Number) {
        let line = self.0.entry(source.worker).or_insert_with(|| SourceHistory::new(source));
        if line.source.generation < source.generation {
            *line = SourceHistory::new(source);
        }
        if line.source == source {
            line.last = line.last.max(number);
        }
    }

    /// Returns the publications to a single recipient that were delivered here.
    pub(crate) fn singles(&self) -> impl Iterator<Item = (WorkerIncarnation, Vec<Number>)> + '_ {
        let lines = self.0.values().filter(|line| !line.singles.is_empty());
        lines.map(|line| (line.source, line.singles.iter().copied().collect()))
    }
}

impl SourceHistory {
    fn new(source: WorkerIncarnation) -> Self {
        Self { source, last: Number(0), singles: VecDeque::new() }
    }

    fn note_single(&mut self, number: Number) {
        let oldest = number.0.saturating_sub(WINDOW_PUBLICATIONS);
        while self.singles.front().is_some_and(|single| single.0 <= oldest) {
            self.singles.pop_front();
        }
        self.singles.push_back(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::message::SetName;
    use crate::types::Generation;

    const ONE: DeliverTo = DeliverTo::One(Slot(1));

    fn source(generation: u32) -> WorkerIncarnation {
        WorkerIncarnation { worker: WorkerId(3), generation: Generation(generation) }
    }

    #[test]
    fn a_number_is_new_once_in_each_life_of_its_worker() {
        let mut seen = Deduplicator::default();
        assert!(seen.is_new(source(1), Number(1), &ONE));
        assert!(!seen.is_new(source(1), Number(1), &ONE));
        assert!(seen.is_new(source(1), Number(5), &ONE));
        assert!(!seen.is_new(source(1), Number(4), &ONE));
        assert!(seen.is_new(source(2), Number(1), &ONE));
    }

    #[test]
    fn a_change_of_tags_may_come_after_a_higher_number() {
        let mut seen = Deduplicator::default();
        assert!(seen.is_new(source(1), Number(5), &ONE));
        for number in [3, 3, 7] {
            seen.saw_single(source(1), Number(number));
        }
        assert!(!seen.is_new(source(1), Number(7), &ONE));
        assert_eq!(seen.singles().next().unwrap().1, [3, 5, 7].map(Number));
    }

    #[test]
    fn what_one_client_has_got_later_is_not_new_for_the_others() {
        const MANY: DeliverTo = DeliverTo::Set { name: SetName(0), except: None };
        let mut seen = Deduplicator::default();
        seen.saw_replayed_to_many(source(2), Number(5));
        seen.saw_replayed_to_many(source(1), Number(9));
        assert!(!seen.is_new(source(2), Number(5), &MANY));
        assert!(seen.is_new(source(2), Number(6), &MANY));
        seen.saw_replayed_to_many(source(2), Number(3));
        assert!(!seen.is_new(source(2), Number(6), &MANY));
    }

    #[test]
    fn singles_are_listed_as_far_back_as_a_window_reaches() {
        let mut seen = Deduplicator::default();
        for number in 1..=WINDOW_PUBLICATIONS + 10 {
            seen.is_new(source(1), Number(number), &ONE);
        }
        let (_, numbers) = seen.singles().next().unwrap();
        assert_eq!(numbers.first(), Some(&Number(11)));
        assert_eq!(numbers.len() as u64, WINDOW_PUBLICATIONS);
    }
}
