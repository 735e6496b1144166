//! Writing a turn's publications to the sockets.

use super::fanout::Batch;
use super::hub::Hub;
use super::outbox::{Kind, Sent, send_now};
use super::table::Lane;
use crate::dialect::Dialect;
use crate::types::Slot;

impl Hub {
    /// Writes publications to so many clients, in an order that keeps each publisher's, and gives
    /// slots free that none of what is left names.
    pub(super) fn flush_fanout(&mut self, most: usize) {
        // Taken out, because a delivery may end a connection.
        let mut fanout = self.relay.take_fanout();
        fanout.write_some(most, |slot, batch| self.deliver(slot, batch));
        self.relay.put_fanout(fanout);
    }

    /// The usual recipient costs one look into the dense array and one send.
    fn deliver(&mut self, slot: Slot, batch: &mut Batch) {
        let Some(hot) = self.table.hot.get(slot.0 as usize) else { return };
        let dialect = match hot.lane {
            Lane::Closed => return,
            Lane::Queued(dialect) => return self.deliver_queued(slot, batch, dialect),
            Lane::Direct(dialect) => dialect,
        };
        let Some(socket) = &hot.socket else { return };
        let frames = batch.frames_for(slot, dialect);
        if frames.bytes.is_empty() {
            return;
        }
        match send_now(socket, &frames.bytes) {
            Sent::All => {}
            Sent::Some(taken) => {
                let rest = frames.bytes.slice(taken..);
                if let Some(mut connection) = self.table.take(slot) {
                    connection.is_full = true;
                    connection.outbox(self.now).push(rest, Kind::Frames, self.now);
                    self.put_back(slot, connection);
                }
            }
            Sent::Broken => self.broken.push(slot),
        }
    }

    /// A recipient whose socket is full, who is paced, or who speaks TLS.
    fn deliver_queued(&mut self, slot: Slot, batch: &mut Batch, dialect: Dialect) {
        let Some(mut connection) = self.table.take(slot) else { return };
        let frames = batch.frames_for(slot, dialect);
        let fits = if connection.pace.is_some() {
            frames.each().all(|frame| self.push(&mut connection, frame, Kind::Frames))
        } else {
            frames.bytes.is_empty()
                || self.push(&mut connection, frames.bytes.clone(), Kind::Frames)
        };
        if !fits {
            self.throw_out(slot, &mut connection);
        } else if connection.pace.is_some() || (connection.tls.is_some() && !connection.is_full) {
            self.flush(slot, &mut connection);
        }
        self.put_back(slot, connection);
    }
}
