//! Who is served next, of those that wait: connections that take little of the worker's time come
//! before those that take much, and within each of the two groups everyone has its turn.

use std::collections::VecDeque;
use std::time::Duration;

use super::clock::Moment;
use crate::types::limits::{HEAVY_MAX, HEAVY_PART, LIGHT_BURST, WORK_TIME};

/// How much of its worker's time a connection takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Little.
    Light,
    /// More than one part in [`HEAVY_PART`].
    Heavy,
}

/// What a connection has taken of its worker's time: the moment at which that was no more than one
/// part in [`HEAVY_PART`]. Four bytes, since every connection has it: milliseconds, which begin again
/// after fifty days.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage(u32);

impl Usage {
    /// Notes what was done for it by now: work and not time, because a clock also counts what other
    /// processes take of the processor meanwhile.
    pub(super) fn note(&mut self, work: usize, now: Moment) {
        let taken = WORK_TIME.saturating_mul(u32::try_from(work).unwrap_or(u32::MAX));
        let debt = now.after(self.debt(now).saturating_add(taken.saturating_mul(HEAVY_PART)));
        self.0 = millis(debt.min(now.after(HEAVY_MAX)));
    }

    /// How heavy it is now.
    pub(super) fn weight(self, now: Moment) -> Weight {
        if self.debt(now) <= LIGHT_BURST { Weight::Light } else { Weight::Heavy }
    }

    /// The time until what it has taken is forgotten.
    fn debt(self, now: Moment) -> Duration {
        let ahead = self.0.wrapping_sub(millis(now));
        // What is further ahead than it can be lies behind.
        let ahead = Duration::from_millis(ahead.into());
        if ahead > HEAVY_MAX { Duration::ZERO } else { ahead }
    }
}

/// A moment in milliseconds, as far as they fit.
fn millis(moment: Moment) -> u32 {
    let millis = moment.micros().div_ceil(1000) & u64::from(u32::MAX);
    u32::try_from(millis).unwrap_or(u32::MAX)
}

/// What is known of a connection for its turns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Schedule {
    pub(super) usage: Usage,
    /// It waits to be served, once, however often the kernel reports it.
    pub(super) is_waiting: bool,
}

/// Those that wait, in two lines.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    light: VecDeque<T>,
    heavy: VecDeque<T>,
    /// Which line [`FairQueue::alternate`] takes from next.
    next: Weight,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { light: VecDeque::new(), heavy: VecDeque::new(), next: Weight::Light }
    }
}

impl<T> FairQueue<T> {
    fn line(&mut self, weight: Weight) -> &mut VecDeque<T> {
        match weight {
            Weight::Light => &mut self.light,
            Weight::Heavy => &mut self.heavy,
        }
    }

    pub(super) fn push(&mut self, waiter: T, weight: Weight) {
        self.line(weight).push_back(waiter);
    }

    /// The next of one line.
    pub(super) fn pop(&mut self, weight: Weight) -> Option<T> {
        self.line(weight).pop_front()
    }

    /// The next one of both lines, of each in turn, with the line that it may be put back into.
    pub(super) fn alternate(&mut self) -> Option<(T, Weight)> {
        let (first, second) = match self.next {
            Weight::Light => (Weight::Light, Weight::Heavy),
            Weight::Heavy => (Weight::Heavy, Weight::Light),
        };
        let weight = if self.line(first).is_empty() { second } else { first };
        let waiter = self.pop(weight)?;
        self.next = if weight == Weight::Light { Weight::Heavy } else { Weight::Light };
        Some((waiter, weight))
    }

    /// Puts the one that was taken last back into its place.
    pub(super) fn put_back(&mut self, waiter: T, weight: Weight) {
        self.line(weight).push_front(waiter);
        self.next = weight;
    }

    pub(super) fn has(&self, weight: Weight) -> bool {
        match weight {
            Weight::Light => !self.light.is_empty(),
            Weight::Heavy => !self.heavy.is_empty(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.light.len() + self.heavy.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::START.after(Duration::from_millis(millis))
    }

    #[test]
    fn a_client_that_speaks_now_and_then_is_light_and_one_that_never_pauses_is_heavy() {
        let mut usage = Usage::default();
        for second in 1..100 {
            let now = at(1000 * second);
            assert_eq!(usage.weight(now), Weight::Light);
            usage.note(75_000, now);
            assert_eq!(usage.weight(now), Weight::Heavy, "for a moment");
        }
        let mut usage = Usage::default();
        for millis in 1..1000 {
            usage.note(7_500, at(millis));
        }
        assert_eq!(usage.weight(at(1000)), Weight::Heavy);
        assert_eq!(usage.weight(at(1100)), Weight::Light, "and is not for long");
    }

    #[test]
    fn what_one_serving_costs_is_forgotten_within_a_tenth_of_a_second() {
        let mut usage = Usage::default();
        usage.note(usize::MAX, at(5000));
        assert_eq!(usage.weight(at(5000)), Weight::Heavy);
        assert_eq!(usage.weight(at(5000).after(HEAVY_MAX)), Weight::Light);
    }

    #[test]
    fn lines_have_their_turns_and_who_is_put_back_is_next() {
        let mut queue = FairQueue::default();
        for number in 0..3 {
            queue.push(number, Weight::Light);
            queue.push(10 + number, Weight::Heavy);
        }
        let (first, weight) = queue.alternate().unwrap();
        queue.put_back(first, weight);
        let all: Vec<i32> = std::iter::from_fn(|| queue.alternate()).map(|it| it.0).collect();
        assert_eq!(all, [0, 10, 1, 11, 2, 12]);
        queue.push(7, Weight::Heavy);
        assert_eq!((queue.pop(Weight::Light), queue.pop(Weight::Heavy)), (None, Some(7)));
        assert!(queue.is_empty());
    }
}
