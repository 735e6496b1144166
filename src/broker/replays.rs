//! The records of requests that must not take effect twice, for the next API process (rule L11).

use std::collections::VecDeque;

use super::protocol_error::ProtocolError;
use super::worker_state::LinkOutbox;
use crate::link::message::ToWorker;
use crate::replay::{ReplayMark, ReplayMemory};
use crate::types::limits::{REPLAY_EXPIRED_MAX, REPLAY_PENDING_BYTES_MAX};
use crate::types::{
    IdUse, PublicationId, ReplayDigest, ReplayRecords, SpentNonce, UsedId, WorkerIncarnation,
};

/// The memory of the broker, and the API process that is being told about it.
#[derive(Debug, Default)]
pub(super) struct ReplayKeeper {
    memory: ReplayMemory,
    telling: Option<Telling>,
    /// What other hosts are to know, until the end of the turn.
    spread: SpreadRecords,
    /// Ids of publications of other hosts that were delivered here, with the number of their turn. The API process
    /// learns them when that turn is written: otherwise it would tell the next broker of an id whose publication
    /// has died with this one.
    arrived: VecDeque<(u64, UsedId)>,
}

/// Records for other hosts.
#[derive(Debug, Default)]
pub(super) struct SpreadRecords {
    pub(super) nonces: Vec<SpentNonce>,
    pub(super) ids: Vec<UsedId>,
}

/// An API process that has not received all records.
#[derive(Debug)]
struct Telling {
    source: WorkerIncarnation,
    next: ReplayMark,
    /// Later records come from this process itself.
    end: ReplayMark,
    /// It has announced itself, so its own records are known here.
    is_announced: bool,
    /// The number of turns that had ended when it was linked. What they published is written before the
    /// process learns a record: otherwise it would tell the next broker of an id whose publication has died
    /// with this one, and no process would publish it again.
    turns: Option<u64>,
}

/// The turns of the broker.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnProgress {
    /// Turns with publications that have ended.
    pub(super) ended: u64,
    /// Those whose publications are written to all links.
    pub(super) written: u64,
}

impl ReplayKeeper {
    /// A process has a link now. If it is the API process, it gets the records of earlier ones.
    pub(super) fn linked(&mut self, source: WorkerIncarnation) {
        if source.worker.is_api() {
            let (next, end) = (ReplayMark::default(), self.memory.end());
            self.telling = Some(Telling { source, next, end, is_announced: false, turns: None });
        }
    }

    /// A process has announced itself.
    pub(super) fn announced(&mut self, source: WorkerIncarnation) {
        if let Some(telling) = self.telling.as_mut().filter(|telling| telling.source == source) {
            telling.is_announced = true;
        }
    }

    /// A process has no link any more.
    pub(super) fn unlinked(&mut self, source: WorkerIncarnation) {
        self.telling.take_if(|telling| telling.source == source);
    }

    /// Adds records of the API process.
    ///
    /// # Errors
    ///
    /// If another process sent them.
    pub(super) fn learn(
        &mut self,
        source: WorkerIncarnation,
        records: &ReplayRecords,
    ) -> Result<(), ProtocolError> {
        if !source.worker.is_api() {
            return Err(ProtocolError::OutOfPlace("a record"));
        }
        self.memory.learn(records);
        Ok(())
    }

    /// Sets how many ids are kept.
    pub(super) fn limit_ids(&mut self, ids_max: usize) {
        self.memory.limit_ids(ids_max);
    }

    /// Returns what became of an earlier publication with the same id.
    pub(super) fn used(&self, id: &PublicationId) -> Option<UsedId> {
        self.memory.used(id)
    }

    /// Keeps the id of a publication that is delivered now, unless it is refused because of its recipients. `turn` is
    /// the number of this turn.
    pub(super) fn keep(&mut self, id: &PublicationId, clients: u64, workers: u32, turn: u64) {
        let Some(used) = id.used_by(clients, workers) else { return };
        self.memory.learn(&ReplayRecords::Ids(vec![used]));
        if id.origin.is_some() {
            self.arrived.push_back((turn, used));
        }
    }

    /// Returns what became of a publication with an id.
    pub(super) fn use_of(&self, id: ReplayDigest) -> Option<IdUse> {
        self.memory.use_of(id)
    }

    /// Adds what another host has reported.
    pub(super) fn learn_of_host(&mut self, records: &ReplayRecords) {
        self.memory.learn(records);
    }

    /// Other hosts are to know these nonces.
    pub(super) fn spread_nonces(&mut self, spent: &[SpentNonce]) {
        self.spread.nonces.extend_from_slice(spent);
    }

    /// Other hosts are to know an id, if it is kept: its publication does not reach them.
    pub(super) fn spread_id(&mut self, id: &PublicationId) {
        self.spread.ids.extend(self.memory.used(id));
    }

    /// Returns what other hosts are to know.
    pub(super) fn take_spread(&mut self) -> SpreadRecords {
        std::mem::take(&mut self.spread)
    }

    /// Returns the ids of publications of other hosts that are written now.
    pub(super) fn take_written(&mut self, progress: TurnProgress) -> Vec<UsedId> {
        let written = self.arrived.partition_point(|(turn, _)| *turn <= progress.written);
        self.arrived.drain(..written).map(|(_, used)| used).collect()
    }

    /// Returns whether an API process waits for records.
    pub(super) fn is_telling(&self) -> bool {
        self.telling.is_some()
    }

    /// Returns whether an API process whose link has nothing to write can be sent records.
    pub(super) fn has_records_for(
        &self,
        source: WorkerIncarnation,
        out: &LinkOutbox,
        progress: TurnProgress,
    ) -> bool {
        self.telling.as_ref().is_some_and(|telling| {
            telling.source == source
                && telling.turns.is_some_and(|turns| progress.written >= turns)
                && telling.next != telling.end
                && out.pending().is_empty()
        })
    }

    /// Continues to tell an API process, as far as its link has room.
    pub(super) fn tell(
        &mut self,
        source: WorkerIncarnation,
        out: &mut LinkOutbox,
        progress: TurnProgress,
    ) {
        let Some(telling) = self.telling.as_mut().filter(|it| it.source == source) else { return };
        if progress.written < *telling.turns.get_or_insert(progress.ended) {
            return;
        }
        while out.pending().len() < REPLAY_PENDING_BYTES_MAX {
            let Some(records) = self.memory.next_records(&mut telling.next, telling.end) else {
                break;
            };
            out.send(&ToWorker::Remember(records));
        }
        if telling.next == telling.end && telling.is_announced {
            out.send(&ToWorker::Remember(ReplayRecords::Basis(self.memory.basis())));
            self.telling = None;
        }
    }

    /// Removes some of the records whose time is over.
    pub(super) fn forget_expired(&mut self, now: u64) {
        self.memory.forget_expired(now, REPLAY_EXPIRED_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::codec::WireMessage;
    use crate::types::{Generation, ReplayBasis, ReplayDigest, SpentNonce, WorkerId};

    const BASIS: ReplayRecords = ReplayRecords::Basis(Some(ReplayBasis { since: 5, window: 300 }));
    const NO_TURNS: TurnProgress = TurnProgress { ended: 0, written: 0 };

    fn api(generation: u32) -> WorkerIncarnation {
        WorkerIncarnation { worker: WorkerId::API, generation: Generation(generation) }
    }

    fn nonces(count: u64) -> ReplayRecords {
        let nonce = |it: u64| {
            let mut digest = [0; 16];
            digest[..8].copy_from_slice(&it.to_le_bytes());
            SpentNonce { nonce: ReplayDigest(digest), until: 400 }
        };
        ReplayRecords::Nonces((0..count).map(nonce).collect())
    }

    fn said(mut bytes: &[u8]) -> Vec<ReplayRecords> {
        let mut all = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk() {
            let (body, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
            let Ok(ToWorker::Remember(records)) = ToWorker::decode(body) else { panic!() };
            all.push(records);
            bytes = rest;
        }
        all
    }

    #[test]
    fn the_next_api_process_gets_all_records_before_the_basis() {
        let mut keeper = ReplayKeeper::default();
        keeper.learn(api(1), &nonces(3)).unwrap();
        keeper.learn(api(1), &BASIS).unwrap();
        keeper.linked(api(2));
        let mut out = LinkOutbox::default();
        keeper.tell(api(2), &mut out, NO_TURNS);
        assert_eq!(said(out.pending()), [nonces(3)], "it has not announced itself");
        keeper.announced(api(2));
        keeper.tell(api(2), &mut out, NO_TURNS);
        assert_eq!(said(out.pending()), [nonces(3), BASIS]);
        assert!(!keeper.is_telling());
    }

    #[test]
    fn it_waits_until_earlier_publications_are_written() {
        let mut keeper = ReplayKeeper::default();
        keeper.learn(api(1), &nonces(1)).unwrap();
        keeper.linked(api(2));
        keeper.announced(api(2));
        let mut out = LinkOutbox::default();
        for (ended, written) in [(7, 5), (8, 6)] {
            let progress = TurnProgress { ended, written };
            keeper.tell(api(2), &mut out, progress);
            assert!(out.pending().is_empty() && !keeper.has_records_for(api(2), &out, progress));
        }
        keeper.tell(api(2), &mut out, TurnProgress { ended: 9, written: 7 });
        assert_eq!(said(out.pending()), [nonces(1), ReplayRecords::Basis(None)]);
    }

    #[test]
    fn many_records_are_sent_in_parts() {
        let mut keeper = ReplayKeeper::default();
        for _ in 0..2 {
            keeper.learn(api(1), &nonces(30_000)).unwrap();
        }
        keeper.linked(api(2));
        keeper.announced(api(2));
        let mut out = LinkOutbox::default();
        let (mut told, mut parts) = (0, 0);
        while keeper.is_telling() {
            keeper.tell(api(2), &mut out, NO_TURNS);
            assert!(out.pending().len() < 2 * REPLAY_PENDING_BYTES_MAX);
            told += said(out.pending()).iter().map(ReplayRecords::len).sum::<usize>();
            out.advance(out.pending().len());
            parts += 1;
        }
        assert!(told == 30_001 && parts > 2, "{told} in {parts}");
    }

    #[test]
    fn a_worker_may_not_send_records() {
        let source = WorkerIncarnation { worker: WorkerId(0), generation: Generation(0) };
        assert!(ReplayKeeper::default().learn(source, &nonces(1)).is_err());
    }
}
