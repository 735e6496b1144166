//! Which publications reached this worker: none is delivered a second time (rule L6).

use std::collections::{BTreeMap, VecDeque};

use crate::link::message::Target;
use crate::types::limits::WINDOW_PUBLICATIONS;
use crate::types::{Number, Source, WorkerId};

/// The publications seen here, by the worker they came through.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<WorkerId, Line>);

#[derive(Debug)]
struct Line {
    source: Source,
    /// The highest number; all before it were seen or not meant for this worker.
    last: Number,
    /// Those to one recipient, as far back as their source could still repeat them.
    singles: VecDeque<Number>,
}

impl Seen {
    /// Whether a publication is seen for the first time.
    pub(super) fn is_new(&mut self, source: Source, number: Number, target: &Target) -> bool {
        let line = self.0.entry(source.worker).or_insert_with(|| Line::new(source));
        if line.source != source {
            // The worker was replaced: its former life is dead and repeats nothing.
            *line = Line::new(source);
        }
        if number <= line.last {
            return false;
        }
        line.last = number;
        if matches!(target, Target::One(_)) {
            line.note_single(number);
        }
        true
    }

    /// The publications to one recipient that were delivered here.
    pub(super) fn singles(&self) -> impl Iterator<Item = (Source, Vec<Number>)> + '_ {
        let lines = self.0.values().filter(|line| !line.singles.is_empty());
        lines.map(|line| (line.source, line.singles.iter().copied().collect()))
    }
}

impl Line {
    fn new(source: Source) -> Self {
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
    use crate::types::{Generation, Slot};

    const ONE: Target = Target::One(Slot(1));

    fn source(generation: u32) -> Source {
        Source { worker: WorkerId(3), generation: Generation(generation) }
    }

    #[test]
    fn a_number_is_new_once_in_each_life_of_its_worker() {
        let mut seen = Seen::default();
        assert!(seen.is_new(source(1), Number(1), &ONE));
        assert!(!seen.is_new(source(1), Number(1), &ONE));
        assert!(seen.is_new(source(1), Number(5), &ONE));
        assert!(!seen.is_new(source(1), Number(4), &ONE));
        assert!(seen.is_new(source(2), Number(1), &ONE));
    }

    #[test]
    fn singles_are_listed_as_far_back_as_a_window_reaches() {
        let mut seen = Seen::default();
        for number in 1..=WINDOW_PUBLICATIONS + 10 {
            seen.is_new(source(1), Number(number), &ONE);
        }
        let (_, numbers) = seen.singles().next().unwrap();
        assert_eq!(numbers.first(), Some(&Number(11)));
        assert_eq!(numbers.len() as u64, WINDOW_PUBLICATIONS);
    }
}
