//! Encodes and decodes messages of a worker to the broker.

use bytes::BufMut;

use super::bridge::{BRIDGE, put_from_bridge, read_from_bridge};
use super::command::{
    put_announced_version, put_command, put_last_bulk_change, read_announced_version,
    read_bulk_change, read_command,
};
use super::decode::FieldReader;
use super::description::{DESCRIBED, put_describe_answer, read_describe_answer};
use super::encode::{
    put_claim, put_client, put_count, put_ip, put_length, put_publication, put_source, with_length,
};
use super::fairness::{CHARGED, WORK, put_charge, put_work, read_charge, read_work};
use super::presence::{PRESENCE, put_from_watcher, read_from_watcher};
use super::query::{put_query, read_query};
use super::replay::{IDENTIFY, REMEMBER, put_id, put_records, read_id, read_records};
use super::resume::{RESUMABLE, WINDOW_REPEATED, put_from_resumable, read_from_resumable};
use super::tracking::put_outcome;
use super::{Malformed, PUBLISH, WireMessage};
use crate::link::message::ToBroker;
use crate::types::{GrantNumber, JoinNumber, Number, Sequence, Slot};

impl WireMessage for ToBroker {
    fn encode(&self, out: &mut Vec<u8>) {
        with_length(out, |out| match self {
            Self::Hello { version, source } => {
                out.put_u8(1);
                out.put_u16_le(*version);
                put_source(out, *source);
            }
            Self::Announce { slot, number, client } => {
                out.put_u8(2);
                out.put_u32_le(slot.0);
                out.put_u64_le(number.0);
                put_client(out, client);
            }
            Self::Seen { source, numbers } => {
                out.put_u8(3);
                put_source(out, *source);
                put_length(out, numbers.len());
                numbers.iter().for_each(|number| out.put_u64_le(number.0));
            }
            Self::Announced { sequence } => put_number(out, 4, sequence.0),
            Self::Join { slot, client } => {
                put_slot(out, 5, *slot);
                put_client(out, client);
            }
            Self::Leave { slot } => put_slot(out, 6, *slot),
            Self::Count { clients_max, tracking } => put_count(out, *clients_max, *tracking),
            Self::Tracked { publisher, number, outcome } => {
                out.put_u8(30);
                put_source(out, *publisher);
                out.put_u64_le(number.0);
                put_outcome(out, outcome);
            }
            Self::Publish { number, publication } => {
                out.put_u8(PUBLISH);
                out.put_u64_le(number.0);
                put_publication(out, publication);
            }
            Self::Command(command) => put_command(out, command),
            Self::LastBulkChange(change) => put_last_bulk_change(out, change),
            Self::Version(announced) => put_announced_version(out, *announced),
            Self::Alias { slot, claim } => {
                put_slot(out, 10, *slot);
                put_claim(out, claim);
            }
            Self::Holds { slot, claim, grant } => {
                out.put_u8(11);
                out.put_u32_le(slot.0);
                put_claim(out, claim);
                out.put_u64_le(grant.0);
            }
            Self::Reserve { slot, ip } => {
                out.put_u8(20);
                out.put_u32_le(slot.0);
                put_ip(out, *ip);
            }
            Self::WindowRepeated => out.put_u8(WINDOW_REPEATED),
            Self::Work(report) => put_work(out, report),
            Self::Charged(charge) => put_charge(out, charge),
            Self::Resumable(message) => put_from_resumable(out, message),
            Self::Presence(message) => put_from_watcher(out, message),
            Self::Bridge(message) => put_from_bridge(out, message),
            Self::Sync { number } => put_number(out, 12, *number),
            Self::Remember(records) => put_records(out, records),
            Self::Identify(id) => put_id(out, id),
            Self::Described(answer) => put_describe_answer(out, answer),
            Self::Ask { slot, query } => {
                out.put_u8(9);
                out.put_u32_le(slot.0);
                put_query(out, query);
            }
        });
    }

    fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut body = FieldReader::new(body);
        let message = match body.u8()? {
            1 => Self::Hello { version: body.u16()?, source: body.source()? },
            2 => Self::Announce {
                slot: body.slot()?,
                number: JoinNumber(body.u64()?),
                client: body.client()?,
            },
            3 => Self::Seen { source: body.source()?, numbers: body.numbers()? },
            4 => Self::Announced { sequence: Sequence(body.u64()?) },
            5 => Self::Join { slot: body.slot()?, client: body.client()? },
            6 => Self::Leave { slot: body.slot()? },
            PUBLISH => {
                Self::Publish { number: Number(body.u64()?), publication: body.publication()? }
            }
            8 => Self::Command(Box::new(read_command(&mut body)?)),
            15 => Self::LastBulkChange(Box::new(read_bulk_change(&mut body)?)),
            14 => Self::Version(read_announced_version(&mut body)?),
            9 => Self::Ask { slot: body.slot()?, query: read_query(&mut body)? },
            10 => Self::Alias { slot: body.slot()?, claim: body.claim()? },
            11 => Self::Holds {
                slot: body.slot()?,
                claim: body.claim()?,
                grant: GrantNumber(body.u64()?),
            },
            12 => Self::Sync { number: body.u64()? },
            WINDOW_REPEATED => Self::WindowRepeated,
            WORK => Self::Work(read_work(&mut body)?),
            CHARGED => Self::Charged(read_charge(&mut body)?),
            RESUMABLE => Self::Resumable(read_from_resumable(&mut body)?),
            PRESENCE => Self::Presence(read_from_watcher(&mut body)?),
            BRIDGE => Self::Bridge(read_from_bridge(&mut body)?),
            DESCRIBED => Self::Described(read_describe_answer(&mut body)?),
            20 => Self::Reserve { slot: body.slot()?, ip: body.ip()? },
            13 => Self::Count {
                clients_max: Some(body.u64()?).filter(|max| *max < u64::MAX),
                tracking: body.tracking()?,
            },
            30 => Self::Tracked {
                publisher: body.source()?,
                number: Number(body.u64()?),
                outcome: body.outcome()?,
            },
            IDENTIFY => Self::Identify(read_id(&mut body)?),
            REMEMBER => Self::Remember(read_records(&mut body)?),
            kind => return Err(Malformed::Unknown("kind", kind)),
        };
        body.end()?;
        Ok(message)
    }
}

/// Writes a message that is one slot.
fn put_slot(out: &mut Vec<u8>, kind: u8, slot: Slot) {
    out.put_u8(kind);
    out.put_u32_le(slot.0);
}

/// Writes a message that is one number.
fn put_number(out: &mut Vec<u8>, kind: u8, number: u64) {
    out.put_u8(kind);
    out.put_u64_le(number);
}
