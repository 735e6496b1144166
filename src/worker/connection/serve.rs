//! Sockets in fair turns: each is served for its share, and waits after the others with what is left.

use super::fair_queue::{FairQueue, Standing, Weight, WorkClock};
use super::table::ConnectionTable;
use super::{Connection, PendingInput, read, write};
use crate::reactor::poller::Ready;
use crate::types::limits::{
    CROWD, CROWDED_READ_BYTES, HEAVY_SHARE, LIGHT_SHARE, READ_BYTES, TURN_PART, UNIT_WORK,
};
use crate::types::{Slot, TurnBudget};
use crate::worker::clock::{Moment, TurnClock};
use crate::worker::context::Context;
use crate::worker::control::overload;
use crate::worker::tokens::Token;

/// The connections that wait for their turn, and what the one that is served has taken of it.
#[derive(Debug, Default)]
pub(in crate::worker) struct ServeQueue {
    /// How far the work for connections has come.
    work_clock: WorkClock,
    waiting: FairQueue<Waiter>,
    /// Connections that wait for room in the window (rule L4).
    paused: FairQueue<Slot>,
    /// What the connection that is served may take before it waits after the others.
    share: TurnBudget,
    /// Where its work began, in the time of the work clock.
    start: u64,
    /// What was done for it so far, in bytes; each message counts for [`UNIT_WORK`] more.
    work: usize,
}

/// A connection that waits to be served.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    slot: Slot,
    event: Ready,
    /// Which connection: its slot may be another one's by then.
    serial: u64,
}

impl ServeQueue {
    /// Whether a connection waits to be served.
    pub(in crate::worker) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A turn begins.
    pub(in crate::worker) fn begin_turn(&mut self, now: Moment) {
        self.work_clock.turn(now, self.waiting.len() + self.paused.len());
    }

    /// Notes that a socket is ready. The kernel reports it at each wait; it waits once.
    fn push(&mut self, connection: &mut Connection, event: Ready) {
        if !std::mem::replace(&mut connection.is_waiting, true) {
            let waiter = Waiter { slot: connection.slot, event, serial: connection.serial };
            let (start, weight) = self.place(connection);
            self.waiting.push(waiter, start, weight, self.work_clock);
        }
    }

    /// Keeps what is left of one read when the share of its connection is used up. It is not read
    /// further until that is served.
    pub(in crate::worker) fn keep_rest(&mut self, connection: &mut Connection, rest: &[u8]) {
        connection.pending_input =
            Some(Box::new(PendingInput { message: None, rest: rest.to_vec() }));
        if !std::mem::replace(&mut connection.is_waiting, true) {
            let (slot, serial) = (connection.slot, connection.serial);
            let token = Token::Slot(slot).into();
            let event = Ready { token, readable: true, writable: false, broken: false };
            let (waiter, start) = (Waiter { slot, event, serial }, self.start_of_rest());
            self.waiting.push(waiter, start, Weight::Heavy, self.work_clock);
        }
    }

    /// A connection waits until its message can be taken.
    pub(in crate::worker) fn pause(&mut self, connection: &Connection) {
        let (start, weight) = self.place(connection);
        self.paused.push(connection.slot, start, weight, self.work_clock);
    }

    /// The same for the connection that is served.
    pub(in crate::worker) fn pause_served(&mut self, connection: &Connection) {
        let (start, weight) = (self.start_of_rest(), connection.weight(self.work_clock));
        self.paused.push(connection.slot, start, weight, self.work_clock);
    }

    /// Where the next work of a connection begins, and how heavy it is.
    fn place(&self, connection: &Connection) -> (u64, Weight) {
        (connection.usage.start(self.work_clock), connection.weight(self.work_clock))
    }

    /// Where the work begins that is left of the connection which is served.
    fn start_of_rest(&self) -> u64 {
        let work = u64::try_from(self.work).unwrap_or(u64::MAX);
        self.start.saturating_add(work).min(self.work_clock.most())
    }

    pub(in crate::worker) fn has_paused(&self) -> bool {
        !self.paused.is_empty()
    }

    /// The next paused connection, with its place in the queue.
    pub(in crate::worker) fn next_paused(&mut self) -> Option<(Slot, Standing)> {
        self.paused.pop_first()
    }

    /// There was no room for this one after all: it keeps its place.
    pub(in crate::worker) fn pause_again(&mut self, slot: Slot, standing: Standing) {
        self.paused.put_back(slot, standing);
    }

    /// A connection whose work starts here has its share from now on.
    pub(in crate::worker) fn begin_share(&mut self, start: u64, share: TurnBudget) {
        (self.start, self.share, self.work) = (start, share, 0);
    }

    /// The virtual time advances to the work that is served now.
    pub(in crate::worker) fn advance(&mut self) {
        let waiting = self.waiting.next_start().min(self.paused.next_start());
        self.work_clock.advance_to(self.start.min(waiting));
    }

    /// Notes what was done for the connection that was served.
    pub(in crate::worker) fn note_served(&mut self, connection: &mut Connection) {
        connection.usage.note(self.start, self.work, &mut self.work_clock);
    }

    /// Notes one message, or one frame, of so many bytes.
    pub(in crate::worker) fn note_work(&mut self, bytes: usize) {
        self.work += bytes + UNIT_WORK;
    }

    /// Whether the share is used up after so many more bytes.
    pub(in crate::worker) fn is_share_spent(&mut self, bytes: usize, clock: &TurnClock) -> bool {
        self.share.is_spent_after(bytes, || clock.time())
    }

    /// How much is read from one socket now.
    pub(in crate::worker) fn read_bytes(&self) -> usize {
        if self.waiting.len() < CROWD { READ_BYTES } else { CROWDED_READ_BYTES }
    }
}

/// Takes up what the last wait found, and serves the connections that take little of the worker's
/// time.
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

/// Serves the others. Publishers that wait for the window had their turn before: otherwise what
/// room there is would be taken by senders that never pause.
pub(in crate::worker) fn serve_heavy(context: &mut Context, connections: &mut ConnectionTable) {
    if context.serving.waiting.has(Weight::Heavy) {
        // What the light ones have published does not wait for this.
        context.broker.write();
        serve_part(context, connections, Weight::Heavy);
    }
}

/// Serves connections of one weight for a part of the turn, one at least.
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
