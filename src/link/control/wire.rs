//! The bytes of a control link: a length, a JSON head, after some heads what is not to be copied, and
//! the descriptors that travel beside it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Accepting, ConfigText, Duty, Newcomers, Order};
use crate::types::{Allowance, ConfigNumber, Encryption, Generation, Source, WipedBytes};

/// The largest message: a configuration with thousands of applications stays far below it.
pub const CONTROL_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Descriptors beside one message; the kernel refuses more than 253.
pub const DESCRIPTORS_MAX: usize = 128;

/// Bytes of the length in front of a message, big endian.
const PREFIX_BYTES: usize = 4;

/// An order without its descriptors: those follow from it.
#[derive(Serialize, Deserialize)]
enum Head {
    /// The configuration follows as it is.
    Configure {
        number: ConfigNumber,
    },
    Listen {
        sockets: Vec<Encryption>,
    },
    PushSocket,
    Link {
        broker: Generation,
    },
    Roster {
        sources: Vec<Source>,
    },
    WorkerLink {
        source: Source,
    },
    WorkerDead {
        source: Source,
    },
    Quiesce(Newcomers),
    Drain {
        within: Duration,
    },
    LogLevel {
        level: String,
    },
    Count {
        number: u32,
    },
    Pressure(Allowance),
    Appoint(Duty),
    Accept(Accepting),
    Stop,
    Beat,
}

/// An order as it travels.
pub(super) fn encode_order(order: Order<OwnedFd>) -> io::Result<(WipedBytes, Vec<OwnedFd>)> {
    let body = match &order {
        Order::Configure { json, .. } => Arc::clone(json),
        _ => ConfigText::default(),
    };
    let (head, descriptors) = split(order);
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(malformed(format!("{} sockets, {DESCRIPTORS_MAX} at most", descriptors.len())));
    }
    Ok((encode_with(&head, body.as_bytes())?, descriptors))
}

/// Any message as it travels.
pub(super) fn encode(message: &impl Serialize) -> io::Result<WipedBytes> {
    encode_with(message, &[])
}

fn encode_with(message: &impl Serialize, body: &[u8]) -> io::Result<WipedBytes> {
    let mut bytes = WipedBytes::default();
    bytes.extend_from_slice(&[0; PREFIX_BYTES]);
    serde_json::to_writer(&mut bytes, message)?;
    bytes.extend_from_slice(body);
    let length = bytes.len() - PREFIX_BYTES;
    let prefix = u32::try_from(length).ok().filter(|_| length <= CONTROL_MESSAGE_BYTES_MAX);
    let Some(prefix) = prefix else {
        return Err(malformed(format!("{length} bytes, {CONTROL_MESSAGE_BYTES_MAX} at most")));
    };
    bytes.get_mut(PREFIX_BYTES).copy_from_slice(&prefix.to_be_bytes());
    Ok(bytes)
}

/// Takes one whole order from the front, when it is there with its descriptors.
pub(super) fn decode_order(
    bytes: &mut WipedBytes,
    descriptors: &mut VecDeque<OwnedFd>,
) -> io::Result<Option<Order<OwnedFd>>> {
    let Some(message) = front(bytes)? else { return Ok(None) };
    let length = message.len();
    let mut heads = serde_json::Deserializer::from_slice(message).into_iter();
    let head = heads.next().ok_or_else(|| malformed("it is empty"))??;
    let body = message.get(heads.byte_offset()..).unwrap_or_default();
    let order = match head {
        Head::Configure { number } => Order::Configure { number, json: text(body)? },
        _ if !body.trim_ascii().is_empty() => return Err(malformed("it goes on after its head")),
        head => join(head, descriptors)?,
    };
    bytes.consume(PREFIX_BYTES + length);
    Ok(Some(order))
}

/// A configuration, copied once into memory of its length.
fn text(body: &[u8]) -> io::Result<ConfigText> {
    let text = str::from_utf8(body).map_err(malformed)?;
    Ok(Arc::new(Zeroizing::new(text.to_owned())))
}

/// Takes one whole message from the front, when it is there.
pub(super) fn decode<T: DeserializeOwned>(bytes: &mut WipedBytes) -> io::Result<Option<T>> {
    let Some(body) = front(bytes)? else { return Ok(None) };
    let length = body.len();
    let message = serde_json::from_slice(body)?;
    bytes.consume(PREFIX_BYTES + length);
    Ok(Some(message))
}

/// The message at the front, without its length, when it is whole.
fn front(bytes: &[u8]) -> io::Result<Option<&[u8]>> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
    if length > CONTROL_MESSAGE_BYTES_MAX {
        return Err(malformed(format!("{length} bytes, {CONTROL_MESSAGE_BYTES_MAX} at most")));
    }
    Ok(rest.get(..length))
}

/// An error that ends a control link.
pub(super) fn malformed(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a message on the control link: {what}"))
}

fn split(order: Order<OwnedFd>) -> (Head, Vec<OwnedFd>) {
    let alone = |head| (head, Vec::new());
    match order {
        Order::Configure { number, .. } => alone(Head::Configure { number }),
        Order::Count { number } => alone(Head::Count { number }),
        Order::LogLevel(level) => alone(Head::LogLevel { level: level.to_string() }),
        Order::Pressure(pressure) => alone(Head::Pressure(pressure)),
        Order::Appoint(duty) => alone(Head::Appoint(duty)),
        Order::Accept(accepting) => alone(Head::Accept(accepting)),
        Order::Listen(sockets) => {
            let (descriptors, sockets) = sockets.into_iter().unzip();
            (Head::Listen { sockets }, descriptors)
        }
        Order::PushSocket(socket) => (Head::PushSocket, vec![socket]),
        Order::Link { broker, transport } => (Head::Link { broker }, vec![transport]),
        Order::Roster { sources } => alone(Head::Roster { sources }),
        Order::WorkerLink { source, transport } => (Head::WorkerLink { source }, vec![transport]),
        Order::WorkerDead { source } => alone(Head::WorkerDead { source }),
        Order::Quiesce(newcomers) => alone(Head::Quiesce(newcomers)),
        Order::Drain { within } => alone(Head::Drain { within }),
        Order::Stop => alone(Head::Stop),
        Order::Beat => alone(Head::Beat),
    }
}

fn join(head: Head, descriptors: &mut VecDeque<OwnedFd>) -> io::Result<Order<OwnedFd>> {
    let mut next = || descriptors.pop_front().ok_or_else(|| malformed("a descriptor is missing"));
    Ok(match head {
        Head::Configure { number } => Order::Configure { number, json: ConfigText::default() },
        Head::Count { number } => Order::Count { number },
        Head::LogLevel { level } => Order::LogLevel(level.parse().map_err(malformed)?),
        Head::Pressure(pressure) => Order::Pressure(pressure),
        Head::Appoint(duty) => Order::Appoint(duty),
        Head::Accept(accepting) => Order::Accept(accepting),
        Head::Listen { sockets } => {
            let with_socket = |encryption| Ok((next()?, encryption));
            Order::Listen(sockets.into_iter().map(with_socket).collect::<io::Result<_>>()?)
        }
        Head::PushSocket => Order::PushSocket(next()?),
        Head::Link { broker } => Order::Link { broker, transport: next()? },
        Head::Roster { sources } => Order::Roster { sources },
        Head::WorkerLink { source } => Order::WorkerLink { source, transport: next()? },
        Head::WorkerDead { source } => Order::WorkerDead { source },
        Head::Quiesce(newcomers) => Order::Quiesce(newcomers),
        Head::Drain { within } => Order::Drain { within },
        Head::Stop => Order::Stop,
        Head::Beat => Order::Beat,
    })
}
