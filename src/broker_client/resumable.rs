//! Clients of a worker that may resume: what it must tell a new broker about their records.

use std::collections::{BTreeMap, HashMap};

use super::sent_requests::AnnouncedIds;
use crate::link::resume::{
    AnnouncedRecord, DecidedRecord, FromResumable, KnownIds, RecordTerms, Recovery, ResumableJoin,
    ResumeClaim,
};
use crate::types::{
    Client, JoinNumber, MissedRequest, RecoveryReason, ResumeGeneration, ResumeStanding, Slot, Tags,
};

/// What a client asks for that may resume.
#[derive(Clone, Debug)]
pub struct ResumeRequest {
    /// How its record is kept.
    pub terms: RecordTerms,
    /// The client that it wants to be. Boxed, because few joins have one, and none after it has joined.
    pub claim: Option<Box<ResumeClaim>>,
    /// What it wants to get again. Boxed for the same reason.
    pub missed: Option<Box<MissedRequest>>,
}

/// Clients of this worker that may resume, by their slots. Most workers have none.
///
/// Boxed: a third of the places of a table are empty, and would be as large as the others.
#[derive(Debug, Default)]
pub(crate) struct ResumableClients(HashMap<Slot, Box<ResumableClient>>);

#[derive(Debug)]
struct ResumableClient {
    request: ResumeRequest,
    record: RecordState,
    /// How many publications of the past it has got, until the broker says that these are all.
    recovering: Option<u32>,
}

/// What is known about the record of a client.
#[derive(Debug)]
enum RecordState {
    Unknown,
    /// The broker has decided, and the client has not joined.
    Decided(Box<DecidedRecord>),
    Known(KnownRecord),
}

impl RecordState {
    fn known(&self) -> Option<&KnownRecord> {
        if let Self::Known(known) = self { Some(known) } else { None }
    }

    fn known_mut(&mut self) -> Option<&mut KnownRecord> {
        if let Self::Known(known) = self { Some(known) } else { None }
    }
}

// Each client that may resume has one.
const _: () = assert!(size_of::<ResumableClient>() <= 88, "a client has grown");

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
        // A claim may be refused.
        let recovering = request.missed.as_ref().filter(|_| request.claim.is_none()).map(|_| 0);
        let client = ResumableClient { request, record: RecordState::Unknown, recovering };
        self.0.insert(slot, Box::new(client));
        message
    }

    /// Returns the message again for a client whose join was not answered.
    pub(crate) fn join_again(&self, slot: Slot, client: &Client) -> Option<FromResumable> {
        Some(join_message(slot, client, &self.0.get(&slot)?.request))
    }

    /// Takes what the broker has decided. It has an effect once the client has joined: a broker that dies before that
    /// leaves the decision to the next one.
    pub(crate) fn decided(&mut self, record: Box<DecidedRecord>) {
        if let Some(client) = self.0.get_mut(&record.slot) {
            client.record = RecordState::Decided(record);
        }
    }

    /// A client has joined. Returns what the broker has decided about it.
    pub(crate) fn joined(&mut self, slot: Slot) -> Option<Box<DecidedRecord>> {
        let client = if self.0.is_empty() { None } else { self.0.get_mut(&slot) }?;
        let record = match std::mem::replace(&mut client.record, RecordState::Unknown) {
            RecordState::Decided(record) => record,
            other => {
                client.record = other;
                return None;
            }
        };
        let DecidedRecord { generation, standing, ids, .. } = *record;
        let claim = client.request.claim.take();
        let missed = client.request.missed.take();
        let is_recovering = match &claim {
            Some(_) => standing == ResumeStanding::Resumed,
            None => missed.is_some(),
        };
        client.recovering = is_recovering.then_some(0);
        let shown = claim.filter(|_| standing == ResumeStanding::Resumed);
        let confirmed = shown.map(|claim| claim.generation).unwrap_or_default();
        let (keeps_ids, ids_from) = (ids.accepted.is_some(), ids.from);
        client.record = RecordState::Known(KnownRecord {
            generation,
            standing,
            confirmed,
            keeps_ids,
            ids_from,
        });
        Some(record)
    }

    /// Returns what the broker has decided.
    pub(crate) fn known(&self, slot: Slot) -> Option<KnownRecord> {
        self.0.get(&slot)?.record.known().copied()
    }

    /// Returns whether the broker will say that a client has got what it gets of the past.
    pub(crate) fn is_recovering(&self, slot: Slot) -> bool {
        self.0.get(&slot).is_some_and(|client| client.recovering.is_some())
    }

    /// Counts a publication of the past.
    pub(crate) fn replayed(&mut self, slot: Slot) {
        let recovering = self.0.get_mut(&slot).and_then(|client| client.recovering.as_mut());
        recovering.into_iter().for_each(|count| *count += 1);
    }

    /// A client has got what it gets of the past.
    pub(crate) fn recovered(&mut self, slot: Slot) {
        if let Some(client) = self.0.get_mut(&slot) {
            client.recovering = None;
        }
    }

    /// The broker has died. What it has decided is void for clients that have not joined. Returns how the recovery of each client ends that it has answered, and that has not got
    /// everything.
    pub(crate) fn lose_recoveries(
        &mut self,
        has_joined: impl Fn(Slot) -> bool,
    ) -> BTreeMap<Slot, Recovery> {
        let (reason, position) = (Some(RecoveryReason::Lost), None);
        for client in self.0.values_mut() {
            if matches!(client.record, RecordState::Decided(_)) {
                client.record = RecordState::Unknown;
            }
        }
        let joined = self.0.iter_mut().filter(|(slot, _)| has_joined(**slot));
        let lost = joined.filter_map(|(slot, client)| {
            let replayed = client.recovering.take()?;
            Some((*slot, Recovery { slot: *slot, replayed, reason, position }))
        });
        lost.collect()
    }

    /// Returns whether requests of a client are recognised when they are repeated.
    pub(crate) fn has_instance(&self, slot: Slot) -> bool {
        let client = if self.0.is_empty() { None } else { self.0.get(&slot) };
        client.is_some_and(|it| it.record.known().is_some() && it.request.terms.instance.is_some())
    }

    /// Records that a client has received its token. Returns the message for the broker.
    pub(crate) fn settle(&mut self, slot: Slot) -> Option<FromResumable> {
        let known = self.0.get_mut(&slot)?.record.known_mut()?;
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
        let ResumableClient { request, record, .. } = &**self.0.get(&slot)?;
        let (known, AnnouncedIds { accepted, is_complete }) = (record.known()?, ids);
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
    let ResumeRequest { terms, claim, missed } = request;
    let (claim, missed) = (claim.as_deref().cloned(), missed.as_deref().copied());
    let (client, terms) = (client.clone(), terms.clone());
    FromResumable::Join(Box::new(ResumableJoin { slot, client, terms, claim, missed }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::{
        AcceptedIds, AddressLimit, AllowedNames, ClientClass, ClientUuid, InstanceDigest, Tenant,
    };

    const SLOT: Slot = Slot(3);

    fn client() -> Client {
        Client {
            tenant: Tenant("shop".into()),
            uuid: ClientUuid([1; 16]),
            ident: None,
            tags: Tags::default(),
            class: ClientClass::Web,
            takes_publications: true,
            counted: AddressLimit::ByAddress,
            application: None,
            ip: [192, 0, 2, 1].into(),
        }
    }

    fn claim() -> Box<ResumeClaim> {
        Box::new(ResumeClaim {
            uuid: ClientUuid([7; 16]),
            generation: ResumeGeneration(4),
            issued: Duration::ZERO,
            guarded: AllowedNames::default(),
        })
    }

    fn claimed(message: Option<FromResumable>) -> Option<ResumeGeneration> {
        let Some(FromResumable::Join(join)) = message else { return None };
        join.claim.map(|claim| claim.generation)
    }

    /// Otherwise the next broker would begin a record in which earlier tokens and requests count as new.
    #[test]
    fn a_join_that_was_decided_but_not_carried_out_shows_its_token_again() {
        let mut clients = ResumableClients::default();
        let terms = RecordTerms {
            grace_ms: 1000,
            mailbox: 0,
            instance: Some(InstanceDigest(1)),
            fixed: Tags::default(),
        };
        let missed = Some(Box::new(MissedRequest::Since(None)));
        clients.join(SLOT, &client(), ResumeRequest { terms, claim: Some(claim()), missed });
        let (accepted, is_complete) = (Some(AcceptedIds::default()), true);
        let decided = DecidedRecord {
            slot: SLOT,
            uuid: ClientUuid([7; 16]),
            ident: None,
            tags: Tags::default(),
            generation: ResumeGeneration(5),
            standing: ResumeStanding::Resumed,
            ids: KnownIds { from: ResumeGeneration(1), accepted, is_complete },
        };
        clients.decided(Box::new(decided.clone()));
        assert!(clients.known(SLOT).is_none());
        clients.lose_recoveries(|_| false);
        assert_eq!(clients.joined(SLOT), None, "the next broker decides again");
        assert_eq!(claimed(clients.join_again(SLOT, &client())), Some(ResumeGeneration(4)));
        clients.decided(Box::new(decided.clone()));
        assert_eq!(clients.joined(SLOT).as_deref(), Some(&decided));
        assert!(clients.known(SLOT).is_some_and(|known| known.generation == ResumeGeneration(5)));
        assert_eq!(claimed(clients.join_again(SLOT, &client())), None);
    }
}
