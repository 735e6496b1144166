//! A change of the tags of all clients that match, over several turns (rule L12).
//!
//! The broker reads no link meanwhile, so nothing is resolved before it is complete: a publication uses the old
//! tags of all of them or the new tags of all of them.

use std::collections::BTreeMap;
use std::ops::ControlFlow::{self, Break, Continue};

use crate::index::Index;
use crate::index::tag_changes::{edit_tags, version_of, would_have_too_many};
use crate::link::command::{BulkChange, CommandOutcome};
use crate::types::{ConnectionRef, Slot, SlotSet, WorkerId, WorkerIncarnation};

/// Clients between two looks at the budget of the turn.
const PIECE: usize = 64;
/// Work for one client, in bytes of a usual message.
const CLIENT_WORK: usize = 128;

/// A change that is under way.
#[derive(Debug)]
pub(super) struct RunningBulkChange {
    pub(super) change: BulkChange,
    pub(super) answer: BulkAnswer,
    /// The clients that match, by worker.
    matching: Vec<(WorkerIncarnation, SlotSet)>,
    stage: BulkStage,
    /// Index of the worker in `matching`, and its last client that was visited.
    at: usize,
    last: Option<Slot>,
    /// The clients that have been changed.
    changed: BTreeMap<WorkerIncarnation, SlotSet>,
}

/// What the source of a change gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BulkAnswer {
    /// It does not wait for the outcome.
    None,
    /// The outcome.
    Outcome,
    /// The outcome, and that other hosts carry it out, too.
    Forwarded,
}

impl BulkAnswer {
    /// Returns the answer with the outcome on this host.
    pub(super) fn with(self, outcome: CommandOutcome) -> Option<CommandOutcome> {
        match self {
            Self::None => None,
            Self::Outcome => Some(outcome),
            Self::Forwarded => Some(CommandOutcome::Forwarded(Box::new(outcome))),
        }
    }
}

/// What is done with each client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BulkStage {
    /// Its tags are counted. If one client would have too many, none is changed.
    Checking,
    /// Its tags are changed.
    Changing,
    /// The same, if an earlier broker has not done it.
    Completing,
}

/// How a change has ended.
#[derive(Debug, PartialEq)]
pub(super) enum BulkResult {
    /// These clients have new tags.
    Changed(BTreeMap<WorkerIncarnation, SlotSet>),
    /// A client would have had too many tags.
    TooManyTags,
}

impl RunningBulkChange {
    /// Begins a change.
    pub(super) fn new(change: BulkChange, matching: Vec<(WorkerIncarnation, SlotSet)>) -> Self {
        let answer = BulkAnswer::None;
        let (stage, changed) = (BulkStage::Checking, BTreeMap::new());
        Self { change, answer, matching, stage, at: 0, last: None, changed }
    }

    /// Completes a change of an earlier broker, whose source will repeat it.
    pub(super) fn completing(
        change: BulkChange,
        matching: Vec<(WorkerIncarnation, SlotSet)>,
    ) -> Self {
        Self { stage: BulkStage::Completing, ..Self::new(change, matching) }
    }

    /// Returns whether an earlier broker has begun it.
    pub(super) fn is_completing(&self) -> bool {
        self.stage == BulkStage::Completing
    }

    /// Continues until `is_spent` returns true, which is called with the work of each piece. `on_changed` is called
    /// for each client with new tags.
    pub(super) fn run(
        &mut self,
        index: &mut Index,
        on_changed: &mut dyn FnMut(&Index, ConnectionRef),
        is_spent: &mut dyn FnMut(usize) -> bool,
    ) -> ControlFlow<(), BulkResult> {
        let mut visited = 0;
        loop {
            while let Some((source, place)) = self.next_place() {
                match self.visit(index, source, place) {
                    Break(()) => return Continue(BulkResult::TooManyTags),
                    Continue(true) => on_changed(index, place),
                    Continue(false) => {}
                }
                visited += 1;
                if visited == PIECE {
                    visited = 0;
                    if is_spent(PIECE * CLIENT_WORK) {
                        return Break(());
                    }
                }
            }
            if self.stage != BulkStage::Checking {
                return Continue(BulkResult::Changed(std::mem::take(&mut self.changed)));
            }
            (self.stage, self.at, self.last) = (BulkStage::Changing, 0, None);
        }
    }

    fn next_place(&mut self) -> Option<(WorkerIncarnation, ConnectionRef)> {
        loop {
            let (source, slots) = self.matching.get(self.at)?;
            if let Some(slot) = slots.after(self.last).next() {
                self.last = Some(slot);
                return Some((*source, ConnectionRef { worker: source.worker, slot }));
            }
            (self.at, self.last) = (self.at + 1, None);
        }
    }

    /// Returns whether the client has other tags now. Breaks if it would have too many.
    fn visit(
        &mut self,
        index: &mut Index,
        source: WorkerIncarnation,
        place: ConnectionRef,
    ) -> ControlFlow<(), bool> {
        let BulkChange { edit, version, .. } = &self.change;
        match self.stage {
            BulkStage::Checking if would_have_too_many(index, place, edit) => return Break(()),
            BulkStage::Checking => return Continue(false),
            BulkStage::Completing if version_of(index, place).is_none_or(|own| own >= *version) => {
                return Continue(false);
            }
            BulkStage::Changing | BulkStage::Completing => {}
        }
        if edit_tags(index, place, edit, *version) {
            self.changed.entry(source).or_default().0.insert(place.slot.0);
            return Continue(true);
        }
        Continue(false)
    }
}

/// Returns the clients of running workers, with the processes of these workers.
pub(super) fn with_sources(
    sets: Vec<(WorkerId, SlotSet)>,
    source_of: impl Fn(WorkerId) -> Option<WorkerIncarnation>,
) -> Vec<(WorkerIncarnation, SlotSet)> {
    sets.into_iter().filter_map(|(worker, slots)| Some((source_of(worker)?, slots))).collect()
}
