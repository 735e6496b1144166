//! Messages that were held back while other workers were still awaited. They are applied in order, over
//! several turns.

use std::ops::ControlFlow::{self, Break, Continue};

use super::{LinkState, Router};
use crate::types::WorkerIncarnation;

impl Router {
    /// Returns whether held messages can be applied now.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.is_resolving() && self.workers.values().any(|member| !member.held.is_empty())
    }

    /// Applies held messages once no worker is awaited, until the turn's time is spent. Messages that a
    /// worker sends meanwhile are held back too, so their order is preserved.
    pub fn resume(&mut self, is_spent: &mut dyn FnMut() -> bool) -> ControlFlow<()> {
        if !self.is_behind() {
            return Continue(());
        }
        let sources: Vec<WorkerIncarnation> =
            self.workers.values().map(|member| member.source).collect();
        sources.into_iter().try_for_each(|source| self.release(source, is_spent))
    }

    /// Applies the held messages of one worker.
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
