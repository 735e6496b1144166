//! Encodes messages of the link: a length of four bytes, a kind, then the fields in order, little endian.
//!
//! The codec is written by hand so that payloads are decoded without a copy and every length is checked
//! against the available bytes before it is used.

mod bridge;
mod carried;
mod command;
mod decode;
mod decoder;
mod description;
mod encode;
mod expression;
mod fairness;
mod hosts_presence;
mod hosts_query;
mod listing;
mod moves;
mod presence;
mod query;
mod replay;
mod resume;
mod tag_scan;
mod tail;
mod to_broker;
mod to_worker;
mod tracking;

use std::fmt;

use bytes::Bytes;

use self::bridge::BRIDGE;
use self::carried::{ARRIVE, FORWARD, read_arrival, read_forward};
pub use self::carried::{encode_arrival, encode_forward, mark_repeated};
pub use self::command::{decode_command, encode_command};
use self::decode::FieldReader;
pub use self::decoder::MessageDecoder;
use self::decoder::first_body;
pub use self::encode::{
    encode_deliver, encode_publish, encode_publish_head, encode_route, encode_set,
};
pub use self::hosts_presence::{decode_hosts_presence, encode_hosts_presence};
pub use self::hosts_query::{decode_answer, decode_question, encode_answer, encode_question};
pub use self::moves::{decode_move, encode_move};
use super::message::{
    Deliver, ForBridge, FromBroker, FromWorker, PublishFrame, ToBroker, ToWorker,
};
use crate::types::limits::LINK_MESSAGE_BYTES_MAX;
use crate::types::{Address, Content, Tenant};

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

impl<'b> FromWorker<'b> {
    /// Decodes a message, without the length that precedes it.
    ///
    /// # Errors
    ///
    /// If the bytes are not a message of a worker. A route is not checked.
    pub fn decode(body: &'b [u8]) -> Result<Self, Malformed> {
        match body.split_first() {
            Some((&PUBLISH, fields)) => FieldReader::new(fields).publish_frame().map(Self::Publish),
            _ => match body {
                [BRIDGE, ARRIVE, fields @ ..] => {
                    read_arrival(&mut FieldReader::new(fields)).map(Self::Arrive)
                }
                _ => ToBroker::decode(body).map(Self::Other),
            },
        }
    }
}

impl<'b> ForBridge<'b> {
    /// Decodes a message, without the length that precedes it.
    ///
    /// # Errors
    ///
    /// If the bytes are not a message of the broker.
    pub fn decode(body: &'b [u8]) -> Result<Self, Malformed> {
        match body {
            [BRIDGE, FORWARD, fields @ ..] => {
                read_forward(&mut FieldReader::new(fields)).map(Self::Forward)
            }
            _ => ToWorker::decode(body).map(Self::Other),
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

fn owned(deliver: Deliver<&[u8]>) -> Deliver {
    let Deliver { source, number, sequence, target, content } = deliver;
    let copied =
        |Content { form, payload }| Content { form, payload: Bytes::copy_from_slice(payload) };
    let content = content.map(copied);
    Deliver { source, number, sequence, target, content }
}

#[cfg(test)]
mod tests;
