//! Answers of clients to questions, until the broker has passed them on. A new broker gets them again.

use std::collections::VecDeque;

use crate::link::codec::WireMessage;
use crate::link::message::ToBroker;
use crate::types::limits::WINDOW_BYTES;

/// Answers on their way, in order.
#[derive(Debug, Default)]
pub(crate) struct AnswersInFlight {
    /// Each with the number of the `Sync` whose answer confirms it.
    kept: VecDeque<(u64, ToBroker)>,
    bytes: usize,
}

/// Memory of an answer in addition to its bytes.
const ANSWER_BYTES: usize = size_of::<(u64, ToBroker)>();

impl AnswersInFlight {
    /// Returns whether there is room for one more of this many bytes. One is always allowed.
    #[inline]
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.bytes == 0 || self.bytes + bytes <= WINDOW_BYTES
    }

    /// Keeps a message until the `Sync` of this number is answered.
    pub(crate) fn keep(&mut self, synced: u64, answer: ToBroker) {
        self.bytes += answer.work() + ANSWER_BYTES;
        self.kept.push_back((synced, answer));
    }

    /// Forgets what the broker has processed.
    pub(crate) fn confirm(&mut self, synced: u64) {
        while let Some((_, answer)) = self.kept.pop_front_if(|(number, _)| *number <= synced) {
            self.bytes -= answer.work() + ANSWER_BYTES;
        }
    }

    /// Appends all of them again, for a new broker.
    pub(crate) fn repeat(&self, out: &mut Vec<u8>) {
        self.kept.iter().for_each(|(_, answer)| answer.encode(out));
    }
}
