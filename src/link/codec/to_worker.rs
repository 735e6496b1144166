//! Encodes and decodes messages of the broker to a worker.

use bytes::BufMut;

use super::bridge::{
    BRIDGE, HOSTS, put_hosts_notice, put_to_bridge, read_hosts_notice, read_to_bridge,
};
use super::command::{
    put_close_order, put_command_outcome, put_retagged, put_retagged_clients, read_close_order,
    read_command_outcome, read_retagged, read_retagged_clients,
};
use super::decode::FieldReader;
use super::description::{DESCRIBE, put_describe_request, read_describe_request};
use super::encode::{put_counted, put_deliver, put_grant, put_set, with_length};
use super::fairness::{
    CHARGED, COUNT_WORK, TENANT, THROTTLE, put_charge, put_count_work, put_tenant, put_throttle,
    read_charge, read_throttle,
};
use super::presence::{PRESENCE, put_to_watcher, read_to_watcher};
use super::query::{put_result, read_result};
use super::replay::{REMEMBER, put_records, read_records};
use super::resume::{
    AT, HEAD, RESUMABLE, put_at, put_head, put_slot, put_to_resumable, read_head, read_position,
    read_to_resumable,
};
use super::tracking::{put_outcome, put_tracking};
use super::{DELIVER, Malformed, WireMessage, owned};
use crate::link::message::{CountedPublication, Full, SetName, ToWorker};
use crate::types::{JoinNumber, Number};

impl WireMessage for ToWorker {
    fn encode(&self, out: &mut Vec<u8>) {
        with_length(out, |out| match self {
            Self::Batch => out.put_u8(1),
            Self::Set { name, slots } => put_set(out, *name, slots),
            Self::Deliver(deliver) => put_deliver(out, deliver),
            Self::Tenant(tenant) => put_tenant(out, tenant),
            Self::CountWork { reported_from } => put_count_work(out, *reported_from),
            Self::Throttle(throttle) => put_throttle(out, throttle),
            Self::Charged(charge) => put_charge(out, charge),
            Self::Resumable(message) => put_to_resumable(out, message),
            Self::Presence(message) => put_to_watcher(out, message),
            Self::Bridge(message) => put_to_bridge(out, message),
            Self::Hosts(notice) => put_hosts_notice(out, *notice),
            Self::Joined { slot, number, own, smallest } => {
                out.put_u8(4);
                out.put_u32_le(slot.0);
                out.put_u64_le(number.0);
                out.put_u32_le(*own);
                out.put_u32_le(*smallest);
            }
            Self::Left { slot } => put_slot(out, 5, *slot),
            Self::At(at) => put_at(out, *at),
            Self::Head(head) => put_head(out, head),
            Self::Reached(counted) => put_counted(out, *counted),
            Self::Track(tracking) => {
                out.put_u8(30);
                put_tracking(out, Some(*tracking));
            }
            Self::Tracked { number, outcome } => {
                out.put_u8(31);
                out.put_u64_le(number.0);
                put_outcome(out, outcome);
            }
            Self::Outcome { number, outcome } => put_command_outcome(out, *number, outcome),
            Self::Retagged(retagged) => put_retagged(out, retagged),
            Self::Close(order) => put_close_order(out, order),
            Self::RetaggedMatching(retagged) => put_retagged_clients(out, retagged),
            Self::Acknowledged { up_to } => {
                out.put_u8(6);
                out.put_u64_le(up_to.0);
            }
            Self::Refused { slot, full } => {
                out.put_u8(7);
                out.put_u32_le(slot.0);
                out.put_u8(match full {
                    Full::Clients => 1,
                    Full::Address => 2,
                    Full::Application => 3,
                });
            }
            Self::Aliased { slot, granted } => {
                out.put_u8(9);
                out.put_u32_le(slot.0);
                put_grant(out, *granted);
            }
            Self::Reserved { slot } => put_slot(out, 20, *slot),
            Self::Remember(records) => put_records(out, records),
            Self::Describe(request) => put_describe_request(out, request),
            Self::Synced { number } => {
                out.put_u8(10);
                out.put_u64_le(*number);
            }
            Self::Answer { slot, number, result } => {
                out.put_u8(8);
                out.put_u32_le(slot.0);
                out.put_u32_le(*number);
                put_result(out, result);
            }
        });
    }

    fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut body = FieldReader::new(body);
        let message = match body.u8()? {
            1 => Self::Batch,
            2 => Self::Set { name: SetName(body.u32()?), slots: body.slots()? },
            DELIVER => Self::Deliver(owned(body.deliver()?)),
            TENANT => Self::Tenant(body.tenant()?),
            COUNT_WORK => Self::CountWork { reported_from: body.u64()? },
            THROTTLE => Self::Throttle(read_throttle(&mut body)?),
            CHARGED => Self::Charged(read_charge(&mut body)?),
            PRESENCE => Self::Presence(read_to_watcher(&mut body)?),
            BRIDGE => Self::Bridge(read_to_bridge(&mut body)?),
            HOSTS => Self::Hosts(read_hosts_notice(&mut body)?),
            RESUMABLE => Self::Resumable(read_to_resumable(&mut body)?),
            4 => Self::Joined {
                slot: body.slot()?,
                number: JoinNumber(body.u64()?),
                own: body.u32()?,
                smallest: body.u32()?,
            },
            AT => Self::At(read_position(&mut body)?),
            HEAD => Self::Head(read_head(&mut body)?),
            5 => Self::Left { slot: body.slot()? },
            6 => Self::Acknowledged { up_to: Number(body.u64()?) },
            7 => Self::Refused { slot: body.slot()?, full: body.full()? },
            8 => Self::Answer {
                slot: body.slot()?,
                number: body.u32()?,
                result: read_result(&mut body)?,
            },
            9 => Self::Aliased { slot: body.slot()?, granted: body.grant()? },
            10 => Self::Synced { number: body.u64()? },
            DESCRIBE => Self::Describe(read_describe_request(&mut body)?),
            20 => Self::Reserved { slot: body.slot()? },
            11 => Self::Reached(CountedPublication {
                number: Number(body.u64()?),
                clients: body.u64()?,
                workers: body.u32()?,
                scan_values: body.u64()?,
                away: body.away()?,
                is_forwarded: body.flag()?,
            }),
            30 => Self::Track(body.tracking()?.ok_or(Malformed::Invalid("subject"))?),
            31 => Self::Tracked { number: Number(body.u64()?), outcome: body.outcome()? },
            REMEMBER => Self::Remember(read_records(&mut body)?),
            32 => Self::Outcome {
                number: Number(body.u64()?),
                outcome: Box::new(read_command_outcome(&mut body)?),
            },
            33 => Self::Retagged(Box::new(read_retagged(&mut body)?)),
            35 => Self::RetaggedMatching(Box::new(read_retagged_clients(&mut body)?)),
            34 => Self::Close(Box::new(read_close_order(&mut body)?)),
            kind => return Err(Malformed::Unknown("kind", kind)),
        };
        body.end()?;
        Ok(message)
    }
}
