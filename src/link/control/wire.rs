//! Wire format of a control link: a length, a JSON head, and after the head of a configuration its unchanged
//! text. Descriptors are passed along with the bytes.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::{Attachment, AttachmentKind, ChildCommand, ConfigText, ControlMessage, RoleCommand};
use crate::types::WipedBytes;

/// Largest message in bytes. A configuration with thousands of applications is far smaller.
pub const CONTROL_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Maximum number of descriptors per message. The kernel accepts up to 253.
pub const DESCRIPTORS_MAX: usize = 128;

/// Bytes of the length before a message, big endian.
const PREFIX_BYTES: usize = 4;

/// Encodes a command.
pub(super) fn encode_command(
    message: ControlMessage<ChildCommand, OwnedFd>,
) -> io::Result<(WipedBytes, Vec<OwnedFd>)> {
    let (text, descriptors) = match message.attachment {
        Attachment::None => (ConfigText::default(), Vec::new()),
        Attachment::Config(text) => (text, Vec::new()),
        Attachment::Sockets(sockets) => (ConfigText::default(), sockets),
        Attachment::Link(end) => (ConfigText::default(), vec![end]),
    };
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(malformed(format!("{} sockets, {DESCRIPTORS_MAX} at most", descriptors.len())));
    }
    Ok((encode_with(&message.command, text.as_bytes())?, descriptors))
}

/// Encodes a message without an attachment.
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

/// Removes one command from the front, if it and its descriptors have arrived in full.
pub(super) fn decode_command<C: RoleCommand>(
    bytes: &mut WipedBytes,
    descriptors: &mut VecDeque<OwnedFd>,
) -> io::Result<Option<ControlMessage<C, OwnedFd>>> {
    let Some(message) = front(bytes)? else { return Ok(None) };
    let length = message.len();
    let mut heads = serde_json::Deserializer::from_slice(message).into_iter::<C>();
    let command = heads.next().ok_or_else(|| malformed("it is empty"))??;
    let body = message.get(heads.byte_offset()..).unwrap_or_default();
    let kind = command.attachment();
    if kind != AttachmentKind::Config && !body.trim_ascii().is_empty() {
        return Err(malformed("it has bytes after its head"));
    }
    let mut next = || descriptors.pop_front().ok_or_else(|| malformed("a descriptor is missing"));
    let attachment = match kind {
        AttachmentKind::None => Attachment::None,
        AttachmentKind::Config => Attachment::Config(text(body)?),
        AttachmentKind::Sockets(count) => {
            Attachment::Sockets((0..count).map(|_| next()).collect::<io::Result<_>>()?)
        }
        AttachmentKind::Link => Attachment::Link(next()?),
    };
    bytes.consume(PREFIX_BYTES + length);
    Ok(Some(ControlMessage { command, attachment }))
}

/// Copies a configuration once, into memory of exactly its length.
fn text(body: &[u8]) -> io::Result<ConfigText> {
    let text = str::from_utf8(body).map_err(malformed)?;
    Ok(Arc::new(Zeroizing::new(text.to_owned())))
}

/// Removes one message from the front, if it has arrived in full.
pub(super) fn decode<T: DeserializeOwned>(bytes: &mut WipedBytes) -> io::Result<Option<T>> {
    let Some(body) = front(bytes)? else { return Ok(None) };
    let length = body.len();
    let message = serde_json::from_slice(body)?;
    bytes.consume(PREFIX_BYTES + length);
    Ok(Some(message))
}

/// Returns the message at the front without its length, if it has arrived in full.
fn front(bytes: &[u8]) -> io::Result<Option<&[u8]>> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
    if length > CONTROL_MESSAGE_BYTES_MAX {
        return Err(malformed(format!("{length} bytes, {CONTROL_MESSAGE_BYTES_MAX} at most")));
    }
    Ok(rest.get(..length))
}

/// Creates an error that ends a control link.
pub(super) fn malformed(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a message on the control link: {what}"))
}
