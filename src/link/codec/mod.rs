//! Encodes messages of the link: a length of four bytes, a kind, then the fields in order, little endian.
//!
//! The codec is written by hand so that payloads are decoded without a copy and every length is checked
//! against the available bytes before it is used.

mod decode;
mod encode;
mod expression;

use std::fmt;

use bytes::{BufMut, Bytes};

use self::decode::FieldReader;
pub use self::encode::{encode_deliver, encode_publish};
use self::encode::{
    put_claim, put_client, put_count, put_counted, put_deliver, put_found, put_grant, put_ip,
    put_length, put_publication, put_question, put_slots, put_source, put_tags, with_length,
};
use super::message::{
    CountedPublication, Deliver, FromBroker, FromWorker, Full, PublishFrame, SetName, ToBroker,
    ToWorker,
};
use crate::types::limits::LINK_MESSAGE_BYTES_MAX;
use crate::types::{Address, Content, GrantNumber, JoinNumber, Number, Sequence, Tenant};

/// Kind of a [`ToBroker::Publish`].
const PUBLISH: u8 = 7;
/// Kind of a [`ToWorker::Deliver`].
const DELIVER: u8 = 3;
/// In place of the content of a `Deliver` whose receiver keeps it.
const KEPT: u8 = 0;

/// A type of message that is sent over a link.
pub trait WireMessage: Sized {
    /// Appends the message, preceded by its length.
    fn encode(&self, out: &mut Vec<u8>);
    /// Decodes a message, without the length that precedes it. A payload is copied.
    ///
    /// # Errors
    ///
    /// If the bytes are not a message of this type.
    fn decode(body: &[u8]) -> Result<Self, Malformed>;
}

/// Error: the bytes are not a message. It ends the link, never the process (rule L1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The message ends too early.
    Short,
    /// The message has extra bytes after its last field.
    Long,
    /// The length, in bytes, exceeds the largest message.
    Oversized(usize),
    /// Unknown value of a field such as the kind, form or class: name of the field and the value.
    Unknown(&'static str, u8),
    /// Invalid value of the named field.
    Invalid(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(f, "a truncated message"),
            Self::Long => write!(f, "a message with trailing bytes"),
            Self::Oversized(bytes) => {
                write!(f, "a message of {bytes} bytes, {LINK_MESSAGE_BYTES_MAX} at most")
            }
            Self::Unknown(what, value) => write!(f, "an unknown {what}: {value}"),
            Self::Invalid(what) => write!(f, "an invalid {what}"),
        }
    }
}

impl std::error::Error for Malformed {}

/// Splits received bytes into whole messages.
#[derive(Debug, Default)]
pub struct MessageDecoder {
    arrived: Vec<u8>,
    /// Number of bytes of `arrived` that were already returned as messages.
    taken: usize,
}

/// Capacity that a [`MessageDecoder`] keeps while it has no bytes. Larger messages are rare.
const KEPT_BYTES_MAX: usize = 512 * 1024;

impl MessageDecoder {
    /// Adds received bytes.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.taken == self.arrived.len() && self.arrived.capacity() > KEPT_BYTES_MAX {
            self.arrived = Vec::new();
        } else {
            // A rest is the beginning of one message, because whole messages are taken before a read.
            self.arrived.drain(..self.taken);
        }
        self.taken = 0;
        self.arrived.extend_from_slice(bytes);
    }

    /// Returns the next whole message, if there is one.
    ///
    /// # Errors
    ///
    /// If the bytes are not a message. The link cannot be used after that.
    pub fn take<M: WireMessage>(&mut self) -> Result<Option<M>, Malformed> {
        self.take_body()?.map(M::decode).transpose()
    }

    /// Returns the next whole message as bytes, without the length that precedes it.
    ///
    /// # Errors
    ///
    /// If the length exceeds the largest message. The link cannot be used after that.
    pub fn take_body(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let rest = self.arrived.get(self.taken..).unwrap_or_default();
        let body = first_body(rest)?;
        self.taken += body.map_or(0, |body| 4 + body.len());
        Ok(body)
    }

    /// Returns whether [`MessageDecoder::take`] has a whole message. A reader that stops early must take it
    /// before it reads more.
    #[must_use]
    pub fn has_rest(&self) -> bool {
        first_body(self.arrived.get(self.taken..).unwrap_or_default()) != Ok(None)
    }
}

/// Returns the first message, if it is whole, without the length that precedes it.
#[inline]
fn first_body(bytes: &[u8]) -> Result<Option<&[u8]>, Malformed> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    if length > LINK_MESSAGE_BYTES_MAX {
        return Err(Malformed::Oversized(length));
    }
    Ok(rest.get(..length))
}

impl<'b> FromWorker<'b> {
    /// Decodes a message, without the length that precedes it.
    ///
    /// # Errors
    ///
    /// If the bytes are not a message of a worker. A route is not checked.
    pub fn decode(body: &'b [u8]) -> Result<Self, Malformed> {
        match body.split_first() {
            Some((&PUBLISH, fields)) => FieldReader::new(fields).publish_frame().map(Self::Publish),
            _ => ToBroker::decode(body).map(Self::Other),
        }
    }
}

impl<'b> FromBroker<'b> {
    /// Decodes a message, without the length that precedes it.
    ///
    /// # Errors
    ///
    /// If the bytes are not a message of the broker.
    pub fn decode(body: &'b [u8]) -> Result<Self, Malformed> {
        match body.split_first() {
            Some((&DELIVER, fields)) => FieldReader::new(fields).deliver().map(Self::Deliver),
            _ => ToWorker::decode(body).map(Self::Other),
        }
    }
}

impl<'b> PublishFrame<'b> {
    /// Finds the publication in the output of a worker for it, which may begin with a `Count`.
    #[must_use]
    pub fn find(mut output: &'b [u8]) -> Option<Self> {
        while let Ok(Some(body)) = first_body(output) {
            if let Ok(FromWorker::Publish(publish)) = FromWorker::decode(body) {
                return Some(publish);
            }
            output = output.get(4 + body.len()..)?;
        }
        None
    }

    /// Decodes the route.
    ///
    /// # Errors
    ///
    /// If the bytes are not a tenant and an address.
    pub fn route(&self) -> Result<(Tenant, Address), Malformed> {
        let mut fields = FieldReader::new(self.route);
        let route = fields.route()?;
        fields.end()?;
        Ok(route)
    }
}

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
            Self::Announced { sequence } => {
                out.put_u8(4);
                out.put_u64_le(sequence.0);
            }
            Self::Join { slot, client } => {
                out.put_u8(5);
                out.put_u32_le(slot.0);
                put_client(out, client);
            }
            Self::Leave { slot } => {
                out.put_u8(6);
                out.put_u32_le(slot.0);
            }
            Self::Count { clients_max } => put_count(out, *clients_max),
            Self::Publish { number, publication } => {
                out.put_u8(PUBLISH);
                out.put_u64_le(number.0);
                put_publication(out, publication);
            }
            Self::Retag { slot, tags } => {
                out.put_u8(8);
                out.put_u32_le(slot.0);
                put_tags(out, tags);
            }
            Self::Alias { slot, claim } => {
                out.put_u8(10);
                out.put_u32_le(slot.0);
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
            Self::Sync { number } => {
                out.put_u8(12);
                out.put_u64_le(*number);
            }
            Self::Ask { slot, question } => {
                out.put_u8(9);
                out.put_u32_le(slot.0);
                put_question(out, question);
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
            8 => Self::Retag { slot: body.slot()?, tags: body.tags()? },
            9 => Self::Ask { slot: body.slot()?, question: body.question()? },
            10 => Self::Alias { slot: body.slot()?, claim: body.claim()? },
            11 => Self::Holds {
                slot: body.slot()?,
                claim: body.claim()?,
                grant: GrantNumber(body.u64()?),
            },
            12 => Self::Sync { number: body.u64()? },
            20 => Self::Reserve { slot: body.slot()?, ip: body.ip()? },
            13 => Self::Count { clients_max: Some(body.u64()?).filter(|max| *max < u64::MAX) },
            kind => return Err(Malformed::Unknown("kind", kind)),
        };
        body.end()?;
        Ok(message)
    }
}

impl WireMessage for ToWorker {
    fn encode(&self, out: &mut Vec<u8>) {
        with_length(out, |out| match self {
            Self::Batch => out.put_u8(1),
            Self::Set { name, slots } => {
                out.put_u8(2);
                out.put_u32_le(name.0);
                put_slots(out, slots);
            }
            Self::Deliver(deliver) => put_deliver(out, deliver),
            Self::Joined { slot, number, own, smallest } => {
                out.put_u8(4);
                out.put_u32_le(slot.0);
                out.put_u64_le(number.0);
                out.put_u32_le(*own);
                out.put_u32_le(*smallest);
            }
            Self::Left { slot } => {
                out.put_u8(5);
                out.put_u32_le(slot.0);
            }
            Self::Reached(counted) => put_counted(out, *counted),
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
                });
            }
            Self::Aliased { slot, granted } => {
                out.put_u8(9);
                out.put_u32_le(slot.0);
                put_grant(out, *granted);
            }
            Self::Reserved { slot } => {
                out.put_u8(20);
                out.put_u32_le(slot.0);
            }
            Self::Synced { number } => {
                out.put_u8(10);
                out.put_u64_le(*number);
            }
            Self::Answer { slot, number, found } => {
                out.put_u8(8);
                out.put_u32_le(slot.0);
                out.put_u32_le(*number);
                put_found(out, found);
            }
        });
    }

    fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut body = FieldReader::new(body);
        let message = match body.u8()? {
            1 => Self::Batch,
            2 => Self::Set { name: SetName(body.u32()?), slots: body.slots()? },
            DELIVER => Self::Deliver(owned(body.deliver()?)),
            4 => Self::Joined {
                slot: body.slot()?,
                number: JoinNumber(body.u64()?),
                own: body.u32()?,
                smallest: body.u32()?,
            },
            5 => Self::Left { slot: body.slot()? },
            6 => Self::Acknowledged { up_to: Number(body.u64()?) },
            7 => Self::Refused { slot: body.slot()?, full: body.full()? },
            8 => Self::Answer { slot: body.slot()?, number: body.u32()?, found: body.found()? },
            9 => Self::Aliased { slot: body.slot()?, granted: body.grant()? },
            10 => Self::Synced { number: body.u64()? },
            20 => Self::Reserved { slot: body.slot()? },
            11 => Self::Reached(CountedPublication {
                number: Number(body.u64()?),
                clients: body.u64()?,
                workers: body.u32()?,
                scan_values: body.u64()?,
            }),
            kind => return Err(Malformed::Unknown("kind", kind)),
        };
        body.end()?;
        Ok(message)
    }
}

fn owned(deliver: Deliver<&[u8]>) -> Deliver {
    let Deliver { source, number, sequence, target, content } = deliver;
    let copied =
        |Content { form, payload }| Content { form, payload: Bytes::copy_from_slice(payload) };
    let content = content.map(copied);
    Deliver { source, number, sequence, target, content }
}

#[cfg(test)]
mod tests;
