//! The envelope of a message between hosts: the sender in the clear, then a sealed body.
//!
//! The seal is AES-256-GCM. Its key is derived from the `uuidKey`, which all hosts of a cluster have, from the name of
//! the cluster, and from the life of the sender's bridge. The nonce is a counter of that life, so it never repeats. The
//! subject is authenticated too: a captured message has no effect on another subject.

use std::collections::VecDeque;
use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use bytes::{Buf, BufMut};

use super::subject::{ClusterName, ClusterSubject};
use super::wire::InvalidMessage;
use crate::types::HostId;
use crate::types::limits::{CLUSTER_BODY_BYTES_MAX, CLUSTER_KEYS_MAX};

const MAGIC: [u8; 2] = *b"TC";
/// The format of envelopes, bodies and items. It also covers the encoding of a publication's route on the link.
pub const CLUSTER_FORMAT: u8 = 1;
/// Magic, format, host, run, epoch and counter.
const HEADER_BYTES: usize = 2 + 1 + 4 + 8 + 4 + 8;
/// Bytes that the seal adds.
const SEAL_BYTES: usize = 16;
/// Bytes of the longest message.
pub const CLUSTER_MESSAGE_BYTES_MAX: usize = HEADER_BYTES + CLUSTER_BODY_BYTES_MAX + SEAL_BYTES;

/// One life of a supervisor: 64 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostRun(pub u64);

/// One life of a bridge within a run, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BridgeEpoch(pub u32);

/// The bridge that a message is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BridgeIdentity {
    /// Its host.
    pub host: HostId,
    /// The life of the host's supervisor.
    pub run: HostRun,
    /// Its own life.
    pub epoch: BridgeEpoch,
}

/// Seals the messages of one bridge, and opens those of all others.
pub struct ClusterSeal {
    name: ClusterName,
    secret: Prk,
    own: BridgeIdentity,
    own_key: LessSafeKey,
    /// Messages that were sealed under the own key.
    sealed: u64,
    /// Keys of senders, the one that was used last in front.
    keys: VecDeque<OpeningKey>,
}

struct OpeningKey {
    sender: BridgeIdentity,
    key: LessSafeKey,
}

impl fmt::Debug for ClusterSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterSeal").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ClusterSeal {
    /// Creates the seal of a bridge. A bridge must not be created twice with one identity, because its counter
    /// starts again.
    #[must_use]
    pub fn new(uuid_key: &[u8; 32], name: ClusterName, own: BridgeIdentity) -> Self {
        let secret = Salt::new(HKDF_SHA256, name.as_str().as_bytes()).extract(uuid_key);
        let own_key = derived(&secret, own);
        Self { name, secret, own, own_key, sealed: 0, keys: VecDeque::new() }
    }

    /// Returns the name of the cluster.
    #[must_use]
    pub fn name(&self) -> &ClusterName {
        &self.name
    }

    /// Returns a message with this body for a subject.
    #[must_use]
    pub fn seal(&mut self, subject: ClusterSubject, body: &[u8]) -> Vec<u8> {
        let mut message = UnsealedMessage::default();
        message.append(body);
        self.seal_in_place(subject, message)
    }

    /// The same with a message whose body is in its place already.
    #[must_use]
    pub(super) fn seal_in_place(
        &mut self,
        subject: ClusterSubject,
        message: UnsealedMessage,
    ) -> Vec<u8> {
        let bytes = message.body_bytes();
        debug_assert!(bytes <= CLUSTER_BODY_BYTES_MAX, "{bytes} bytes");
        self.sealed += 1;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        put_header(&mut header, self.own, self.sealed);
        let bound = authenticated(&header, &subject.text(&self.name));
        let UnsealedMessage(mut message) = message;
        let (head, sealed) = message.split_at_mut(HEADER_BYTES);
        head.copy_from_slice(&header);
        let nonce = nonce(self.sealed);
        let tag = self.own_key.seal_in_place_separate_tag(nonce, Aad::from(&bound), sealed);
        #[expect(clippy::expect_used, reason = "AES-GCM seals 64 GiB, and a body has 60 KiB")]
        let tag = tag.expect("a body is not too long to be sealed");
        message.put_slice(tag.as_ref());
        message
    }

    /// Opens a message that arrived on a subject. Returns its sender and its body.
    ///
    /// # Errors
    ///
    /// If it is not a message of a host of this cluster for this subject.
    pub fn open(
        &mut self,
        subject: &str,
        message: &[u8],
    ) -> Result<(BridgeIdentity, Vec<u8>), InvalidMessage> {
        let header = EnvelopeHeader::read(message)?;
        let Some((head, sealed)) = message.split_at_checked(HEADER_BYTES) else {
            return Err(InvalidMessage::Short);
        };
        let bound = authenticated(head, subject);
        let mut body = sealed.to_vec();
        let place = self.keys.iter().position(|it| it.sender == header.sender);
        let kept = place.and_then(|place| self.keys.remove(place));
        let is_kept = kept.is_some();
        let derive =
            || OpeningKey { sender: header.sender, key: derived(&self.secret, header.sender) };
        let key = kept.unwrap_or_else(derive);
        let nonce = nonce(header.counter);
        let opened = key.key.open_in_place(nonce, Aad::from(&bound), &mut body);
        let opened = opened.map(|body| body.len()).map_err(|_| InvalidMessage::Sealed);
        // Forged senders displace no key.
        if is_kept || opened.is_ok() {
            self.keys.push_front(key);
            self.keys.truncate(CLUSTER_KEYS_MAX);
        }
        body.truncate(opened?);
        Ok((header.sender, body))
    }
}

/// A message with room for its header, and its body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnsealedMessage(Vec<u8>);

impl Default for UnsealedMessage {
    fn default() -> Self {
        Self(vec![0; HEADER_BYTES])
    }
}

impl UnsealedMessage {
    /// Appends a part of the body.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        // Room for the seal, too.
        self.0.reserve(bytes.len() + SEAL_BYTES);
        self.0.put_slice(bytes);
    }

    #[cfg(test)]
    pub(super) fn body(&self) -> &[u8] {
        self.0.get(HEADER_BYTES..).unwrap_or_default()
    }

    pub(super) fn body_bytes(&self) -> usize {
        self.0.len() - HEADER_BYTES
    }
}

/// The part of a message that is in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EnvelopeHeader {
    sender: BridgeIdentity,
    counter: u64,
}

impl EnvelopeHeader {
    fn read(message: &[u8]) -> Result<Self, InvalidMessage> {
        if message.len() > CLUSTER_MESSAGE_BYTES_MAX {
            return Err(InvalidMessage::Oversized(message.len()));
        }
        let Some(mut rest) = message.strip_prefix(&MAGIC) else {
            return Err(InvalidMessage::Foreign);
        };
        match rest.try_get_u8() {
            Ok(CLUSTER_FORMAT) => {}
            Ok(format) => return Err(InvalidMessage::Format(format)),
            Err(_) => return Err(InvalidMessage::Short),
        }
        if message.len() < HEADER_BYTES + SEAL_BYTES {
            return Err(InvalidMessage::Short);
        }
        let sender = BridgeIdentity {
            host: HostId(rest.get_u32_le()),
            run: HostRun(rest.get_u64_le()),
            epoch: BridgeEpoch(rest.get_u32_le()),
        };
        Ok(Self { sender, counter: rest.get_u64_le() })
    }
}

fn put_header(out: &mut Vec<u8>, sender: BridgeIdentity, counter: u64) {
    out.put_slice(&MAGIC);
    out.put_u8(CLUSTER_FORMAT);
    out.put_u32_le(sender.host.0);
    out.put_u64_le(sender.run.0);
    out.put_u32_le(sender.epoch.0);
    out.put_u64_le(counter);
}

fn authenticated(header: &[u8], subject: &str) -> Vec<u8> {
    [header, subject.as_bytes()].concat()
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    if let Some(tail) = bytes.last_chunk_mut() {
        *tail = counter.to_le_bytes();
    }
    Nonce::assume_unique_for_key(bytes)
}

fn derived(secret: &Prk, sender: BridgeIdentity) -> LessSafeKey {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    put_header(&mut header, sender, 0);
    let info: [&[u8]; 2] = [b"tagcast cluster", &header];
    let key = secret.expand(&info, &AES_256_GCM).map(UnboundKey::from);
    #[expect(clippy::expect_used, reason = "HKDF expands to 8 KiB, and a key has 32 bytes")]
    let key = key.expect("a key is not too long to be derived");
    LessSafeKey::new(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(host: u32, epoch: u32) -> BridgeIdentity {
        BridgeIdentity { host: HostId(host), run: HostRun(7), epoch: BridgeEpoch(epoch) }
    }

    fn seal(key: u8, name: &str, own: BridgeIdentity) -> ClusterSeal {
        ClusterSeal::new(&[key; 32], ClusterName::parse(name).unwrap(), own)
    }

    const SUBJECT: ClusterSubject = ClusterSubject::Common(HostId(1));
    const TEXT: &str = "tagcast.shop.m.00000001";

    #[test]
    fn a_message_is_opened_by_a_host_with_the_same_key() {
        let (mut one, mut other) =
            (seal(1, "shop", identity(1, 1)), seal(1, "shop", identity(2, 9)));
        for body in [&b""[..], b"abc", &[5; CLUSTER_BODY_BYTES_MAX]] {
            let message = one.seal(SUBJECT, body);
            assert!(message.len() <= CLUSTER_MESSAGE_BYTES_MAX);
            assert_eq!(other.open(TEXT, &message), Ok((identity(1, 1), body.to_vec())));
            assert_eq!(one.open(TEXT, &message), Ok((identity(1, 1), body.to_vec())), "itself");
        }
        let [a, b] = [one.seal(SUBJECT, b"same"), one.seal(SUBJECT, b"same")];
        assert_ne!(a[HEADER_BYTES..], b[HEADER_BYTES..], "a nonce is used once");
    }

    #[test]
    fn a_message_with_another_key_name_or_subject_is_not_opened() {
        let message = seal(1, "shop", identity(1, 1)).seal(SUBJECT, b"abc");
        let sealed = Err(InvalidMessage::Sealed);
        assert_eq!(seal(2, "shop", identity(2, 1)).open(TEXT, &message), sealed);
        assert_eq!(seal(1, "test", identity(2, 1)).open(TEXT, &message), sealed);
        let mut same = seal(1, "shop", identity(2, 1));
        assert_eq!(same.open("tagcast.shop.m.00000002", &message), sealed);
        for at in 3..message.len() {
            let mut changed = message.clone();
            changed[at] ^= 1;
            assert_eq!(same.open(TEXT, &changed), sealed, "byte {at}");
        }
        assert!(same.open(TEXT, &message).is_ok());
    }

    #[test]
    fn a_message_that_is_not_from_a_host_is_refused_with_a_reason() {
        let mut open = seal(1, "shop", identity(2, 1));
        let message = seal(1, "shop", identity(1, 1)).seal(SUBJECT, b"");
        assert_eq!(open.open(TEXT, b""), Err(InvalidMessage::Foreign));
        assert_eq!(open.open(TEXT, b"{\"a\":1}"), Err(InvalidMessage::Foreign));
        assert_eq!(open.open(TEXT, b"TC"), Err(InvalidMessage::Short));
        assert_eq!(open.open(TEXT, &message[..message.len() - 1]), Err(InvalidMessage::Short));
        let newer = [b"TC\x02", &message[3..]].concat();
        assert_eq!(open.open(TEXT, &newer), Err(InvalidMessage::Format(2)));
        let long = vec![b'T'; CLUSTER_MESSAGE_BYTES_MAX + 1];
        assert_eq!(open.open(TEXT, &long), Err(InvalidMessage::Oversized(long.len())));
    }

    #[test]
    fn keys_of_other_bridges_are_bounded_and_forged_ones_displace_none() {
        let mut open = seal(1, "shop", identity(0, 1));
        for epoch in 1..=2 * u32::try_from(CLUSTER_KEYS_MAX).unwrap() {
            let message = seal(1, "shop", identity(1, epoch)).seal(SUBJECT, b"x");
            assert!(open.open(TEXT, &message).is_ok());
        }
        assert_eq!(open.keys.len(), CLUSTER_KEYS_MAX);
        let before: Vec<_> = open.keys.iter().map(|it| it.sender).collect();
        for epoch in 0..1000 {
            let forged = seal(2, "shop", identity(2, epoch)).seal(SUBJECT, b"x");
            assert_eq!(open.open(TEXT, &forged), Err(InvalidMessage::Sealed));
        }
        let after: Vec<_> = open.keys.iter().map(|it| it.sender).collect();
        assert_eq!(after, before);
    }
}
