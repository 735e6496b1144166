//! Which worker does what is to be done once.

use super::post::Life;
use super::{Crew, Effect, Member, Word};
use crate::link::control::Duty;
use crate::types::Source;

impl Crew {
    /// Keeps the steward as long as it serves, then chooses another one that does.
    pub(super) fn appoint(&mut self, effects: &mut Vec<Effect>) {
        if self.steward.is_some_and(|steward| self.serves(steward)) {
            return;
        }
        if let Some(former) = self.steward.take()
            && self.lives(Member::Worker(former))
        {
            effects.push(Effect::Tell(Member::Worker(former), Word::Appoint(Duty::Plain)));
        }
        let next = self.living_sources().find(|source| self.serves(*source));
        self.steward = next;
        if let Some(steward) = self.steward {
            effects.push(Effect::Tell(Member::Worker(steward), Word::Appoint(Duty::Steward)));
        }
    }

    fn serves(&self, source: Source) -> bool {
        self.workers
            .get(&source.worker)
            .is_some_and(|post| post.life == Life::Ready && post.is_held_by(source.generation))
    }
}
