//! Fair service of sockets. Each is served for its share, then waits behind the others with the
//! rest.

use std::collections::VecDeque;

use super::fair_queue::{FairQueue, Weight, WorkClock};
use super::paused_queue::PausedQueue;
use super::table::ConnectionTable;
use super::{Connection, PendingInput, read, write};
use crate::reactor::poller::Ready;
use crate::types::limits::{
    HEAVY_SHARE, LIGHT_SHARE, MANY_WAITING, READ_BYTES, READ_BYTES_MANY_WAITING, TURN_PART,
    UNIT_WORK,
};
use crate::types::{Slot, Tenant, TurnBudget};
use crate::worker::clock::{Moment, TurnClock};
use crate::worker::context::Context;
use crate::worker::control::overload;
use crate::worker::tokens::Token;

/// Connections that wait to be served, and the share of the one being served.
#[derive(Debug, Default)]
pub(in crate::worker) struct ServeQueue {
    /// Virtual clock of the work.
    work_clock: WorkClock,
    waiting: FairQueue<Waiter>,
    /// Connections whose handshake is not answered, in the order in which they became ready. Each of them is
    /// new, so in the queue above it would come before all clients that have sent something.
    opening: VecDeque<Waiter>,
    /// Connections that wait for room in the send window (rule L4).
    pub(in crate::worker) paused: PausedQueue,
    /// Connections whose large message waits to be read on another thread, with their serial numbers.
    large: FairQueue<(Slot, u64)>,
    /// Budget of the connection that is being served.
    share: TurnBudget,
    /// Start of its work in virtual time.
    start: u64,
    /// Work done for it so far, in bytes. Each message counts for [`UNIT_WORK`] bytes more.
    work: usize,
}

/// Connection that waits to be served.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    slot: Slot,
    event: Ready,
    /// Identifies the connection, because its slot may be reused.
    serial: u64,
}

impl ServeQueue {
    /// Returns true if a connection waits to be served.
    pub(in crate::worker) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty() || !self.opening.is_empty()
    }

    /// Starts a turn.
    pub(in crate::worker) fn begin_turn(&mut self, now: Moment) {
        let waiting = self.waiting.len() + self.paused.tenants() + self.large.len();
        self.work_clock.turn(now, waiting);
    }

    /// Queues a ready connection. The kernel reports it at each wait, but it is queued once.
    fn push(&mut self, connection: &mut Connection, event: Ready) {
        if !std::mem::replace(&mut connection.is_waiting, true) {
            let waiter = Waiter { slot: connection.slot, event, serial: connection.serial };
            if connection.is_opening() {
                return self.opening.push_back(waiter);
            }
            let (start, weight) = self.place(connection);
            self.waiting.push(waiter, start, weight, self.work_clock);
        }
    }

    /// Keeps the rest of a read when the share of its connection is used up. The socket is not read
    /// until the rest is processed.
    pub(in crate::worker) fn keep_rest(&mut self, connection: &mut Connection, rest: &[u8]) {
        connection.pending_input =
            Some(Box::new(PendingInput { message: None, rest: rest.to_vec() }));
        if !std::mem::replace(&mut connection.is_waiting, true) {
            let (slot, serial) = (connection.slot, connection.serial);
            let token = Token::Slot(slot).into();
            let event =
                Ready { token, readable: true, writable: false, ended: false, broken: false };
            let (waiter, start) = (Waiter { slot, event, serial }, self.start_of_rest());
            self.waiting.push(waiter, start, Weight::Heavy, self.work_clock);
        }
    }

    /// Queues a connection that publishes in a tenant until its message fits in the send window.
    pub(in crate::worker) fn pause(&mut self, connection: &Connection, tenant: &Tenant) {
        let (start, weight) = self.place(connection);
        let (slot, clock) = (connection.slot, self.work_clock);
        self.paused.push_with(tenant, start, |queue| queue.push(slot, start, weight, clock));
    }

    /// Queues the connection that is being served until its message fits in the send window.
    pub(in crate::worker) fn pause_served(&mut self, connection: &Connection, tenant: &Tenant) {
        let (start, weight) = (self.start_of_rest(), connection.weight(self.work_clock));
        let (slot, clock) = (connection.slot, self.work_clock);
        self.paused.push_with(tenant, start, |queue| queue.push(slot, start, weight, clock));
    }

    /// Queues a connection until its large message can be read.
    pub(in crate::worker) fn push_large(&mut self, connection: &Connection) {
        let start = connection.usage.start(self.work_clock);
        let waiter = (connection.slot, connection.serial);
        self.large.push(waiter, start, Weight::Heavy, self.work_clock);
    }

    /// Removes the next connection with a large message.
    pub(in crate::worker) fn next_large(&mut self) -> Option<(Slot, u64)> {
        self.large.pop_first().map(|(waiter, _)| waiter)
    }

    pub(in crate::worker) fn has_large(&self) -> bool {
        !self.large.is_empty()
    }

    /// Returns the start of a connection's next work, and its weight.
    fn place(&self, connection: &Connection) -> (u64, Weight) {
        (connection.usage.start(self.work_clock), connection.weight(self.work_clock))
    }

    /// Returns the start of the remaining work of the connection that is being served.
    fn start_of_rest(&self) -> u64 {
        self.start.saturating_add(self.work()).min(self.work_clock.most())
    }

    /// Returns the work done for the connection that is being served, in bytes, plus [`UNIT_WORK`] for each
    /// message.
    pub(in crate::worker) fn work(&self) -> u64 {
        u64::try_from(self.work).unwrap_or(u64::MAX)
    }

    /// Starts the share of a connection. `start` is the start of its work in virtual time.
    pub(in crate::worker) fn begin_share(&mut self, start: u64, share: TurnBudget) {
        (self.start, self.share, self.work) = (start, share, 0);
    }

    /// Starts the share of a connection that is served out of turn, because its message was read.
    pub(in crate::worker) fn begin_share_of(&mut self, connection: &Connection, share: TurnBudget) {
        self.begin_share(connection.usage.start(self.work_clock), share);
    }

    /// Advances the virtual time to the work that is being served.
    pub(in crate::worker) fn advance(&mut self) {
        let waiting = self.waiting.next_start().min(self.paused.next_start());
        self.work_clock.advance_to(self.start.min(waiting));
    }

    /// Adds the work of the finished share to the connection.
    pub(in crate::worker) fn note_served(&mut self, connection: &mut Connection) {
        connection.usage.note(self.start, self.work, &mut self.work_clock);
    }

    /// Counts the work of one message or frame.
    pub(in crate::worker) fn note_work(&mut self, bytes: usize) {
        self.work += bytes + UNIT_WORK;
    }

    /// Returns true if the share is used up after `bytes` more bytes.
    pub(in crate::worker) fn is_share_spent(&mut self, bytes: usize, clock: &TurnClock) -> bool {
        self.share.is_spent_after(bytes, || clock.time())
    }

    /// Returns how many bytes to read from one socket. The number is smaller when many connections
    /// wait.
    pub(in crate::worker) fn read_bytes(&self) -> usize {
        if self.waiting.len() < MANY_WAITING { READ_BYTES } else { READ_BYTES_MANY_WAITING }
    }
}

/// Queues the sockets that the last wait reported, and serves the light connections.
pub(in crate::worker) fn serve_light(
    context: &mut Context,
    connections: &mut ConnectionTable,
    ready: &[Ready],
) {
    for event in ready {
        if let Some(Token::Slot(slot)) = Token::of(event.token)
            && let Some(connection) = connections.get_mut(slot)
        {
            context.serving.push(connection, *event);
        }
    }
    if context.serving.waiting.has(Weight::Light) {
        serve_part(context, connections, Weight::Light);
    }
}

/// Serves the heavy connections. Publishers that wait for the send window are served before them.
/// Otherwise senders that never pause would use up all room in it.
pub(in crate::worker) fn serve_heavy(context: &mut Context, connections: &mut ConnectionTable) {
    if context.serving.waiting.has(Weight::Heavy) {
        // Publications of light connections go to the broker before the heavy connections are
        // served.
        context.broker.write();
        serve_part(context, connections, Weight::Heavy);
    }
}

/// Serves connections of one weight within the budget of a part of the turn, at least one.
fn serve_part(context: &mut Context, connections: &mut ConnectionTable, weight: Weight) {
    let mut now = context.clock.read();
    let part = TurnBudget::new(now.time(), TURN_PART);
    let share = match weight {
        Weight::Light => LIGHT_SHARE,
        Weight::Heavy => HEAVY_SHARE,
    };
    while let Some((waiter, start)) = context.serving.waiting.pop(weight) {
        context.serving.begin_share(start, TurnBudget::new(now.time(), share));
        context.serving.advance();
        now = serve_waiter(context, connections, waiter, now);
        if part.is_spent(now.time()) {
            return;
        }
    }
}

/// Reads requests for a handshake within the budget of a part of the turn, at least one. The check of a
/// token in one may take as long as a hundred small messages.
pub(in crate::worker) fn serve_openings(context: &mut Context, connections: &mut ConnectionTable) {
    if context.serving.opening.is_empty() {
        return;
    }
    let mut now = context.clock.read();
    let part = TurnBudget::new(now.time(), TURN_PART);
    while let Some(waiter) = context.serving.opening.pop_front() {
        if let Some(connection) = connections.get_mut(waiter.slot) {
            let share = TurnBudget::new(now.time(), LIGHT_SHARE);
            context.serving.begin_share_of(connection, share);
        }
        now = serve_waiter(context, connections, waiter, now);
        if part.is_spent(now.time()) {
            return;
        }
    }
}

fn serve_waiter(
    context: &mut Context,
    connections: &mut ConnectionTable,
    Waiter { slot, event, serial }: Waiter,
    since: Moment,
) -> Moment {
    let Some(connection) = connections.get_mut(slot).filter(|it| it.serial == serial) else {
        return since;
    };
    connection.is_waiting = false;
    serve_socket(context, connections, slot, event);
    let now = context.clock.read();
    if let Some(connection) = connections.get_mut(slot).filter(|it| it.serial == serial) {
        context.serving.note_served(connection);
    }
    now
}

/// Serves one socket.
pub(in crate::worker) fn serve_socket(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
    event: Ready,
) {
    if event.writable {
        write::flush_outbox(context, connections, slot);
    }
    if event.readable {
        read::read_socket(context, connections, slot, event);
    }
    overload::look_early(context, connections);
}
