//! After each piece of work on a connection: what it is watched for, and when it is looked at
//! again.

use std::time::Duration;

use super::outbox::PartKind;
use super::table::DeliveryPath;
use super::{Connection, KeepaliveMode, Phase, SILENT, Watched};
use crate::http::Refusal;
use crate::protocol::phpws;
use crate::reactor::poller::Interest;
use crate::session::Beat;
use crate::types::Slot;
use crate::types::limits::{OUTBOX_STALL, READ_BYTES};
use crate::websocket::write;
use crate::worker::accept::tls_handshakes::Watcher;
use crate::worker::clock::Moment;
use crate::worker::event_loop::{EventLoop, WorkerStage};

use bytes::BytesMut;

/// The smallest step of the worker's clock.
const NEXT_MOMENT: Duration = Duration::from_micros(1);

impl EventLoop {
    /// Puts a connection back after work on it: deliveries take the right way to it, the kernel
    /// reports what it waits for, and a timer stands for its next deadline. One that is gone is
    /// closed here.
    pub(in crate::worker) fn put_back(&mut self, slot: Slot, mut connection: Box<Connection>) {
        if matches!(connection.phase, Phase::Gone) {
            self.forget_outbox(&mut connection);
            self.memory.release(&connection);
            self.books.closed += 1;
            drop(connection);
            self.table.end(slot);
            self.relay.end_connection(slot);
            return;
        }
        let lane = connection.lane();
        if let Some(hot) = self.table.hot_mut(slot) {
            hot.lane = lane;
        }
        self.memory.note(&mut connection);
        self.rewatch_taken(slot, &mut connection);
        self.set_timer(slot, &mut connection);
        self.table.put(slot, connection);
    }

    /// Looks at a connection again because the stage of the worker has changed.
    pub(in crate::worker) fn rewatch(&mut self, slot: Slot) {
        if let Some(connection) = self.table.take(slot) {
            self.put_back(slot, connection);
        }
    }

    fn rewatch_taken(&self, slot: Slot, connection: &mut Connection) {
        let reads = match &connection.phase {
            Phase::Open(_) => {
                connection.stash.is_none() && !matches!(self.stage, WorkerStage::Quiescing { .. })
            }
            // Who waits for the 101 says nothing: not to watch it would cost two system calls of
            // each handshake, and hide that it has gone.
            Phase::Authorizing(asking) => asking.joining.early.len() < READ_BYTES,
            Phase::Joining(joining) => joining.early.len() < READ_BYTES,
            Phase::Gone => false,
            Phase::Head(_)
            | Phase::Closing { .. }
            | Phase::Answering { .. }
            | Phase::Ending { .. } => true,
        };
        let by = if connection.is_shaking_hands() { Watcher::Shaking } else { Watcher::Loop };
        let watched = Watched { reads, writes: connection.is_full, by };
        if connection.watched == watched {
            return;
        }
        let before = std::mem::replace(&mut connection.watched, watched);
        if reads && !before.reads {
            connection.holding.excuse(self.now);
        }
        let interest = match (reads, connection.is_full) {
            (true, true) => Interest::ReadWrite,
            (true, false) => Interest::Read,
            (false, true) => Interest::Write,
            (false, false) => Interest::Nothing,
        };
        if let Some(socket) = self.table.socket(slot) {
            let watch = (slot.0.into(), interest);
            drop(self.watch_again(socket, watch, (before.by, by)));
        }
    }

    /// Sets a timer for the next deadline, unless one stands for an earlier moment. Never for this
    /// moment: who is woken would be woken again in the same turn, and that for ever.
    pub(in crate::worker) fn set_timer(&mut self, slot: Slot, connection: &mut Connection) {
        let at =
            connection.deadline(self.settings.message_timeout).max(self.now.after(NEXT_MOMENT));
        if at < connection.wake_at {
            connection.wake_at = at;
            self.timers.set(at, slot);
        }
    }

    /// Looks at connections whose time has come, as far as the time of this part of the turn allows,
    /// and at the doors.
    pub(in crate::worker) fn wake_due(&mut self) {
        self.reopen();
        let mut part = None;
        while let Some(slot) = self.timers.due(self.now) {
            let part = *part.get_or_insert_with(|| self.part());
            let Some(mut connection) = self.table.take(slot) else { continue };
            if connection.wake_at <= self.now {
                connection.wake_at = Moment::NEVER;
                self.wake(slot, &mut connection);
            }
            self.put_back(slot, connection);
            if self.is_over(part) {
                break;
            }
        }
        for slot in std::mem::take(&mut self.broken) {
            self.drop_connection(slot);
        }
    }

    fn wake(&mut self, slot: Slot, connection: &mut Connection) {
        match &connection.phase {
            Phase::Head(heading) if heading.until <= self.now => {
                self.refuse(slot, connection, &Refusal::TOO_SLOW);
            }
            Phase::Authorizing(asking) if asking.joining.until <= self.now => {
                self.give_up_asking(slot, connection);
            }
            Phase::Joining(joining) if joining.until <= self.now => {
                self.give_up_joining(slot, connection);
            }
            Phase::Answering { until } | Phase::Ending { until } | Phase::Closing { until }
                if *until <= self.now =>
            {
                self.discard(slot, connection, "no end came from the client");
            }
            Phase::Open(_) => self.wake_open(slot, connection),
            _ => self.flush(slot, connection),
        }
    }

    fn wake_open(&mut self, slot: Slot, connection: &mut Connection) {
        self.flush(slot, connection);
        if connection.is_full
            && let Some(outbox) = &connection.outbox
            && outbox.moved_at().after(OUTBOX_STALL) <= self.now
        {
            return self.throw_out(slot, connection);
        }
        if let Some(reason) = self.stuck(connection) {
            return self.fail(slot, connection, &reason);
        }
        if connection.next_beat <= self.now {
            self.beat(slot, connection);
        }
    }

    fn beat(&mut self, slot: Slot, connection: &mut Connection) {
        match connection.sign {
            KeepaliveMode::KeepAlive => return self.keep_alive(slot, connection),
            KeepaliveMode::Pause => return self.on_pause(slot, connection),
            KeepaliveMode::Ping | KeepaliveMode::Kernel => {}
        }
        connection.next_beat = self.now.after(self.settings.ping_every);
        if connection.stash.is_some() {
            // It may have answered: we did not listen.
            connection.heartbeat.heard();
        }
        match connection.heartbeat.beat() {
            Beat::Silent => {
                self.books.silent += 1;
                self.fail(slot, connection, &SILENT);
            }
            Beat::Ping => self.ping(slot, connection),
        }
    }

    fn ping(&mut self, slot: Slot, connection: &mut Connection) {
        let mut frame = BytesMut::new();
        write::ping(&mut frame, phpws::PING);
        self.write(slot, connection, frame.freeze(), PartKind::Frames);
    }

    /// A script that waits with a deadline of its own hears from us, when nothing else is said.
    fn keep_alive(&mut self, slot: Slot, connection: &mut Connection) {
        let quiet = self.settings.php_keepalive;
        let active_at = connection.pace.as_ref().map_or(self.now, |pace| pace.active_at());
        if active_at.after(quiet) <= self.now {
            self.ping(slot, connection);
            connection.next_beat = self.now.after(quiet);
        } else {
            connection.next_beat = active_at.after(quiet);
        }
    }
}

impl Connection {
    /// The way that deliveries take.
    fn lane(&self) -> DeliveryPath {
        let Phase::Open(session) = &self.phase else { return DeliveryPath::Closed };
        match session.speech.dialect() {
            None => DeliveryPath::Closed,
            Some(dialect) if self.outbox.is_some() || !self.is_plain() => {
                DeliveryPath::Queued(dialect)
            }
            Some(dialect) => DeliveryPath::Direct(dialect),
        }
    }

    /// The next moment at which something about it may be due.
    fn deadline(&self, message_timeout: Duration) -> Moment {
        let phase = match &self.phase {
            Phase::Head(heading) => heading.until,
            Phase::Authorizing(asking) => asking.joining.until,
            Phase::Joining(joining) => joining.until,
            Phase::Closing { until } | Phase::Answering { until } | Phase::Ending { until } => {
                *until
            }
            // While nothing is read, nothing can come to its end.
            Phase::Open(_) if !self.watched.reads => self.next_beat,
            Phase::Open(_) => self.next_beat.min(self.holding.due(message_timeout)),
            Phase::Gone => Moment::NEVER,
        };
        // What waits for the broker is looked at when the broker is so far.
        let Some(outbox) = self.outbox.as_ref().filter(|it| !it.is_held()) else { return phase };
        let written = match (&self.pace, outbox.next_kind()) {
            (Some(pace), Some(next)) if !self.is_full => pace.free_at(next),
            _ if matches!(self.phase, Phase::Open(_)) => outbox.moved_at().after(OUTBOX_STALL),
            // Who is being closed has its deadline; that it took nothing was the reason for it.
            _ => return phase,
        };
        phase.min(written)
    }
}
