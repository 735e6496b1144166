//! Chooses the leader, the one worker that does the tasks that must be done only once.

use super::children::Children;
use super::{Action, ChildId};
use crate::link::control::{WorkerCommand, WorkerRole};
use crate::types::WorkerIncarnation;

/// The worker that does the tasks that must be done only once. None if no worker serves.
#[derive(Debug, Default)]
pub(super) struct Leader(Option<WorkerIncarnation>);

impl Leader {
    /// Keeps the leader while it serves, then chooses another worker that does.
    pub(super) fn choose(&mut self, children: &Children, effects: &mut Vec<Action>) {
        if self.0.is_some_and(|leader| children.serves(leader)) {
            return;
        }
        let role = |source, role| {
            Action::Send(ChildId::Worker(source), WorkerCommand::SetRole(role).into())
        };
        let living = |source: &WorkerIncarnation| children.lives(ChildId::Worker(*source));
        let former = self.0.take().filter(living);
        effects.extend(former.map(|former| role(former, WorkerRole::Follower)));
        self.0 = children.ready_sources().next();
        effects.extend(self.0.map(|leader| role(leader, WorkerRole::Leader)));
    }
}
