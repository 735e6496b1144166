//! Writes a turn's publications to the sockets.

use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::backlog::BacklogPacing;
use super::outbox::{OutboxPart, Sent, send_now};
use super::table::{ConnectionTable, DeliveryPath};
use super::{readiness, slow_client, write};
use crate::broker_client::fanout::Batch;
use crate::broker_client::write_reports::WriteTicket;
use crate::protocol::Protocol;
use crate::types::Slot;
use crate::types::limits::SEND_BYTES_MAX;
use crate::worker::context::Context;

/// State that a delivery needs.
pub(in crate::worker) struct Delivery<'a> {
    pub(in crate::worker) context: &'a mut Context,
    pub(in crate::worker) connections: &'a mut ConnectionTable,
    pub(in crate::worker) backlog: &'a mut BacklogPacing,
}

impl Delivery<'_> {
    /// Writes publications to at most `clients_max` clients, within the time budget of this part of
    /// the turn. Keeps the order of each publisher. Afterwards, slots that no remaining publication
    /// names can be reused.
    pub(in crate::worker) fn flush(&mut self, clients_max: usize) {
        // Taken out of the context, because a delivery may close a connection.
        let mut fanout = self.context.broker.take_fanout();
        if !fanout.is_empty() {
            let mut part = self.context.clock.part();
            fanout.write_some(clients_max, |slot, batch| {
                let bytes = self.deliver_any(slot, batch);
                match part.is_spent_after(bytes, || self.context.clock.time()) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
        }
        self.context.broker.put_fanout(fanout);
    }

    /// Writes all waiting publications for one client, which is closing.
    pub(in crate::worker) fn flush_for(&mut self, slot: Slot) {
        let mut fanout = self.context.broker.take_fanout();
        fanout.write_for(slot, |slot, batch| {
            self.deliver_any(slot, batch);
        });
        self.context.broker.put_fanout(fanout);
    }

    #[inline]
    fn deliver_any(&mut self, slot: Slot, batch: &mut Batch) -> usize {
        let bytes = match batch.tracking() {
            None => self.deliver(slot, batch),
            Some(_) => self.deliver_tracked(slot, batch),
        };
        self.context.labelled.bytes_out += bytes as u64;
        if let Some(number) = batch.timed.take() {
            let now = self.context.clock.read();
            self.context.labelled.note_first_write(number, now);
        }
        bytes
    }

    /// Delivers a batch to one client and returns the number of bytes to write. The common case
    /// costs one lookup in the dense array and one send.
    pub(super) fn deliver(&mut self, slot: Slot, batch: &mut Batch) -> usize {
        let stats = &mut self.context.stats;
        let Some(entry) = self.context.sockets.entry(slot) else { return 0 };
        let protocol = match entry.path {
            DeliveryPath::Closed => {
                let count = batch.count_for(slot);
                stats.matched += count;
                stats.missed += count;
                return 0;
            }
            DeliveryPath::Queued(protocol) => {
                return self.deliver_queued(slot, batch, protocol, WriteTicket::default());
            }
            DeliveryPath::Direct(protocol) => protocol,
        };
        let Some(socket) = &entry.socket else { return 0 };
        let frames = batch.frames_for(slot, protocol);
        let bytes = frames.bytes.len();
        if bytes == 0 {
            return 0;
        }
        if bytes > SEND_BYTES_MAX {
            return self.deliver_queued(slot, batch, protocol, WriteTicket::default());
        }
        let count = frames.count();
        stats.matched += u64::from(count);
        self.context.applications.note(entry.application, |it| {
            it.deliveries += u64::from(count);
            it.bytes_out += bytes as u64;
        });
        match send_now(socket, &frames.bytes) {
            Sent::All => stats.delivered += u64::from(count),
            Sent::Some(taken) => {
                self.keep(slot, OutboxPart::deliveries(frames.bytes.slice(taken..), count));
            }
            Sent::Broken => {
                stats.missed += u64::from(count);
                let serial = self.connections.get(slot).map_or(0, |connection| connection.serial);
                self.context.sockets.note_broken(slot, serial);
            }
        }
        bytes
    }

    /// Queues the bytes that a full socket did not accept.
    fn keep(&mut self, slot: Slot, rest: OutboxPart) {
        let Some(mut connection) = self.connections.take(slot) else { return };
        let now = self.context.clock.now();
        connection.is_full = true;
        let outbox = connection.outbox(now);
        outbox.push(rest, now);
        let bytes = outbox.bytes();
        self.note_outbox(slot, bytes);
        if slow_client::is_dropped(self.context, &connection) {
            slow_client::drop_connection(self.context, &mut connection);
        }
        readiness::rearm(self.context, self.connections, connection);
    }

    /// Delivers to a client with an outbox: its socket is full, it is paced, or it uses TLS. If there is a
    /// ticket, the delivery is counted for a report, and the client may have no outbox yet.
    pub(super) fn deliver_queued(
        &mut self,
        slot: Slot,
        batch: &mut Batch,
        protocol: Protocol,
        ticket: WriteTicket,
    ) -> usize {
        let Some(mut connection) = self.connections.take(slot) else { return 0 };
        let context = &mut *self.context;
        let frames = batch.frames_for(slot, protocol);
        let bytes = frames.bytes.len();
        let count = u64::from(frames.count());
        context.stats.matched += count;
        context.applications.note(context.sockets.application(slot), |it| {
            it.deliveries += count;
            it.bytes_out += bytes as u64;
        });
        let mut ticket = Some(ticket);
        let is_first = connection.outbox.is_none();
        let parts: SmallVec<[OutboxPart; 1]> = if connection.pacer.is_some() {
            frames.each().map(|frame| OutboxPart::deliveries(frame, 1)).collect()
        } else {
            let all =
                (count > 0).then(|| OutboxPart::deliveries(frames.bytes.clone(), frames.count()));
            all.into_iter().collect()
        };
        let waited = connection.waiting();
        let mut counted = |part: OutboxPart| match ticket.take() {
            Some(ticket) => part.counted(ticket),
            None => part,
        };
        if !parts.into_iter().all(|part| write::push(context, &mut connection, counted(part))) {
            context.stats.missed += count - (connection.waiting() - waited);
            slow_client::close(context, &mut connection);
        } else if connection.pacer.is_some()
            || (!connection.is_full && (is_first || !connection.is_plain()))
        {
            write::flush(context, &mut connection);
            if connection.is_full && slow_client::is_dropped(context, &connection) {
                slow_client::drop_connection(context, &mut connection);
            }
        }
        let waiting = connection.outbox.as_ref().map_or(0, |outbox| outbox.bytes());
        self.note_outbox(slot, waiting);
        readiness::rearm(self.context, self.connections, connection);
        bytes
    }

    fn note_outbox(&mut self, slot: Slot, bytes: usize) {
        let bytes_max = self.context.settings.outbox_bytes_max;
        self.backlog.note_outbox(slot, bytes, bytes_max, self.context.clock.now());
    }
}
