//! Which worker does what is to be done once.

use super::children::Children;
use super::{Action, ChildId};
use crate::link::control::{WorkerCommand, WorkerRole};
use crate::types::WorkerIncarnation;

/// The worker that does what is to be done once, if one serves.
#[derive(Debug, Default)]
pub(super) struct Leader(Option<WorkerIncarnation>);

impl Leader {
    /// Keeps the leader as long as it serves, then chooses another worker that does.
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
