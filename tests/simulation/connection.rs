//! A client connection in a worker: the frames sent to it and whether it reads them.

use std::collections::VecDeque;

use tagcast::broker_client::fanout::Batch;
use tagcast::broker_client::write_reports::WriteTicket;
use tagcast::protocol::Protocol;
use tagcast::types::Slot;

use super::model::{ClientNo, Model, PublicationNo};
use super::reports;
use super::requests::Request;

/// Unread publications after which a client is closed as slow.
const OUTBOX_MAX: usize = 12;

#[derive(Debug)]
pub struct Connection {
    pub client: ClientNo,
    pub phase: Phase,
    pub reader: Reader,
    /// Unread publications, each with the ticket of its delivery.
    unread: VecDeque<(PublicationNo, WriteTicket)>,
    /// Requests that are in its socket.
    pub requests: VecDeque<Request>,
}

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phase {
    Joining,
    Open,
    /// The connection is closing for this many more turns. The broker already knows.
    Closing(u64),
}

/// Whether a client reads the frames sent to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reader {
    Reads,
    Stalls,
}

impl Connection {
    /// Creates a connection that asks to join.
    pub fn new(client: ClientNo) -> Self {
        let (unread, requests) = (VecDeque::new(), VecDeque::new());
        Self { client, phase: Phase::Joining, reader: Reader::Reads, unread, requests }
    }

    /// Stores the frames of a batch that are for this client.
    pub fn is_sent(&mut self, slot: Slot, batch: &mut Batch) -> Result<(), String> {
        let frames: Vec<_> = batch.frames_for(slot, Protocol::Gomoob).each().collect();
        let mut ticket = Some(reports::ticket(batch, frames.len()));
        for frame in frames {
            let ticket = ticket.take().unwrap_or_default();
            self.unread.push_back((publication_in(&frame)?, ticket));
        }
        Ok(())
    }

    /// Drops what a client has not read, because it is closed as slow.
    pub fn drops_slow(&mut self) {
        self.unread.drain(..).for_each(|(_, mut ticket)| ticket.count_slow());
    }

    /// Returns true if the client has more unread frames than allowed.
    pub fn is_slow(&self) -> bool {
        self.unread.len() > OUTBOX_MAX
    }

    /// Reads all frames sent so far.
    pub fn reads(&mut self, model: &mut Model) -> Result<(), String> {
        self.unread.drain(..).try_for_each(|(no, mut ticket)| {
            model.receives(self.client, no)?;
            ticket.count_written();
            Ok(())
        })
    }
}

/// Returns the number of the publication in a frame. No frame is longer than 65,535 bytes.
fn publication_in(frame: &[u8]) -> Result<PublicationNo, String> {
    let start = if frame[1] < 126 { 2 } else { 4 };
    let text = str::from_utf8(&frame[start..]).map_err(|error| error.to_string())?;
    text.trim().parse().map_err(|_| format!("a client receives {text:?}"))
}
