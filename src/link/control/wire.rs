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

use super::{Accepting, ConfigText, PendingHandshakes, SupervisorCommand, WorkerRole};
use crate::types::{
    Allowance, ConfigNumber, Encryption, Generation, WipedBytes, WorkerIncarnation,
};

/// The largest message: a configuration with thousands of applications stays far below it.
pub const CONTROL_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Descriptors beside one message; the kernel refuses more than 253.
pub const DESCRIPTORS_MAX: usize = 128;

/// Bytes of the length in front of a message, big endian.
const PREFIX_BYTES: usize = 4;

/// An order without its descriptors: those follow from it.
#[derive(Serialize, Deserialize)]
enum CommandHead {
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
        sources: Vec<WorkerIncarnation>,
    },
    WorkerLink {
        source: WorkerIncarnation,
    },
    WorkerDead {
        source: WorkerIncarnation,
    },
    Quiesce(PendingHandshakes),
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
    Appoint(WorkerRole),
    Accept(Accepting),
    Stop,
    Beat,
}

/// An order as it travels.
pub(super) fn encode_order(
    order: SupervisorCommand<OwnedFd>,
) -> io::Result<(WipedBytes, Vec<OwnedFd>)> {
    let body = match &order {
        SupervisorCommand::Configure { json, .. } => Arc::clone(json),
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
) -> io::Result<Option<SupervisorCommand<OwnedFd>>> {
    let Some(message) = front(bytes)? else { return Ok(None) };
    let length = message.len();
    let mut heads = serde_json::Deserializer::from_slice(message).into_iter();
    let head = heads.next().ok_or_else(|| malformed("it is empty"))??;
    let body = message.get(heads.byte_offset()..).unwrap_or_default();
    let order = match head {
        CommandHead::Configure { number } => {
            SupervisorCommand::Configure { number, json: text(body)? }
        }
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

fn split(order: SupervisorCommand<OwnedFd>) -> (CommandHead, Vec<OwnedFd>) {
    let alone = |head| (head, Vec::new());
    match order {
        SupervisorCommand::Configure { number, .. } => alone(CommandHead::Configure { number }),
        SupervisorCommand::Count { number } => alone(CommandHead::Count { number }),
        SupervisorCommand::LogLevel(level) => {
            alone(CommandHead::LogLevel { level: level.to_string() })
        }
        SupervisorCommand::Pressure(pressure) => alone(CommandHead::Pressure(pressure)),
        SupervisorCommand::SetRole(duty) => alone(CommandHead::Appoint(duty)),
        SupervisorCommand::Accept(accepting) => alone(CommandHead::Accept(accepting)),
        SupervisorCommand::Listen(sockets) => {
            let (descriptors, sockets) = sockets.into_iter().unzip();
            (CommandHead::Listen { sockets }, descriptors)
        }
        SupervisorCommand::PushSocket(socket) => (CommandHead::PushSocket, vec![socket]),
        SupervisorCommand::Link { broker, transport } => {
            (CommandHead::Link { broker }, vec![transport])
        }
        SupervisorCommand::LiveWorkers { sources } => alone(CommandHead::Roster { sources }),
        SupervisorCommand::WorkerLink { source, transport } => {
            (CommandHead::WorkerLink { source }, vec![transport])
        }
        SupervisorCommand::WorkerDead { source } => alone(CommandHead::WorkerDead { source }),
        SupervisorCommand::Quiesce(newcomers) => alone(CommandHead::Quiesce(newcomers)),
        SupervisorCommand::Drain { within } => alone(CommandHead::Drain { within }),
        SupervisorCommand::Stop => alone(CommandHead::Stop),
        SupervisorCommand::Heartbeat => alone(CommandHead::Beat),
    }
}

fn join(
    head: CommandHead,
    descriptors: &mut VecDeque<OwnedFd>,
) -> io::Result<SupervisorCommand<OwnedFd>> {
    let mut next = || descriptors.pop_front().ok_or_else(|| malformed("a descriptor is missing"));
    Ok(match head {
        CommandHead::Configure { number } => {
            SupervisorCommand::Configure { number, json: ConfigText::default() }
        }
        CommandHead::Count { number } => SupervisorCommand::Count { number },
        CommandHead::LogLevel { level } => {
            SupervisorCommand::LogLevel(level.parse().map_err(malformed)?)
        }
        CommandHead::Pressure(pressure) => SupervisorCommand::Pressure(pressure),
        CommandHead::Appoint(duty) => SupervisorCommand::SetRole(duty),
        CommandHead::Accept(accepting) => SupervisorCommand::Accept(accepting),
        CommandHead::Listen { sockets } => {
            let with_socket = |encryption| Ok((next()?, encryption));
            SupervisorCommand::Listen(
                sockets.into_iter().map(with_socket).collect::<io::Result<_>>()?,
            )
        }
        CommandHead::PushSocket => SupervisorCommand::PushSocket(next()?),
        CommandHead::Link { broker } => SupervisorCommand::Link { broker, transport: next()? },
        CommandHead::Roster { sources } => SupervisorCommand::LiveWorkers { sources },
        CommandHead::WorkerLink { source } => {
            SupervisorCommand::WorkerLink { source, transport: next()? }
        }
        CommandHead::WorkerDead { source } => SupervisorCommand::WorkerDead { source },
        CommandHead::Quiesce(newcomers) => SupervisorCommand::Quiesce(newcomers),
        CommandHead::Drain { within } => SupervisorCommand::Drain { within },
        CommandHead::Stop => SupervisorCommand::Stop,
        CommandHead::Beat => SupervisorCommand::Heartbeat,
    })
}
