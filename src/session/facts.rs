//! Facts about one client, each a bit: a pointer to more costs every client of `tagcast.v1` a piece of memory.

/// A fact about a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionFact {
    /// The log says that the tags of its packets are ignored.
    TagsNoted,
    /// It may change its own tags (`tagcast.v1`).
    MayChooseTags,
    /// Its next frame proves that it has received its `welcome` (`tagcast.v1`).
    AwaitsFrame,
    /// What it gets of the past, and `recovery`, have not been written. Until then it has no position (`tagcast.v1`).
    AwaitsRecovery,
    /// The broker asks whether it is alive (`tagcast.v1`).
    Probed,
}

/// The facts that are true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionFacts(u8);

impl SessionFacts {
    const fn bit(fact: SessionFact) -> u8 {
        1 << fact as u8
    }

    /// Returns whether a fact is true.
    #[must_use]
    pub const fn has(self, fact: SessionFact) -> bool {
        self.0 & Self::bit(fact) != 0
    }

    /// Makes a fact true.
    pub const fn add(&mut self, fact: SessionFact) {
        self.0 |= Self::bit(fact);
    }

    /// Makes a fact false. Returns whether it was true.
    pub const fn take(&mut self, fact: SessionFact) -> bool {
        let was = self.has(fact);
        self.0 &= !Self::bit(fact);
        was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_is_apart_from_the_others() {
        let all = [
            SessionFact::TagsNoted,
            SessionFact::MayChooseTags,
            SessionFact::AwaitsFrame,
            SessionFact::AwaitsRecovery,
            SessionFact::Probed,
        ];
        for fact in all {
            let mut facts = SessionFacts::default();
            assert!(!facts.take(fact));
            facts.add(fact);
            let present = all.into_iter().filter(|it| facts.has(*it));
            assert!(present.eq([fact]));
            assert!(facts.take(fact) && !facts.has(fact));
        }
    }
}
