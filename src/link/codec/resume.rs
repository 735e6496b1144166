//! Encodes and decodes messages about clients that may resume.

use std::time::Duration;

use bytes::{BufMut, Bytes};

use super::Malformed;
use super::decode::FieldReader;
use super::encode::{form_byte, put_client, put_length, put_source, put_tags, put_text};
use crate::link::resume::{
    AnnouncedRecord, ClientRequest, DecidedRecord, FromResumable, JournalHead, KnownIds,
    RecordTerms, Recovery, ReplayedPublication, ResumableJoin, ResumeClaim, ToResumable,
};
use crate::types::limits::TOKEN_NAMES_MAX;
use crate::types::{
    AcceptedIds, AllowedNames, ClientUuid, Content, Ident, InstanceDigest, JoinNumber,
    MissedRequest, Number, RecoveryReason, ReplayPosition, ResumeGeneration, ResumeStanding, Slot,
};

/// Kind of the messages of this module, in both directions.
pub(super) const RESUMABLE: u8 = 80;
/// Kind of a [`ToBroker::WindowRepeated`](crate::link::message::ToBroker::WindowRepeated).
pub(super) const WINDOW_REPEATED: u8 = 81;
/// Kind of a [`ToWorker::At`](crate::link::message::ToWorker::At).
pub(super) const AT: u8 = 81;
/// Kind of a [`ToWorker::Head`](crate::link::message::ToWorker::Head).
pub(super) const HEAD: u8 = 82;
/// In place of a reason, for a client that has missed nothing.
const RECOVERED: u8 = u8::MAX;

pub(super) fn put_from_resumable(out: &mut Vec<u8>, message: &FromResumable) {
    out.put_u8(RESUMABLE);
    match message {
        FromResumable::Announce(record) => {
            out.put_u8(1);
            out.put_u32_le(record.slot.0);
            out.put_u64_le(record.number.0);
            put_client(out, &record.client);
            put_terms(out, &record.terms);
            out.put_u32_le(record.generation.0);
            out.put_u32_le(record.confirmed.0);
            put_ids(out, record.ids);
        }
        FromResumable::Join(join) => {
            out.put_u8(2);
            put_join(out, join);
        }
        FromResumable::Away(slot) => put_slot(out, 3, *slot),
        FromResumable::Settled(slot) => put_slot(out, 4, *slot),
        FromResumable::Alive(slot) => put_slot(out, 5, *slot),
        FromResumable::Fixed { slot, fixed } => {
            put_slot(out, 6, *slot);
            put_tags(out, fixed);
        }
        FromResumable::Repeated(slot) => put_slot(out, 8, *slot),
        FromResumable::Request(ClientRequest { uuid, joined, id }) => {
            out.put_u8(7);
            out.put_slice(&uuid.0);
            out.put_u64_le(joined.0);
            out.put_u64_le(*id);
        }
    }
}

pub(super) fn read_from_resumable(
    fields: &mut FieldReader<'_>,
) -> Result<FromResumable, Malformed> {
    Ok(match fields.u8()? {
        1 => FromResumable::Announce(Box::new(AnnouncedRecord {
            slot: fields.slot()?,
            number: JoinNumber(fields.u64()?),
            client: fields.client()?,
            terms: read_terms(fields)?,
            generation: ResumeGeneration(fields.u32()?),
            confirmed: ResumeGeneration(fields.u32()?),
            ids: read_ids(fields)?,
        })),
        2 => FromResumable::Join(Box::new(read_join(fields)?)),
        3 => FromResumable::Away(fields.slot()?),
        4 => FromResumable::Settled(fields.slot()?),
        5 => FromResumable::Alive(fields.slot()?),
        6 => FromResumable::Fixed { slot: fields.slot()?, fixed: fields.tags()? },
        7 => FromResumable::Request(ClientRequest {
            uuid: ClientUuid(fields.array()?),
            joined: JoinNumber(fields.u64()?),
            id: fields.u64()?,
        }),
        8 => FromResumable::Repeated(fields.slot()?),
        kind => return Err(Malformed::Unknown("message about a client", kind)),
    })
}

pub(super) fn put_to_resumable(out: &mut Vec<u8>, message: &ToResumable) {
    out.put_u8(RESUMABLE);
    match message {
        ToResumable::Record(record) => {
            put_slot(out, 1, record.slot);
            out.put_slice(&record.uuid.0);
            put_text(out, record.ident.as_ref().map_or("", Ident::as_str));
            put_tags(out, &record.tags);
            out.put_u32_le(record.generation.0);
            out.put_u8(match record.standing {
                ResumeStanding::New => 1,
                ResumeStanding::Taken => 2,
                ResumeStanding::Outdated => 3,
                ResumeStanding::Resumed => 4,
            });
            put_ids(out, record.ids);
        }
        ToResumable::Replay(replayed) => {
            put_slot(out, 2, replayed.slot);
            put_source(out, replayed.source);
            out.put_u64_le(replayed.number.0);
            put_position(out, replayed.position);
            out.put_u8(u8::from(replayed.is_direct));
            out.put_u8(form_byte(replayed.content.form));
            out.put_slice(&replayed.content.payload);
        }
        ToResumable::Recovered(recovery) => {
            put_slot(out, 3, recovery.slot);
            out.put_u32_le(recovery.replayed);
            put_reason(out, recovery.reason);
            put_some_position(out, recovery.position);
        }
        ToResumable::Probe(slot) => put_slot(out, 4, *slot),
        ToResumable::Continued(slot) => put_slot(out, 5, *slot),
        ToResumable::Passed { source, number } => {
            out.put_u8(6);
            put_source(out, *source);
            out.put_u64_le(number.0);
        }
    }
}

pub(super) fn read_to_resumable(fields: &mut FieldReader<'_>) -> Result<ToResumable, Malformed> {
    Ok(match fields.u8()? {
        1 => ToResumable::Record(Box::new(DecidedRecord {
            slot: fields.slot()?,
            uuid: ClientUuid(fields.array()?),
            ident: fields.ident()?,
            tags: fields.tags()?,
            generation: ResumeGeneration(fields.u32()?),
            standing: match fields.u8()? {
                1 => ResumeStanding::New,
                2 => ResumeStanding::Taken,
                3 => ResumeStanding::Outdated,
                4 => ResumeStanding::Resumed,
                standing => return Err(Malformed::Unknown("standing", standing)),
            },
            ids: read_ids(fields)?,
        })),
        2 => ToResumable::Replay(Box::new(ReplayedPublication {
            slot: fields.slot()?,
            source: fields.source()?,
            number: Number(fields.u64()?),
            position: read_position(fields)?,
            is_direct: fields.flag()?,
            content: Content {
                form: fields.form()?,
                payload: Bytes::copy_from_slice(fields.take_rest()),
            },
        })),
        3 => ToResumable::Recovered(Recovery {
            slot: fields.slot()?,
            replayed: fields.u32()?,
            reason: read_reason(fields)?,
            position: read_some_position(fields)?,
        }),
        4 => ToResumable::Probe(fields.slot()?),
        5 => ToResumable::Continued(fields.slot()?),
        6 => ToResumable::Passed { source: fields.source()?, number: Number(fields.u64()?) },
        kind => return Err(Malformed::Unknown("message about a client", kind)),
    })
}

pub(super) fn put_slot(out: &mut Vec<u8>, kind: u8, slot: Slot) {
    out.put_u8(kind);
    out.put_u32_le(slot.0);
}

pub(super) fn put_join(out: &mut Vec<u8>, join: &ResumableJoin) {
    out.put_u32_le(join.slot.0);
    put_client(out, &join.client);
    put_terms(out, &join.terms);
    out.put_u8(u8::from(join.claim.is_some()));
    if let Some(claim) = &join.claim {
        put_claim(out, claim);
    }
    put_missed(out, join.missed);
}

pub(super) fn read_join(fields: &mut FieldReader<'_>) -> Result<ResumableJoin, Malformed> {
    Ok(ResumableJoin {
        slot: fields.slot()?,
        client: fields.client()?,
        terms: read_terms(fields)?,
        claim: if fields.flag()? { Some(read_claim(fields)?) } else { None },
        missed: read_missed(fields)?,
    })
}

pub(super) fn put_reason(out: &mut Vec<u8>, reason: Option<RecoveryReason>) {
    let place = RecoveryReason::ALL.iter().position(|it| Some(*it) == reason);
    out.put_u8(place.and_then(|at| u8::try_from(at).ok()).unwrap_or(RECOVERED));
}

pub(super) fn read_reason(
    fields: &mut FieldReader<'_>,
) -> Result<Option<RecoveryReason>, Malformed> {
    let reason = fields.u8()?;
    let known = RecoveryReason::ALL.get(usize::from(reason)).copied();
    match reason == RECOVERED || known.is_some() {
        true => Ok(known),
        false => Err(Malformed::Unknown("reason", reason)),
    }
}

pub(super) fn put_terms(
    out: &mut Vec<u8>,
    RecordTerms { grace_ms, mailbox, instance, fixed }: &RecordTerms,
) {
    out.put_u32_le(*grace_ms);
    out.put_u16_le(*mailbox);
    out.put_u8(u8::from(instance.is_some()));
    if let Some(instance) = instance {
        out.put_u64_le(instance.0);
    }
    put_tags(out, fixed);
}

pub(super) fn read_terms(fields: &mut FieldReader<'_>) -> Result<RecordTerms, Malformed> {
    Ok(RecordTerms {
        grace_ms: fields.u32()?,
        mailbox: fields.u16()?,
        instance: if fields.flag()? { Some(InstanceDigest(fields.u64()?)) } else { None },
        fixed: fields.tags()?,
    })
}

fn put_claim(out: &mut Vec<u8>, claim: &ResumeClaim) {
    let ResumeClaim { uuid, generation, issued, guarded } = claim;
    out.put_slice(&uuid.0);
    out.put_u32_le(generation.0);
    out.put_u64_le(u64::try_from(issued.as_millis()).unwrap_or(u64::MAX));
    let names: &[Box<str>] = match guarded {
        AllowedNames::Listed(names) => names,
        // It allows no guarded topic.
        AllowedNames::All => &[],
    };
    put_length(out, names.len());
    names.iter().for_each(|name| put_text(out, name));
}

fn put_missed(out: &mut Vec<u8>, missed: Option<MissedRequest>) {
    match missed {
        None => out.put_u8(0),
        Some(MissedRequest::Since(since)) => {
            out.put_u8(1);
            put_some_position(out, since);
        }
        Some(MissedRequest::Latest(most)) => {
            out.put_u8(2);
            out.put_u32_le(most);
        }
    }
}

fn read_missed(fields: &mut FieldReader<'_>) -> Result<Option<MissedRequest>, Malformed> {
    Ok(match fields.u8()? {
        0 => None,
        1 => Some(MissedRequest::Since(read_some_position(fields)?)),
        2 => Some(MissedRequest::Latest(fields.u32()?)),
        missed => return Err(Malformed::Unknown("request", missed)),
    })
}

fn read_claim(fields: &mut FieldReader<'_>) -> Result<ResumeClaim, Malformed> {
    Ok(ResumeClaim {
        uuid: ClientUuid(fields.array()?),
        generation: ResumeGeneration(fields.u32()?),
        issued: Duration::from_millis(fields.u64()?),
        guarded: read_allowed(fields)?,
    })
}

fn read_allowed(fields: &mut FieldReader<'_>) -> Result<AllowedNames, Malformed> {
    let count = fields.u32()? as usize;
    if count > TOKEN_NAMES_MAX {
        return Err(Malformed::Invalid("number of names"));
    }
    let names = (0..count).map(|_| fields.text().map(Into::into));
    names.collect::<Result<_, _>>().map(AllowedNames::Listed)
}

pub(super) fn put_ids(out: &mut Vec<u8>, KnownIds { from, accepted, is_complete }: KnownIds) {
    out.put_u32_le(from.0);
    out.put_u8(u8::from(is_complete));
    out.put_u8(u8::from(accepted.is_some()));
    if let Some(ids) = accepted {
        let (latest, bits) = ids.parts();
        out.put_u64_le(latest);
        bits.iter().for_each(|word| out.put_u64_le(*word));
    }
}

pub(super) fn read_ids(fields: &mut FieldReader<'_>) -> Result<KnownIds, Malformed> {
    let (from, is_complete) = (ResumeGeneration(fields.u32()?), fields.flag()?);
    if !fields.flag()? {
        return Ok(KnownIds { from, accepted: None, is_complete });
    }
    let latest = fields.u64()?;
    let bits = [fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?];
    let accepted = Some(AcceptedIds::from_parts(latest, bits));
    Ok(KnownIds { from, accepted, is_complete })
}

pub(super) fn put_at(out: &mut Vec<u8>, at: ReplayPosition) {
    out.put_u8(AT);
    put_position(out, at);
}

pub(super) fn put_head(out: &mut Vec<u8>, JournalHead { tenant, position }: &JournalHead) {
    out.put_u8(HEAD);
    put_text(out, &tenant.0);
    put_some_position(out, *position);
}

pub(super) fn read_head(fields: &mut FieldReader<'_>) -> Result<JournalHead, Malformed> {
    Ok(JournalHead { tenant: fields.tenant()?, position: read_some_position(fields)? })
}

fn put_some_position(out: &mut Vec<u8>, position: Option<ReplayPosition>) {
    out.put_u8(u8::from(position.is_some()));
    if let Some(position) = position {
        put_position(out, position);
    }
}

fn read_some_position(fields: &mut FieldReader<'_>) -> Result<Option<ReplayPosition>, Malformed> {
    fields.flag()?.then(|| read_position(fields)).transpose()
}

pub(super) fn put_position(out: &mut Vec<u8>, ReplayPosition { epoch, number }: ReplayPosition) {
    out.put_u32_le(epoch);
    out.put_u64_le(number);
}

pub(super) fn read_position(fields: &mut FieldReader<'_>) -> Result<ReplayPosition, Malformed> {
    Ok(ReplayPosition { epoch: fields.u32()?, number: fields.u64()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::codec::WireMessage;
    use crate::link::message::{ToBroker, ToWorker};
    use crate::types::{
        AddressLimit, Client, ClientClass, Generation, PayloadForm, Tag, Tags, Tenant, WorkerId,
        WorkerIncarnation,
    };

    fn client() -> Client {
        Client {
            tenant: Tenant("shop".into()),
            uuid: ClientUuid([7; 16]),
            ident: Ident::new("anna").ok(),
            tags: tags(),
            class: ClientClass::Web,
            takes_publications: true,
            counted: AddressLimit::ByAddress,
            application: None,
            ip: [192, 0, 2, 1].into(),
        }
    }

    fn tags() -> Tags {
        Tags::new([Tag::new("room", "1").unwrap()]).unwrap()
    }

    fn is_read_back<M: WireMessage + PartialEq + std::fmt::Debug>(message: &M) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert_eq!(M::decode(&bytes[4..]).as_ref(), Ok(message));
    }

    #[test]
    fn messages_of_a_worker_are_read_as_they_were_written() {
        let position = ReplayPosition { epoch: 9, number: 3 };
        let instance = Some(InstanceDigest(5));
        let terms = RecordTerms { grace_ms: 60_000, mailbox: 100, instance, fixed: tags() };
        let (uuid, generation) = (ClientUuid([8; 16]), ResumeGeneration(2));
        let issued = Duration::from_millis(1_795_890_000_123);
        let guarded = AllowedNames::Listed(Box::new(["private-*".into()]));
        let claim = ResumeClaim { uuid, generation, issued, guarded };
        let (slot, number, confirmed) = (Slot(4), JoinNumber(6), ResumeGeneration(1));
        let mut ids = AcceptedIds::default();
        [3, 400].iter().for_each(|id| ids.insert(*id));
        let fixed = RecordTerms { instance: None, fixed: Tags::default(), ..terms.clone() };
        for message in [
            FromResumable::Announce(Box::new(AnnouncedRecord {
                slot,
                number,
                client: client(),
                terms: fixed,
                generation,
                confirmed,
                ids: KnownIds { from: confirmed, accepted: Some(ids), is_complete: false },
            })),
            FromResumable::Join(Box::new(ResumableJoin {
                slot,
                client: client(),
                terms: terms.clone(),
                claim: Some(claim.clone()),
                missed: Some(MissedRequest::Since(Some(position))),
            })),
            FromResumable::Join(Box::new(ResumableJoin {
                slot,
                client: client(),
                terms: terms.clone(),
                claim: Some(claim),
                missed: None,
            })),
            FromResumable::Join(Box::new(ResumableJoin {
                slot,
                client: client(),
                terms: terms.clone(),
                claim: None,
                missed: Some(MissedRequest::Since(None)),
            })),
            FromResumable::Join(Box::new(ResumableJoin {
                slot,
                client: client(),
                terms,
                claim: None,
                missed: Some(MissedRequest::Latest(7)),
            })),
            FromResumable::Away(slot),
            FromResumable::Settled(slot),
            FromResumable::Alive(slot),
            FromResumable::Fixed { slot, fixed: tags() },
            FromResumable::Request(ClientRequest { uuid, joined: number, id: 1 << 53 }),
            FromResumable::Repeated(slot),
        ] {
            is_read_back(&ToBroker::Resumable(message));
        }
        is_read_back(&ToBroker::WindowRepeated);
    }

    #[test]
    fn messages_of_the_broker_are_read_as_they_were_written() {
        let (slot, position) = (Slot(4), ReplayPosition { epoch: 9, number: 3 });
        let (uuid, generation) = (ClientUuid([8; 16]), ResumeGeneration(2));
        let source = WorkerIncarnation { worker: WorkerId(1), generation: Generation(2) };
        let content = Content { form: PayloadForm::Text, payload: Bytes::from_static(b"text") };
        let number = Number(5);
        let is_direct = true;
        let replay = ReplayedPublication { slot, source, number, position, is_direct, content };
        let standings = [
            ResumeStanding::New,
            ResumeStanding::Taken,
            ResumeStanding::Outdated,
            ResumeStanding::Resumed,
        ];
        let record = |standing| {
            let (ident, tags) = (None, tags());
            let accepted = (standing == ResumeStanding::Resumed).then(AcceptedIds::default);
            let ids = KnownIds { from: generation, accepted, is_complete: true };
            let record = DecidedRecord { slot, uuid, ident, tags, generation, standing, ids };
            ToResumable::Record(Box::new(record))
        };
        let recovered = |reason: Option<RecoveryReason>| {
            let position = reason.map(|_| position);
            ToResumable::Recovered(Recovery { slot, replayed: 3, reason, position })
        };
        let others = [
            ToResumable::Replay(Box::new(replay)),
            ToResumable::Probe(slot),
            ToResumable::Continued(slot),
        ];
        let all = standings
            .map(record)
            .into_iter()
            .chain(RecoveryReason::ALL.map(|reason| recovered(Some(reason))));
        let all = all.chain([recovered(None)]).chain(others);
        all.for_each(|message| is_read_back(&ToWorker::Resumable(message)));
        is_read_back(&ToWorker::At(position));
        for position in [None, Some(position)] {
            is_read_back(&ToWorker::Head(JournalHead { tenant: client().tenant, position }));
        }
    }
}
