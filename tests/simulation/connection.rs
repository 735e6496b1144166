//! A client's connection in a worker: what it was sent, and whether it reads that.

use std::collections::VecDeque;

use tagcast::broker_client::fanout::Batch;
use tagcast::protocol::Protocol;
use tagcast::types::Slot;

use super::model::{ClientNo, Model, PublicationNo};

/// Publications that a client may leave unread before it is closed as slow.
const OUTBOX_MAX: usize = 12;

#[derive(Debug)]
pub struct Connection {
    pub client: ClientNo,
    pub phase: Phase,
    pub reader: Reader,
    unread: VecDeque<PublicationNo>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    Joining,
    Open,
    /// It says goodbye for so many turns: the broker was told already.
    Closing(u64),
}

/// Whether a client reads what it is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reader {
    Reads,
    Stalls,
}

impl Connection {
    /// A client that asks to join.
    pub fn new(client: ClientNo) -> Self {
        Self { client, phase: Phase::Joining, reader: Reader::Reads, unread: VecDeque::new() }
    }

    /// It is sent what there is for it in a batch.
    pub fn is_sent(&mut self, slot: Slot, batch: &mut Batch) -> Result<(), String> {
        for frame in batch.frames_for(slot, Protocol::Gomoob).each() {
            self.unread.push_back(publication_in(&frame)?);
        }
        Ok(())
    }

    /// Whether it has left more unread than it may.
    pub fn is_slow(&self) -> bool {
        self.unread.len() > OUTBOX_MAX
    }

    /// It reads what it was sent.
    pub fn reads(&mut self, model: &mut Model) -> Result<(), String> {
        self.unread.drain(..).try_for_each(|no| model.hears(self.client, no))
    }
}

/// The number in a frame; none is longer than 65,535 bytes.
fn publication_in(frame: &[u8]) -> Result<PublicationNo, String> {
    let start = if frame[1] < 126 { 2 } else { 4 };
    let text = str::from_utf8(&frame[start..]).map_err(|error| error.to_string())?;
    text.trim().parse().map_err(|_| format!("a client hears {text:?}"))
}
