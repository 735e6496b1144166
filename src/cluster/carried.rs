//! A publication on its way to other hosts, and what comes with it.

use bytes::{Buf, BufMut, Bytes};

use super::wire::{BodyReader, InvalidMessage, put_length, put_varint};
use crate::types::{
    AskToken, Generation, Number, PayloadForm, ReplayDigest, Sequence, WorkerId, WorkerIncarnation,
};

/// A publication on its way to other hosts. One of [`WorkerId::DIRECTORY`](crate::types::WorkerId::DIRECTORY) is no
/// publication: its payload is a [`DirectoryItem`](super::DirectoryItem). Nor is one of
/// [`WorkerId::MOVES`](crate::types::WorkerId::MOVES), whose payload the brokers read. On a link, route and payload stay in
/// the bytes of the message: `B` is a slice of them then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedPublication<B = Bytes> {
    /// The worker that accepted it.
    pub source: WorkerIncarnation,
    /// Its number within that worker.
    pub number: Number,
    /// The broker that resolved it.
    pub generation: Generation,
    /// Its number in the order of that broker.
    pub sequence: Sequence,
    /// Its tenant and address, in the encoding of the link.
    pub route: B,
    /// How dialects interpret the payload.
    pub form: PayloadForm,
    /// The payload.
    pub payload: B,
    /// The broker has given it to an earlier bridge, too.
    pub is_repeated: bool,
    /// The number by which its host awaits the outcome. Without a question and a report it is a command about clients
    /// then, which is in place of the route.
    pub directive: Option<u64>,
    /// It is for one client, whose answer is the outcome.
    pub question: Option<CarriedQuestion>,
    /// The outcome is how many sockets have taken it within this time, in milliseconds.
    pub report_ms: Option<u32>,
    /// What it says about requests that must not take effect twice.
    pub replay: CarriedReplay,
}

impl<B> CarriedPublication<B> {
    /// Returns whether it is a command about clients.
    #[must_use]
    pub fn is_command(&self) -> bool {
        self.directive.is_some() && self.question.is_none() && self.report_ms.is_none()
    }

    /// Returns whether it changes the directory of names.
    #[must_use]
    pub fn is_of_directory(&self) -> bool {
        self.source.worker == WorkerId::DIRECTORY
    }

    /// Returns whether it is about watched queries.
    #[must_use]
    pub fn is_of_watches(&self) -> bool {
        self.source.worker == WorkerId::WATCHES
    }
}

impl CarriedPublication {
    /// Lends the bytes.
    #[must_use]
    pub fn borrowed(&self) -> CarriedPublication<&[u8]> {
        CarriedPublication {
            source: self.source,
            number: self.number,
            generation: self.generation,
            sequence: self.sequence,
            route: &self.route,
            form: self.form,
            payload: &self.payload,
            is_repeated: self.is_repeated,
            directive: self.directive,
            question: self.question,
            report_ms: self.report_ms,
            replay: self.replay.clone(),
        }
    }
}

impl CarriedPublication<&[u8]> {
    /// Copies the bytes.
    #[must_use]
    pub fn copied(self) -> CarriedPublication {
        let Self { source, number, generation, sequence, route, form, payload, .. } = self;
        let Self { is_repeated, directive, question, report_ms, replay, .. } = self;
        let (route, payload) = (Bytes::copy_from_slice(route), Bytes::copy_from_slice(payload));
        CarriedPublication {
            source,
            number,
            generation,
            sequence,
            route,
            form,
            payload,
            is_repeated,
            directive,
            question,
            report_ms,
            replay,
        }
    }
}

/// What an item says about requests that must not take effect twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CarriedReplay {
    /// Nothing.
    #[default]
    None,
    /// It has an id, and takes effect once on each host.
    Id(Box<CarriedId>),
    /// It is no publication. Its payload is [records](super::encode_records).
    Records,
}

/// The id of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarriedId {
    /// The digest of the id and its application.
    pub id: ReplayDigest,
    /// The digest of everything that is the same when the publication is repeated.
    pub content: ReplayDigest,
    /// The Unix second in which it was accepted.
    pub at: u64,
    /// The last Unix second in which it must be known.
    pub until: u64,
    /// A host with fewer recipients does not keep the id.
    pub recipients_min: u64,
}

impl CarriedId {
    /// Appends the encoding, preceded by its length.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { id, content, at, until, recipients_min } = self;
        let mut value = Vec::with_capacity(48);
        value.put_slice(&id.0);
        value.put_slice(&content.0);
        [*at, *until, *recipients_min].into_iter().for_each(|it| put_varint(&mut value, it));
        put_length(out, value.len());
        out.put_slice(&value);
    }

    /// Reads the encoding without its length.
    pub(super) fn decode<B: Buf>(fields: &mut BodyReader<B>) -> Result<Self, InvalidMessage> {
        Ok(Self {
            id: ReplayDigest(fields.array()?),
            content: ReplayDigest(fields.array()?),
            at: fields.varint()?,
            until: fields.varint()?,
            recipients_min: fields.varint()?,
        })
    }
}

/// What makes a publication a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarriedQuestion {
    /// What the client answers with.
    pub token: AskToken,
    /// How long its answer is waited for, in milliseconds.
    pub within_ms: u32,
}
