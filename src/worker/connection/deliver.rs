//! Writing a turn's publications to the sockets.

use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::outbox::{OutboxPart, Sent, send_now};
use super::table::DeliveryPath;
use crate::broker_client::fanout::Batch;
use crate::protocol::Dialect;
use crate::types::Slot;
use crate::worker::event_loop::EventLoop;

impl EventLoop {
    /// Writes publications to so many clients, as far as the time of this part of the turn allows, in
    /// an order that keeps each publisher's, and gives slots free that none of what is left names.
    pub(in crate::worker) fn flush_fanout(&mut self, most: usize) {
        // Taken out, because a delivery may end a connection.
        let mut fanout = self.relay.take_fanout();
        if !fanout.is_empty() {
            let mut part = self.part();
            fanout.write_some(most, |slot, batch| {
                let bytes = self.deliver(slot, batch);
                match part.is_spent_after(bytes, || self.clock.time()) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
        }
        self.relay.put_fanout(fanout);
    }

    /// Writes to one client, which ends, what waits for it.
    pub(in crate::worker) fn flush_fanout_for(&mut self, slot: Slot) {
        let mut fanout = self.relay.take_fanout();
        fanout.write_for(slot, |slot, batch| {
            self.deliver(slot, batch);
        });
        self.relay.put_fanout(fanout);
    }

    /// The usual recipient costs one look into the dense array and one send. Tells how many bytes were
    /// to be written.
    fn deliver(&mut self, slot: Slot, batch: &mut Batch) -> usize {
        let Some(hot) = self.table.hot.get(slot.0 as usize) else { return 0 };
        let dialect = match hot.lane {
            DeliveryPath::Closed => {
                self.miss(batch.count_for(slot));
                return 0;
            }
            DeliveryPath::Queued(dialect) => return self.deliver_queued(slot, batch, dialect),
            DeliveryPath::Direct(dialect) => dialect,
        };
        let Some(socket) = &hot.socket else { return 0 };
        let frames = batch.frames_for(slot, dialect);
        let bytes = frames.bytes.len();
        if bytes == 0 {
            return 0;
        }
        let count = frames.count();
        self.books.matched += u64::from(count);
        match send_now(socket, &frames.bytes) {
            Sent::All => self.books.delivered += u64::from(count),
            Sent::Some(taken) => {
                let rest = OutboxPart::deliveries(frames.bytes.slice(taken..), count);
                if let Some(mut connection) = self.table.take(slot) {
                    connection.is_full = true;
                    let outbox = connection.outbox(self.now);
                    outbox.push(rest, self.now);
                    let waiting = outbox.bytes();
                    self.note_outbox(slot, waiting);
                    if self.drops_slow(&connection) {
                        self.drop_slow(slot, &mut connection);
                    }
                    self.put_back(slot, connection);
                }
            }
            Sent::Broken => {
                self.books.missed += u64::from(count);
                self.broken.push(slot);
            }
        }
        bytes
    }

    /// Publications for a client that ends, or has ended.
    fn miss(&mut self, count: u64) {
        self.books.matched += count;
        self.books.missed += count;
    }

    /// A recipient whose socket is full, who is paced, or who speaks TLS.
    fn deliver_queued(&mut self, slot: Slot, batch: &mut Batch, dialect: Dialect) -> usize {
        let Some(mut connection) = self.table.take(slot) else { return 0 };
        let frames = batch.frames_for(slot, dialect);
        let bytes = frames.bytes.len();
        let count = u64::from(frames.count());
        self.books.matched += count;
        let parts: SmallVec<[OutboxPart; 1]> = if connection.pace.is_some() {
            frames.each().map(|frame| OutboxPart::deliveries(frame, 1)).collect()
        } else {
            let all =
                (count > 0).then(|| OutboxPart::deliveries(frames.bytes.clone(), frames.count()));
            all.into_iter().collect()
        };
        let waited = connection.outbox.as_ref().map_or(0, |outbox| outbox.waiting());
        if !parts.into_iter().all(|part| self.push(&mut connection, part)) {
            let waits = connection.outbox.as_ref().map_or(0, |outbox| outbox.waiting());
            self.books.missed += count - (waits - waited);
            self.throw_out(slot, &mut connection);
        } else if connection.pace.is_some() || (!connection.is_full && !connection.is_plain()) {
            self.flush(slot, &mut connection);
            if connection.is_full && self.drops_slow(&connection) {
                self.drop_slow(slot, &mut connection);
            }
        }
        self.note_outbox(slot, connection.outbox.as_ref().map_or(0, |outbox| outbox.bytes()));
        self.put_back(slot, connection);
        bytes
    }
}
