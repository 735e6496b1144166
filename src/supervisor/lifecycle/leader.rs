//! Which worker does what is to be done once.

use super::child_state::ChildState;
use super::{Action, ChildId, ProcessTable};
use crate::link::control::{WorkerCommand, WorkerRole};
use crate::types::WorkerIncarnation;

impl ProcessTable {
    /// Keeps the leader as long as it serves, then chooses another worker that does.
    pub(super) fn set_leader(&mut self, effects: &mut Vec<Action>) {
        if self.leader.is_some_and(|leader| self.serves(leader)) {
            return;
        }
        if let Some(former) = self.leader.take()
            && self.lives(ChildId::Worker(former))
        {
            effects.push(Action::Send(
                ChildId::Worker(former),
                WorkerCommand::SetRole(WorkerRole::Follower).into(),
            ));
        }
        let next = self.living_sources().find(|source| self.serves(*source));
        self.leader = next;
        if let Some(leader) = self.leader {
            effects.push(Action::Send(
                ChildId::Worker(leader),
                WorkerCommand::SetRole(WorkerRole::Leader).into(),
            ));
        }
    }

    fn serves(&self, source: WorkerIncarnation) -> bool {
        self.workers.get(&source.worker).is_some_and(|post| {
            post.life == ChildState::Ready && post.is_held_by(source.generation)
        })
    }
}
