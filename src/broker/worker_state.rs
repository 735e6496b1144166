//! A worker as the broker sees it: how far its link is, and what it is still to be told.

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};

use super::router::ProtocolError;
use crate::link::codec::{WireMessage, encode_deliver};
use crate::link::message::{Deliver, SetName, ToBroker, ToWorker, VERSION};
use crate::types::{Number, SlotSet, WorkerIncarnation};

/// A worker with a link to this broker.
#[derive(Debug)]
pub struct WorkerState {
    /// Which worker.
    pub source: WorkerIncarnation,
    /// What its link waits to be told next.
    pub out: LinkOutbox,
    pub(super) link_state: LinkState,
    /// What it said while others were still awaited; its window bounds it (rule L4).
    pub(super) held: VecDeque<ToBroker>,
    pub(super) last_publication: Option<Number>,
    pub(super) turn_ended_at: Option<Number>,
    pub(super) set_names: u32,
    counts: PublishCounts,
}

/// What a worker wants to know of single publications; mostly nothing.
#[derive(Debug, Default)]
struct PublishCounts {
    /// The publication that follows is to be counted.
    is_next: bool,
    /// Counts to be told with the acknowledgement; the worker's window bounds them (rule L4).
    found: VecDeque<(Number, u64)>,
}

/// How far a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkState {
    /// Nothing was said yet.
    Linked,
    /// It says which clients it has.
    Announcing,
    /// It has said all that an earlier broker knew.
    Announced,
    /// What was held back turned out to break a rule.
    Broken(ProtocolError),
}

impl WorkerState {
    pub(super) fn new(source: WorkerIncarnation) -> Self {
        Self {
            source,
            out: LinkOutbox::default(),
            link_state: LinkState::Linked,
            held: VecDeque::new(),
            last_publication: None,
            turn_ended_at: None,
            set_names: 0,
            counts: PublishCounts::default(),
        }
    }

    /// The publication that follows is to be counted.
    pub(super) fn count_next(&mut self) {
        self.counts.is_next = true;
    }

    /// Whether this publication is to be counted; asked once for each.
    pub(super) fn take_is_counted(&mut self) -> bool {
        std::mem::take(&mut self.counts.is_next)
    }

    /// How many clients a publication reaches.
    pub(super) fn counted(&mut self, number: Number, clients: u64) {
        self.counts.found.push_back((number, clients));
    }

    /// Every link has taken what was resolved up to this publication.
    pub(super) fn acknowledge(&mut self, up_to: Number) {
        while let Some((number, clients)) =
            self.counts.found.pop_front_if(|(number, _)| *number <= up_to)
        {
            self.out.send(&ToWorker::Reached { number, clients });
        }
        self.out.send(&ToWorker::Acknowledged { up_to });
    }

    pub(super) fn on_hello(
        &mut self,
        version: u16,
        says: WorkerIncarnation,
    ) -> Result<(), ProtocolError> {
        if version != VERSION {
            return Err(ProtocolError::Version(version));
        }
        if says != self.source {
            return Err(ProtocolError::Stranger(says));
        }
        self.link_state = LinkState::Announcing;
        Ok(())
    }

    /// The rule that it broke while its messages were held back, if it did.
    #[must_use]
    pub fn protocol_error(&self) -> Option<ProtocolError> {
        match self.link_state {
            LinkState::Broken(breach) => Some(breach),
            _ => None,
        }
    }

    /// Gives a set a name that holds to the end of the turn; the first one begins a batch, so no
    /// name of an earlier turn can be meant by mistake.
    pub(super) fn name_set(&mut self, slots: SlotSet) -> SetName {
        if self.set_names == 0 {
            self.out.send(&ToWorker::Batch);
        }
        let name = SetName(self.set_names);
        self.set_names += 1;
        self.out.send(&ToWorker::Set { name, slots });
        name
    }
}

/// Bytes for one link, counted, so that it can be said when a publication has left (rule L5).
#[derive(Debug, Default)]
pub struct LinkOutbox {
    buffer: BytesMut,
    appended: u64,
}

impl LinkOutbox {
    pub(super) fn send(&mut self, message: &ToWorker) {
        self.append(|buffer| message.encode(buffer));
    }

    pub(super) fn deliver(&mut self, deliver: &Deliver) {
        self.append(|buffer| encode_deliver(buffer, deliver));
    }

    fn append(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let before = self.buffer.len();
        write(&mut self.buffer);
        self.appended += (self.buffer.len() - before) as u64;
    }

    /// All bytes that were ever to be sent.
    #[must_use]
    pub fn appended(&self) -> u64 {
        self.appended
    }

    /// All bytes that the link has taken.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.appended - self.buffer.len() as u64
    }

    /// What the link has not taken yet.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.buffer
    }

    /// The link took the first of the pending bytes.
    pub fn advance(&mut self, bytes: usize) {
        self.buffer.advance(bytes);
    }
}
