//! What workers said while others were still awaited: it is done in parts, and in its order.

use std::ops::ControlFlow::{self, Break, Continue};

use super::{LinkState, Router};
use crate::types::WorkerIncarnation;

impl Router {
    /// Whether something was held back that can be done now.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.is_resolving() && self.workers.values().any(|member| !member.held.is_empty())
    }

    /// Does what was held back while workers were awaited, once none is, as far as the turn has time.
    /// What a worker says meanwhile is held back too, so its order stays.
    pub fn resume(&mut self, is_spent: &mut dyn FnMut() -> bool) -> ControlFlow<()> {
        if !self.is_behind() {
            return Continue(());
        }
        let sources: Vec<WorkerIncarnation> =
            self.workers.values().map(|member| member.source).collect();
        sources.into_iter().try_for_each(|source| self.release(source, is_spent))
    }

    /// The same for one worker.
    pub fn release(
        &mut self,
        source: WorkerIncarnation,
        is_spent: &mut dyn FnMut() -> bool,
    ) -> ControlFlow<()> {
        while self.is_resolving()
            && let Some(member) = self.workers.get_mut(&source.worker)
            && let Some(message) = member.held.pop_front()
        {
            if let Err(breach) = self.apply(source, message)
                && let Some(member) = self.workers.get_mut(&source.worker)
            {
                member.link_state = LinkState::Broken(breach);
                member.held.clear();
            }
            if is_spent() {
                return Break(());
            }
        }
        Continue(())
    }
}
