//! What a client is told about an effect leaves when the broker has carried it out: a client that
//! has read the answer to a command finds the command done.

use bytes::BytesMut;

use super::Connection;
use super::outbox::PartKind;
use crate::broker_client::sync::SyncMark;
use crate::types::Slot;
use crate::worker::event_loop::{EventLoop, WorkerStage};

/// A connection that is told something when the broker is so far.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct DeferredReply {
    mark: SyncMark,
    slot: Slot,
    /// The slot may be another's by then.
    serial: u64,
}

impl EventLoop {
    /// What is said to a client from here on leaves when the broker has done what it was told so
    /// far; what was said before leaves now.
    pub(in crate::worker) fn hold_until_done(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        replies: &mut BytesMut,
    ) {
        let mut mark = self.relay.uplink.mark();
        if matches!(self.stage, WorkerStage::Draining { .. }) {
            mark = mark.and(self.relay.uplink.mark_of_publications());
        }
        self.hold(slot, connection, replies, mark);
    }

    /// Nothing is acknowledged in a drain that could still be lost: the process may end before the
    /// broker has it.
    pub(in crate::worker) fn hold_while_draining(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        replies: &mut BytesMut,
    ) {
        if matches!(self.stage, WorkerStage::Draining { .. }) && !self.relay.uplink.is_quiet() {
            let mark = self.relay.uplink.mark_of_publications();
            self.hold(slot, connection, replies, mark);
        }
    }

    fn hold(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        replies: &mut BytesMut,
        mark: SyncMark,
    ) {
        self.write(slot, connection, replies.split().freeze(), PartKind::Frames);
        if !connection.is_open() {
            return;
        }
        if connection.outbox(self.now).hold(mark, self.now) {
            self.held.push_back(DeferredReply { mark, slot, serial: connection.serial });
        }
    }

    /// Says what was held back, as far as the broker has come and the time of this part of the turn
    /// allows.
    pub(in crate::worker) fn release_held(&mut self) {
        let reached = self.relay.uplink.reached();
        let mut part = None;
        // Who waits again comes behind them.
        for _ in 0..self.held.len() {
            let Some(held) = self.held.pop_front_if(|held| held.mark.is_reached(reached)) else {
                return;
            };
            let part = *part.get_or_insert_with(|| self.part());
            let is_it = |it: &Connection| it.serial == held.serial;
            if self.table.get(held.slot).is_some_and(is_it) {
                self.release(held, reached);
            }
            if self.is_over(part) {
                return;
            }
        }
    }

    fn release(&mut self, held: DeferredReply, reached: SyncMark) {
        let slot = held.slot;
        let Some(mut connection) = self.table.take(slot) else { return };
        if self.relay.uplink.awaits_alias(slot) {
            // It was asked for when another wish was under way, and has only now been passed on.
            let mark = self.relay.uplink.mark();
            if let Some(outbox) = &mut connection.outbox {
                outbox.hold_longer(reached, mark);
            }
            self.held.push_back(DeferredReply { mark, ..held });
        } else {
            if let Some(outbox) = &mut connection.outbox {
                outbox.release(reached, self.now);
            }
            self.flush(slot, &mut connection);
        }
        self.put_back(slot, connection);
    }
}
