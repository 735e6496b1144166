//! A client connection in a worker: the frames sent to it and whether it reads them.

use std::collections::VecDeque;

use tagcast::broker_client::fanout::Batch;
use tagcast::broker_client::write_reports::WriteTicket;
use tagcast::protocol::Protocol;
use tagcast::types::{ReplayPosition, Slot};

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
    /// Publications that it has not read.
    unread: VecDeque<Unread>,
    /// `recovery` has not been sent.
    pub is_recovering: bool,
    /// Requests that are in its socket.
    pub requests: VecDeque<Request>,
}

/// A publication in a socket.
#[derive(Debug)]
struct Unread {
    publication: PublicationNo,
    at: Option<ReplayPosition>,
    /// The ticket of its delivery.
    ticket: WriteTicket,
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
        let (phase, reader, is_recovering) = (Phase::Joining, Reader::Reads, false);
        Self { client, phase, reader, unread, is_recovering, requests }
    }

    /// Stores the frames of a batch that are for this client.
    pub fn is_sent(&mut self, slot: Slot, batch: &mut Batch) -> Result<(), String> {
        let frames: Vec<_> = batch.frames_for(slot, Protocol::Gomoob).each().collect();
        let positioned: Vec<_> = batch.frames_for(slot, Protocol::V1).each().collect();
        let mut ticket = Some(reports::ticket(batch, frames.len()));
        for (frame, positioned) in frames.iter().zip(positioned) {
            let ticket = ticket.take().unwrap_or_default();
            let publication = publication_in(frame)?;
            self.unread.push_back(Unread { publication, at: position_in(&positioned), ticket });
        }
        Ok(())
    }

    /// Drops what a client has not read, because it is closed as slow.
    pub fn drops_slow(&mut self) {
        self.unread.drain(..).for_each(|mut it| it.ticket.count_slow());
    }

    /// Returns true if the client has more unread frames than allowed.
    pub fn is_slow(&self) -> bool {
        self.unread.len() > OUTBOX_MAX
    }

    /// Reads all frames sent so far.
    pub fn reads(&mut self, model: &mut Model) -> Result<(), String> {
        self.unread.drain(..).try_for_each(|Unread { publication, at, mut ticket }| {
            model.receives(self.client, publication)?;
            model.program_reads(self.client, publication, at)?;
            ticket.count_written();
            Ok(())
        })
    }

    /// Returns true if it has not read everything.
    pub fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }
}

/// Returns the number of the publication in a frame. No frame is longer than 65,535 bytes.
fn publication_in(frame: &[u8]) -> Result<PublicationNo, String> {
    let start = if frame[1] < 126 { 2 } else { 4 };
    let text = str::from_utf8(&frame[start..]).map_err(|error| error.to_string())?;
    text.trim().parse().map_err(|_| format!("a client receives {text:?}"))
}

/// Returns the position in a frame of `tagcast.v1`.
fn position_in(frame: &[u8]) -> Option<ReplayPosition> {
    let text = String::from_utf8_lossy(frame);
    let (_, rest) = text.split_once(r#""at":""#)?;
    ReplayPosition::read(rest.split('"').next()?)
}
