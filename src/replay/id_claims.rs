//! Publications with an id that are under way.

use std::collections::{BTreeMap, HashMap};

use super::ReplayMemory;
use crate::types::{IdUse, Number, PublicationId, ReplayDigest, ReplayRecords, UsedId};

/// Publications with an id that are under way in this process. The requests that are served at the same time
/// and the window bound them.
#[derive(Debug, Default)]
pub struct IdClaims {
    open: HashMap<ReplayDigest, OpenClaim>,
    /// The ids of publications that no broker has acknowledged.
    numbers: BTreeMap<Number, ReplayDigest>,
}

#[derive(Debug)]
struct OpenClaim {
    id: PublicationId,
    stage: ClaimStage,
    /// A request still works for it: it has not published it, or waits for its sockets.
    is_held: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClaimStage {
    Waiting,
    Published,
    Acknowledged,
}

/// Whether a request may publish under its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It may. The id is taken until [`IdClaims::release`].
    New,
    /// The same publication is under way.
    InFlight,
    /// The same publication was made before.
    Used(IdUse),
    /// Another publication has this id.
    Reused,
}

/// What the acknowledgement of a publication says about its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdOutcome {
    /// It has none.
    WithoutId,
    /// It is the first one with this id.
    First,
    /// The same publication was made before, so this one was not delivered.
    Repeated,
    /// Another publication has this id, so this one was not delivered.
    Reused,
}

impl IdClaims {
    /// Takes an id, if no publication has it.
    pub fn claim(&mut self, id: PublicationId, memory: &ReplayMemory) -> Claimed {
        if let Some(open) = self.open.get(&id.id) {
            return match open.id.content == id.content {
                true => Claimed::InFlight,
                false => Claimed::Reused,
            };
        }
        match memory.used(&id) {
            Some(UsedId { used, .. }) if used.content == id.content => Claimed::Used(used),
            Some(_) => Claimed::Reused,
            None => {
                let open = OpenClaim { id, stage: ClaimStage::Waiting, is_held: true };
                self.open.insert(id.id, open);
                Claimed::New
            }
        }
    }

    /// The publication with this id has this number.
    pub fn published(&mut self, id: PublicationId, number: Number) {
        let open = OpenClaim { id, stage: ClaimStage::Published, is_held: true };
        self.open.insert(id.id, open);
        self.numbers.insert(number, id.id);
    }

    /// The request no longer works for its id. If the publication is on its way, the id stays taken until it
    /// is acknowledged.
    pub fn release(&mut self, id: ReplayDigest) {
        match self.open.get_mut(&id) {
            Some(open) if open.stage == ClaimStage::Published => open.is_held = false,
            _ => drop(self.open.remove(&id)),
        }
    }

    /// The broker has counted the recipients of a publication, and every link has taken it unless it was
    /// refused because of them. Unless it was refused, its id is used now.
    pub fn acknowledged(
        &mut self,
        number: Number,
        clients: u64,
        workers: u32,
        memory: &mut ReplayMemory,
    ) -> IdOutcome {
        let Some(id) = self.close(number) else { return IdOutcome::WithoutId };
        // Only the broker may have known it before.
        match memory.used(&id) {
            Some(known) if known.used.content == id.content => IdOutcome::Repeated,
            Some(_) => IdOutcome::Reused,
            None => {
                let used = id.used_by(clients, workers);
                memory.learn(&ReplayRecords::Ids(used.into_iter().collect()));
                IdOutcome::First
            }
        }
    }

    /// A publication was refused whatever its recipients are.
    pub fn refused(&mut self, number: Number) -> IdOutcome {
        match self.close(number) {
            Some(_) => IdOutcome::First,
            None => IdOutcome::WithoutId,
        }
    }

    /// Removes a publication. Its id is free, unless a request still works for it.
    fn close(&mut self, number: Number) -> Option<PublicationId> {
        let id = self.numbers.remove(&number)?;
        let open = self.open.get_mut(&id)?;
        let id = open.id;
        open.stage = ClaimStage::Acknowledged;
        if !open.is_held {
            self.open.remove(&id.id);
        }
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::RecipientBounds;

    fn id(content: u8, at: u64) -> PublicationId {
        let recipients = RecipientBounds { min: 1, max: 5 };
        let content = ReplayDigest([content; 16]);
        let (id, until) = (ReplayDigest([9; 16]), at + 300);
        PublicationId { id, content, at, until, recipients, origin: None }
    }

    #[test]
    fn an_id_is_taken_until_its_publication_is_acknowledged_and_then_used() {
        let (mut claims, mut memory) = (IdClaims::default(), ReplayMemory::default());
        assert_eq!(claims.claim(id(1, 0), &memory), Claimed::New);
        claims.published(id(1, 0), Number(7));
        claims.release(id(1, 0).id);
        assert_eq!(claims.claim(id(1, 1), &memory), Claimed::InFlight);
        assert_eq!(claims.claim(id(2, 1), &memory), Claimed::Reused);
        assert_eq!(claims.acknowledged(Number(6), 2, 1, &mut memory), IdOutcome::WithoutId);
        assert_eq!(claims.acknowledged(Number(7), 2, 1, &mut memory), IdOutcome::First);
        let (written, origin, hosts) = (None, None, None);
        let content = id(1, 0).content;
        let used = IdUse { content, clients: 2, workers: 1, written, origin, hosts };
        assert_eq!(claims.claim(id(1, 300), &memory), Claimed::Used(used));
        assert_eq!(claims.claim(id(2, 300), &memory), Claimed::Reused);
        assert_eq!(claims.claim(id(2, 301), &memory), Claimed::New, "the window is over");
    }

    #[test]
    fn the_id_of_a_refused_publication_is_free_again() {
        let (mut claims, mut memory) = (IdClaims::default(), ReplayMemory::default());
        for (number, clients) in [(1, 0), (2, 6)] {
            assert_eq!(claims.claim(id(1, 0), &memory), Claimed::New);
            claims.published(id(1, 0), Number(number));
            claims.acknowledged(Number(number), clients, 1, &mut memory);
            claims.release(id(1, 0).id);
        }
        assert_eq!(claims.claim(id(2, 0), &memory), Claimed::New);
        claims.release(id(2, 0).id);
        assert!(claims.open.is_empty() && claims.numbers.is_empty());
    }

    #[test]
    fn a_request_that_waits_for_sockets_keeps_its_id_taken() {
        let (mut claims, mut memory) = (IdClaims::default(), ReplayMemory::default());
        claims.claim(id(1, 0), &memory);
        claims.published(id(1, 0), Number(1));
        claims.acknowledged(Number(1), 1, 1, &mut memory);
        assert_eq!(claims.claim(id(1, 0), &memory), Claimed::InFlight);
        claims.release(id(1, 0).id);
        assert!(matches!(claims.claim(id(1, 0), &memory), Claimed::Used(_)));
    }

    #[test]
    fn what_only_the_broker_knew_is_a_repeat_or_another_publication() {
        for (content, expected) in [(1, IdOutcome::Repeated), (2, IdOutcome::Reused)] {
            let (mut claims, mut memory) = (IdClaims::default(), ReplayMemory::default());
            claims.claim(id(content, 5), &memory);
            claims.published(id(content, 5), Number(1));
            let known = id(1, 0).used_by(1, 1).unwrap();
            memory.learn(&ReplayRecords::Ids(vec![known]));
            assert_eq!(claims.acknowledged(Number(1), 1, 1, &mut memory), expected);
        }
    }
}
