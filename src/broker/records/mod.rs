//! Records of clients that may resume (`tagcast.v1`): they outlive the connections of their clients.
//!
//! No I/O and no clock, as the router.

mod accounting;
mod mailbox;
mod moving;
mod request_ids;
mod tag_log;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

pub(super) use self::mailbox::{Mailbox, MailboxPublication};
use self::moving::EndedRecords;
pub(super) use self::moving::{ELSEWHERE, hand_over, take_over};
use self::request_ids::InstanceIds;
use self::tag_log::TagLog;
pub(super) use self::tag_log::{TagsThen, forget_past, note_tags};
use crate::link::moves::RecordStage;
use crate::link::resume::{KnownIds, RecordTerms};
use crate::types::limits::AWAY_MEMORY;
use crate::types::{
    AcceptedIds, AllowedNames, ClientUuid, ConnectionRef, Ident, JoinNumber, ReplayPosition,
    ResumeGeneration, Tenant, VersionedTags,
};

/// Memory for a client that is away, without its names, tags and mailbox, in bytes.
const AWAY_BYTES: usize = 512;

/// Which client a record is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RecordKey {
    pub(super) tenant: Tenant,
    pub(super) uuid: ClientUuid,
}

/// All records.
#[derive(Debug)]
pub(super) struct Records {
    all: HashMap<RecordKey, Box<Record>>,
    /// Clients that are away, by the time at which they end.
    ends: BTreeSet<(Duration, RecordKey)>,
    /// Names of clients that are away and have a mailbox. The first one has been away longest. Others would make the
    /// search for a recipient as long as their number.
    idents: BTreeSet<(Tenant, Ident, u64, ClientUuid)>,
    /// Records that use memory for a client that is away or was, the oldest first.
    held: BTreeMap<u64, RecordKey>,
    /// Total number of times that a record began to use such memory.
    serials: u64,
    /// That memory, and what it may be.
    bytes: usize,
    bytes_max: usize,
    /// Part of it for mailboxes.
    mailbox_bytes: usize,
    pub(super) ended: EndedRecords,
}

/// The record of a client.
#[derive(Debug)]
pub(super) struct Record {
    /// Its connection; `None` while it is away.
    pub(super) place: Option<ConnectionRef>,
    pub(super) terms: RecordTerms,
    /// Number of its last connection.
    pub(super) generation: ResumeGeneration,
    /// The last connection whose token it surely has. Earlier ones are not accepted.
    pub(super) confirmed: ResumeGeneration,
    /// The connection with which the record has begun.
    pub(super) begun: ResumeGeneration,
    /// Begins the positions of its mailbox.
    epoch: u32,
    /// Publications that were ever put into its mailbox.
    kept: u64,
    /// The first connection since which its requests are known.
    pub(super) ids_from: ResumeGeneration,
    /// Number of the join of its last connection.
    pub(super) joined: JoinNumber,
    /// Requests of its instance that were accepted; `None` if there was none.
    ids: Option<Box<InstanceIds>>,
    /// What only a client has that is away, or was and has not confirmed its mailbox.
    rest: Option<Box<HeldRecord>>,
    /// Tags that it had earlier; `None` if they are of no use.
    tag_log: Option<Box<TagLog>>,
}

/// The record of a client that is here, before it was ever away.
#[derive(Debug)]
pub(super) struct NewRecord {
    pub(super) place: ConnectionRef,
    pub(super) terms: RecordTerms,
    pub(super) generation: ResumeGeneration,
    pub(super) confirmed: ResumeGeneration,
    /// Begins the positions of its mailbox.
    pub(super) epoch: u32,
    /// Requests that were accepted.
    pub(super) ids: KnownIds,
}

// Each client that may resume has one. It is boxed, because a third of the places of a table are empty.
const _: () = assert!(size_of::<Record>() <= 128, "a record has grown");

#[derive(Debug)]
struct HeldRecord {
    serial: u64,
    /// Bytes that are counted for it: in all, and for its mailbox.
    counted: (usize, usize),
    away: Option<AwayClient>,
    mailbox: Mailbox,
}

/// A client that is away.
#[derive(Debug)]
pub(super) struct AwayClient {
    pub(super) ident: Option<Ident>,
    /// Its tags; `None` if tags do not reach it.
    pub(super) tags: Option<VersionedTags>,
    /// The time at which it ends.
    pub(super) ends_at: Duration,
}

/// A connection on which a client comes back.
#[derive(Debug)]
pub(super) struct NewPlace {
    pub(super) place: ConnectionRef,
    pub(super) terms: RecordTerms,
    /// The connection whose token it shows.
    pub(super) shown: ResumeGeneration,
    /// Guarded topics that it may be in.
    pub(super) guarded: AllowedNames,
}

/// A client that was away.
#[derive(Debug)]
pub(super) struct ReturnedClient {
    /// What it had.
    pub(super) away: AwayClient,
    /// Requests of its instance that were accepted. `None`: that is not known, or it is another instance.
    pub(super) ids: Option<AcceptedIds>,
}

impl AwayClient {
    fn held(&self) -> usize {
        let ident = self.ident.as_ref().map_or(0, |ident| ident.as_str().len());
        AWAY_BYTES + ident + self.tags.as_ref().map_or(0, |own| own.tags.held())
    }
}

impl Record {
    /// Returns the data of the client if it is away.
    pub(super) fn away(&self) -> Option<&AwayClient> {
        self.rest.as_ref()?.away.as_ref()
    }

    /// Returns how far it is.
    pub(super) fn stage(&self) -> RecordStage {
        let Self { confirmed, generation, begun, .. } = *self;
        RecordStage { confirmed, generation, begun }
    }

    /// Returns the present place in its mailbox.
    pub(super) fn position(&self) -> ReplayPosition {
        ReplayPosition { epoch: self.epoch, number: self.kept }
    }

    /// Returns its mailbox, if there is one.
    pub(super) fn mailbox(&self) -> Option<&Mailbox> {
        self.rest.as_ref().map(|rest| &rest.mailbox)
    }

    /// Returns whether publications to the client alone are kept: it is away, receives publications and may have a
    /// mailbox.
    fn keeps(&self, now: Duration) -> bool {
        let is_there = |away: &AwayClient| away.tags.is_some() && now < away.ends_at;
        self.terms.mailbox > 0 && self.away().is_some_and(is_there)
    }
}

impl Default for Records {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            ends: BTreeSet::new(),
            idents: BTreeSet::new(),
            held: BTreeMap::new(),
            serials: 0,
            bytes: 0,
            bytes_max: AWAY_MEMORY,
            mailbox_bytes: 0,
            ended: EndedRecords::default(),
        }
    }
}

impl Records {
    /// Sets the memory for clients that are away. Those that have been away longest end if it is not enough.
    pub(super) fn limit(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
        self.evict();
    }

    /// Returns true if no client may resume.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns true if a client is away.
    pub(super) fn has_away(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Returns how many clients are here, and how many are away.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.all.len() - self.ends.len(), self.ends.len())
    }

    /// Returns the memory of all mailboxes in bytes.
    pub(super) fn mailbox_bytes(&self) -> usize {
        self.mailbox_bytes
    }

    pub(super) fn get(&self, key: &RecordKey) -> Option<&Record> {
        self.all.get(key).map(|record| &**record)
    }

    pub(super) fn get_mut(&mut self, key: &RecordKey) -> Option<&mut Record> {
        self.all.get_mut(key).map(|record| &mut **record)
    }

    /// Adds the record of a client that is here. There must be none of it.
    pub(super) fn add(&mut self, key: RecordKey, new: NewRecord) {
        let NewRecord { place, terms, generation, confirmed, epoch, ids } = new;
        let (place, kept, ids_from, rest) = (Some(place), 0, ids.from, None);
        let ids = InstanceIds::announced(ids);
        let (joined, begun) = (JoinNumber(0), ids_from);
        let record = Record {
            place,
            terms,
            generation,
            confirmed,
            begun,
            epoch,
            kept,
            ids_from,
            joined,
            ids,
            rest,
            tag_log: None,
        };
        let former = self.all.insert(key, Box::new(record));
        debug_assert!(former.is_none(), "a client has one record");
    }

    /// A client that is here goes away. Nothing happens if its record is of another place.
    pub(super) fn leave(&mut self, key: &RecordKey, place: ConnectionRef, away: AwayClient) {
        let serial = self.serials + 1;
        let Some(record) = self.all.get_mut(key).filter(|it| it.place == Some(place)) else {
            return;
        };
        self.serials = serial;
        record.place = None;
        self.ends.insert((away.ends_at, key.clone()));
        let mailbox = record.rest.take().map(|rest| {
            self.held.remove(&rest.serial);
            (rest.mailbox, rest.counted)
        });
        let (mailbox, counted) = mailbox.unwrap_or_default();
        if let Some(ident) =
            away.ident.as_ref().filter(|_| record.terms.mailbox > 0 && away.tags.is_some())
        {
            self.idents.insert((key.tenant.clone(), ident.clone(), serial, key.uuid));
        }
        record.rest = Some(Box::new(HeldRecord { serial, counted, away: Some(away), mailbox }));
        self.held.insert(serial, key.clone());
        self.count(key);
        self.evict();
    }

    /// A client that is away comes back to a place. Its mailbox stays until [`Records::settle`].
    pub(super) fn come_back(&mut self, key: &RecordKey, next: NewPlace) -> Option<ReturnedClient> {
        let record = self.all.get_mut(key)?;
        let rest = record.rest.as_mut()?;
        let away = rest.away.take()?;
        let serial = rest.serial;
        if rest.mailbox.is_unused() {
            self.uncount(key);
        } else {
            self.count(key);
        }
        let record = self.all.get_mut(key)?;
        let ids = record.continue_ids(&next);
        record.place = Some(next.place);
        record.terms = next.terms;
        record.generation = record.generation.max(next.shown).next();
        self.forget_away(key, serial, &away);
        Some(ReturnedClient { away, ids })
    }

    /// Replaces the tags of a client that is away.
    pub(super) fn retag(&mut self, key: &RecordKey, tags: VersionedTags) {
        let rest = self.all.get_mut(key).and_then(|record| record.rest.as_mut());
        if let Some(away) = rest.and_then(|rest| rest.away.as_mut()) {
            away.tags = Some(tags);
            self.count(key);
            self.evict();
        }
    }

    /// Keeps a publication for a client that is away.
    pub(super) fn keep(&mut self, key: &RecordKey, kept: MailboxPublication<'_>) {
        let Some(record) = self.all.get_mut(key) else { return };
        let Some(rest) = record.rest.as_mut().filter(|rest| rest.away.is_some()) else { return };
        record.kept += 1;
        let own = ReplayPosition { epoch: record.epoch, number: record.kept };
        rest.mailbox.push(kept.entry(own), record.terms.mailbox);
        self.count(key);
        self.evict();
    }

    /// Removes what a client has received from its mailbox: everything up to a publication with this position or an
    /// earlier one. If it is of the journal with the epoch `present`, it has also received what was kept before that
    /// journal began.
    pub(super) fn forget_up_to(
        &mut self,
        key: &RecordKey,
        since: ReplayPosition,
        present: Option<u32>,
    ) {
        if let Some(rest) = self.all.get_mut(key).and_then(|record| record.rest.as_mut()) {
            if present == Some(since.epoch) {
                rest.mailbox.forget_others(since.epoch);
            }
            rest.mailbox.forget_up_to(since);
            self.count(key);
        }
    }

    /// A client has received its mailbox, and the token of its last connection.
    pub(super) fn settle(&mut self, key: &RecordKey, place: ConnectionRef) {
        let Some(record) = self.all.get_mut(key).filter(|it| it.place == Some(place)) else {
            return;
        };
        record.confirmed = record.generation;
        self.uncount(key);
    }

    /// Removes a record.
    pub(super) fn end(&mut self, key: &RecordKey) {
        self.uncount_away(key);
        if self.all.remove(key).is_some() {
            self.ended.note(key);
        }
    }

    /// Removes the records of clients that are away for too long, until `is_spent` returns true, which is called after
    /// each.
    pub(super) fn end_due(&mut self, now: Duration, is_spent: &mut dyn FnMut() -> bool) {
        while let Some((ends_at, _)) = self.ends.first().filter(|(ends_at, _)| *ends_at <= now) {
            debug_assert!(*ends_at <= now, "the first one ends first");
            let Some((_, key)) = self.ends.pop_first() else { return };
            self.end(&key);
            if is_spent() {
                return;
            }
        }
    }

    /// Returns true if a client has been away for too long.
    pub(super) fn has_due(&self, now: Duration) -> bool {
        self.ends.first().is_some_and(|(ends_at, _)| *ends_at <= now)
    }

    /// Removes a record whose client has been away for too long.
    pub(super) fn end_if_due(&mut self, key: &RecordKey, now: Duration) {
        let away = self.get(key).and_then(Record::away);
        if away.is_some_and(|away| away.ends_at <= now) {
            self.end(key);
        }
    }

    /// Returns whether publications to a client alone are kept for it.
    pub(super) fn keeps(&self, key: &RecordKey, now: Duration) -> bool {
        self.get(key).is_some_and(|record| record.keeps(now))
    }

    /// Returns the client with a name that has been away longest, and whose publications are kept.
    pub(super) fn first_named(
        &self,
        tenant: &Tenant,
        ident: &Ident,
        now: Duration,
    ) -> Option<RecordKey> {
        let least = (tenant.clone(), ident.clone(), 0, ClientUuid([0; 16]));
        let named = self.idents.range(least..).take_while(|it| it.0 == *tenant && it.1 == *ident);
        let mut keys = named.map(|it| RecordKey { tenant: it.0.clone(), uuid: it.3 });
        keys.find(|key| self.keeps(key, now))
    }
}
