//! Clients of a worker that may resume: what it must tell a new broker about their records.

use std::collections::HashMap;

use super::sent_requests::AnnouncedIds;
use crate::link::resume::{
    AnnouncedRecord, DecidedRecord, FromResumable, KnownIds, RecordTerms, ResumableJoin,
    ResumeClaim,
};
use crate::types::{Client, JoinNumber, ResumeGeneration, ResumeStanding, Slot, Tags};

/// What a client asks for that may resume.
#[derive(Clone, Debug)]
pub struct ResumeRequest {
    /// How its record is kept.
    pub terms: RecordTerms,
    /// The client that it wants to be. Boxed, because few joins have one, and none after its answer.
    pub claim: Option<Box<ResumeClaim>>,
}

/// Clients of this worker that may resume, by their slots. Most workers have none.
#[derive(Debug, Default)]
pub(crate) struct ResumableClients(HashMap<Slot, ResumableClient>);

#[derive(Debug)]
struct ResumableClient {
    request: ResumeRequest,
    /// What the broker has decided.
    known: Option<KnownRecord>,
}

// Each client that may resume has one.
const _: () = assert!(size_of::<(Slot, ResumableClient)>() <= 80, "a client has grown");

/// The record of a client, as its worker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRecord {
    /// Number of its connection.
    pub generation: ResumeGeneration,
    /// Whether it is the client that it wants to be.
    pub standing: ResumeStanding,
    /// Whether requests of earlier connections of its instance are recognised.
    pub keeps_ids: bool,
    /// The last connection whose token the client surely has.
    confirmed: ResumeGeneration,
    /// The first connection since which its requests are known.
    ids_from: ResumeGeneration,
}

impl ResumableClients {
    /// Adds a client that joins. Returns the message for the broker.
    pub(crate) fn join(
        &mut self,
        slot: Slot,
        client: &Client,
        request: ResumeRequest,
    ) -> FromResumable {
        let message = join_message(slot, client, &request);
        self.0.insert(slot, ResumableClient { request, known: None });
        message
    }

    /// Returns the message again for a client whose join was not answered.
    pub(crate) fn join_again(&self, slot: Slot, client: &Client) -> Option<FromResumable> {
        Some(join_message(slot, client, &self.0.get(&slot)?.request))
    }

    /// Takes what the broker has decided. Returns false if the client is not known.
    pub(crate) fn decided(&mut self, record: &DecidedRecord) -> bool {
        let Some(client) = self.0.get_mut(&record.slot) else { return false };
        let DecidedRecord { generation, standing, ids, .. } = *record;
        let claim = client.request.claim.take();
        let shown = claim.filter(|_| standing == ResumeStanding::Resumed);
        let confirmed = shown.map(|claim| claim.generation).unwrap_or_default();
        let (keeps_ids, ids_from) = (ids.accepted.is_some(), ids.from);
        client.known = Some(KnownRecord { generation, standing, confirmed, keeps_ids, ids_from });
        true
    }

    /// Returns what the broker has decided.
    pub(crate) fn known(&self, slot: Slot) -> Option<KnownRecord> {
        self.0.get(&slot)?.known
    }

    /// Returns whether requests of a client are recognised when they are repeated.
    pub(crate) fn has_instance(&self, slot: Slot) -> bool {
        let client = if self.0.is_empty() { None } else { self.0.get(&slot) };
        client.is_some_and(|it| it.known.is_some() && it.request.terms.instance.is_some())
    }

    /// Records that a client has received its token. Returns the message for the broker.
    pub(crate) fn settle(&mut self, slot: Slot) -> Option<FromResumable> {
        let known = self.0.get_mut(&slot)?.known.as_mut()?;
        let before = std::mem::replace(&mut known.confirmed, known.generation);
        (before != known.generation).then_some(FromResumable::Settled(slot))
    }

    /// Replaces the tags of a client that its token fixes. Returns the message for the broker.
    pub(crate) fn fix(&mut self, slot: Slot, fixed: &Tags) -> Option<FromResumable> {
        let terms = &mut self.0.get_mut(&slot)?.request.terms;
        if terms.fixed == *fixed {
            return None;
        }
        terms.fixed = fixed.clone();
        Some(FromResumable::Fixed { slot, fixed: fixed.clone() })
    }

    /// Returns the announcement of a client that has joined.
    pub(crate) fn announce(
        &self,
        slot: Slot,
        number: JoinNumber,
        client: &Client,
        ids: AnnouncedIds,
    ) -> Option<FromResumable> {
        let ResumableClient { request, known } = self.0.get(&slot)?;
        let (known, AnnouncedIds { accepted, is_complete }) = ((*known)?, ids);
        Some(FromResumable::Announce(Box::new(AnnouncedRecord {
            slot,
            number,
            client: client.clone(),
            terms: request.terms.clone(),
            generation: known.generation,
            confirmed: known.confirmed,
            ids: KnownIds { from: known.ids_from, accepted, is_complete },
        })))
    }

    /// Removes a client. Returns true if it was known.
    pub(crate) fn forget(&mut self, slot: Slot) -> bool {
        !self.0.is_empty() && self.0.remove(&slot).is_some()
    }

    /// Returns the memory for a client in bytes.
    pub(crate) fn held(&self, slot: Slot) -> usize {
        if self.0.is_empty() {
            return 0;
        }
        let client = self.0.get(&slot);
        client.map_or(0, |it| size_of::<(Slot, ResumableClient)>() + it.request.terms.fixed.held())
    }
}

fn join_message(slot: Slot, client: &Client, request: &ResumeRequest) -> FromResumable {
    let (terms, claim) = (request.terms.clone(), request.claim.as_deref().copied());
    FromResumable::Join(Box::new(ResumableJoin { slot, client: client.clone(), terms, claim }))
}
