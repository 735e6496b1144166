//! Questions about single clients, which their workers answer.

use std::collections::BTreeMap;

use crate::types::{Slot, WorkerIncarnation};

/// The questions that workers have not answered. The processes that ask limit them, and every worker answers,
/// or dies.
#[derive(Debug, Default)]
pub(super) struct OpenDescriptions(BTreeMap<(WorkerIncarnation, u32), OpenDescription>);

#[derive(Clone, Copy, Debug)]
struct OpenDescription {
    worker: WorkerIncarnation,
    /// The slot that has asked, or [`Slot::NONE`].
    asker_slot: Slot,
}

/// A question that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AskedDescription {
    /// The process that has asked.
    pub(super) asker: WorkerIncarnation,
    /// The slot of that process that has asked, or [`Slot::NONE`].
    pub(super) slot: Slot,
    /// Number of the question.
    pub(super) number: u32,
}

impl OpenDescriptions {
    /// Returns how many are open.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Keeps a question until this worker has answered it.
    pub(super) fn open(&mut self, asked: AskedDescription, worker: WorkerIncarnation) {
        let AskedDescription { asker, slot, number } = asked;
        self.0.insert((asker, number), OpenDescription { worker, asker_slot: slot });
    }

    /// Takes the question that a worker answers. `None` if it was asked by an earlier broker.
    pub(super) fn answered(
        &mut self,
        worker: WorkerIncarnation,
        asker: WorkerIncarnation,
        number: u32,
    ) -> Option<AskedDescription> {
        let open = self.0.get(&(asker, number)).copied().filter(|open| open.worker == worker)?;
        self.0.remove(&(asker, number));
        Some(AskedDescription { asker, slot: open.asker_slot, number })
    }

    /// Takes the questions that a lost worker will not answer. Those that it has asked itself are forgotten.
    pub(super) fn on_worker_lost(&mut self, worker: WorkerIncarnation) -> Vec<AskedDescription> {
        let mut lost = Vec::new();
        self.0.retain(|(asker, number), open| {
            if open.worker == worker && *asker != worker {
                let (asker, number) = (*asker, *number);
                lost.push(AskedDescription { asker, slot: open.asker_slot, number });
            }
            *asker != worker && open.worker != worker
        });
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Generation, WorkerId};

    fn source(worker: u16, generation: u32) -> WorkerIncarnation {
        WorkerIncarnation { worker: WorkerId(worker), generation: Generation(generation) }
    }

    fn asked(asker: WorkerIncarnation, number: u32) -> AskedDescription {
        AskedDescription { asker, slot: Slot::NONE, number }
    }

    #[test]
    fn only_the_worker_of_the_client_answers_and_once() {
        let (mut open, api) = (OpenDescriptions::default(), source(9, 1));
        open.open(asked(api, 5), source(0, 1));
        assert_eq!(open.answered(source(1, 1), api, 5), None);
        assert_eq!(open.answered(source(0, 2), api, 5), None, "another process of that number");
        assert_eq!(open.answered(source(0, 1), api, 5), Some(asked(api, 5)));
        assert_eq!(open.answered(source(0, 1), api, 5), None);
    }

    #[test]
    fn a_lost_worker_leaves_no_question_open() {
        let (mut open, api) = (OpenDescriptions::default(), source(9, 1));
        open.open(asked(api, 5), source(0, 1));
        open.open(asked(api, 6), source(1, 1));
        open.open(asked(source(0, 1), 7), source(1, 1));
        assert_eq!(open.on_worker_lost(source(0, 1)), [asked(api, 5)]);
        assert_eq!(open.on_worker_lost(source(1, 1)), [asked(api, 6)]);
        assert!(open.0.is_empty());
    }
}
