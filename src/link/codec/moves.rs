//! Encodes messages between brokers about clients that resume on another host.

use std::time::Duration;

use bytes::{BufMut, Bytes};

use super::Malformed;
use super::decode::FieldReader;
use super::encode::{form_byte, put_length, put_tags, put_text};
use super::resume::{
    put_ids, put_join, put_position, put_reason, put_terms, read_ids, read_join, read_position,
    read_reason, read_terms,
};
use crate::cluster::CommonPlace;
use crate::link::moves::{
    HandedClient, HandedPast, HandedPublication, HandedRecord, HeldOccasion, MoveMessage,
    MoveNumber, MoveRefusal, RecordStage,
};
use crate::link::resume::KnownIds;
use crate::types::limits::{CLUSTER_HOSTS_MAX, HISTORY_MAX, MAILBOX_MAX};
use crate::types::{
    ClientUuid, Content, Generation, HostId, Ident, RecoveryReason, ResumeGeneration, TagVersion,
    VersionedTags,
};

/// Format of these messages. A host drops messages of another format.
const FORMAT: u8 = 1;

const REQUEST: u8 = 1;
const WAITING: u8 = 2;
const REFUSED: u8 = 3;
const HANDED: u8 = 4;
const HELD: u8 = 5;
const MARK: u8 = 6;

/// Returns a message as other hosts read it.
#[must_use]
pub fn encode_move(message: &MoveMessage) -> Vec<u8> {
    let mut out = vec![FORMAT];
    match message {
        MoveMessage::Request { number, join } => {
            put_number(&mut out, REQUEST, *number);
            put_join(&mut out, join);
        }
        MoveMessage::Waiting(number) => put_number(&mut out, WAITING, *number),
        MoveMessage::Refused { number, refusal } => {
            put_number(&mut out, REFUSED, *number);
            put_refusal(&mut out, *refusal);
        }
        MoveMessage::Handed { number, client } => {
            put_number(&mut out, HANDED, *number);
            put_text(&mut out, &client.tenant.0);
            out.put_slice(&client.uuid.0);
            put_record(&mut out, &client.record);
            put_past(&mut out, &client.missed);
        }
        MoveMessage::Held { tenant, uuid, stage, occasion } => {
            out.put_u8(HELD);
            put_text(&mut out, &tenant.0);
            out.put_slice(&uuid.0);
            put_stage(&mut out, *stage);
            out.put_u8(match occasion {
                HeldOccasion::Begun => 1,
                HeldOccasion::Conflict => 2,
                HeldOccasion::Answer => 3,
            });
        }
        MoveMessage::Mark => out.put_u8(MARK),
    }
    out
}

/// Reads a message of another host.
///
/// # Errors
///
/// If it is not one, or if it is of another version.
pub fn decode_move(bytes: &[u8]) -> Result<MoveMessage, Malformed> {
    let mut fields = FieldReader::new(bytes);
    match fields.u8()? {
        FORMAT => {}
        format => return Err(Malformed::Unknown("format", format)),
    }
    let message = match fields.u8()? {
        REQUEST => MoveMessage::Request {
            number: read_number(&mut fields)?,
            join: Box::new(read_join(&mut fields)?),
        },
        WAITING => MoveMessage::Waiting(read_number(&mut fields)?),
        REFUSED => MoveMessage::Refused {
            number: read_number(&mut fields)?,
            refusal: read_refusal(&mut fields)?,
        },
        HANDED => {
            let number = read_number(&mut fields)?;
            let (tenant, uuid) = (fields.tenant()?, ClientUuid(fields.array()?));
            let (record, missed) = (read_record(&mut fields)?, read_past(&mut fields)?);
            let client = HandedClient { tenant, uuid, record, missed };
            MoveMessage::Handed { number, client: Box::new(client) }
        }
        HELD => MoveMessage::Held {
            tenant: fields.tenant()?,
            uuid: ClientUuid(fields.array()?),
            stage: read_stage(&mut fields)?,
            occasion: match fields.u8()? {
                1 => HeldOccasion::Begun,
                2 => HeldOccasion::Conflict,
                3 => HeldOccasion::Answer,
                occasion => return Err(Malformed::Unknown("occasion", occasion)),
            },
        },
        MARK => MoveMessage::Mark,
        kind => return Err(Malformed::Unknown("message about a move", kind)),
    };
    fields.end()?;
    Ok(message)
}

fn put_number(out: &mut Vec<u8>, kind: u8, MoveNumber { broker, number }: MoveNumber) {
    out.put_u8(kind);
    out.put_u32_le(broker.0);
    out.put_u32_le(number);
}

fn read_number(fields: &mut FieldReader<'_>) -> Result<MoveNumber, Malformed> {
    Ok(MoveNumber { broker: Generation(fields.u32()?), number: fields.u32()? })
}

fn put_refusal(out: &mut Vec<u8>, refusal: MoveRefusal) {
    match refusal {
        MoveRefusal::Taken => out.put_u8(1),
        MoveRefusal::Outdated => out.put_u8(2),
        MoveRefusal::Unknown(reason) => {
            out.put_u8(3);
            put_reason(out, Some(reason));
        }
        MoveRefusal::Moved(host) => {
            out.put_u8(4);
            out.put_u32_le(host.0);
        }
    }
}

fn read_refusal(fields: &mut FieldReader<'_>) -> Result<MoveRefusal, Malformed> {
    Ok(match fields.u8()? {
        1 => MoveRefusal::Taken,
        2 => MoveRefusal::Outdated,
        3 => MoveRefusal::Unknown(read_known_reason(fields)?),
        4 => MoveRefusal::Moved(HostId(fields.u32()?)),
        refusal => return Err(Malformed::Unknown("refusal", refusal)),
    })
}

fn read_known_reason(fields: &mut FieldReader<'_>) -> Result<RecoveryReason, Malformed> {
    read_reason(fields)?.ok_or(Malformed::Invalid("reason"))
}

fn put_record(out: &mut Vec<u8>, record: &HandedRecord) {
    put_terms(out, &record.terms);
    put_stage(out, record.stage);
    let ids = KnownIds { from: record.ids_from, accepted: record.ids, is_complete: true };
    put_ids(out, ids);
    put_text(out, record.ident.as_ref().map_or("", Ident::as_str));
    out.put_u8(u8::from(record.tags.is_some()));
    if let Some(VersionedTags { version, tags }) = &record.tags {
        out.put_u64_le(version.0);
        put_tags(out, tags);
    }
    out.put_u64_le(u64::try_from(record.ends_in.as_millis()).unwrap_or(u64::MAX));
    put_position(out, record.position);
    put_publications(out, &record.mailbox);
    out.put_u8(u8::from(record.has_dropped));
}

fn read_record(fields: &mut FieldReader<'_>) -> Result<HandedRecord, Malformed> {
    let terms = read_terms(fields)?;
    let stage = read_stage(fields)?;
    let KnownIds { from: ids_from, accepted: ids, .. } = read_ids(fields)?;
    Ok(HandedRecord {
        terms,
        stage,
        ids_from,
        ids,
        ident: fields.ident()?,
        tags: match fields.flag()? {
            true => {
                let version = TagVersion(fields.u64()?);
                Some(VersionedTags { version, tags: fields.tags()? })
            }
            false => None,
        },
        ends_in: Duration::from_millis(fields.u64()?),
        position: read_position(fields)?,
        mailbox: read_publications(fields, MAILBOX_MAX.into())?,
        has_dropped: fields.flag()?,
    })
}

fn put_stage(out: &mut Vec<u8>, stage: RecordStage) {
    let RecordStage { confirmed, generation, begun } = stage;
    [confirmed, generation, begun].into_iter().for_each(|it| out.put_u32_le(it.0));
}

fn read_stage(fields: &mut FieldReader<'_>) -> Result<RecordStage, Malformed> {
    Ok(RecordStage {
        confirmed: ResumeGeneration(fields.u32()?),
        generation: ResumeGeneration(fields.u32()?),
        begun: ResumeGeneration(fields.u32()?),
    })
}

fn put_past(out: &mut Vec<u8>, HandedPast { reason, publications, extent }: &HandedPast) {
    put_reason(out, *reason);
    put_publications(out, publications);
    put_length(out, extent.len());
    for (host, place) in extent {
        let mut bytes = Vec::new();
        place.encode(&mut bytes);
        out.put_u32_le(host.0);
        put_length(out, bytes.len());
        out.put_slice(&bytes);
    }
}

fn read_past(fields: &mut FieldReader<'_>) -> Result<HandedPast, Malformed> {
    let (reason, publications) = (read_reason(fields)?, read_publications(fields, HISTORY_MAX)?);
    let mut extent = Vec::new();
    for _ in 0..count_up_to(fields, 2 * CLUSTER_HOSTS_MAX)? {
        let (host, bytes) = (HostId(fields.u32()?), fields.prefixed()?);
        let place = CommonPlace::decode(Bytes::copy_from_slice(bytes));
        extent.push((host, place.map_err(|_| Malformed::Invalid("place in a lane"))?));
    }
    Ok(HandedPast { reason, publications, extent })
}

fn put_publications(out: &mut Vec<u8>, publications: &[HandedPublication]) {
    put_length(out, publications.len());
    for HandedPublication { position, is_direct, content } in publications {
        put_position(out, *position);
        out.put_u8(u8::from(*is_direct));
        out.put_u8(form_byte(content.form));
        put_length(out, content.payload.len());
        out.put_slice(&content.payload);
    }
}

fn read_publications(
    fields: &mut FieldReader<'_>,
    most: usize,
) -> Result<Vec<HandedPublication>, Malformed> {
    let mut publications = Vec::new();
    for _ in 0..count_up_to(fields, most)? {
        let (position, is_direct) = (read_position(fields)?, fields.flag()?);
        let form = fields.form()?;
        let payload = Bytes::copy_from_slice(fields.prefixed()?);
        let content = Content { form, payload };
        publications.push(HandedPublication { position, is_direct, content });
    }
    Ok(publications)
}

fn count_up_to(fields: &mut FieldReader<'_>, most: usize) -> Result<usize, Malformed> {
    let count = fields.u32()? as usize;
    if count > most { Err(Malformed::Invalid("count")) } else { Ok(count) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{BridgeEpoch, HostRun, PassedSources};
    use crate::link::resume::{RecordTerms, ResumableJoin, ResumeClaim};
    use crate::types::{
        AcceptedIds, AddressLimit, AllowedNames, Client, ClientClass, InstanceDigest,
        MissedRequest, Number, PayloadForm, ReplayPosition, Slot, Tag, Tags, Tenant, WorkerId,
        WorkerIncarnation,
    };

    const POSITION: ReplayPosition = ReplayPosition { epoch: 7, number: 1 << 40 };

    fn tags() -> Tags {
        Tags::new([Tag::new("room", "1").unwrap()]).unwrap()
    }

    fn terms() -> RecordTerms {
        let instance = Some(InstanceDigest(5));
        RecordTerms { grace_ms: 60_000, mailbox: 100, instance, fixed: tags() }
    }

    fn join() -> ResumableJoin {
        let client = Client {
            tenant: Tenant("shop".into()),
            uuid: ClientUuid([7; 16]),
            ident: Ident::new("anna").ok(),
            tags: tags(),
            class: ClientClass::Web,
            takes_publications: true,
            counted: AddressLimit::ByAddress,
            application: None,
            ip: [192, 0, 2, 1].into(),
        };
        let claim = ResumeClaim {
            uuid: ClientUuid([8; 16]),
            generation: ResumeGeneration(2),
            issued: Duration::from_millis(1_795_890_000_123),
            guarded: AllowedNames::Listed(Box::new(["private-*".into()])),
        };
        let missed = Some(MissedRequest::Since(Some(POSITION)));
        ResumableJoin { slot: Slot(4), client, terms: terms(), claim: Some(claim), missed }
    }

    fn record() -> HandedRecord {
        let mut ids = AcceptedIds::default();
        [3, 400].iter().for_each(|id| ids.insert(*id));
        HandedRecord {
            terms: terms(),
            stage: RecordStage {
                confirmed: ResumeGeneration(2),
                generation: ResumeGeneration(3),
                begun: ResumeGeneration(1),
            },
            ids_from: ResumeGeneration(1),
            ids: Some(ids),
            ident: Ident::new("anna").ok(),
            tags: Some(VersionedTags { version: TagVersion(9), tags: tags() }),
            ends_in: Duration::from_millis(1_234),
            position: POSITION,
            mailbox: vec![publication(b"one"), publication(b"")],
            has_dropped: true,
        }
    }

    fn publication(payload: &'static [u8]) -> HandedPublication {
        let is_direct = payload.len() > 1;
        let content = Content { form: PayloadForm::Text, payload: Bytes::from_static(payload) };
        HandedPublication { position: POSITION, is_direct, content }
    }

    fn messages() -> Vec<MoveMessage> {
        let number = MoveNumber { broker: Generation(6), number: 77 };
        let mut sources = PassedSources::default();
        let source = WorkerIncarnation { worker: WorkerId(1), generation: Generation(2) };
        sources.note(source, Number(300));
        let (run, epoch) = (HostRun(u64::MAX), BridgeEpoch(4));
        let place = CommonPlace { run, epoch, number: 500, is_settled: true, sources };
        let refused = |refusal| MoveMessage::Refused { number, refusal };
        let handed = |missed| {
            let (tenant, uuid) = (Tenant::shared(), ClientUuid([8; 16]));
            let client = Box::new(HandedClient { tenant, uuid, record: record(), missed });
            MoveMessage::Handed { number, client }
        };
        let held = |occasion| {
            let (tenant, uuid) = (Tenant("shop".into()), ClientUuid([2; 16]));
            MoveMessage::Held { tenant, uuid, stage: record().stage, occasion }
        };
        let extent = vec![(HostId(4), place)];
        let publications = vec![publication(b"two")];
        vec![
            MoveMessage::Request { number, join: Box::new(join()) },
            MoveMessage::Waiting(number),
            refused(MoveRefusal::Taken),
            refused(MoveRefusal::Outdated),
            refused(MoveRefusal::Unknown(RecoveryReason::Expired)),
            refused(MoveRefusal::Moved(HostId(9))),
            handed(HandedPast {
                reason: Some(RecoveryReason::Evicted),
                publications: Vec::new(),
                extent: Vec::new(),
            }),
            handed(HandedPast { reason: None, publications, extent }),
            held(HeldOccasion::Begun),
            held(HeldOccasion::Conflict),
            held(HeldOccasion::Answer),
            MoveMessage::Mark,
        ]
    }

    #[test]
    fn a_message_is_read_as_it_was_written_and_never_a_part_of_one() {
        for message in messages() {
            let bytes = encode_move(&message);
            assert_eq!(decode_move(&bytes).as_ref(), Ok(&message));
            for end in 0..bytes.len() {
                assert!(decode_move(&bytes[..end]).is_err(), "{end} bytes of {message:?}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(decode_move(&longer).is_err(), "{message:?}");
        }
    }

    #[test]
    fn a_message_of_another_format_is_refused() {
        let mut bytes = encode_move(&MoveMessage::Mark);
        bytes[0] += 1;
        assert_eq!(decode_move(&bytes), Err(Malformed::Unknown("format", 2)));
    }
}
