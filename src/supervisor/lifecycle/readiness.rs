//! Tells the API process whether the server takes traffic.

use super::action::{Action, ChildId};
use crate::link::control::ApiCommand;
use crate::types::Readiness;

/// The last readiness that the API process knows.
#[derive(Debug, Default)]
pub(super) struct ReadinessNotice {
    last: Option<(ChildId, Readiness)>,
}

impl ReadinessNotice {
    /// Tells a new API process, and each one of a change.
    pub(super) fn tell(
        &mut self,
        api: Option<ChildId>,
        readiness: Readiness,
        effects: &mut Vec<Action>,
    ) {
        let next = api.map(|api| (api, readiness));
        if let Some((api, readiness)) = next.filter(|_| self.last != next) {
            effects.push(Action::Send(api, ApiCommand::Readiness(readiness).into()));
        }
        self.last = next;
    }
}
