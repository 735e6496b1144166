//! The broker's progress. A reply to a client about an effect is written only after the broker has applied
//! the effect.

/// The progress that the broker must have made before a reply is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncMark {
    /// Number of the [`Sync`](crate::link::message::ToBroker::Sync) that it must have answered.
    pub synced: u64,
    /// Number of publications that it must have acknowledged (rule L5).
    pub acknowledged: u64,
}

impl SyncMark {
    /// Returns whether the progress `reached` includes this mark.
    #[must_use]
    pub fn is_reached(self, reached: Self) -> bool {
        self.synced <= reached.synced && self.acknowledged <= reached.acknowledged
    }

    /// Returns the mark that is reached when both marks are.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            synced: self.synced.max(other.synced),
            acknowledged: self.acknowledged.max(other.acknowledged),
        }
    }
}

/// The `Sync` requests of a worker, at most one per turn. The answer to a request also answers all earlier
/// ones.
#[derive(Debug, Default)]
pub(crate) struct Syncs {
    asked: u64,
    answered: u64,
    /// Whether this turn needs a request.
    wanted: bool,
}

impl Syncs {
    /// Requests a `Sync` at the end of this turn's output, and returns its number.
    pub(crate) fn want(&mut self) -> u64 {
        self.wanted = true;
        self.asked + 1
    }

    /// Returns the number of this turn's request, if one is needed. Called after all other output of the
    /// turn.
    pub(crate) fn ask(&mut self) -> Option<u64> {
        std::mem::take(&mut self.wanted).then(|| {
            self.asked += 1;
            self.asked
        })
    }

    /// Returns the number of the request for a new broker, if any is unanswered. Called after the
    /// announcement (rule L6).
    pub(crate) fn ask_again(&mut self) -> Option<u64> {
        self.asked += u64::from(std::mem::take(&mut self.wanted));
        (self.answered < self.asked).then_some(self.asked)
    }

    pub(crate) fn answer(&mut self, number: u64) {
        self.answered = self.answered.max(number);
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_sends_one_query_and_later_requests_send_another() {
        let mut syncs = Syncs::default();
        assert_eq!(syncs.ask(), None, "nothing waits for an answer");
        assert_eq!((syncs.want(), syncs.want()), (1, 1));
        assert_eq!(syncs.ask(), Some(1));
        assert_eq!(syncs.ask(), None);
        assert_eq!(syncs.want(), 2);
        syncs.answer(1);
        assert_eq!(syncs.answered(), 1);
        assert_eq!(syncs.ask(), Some(2));
    }

    #[test]
    fn a_new_broker_gets_the_last_query_and_those_of_the_outage() {
        let mut syncs = Syncs::default();
        assert_eq!(syncs.ask_again(), None);
        syncs.want();
        syncs.ask();
        assert_eq!(syncs.ask_again(), Some(1), "nobody answers what the dead one was asked");
        assert_eq!((syncs.want(), syncs.want()), (2, 2));
        assert_eq!(syncs.ask_again(), Some(2));
        syncs.answer(2);
        assert_eq!(syncs.ask_again(), None);
    }

    #[test]
    fn a_mark_is_reached_when_both_parts_of_it_are() {
        let mark = |synced, acknowledged| SyncMark { synced, acknowledged };
        assert!(SyncMark::default().is_reached(SyncMark::default()));
        let both = mark(2, 0).and(mark(1, 7));
        assert_eq!(both, mark(2, 7));
        assert!(both.is_reached(mark(2, 7)) && both.is_reached(mark(3, 9)));
        assert!(!both.is_reached(mark(1, 7)) && !both.is_reached(mark(2, 6)));
    }
}
