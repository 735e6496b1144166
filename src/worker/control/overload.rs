//! Reaction of a worker to scarce memory: it accepts no connections, closes the clients that use
//! the most memory, and denies publications.

use std::collections::BinaryHeap;

use tracing::warn;

use crate::http::{Refusal, RefusalStatus};
use crate::link::control::ChildEvent;
use crate::types::limits::{
    CONNECTION_BYTES, GROWTH_BYTES, HOLDER_BYTES_MIN, LIVENESS_INTERVAL, SEND_BYTES, SHED_BYTES_MIN,
};
use crate::types::{Allowance, Pressure, Slot};
use crate::worker::clock::Moment;
use crate::worker::connection::outbox::{Outbox, OutboxSums};
use crate::worker::connection::table::{ConnectionTable, TableWalk};
use crate::worker::connection::{Connection, Phase, SCARCE, close, readiness, slow_client};
use crate::worker::context::Context;
use crate::worker::control::reusable::{Reusable, resident_bytes};
use crate::worker::handshake;
use crate::worker::handshake::{hello, refusals};

const SCARCE_REFUSAL: Refusal =
    Refusal::new(RefusalStatus::Unavailable, "the server is short of memory: try again later");

/// Memory state of a worker.
#[derive(Debug)]
pub(in crate::worker) struct MemoryAccount {
    /// Memory pressure, and the size up to which this process may grow.
    allowed: Allowance,
    /// Bytes held by connections: the sum of their sizes after the last work on each.
    held: u64,
    /// Sums over their outboxes, recorded at the same moments.
    outboxes: OutboxSums,
    /// Bytes received since the last check of the memory.
    grown: usize,
    reusable: Reusable,
    /// Search for the clients to close, and closing them, until it is complete.
    shedding: Option<Shedding>,
    /// Time at which clients were last closed for memory.
    shed_at: Moment,
}

impl Default for MemoryAccount {
    fn default() -> Self {
        let (allowed, reusable) = (Allowance::default(), Reusable::default());
        let (shedding, shed_at) = (None, Moment::START);
        let outboxes = OutboxSums::default();
        Self { allowed, held: 0, outboxes, grown: 0, reusable, shedding, shed_at }
    }
}

impl MemoryAccount {
    pub(in crate::worker) fn pressure(&self) -> Pressure {
        self.allowed.pressure
    }

    /// Returns the bytes held by connections.
    pub(in crate::worker) fn held(&self) -> u64 {
        self.held
    }

    /// Returns the number of deliveries that wait in outboxes.
    pub(in crate::worker) fn waiting(&self) -> u64 {
        self.outboxes.waiting
    }

    /// Returns the sums over all outboxes.
    pub(in crate::worker) fn outboxes(&self) -> OutboxSums {
        self.outboxes
    }

    /// Returns whether the search for the largest holders is under way. Large messages are not read
    /// meanwhile.
    pub(in crate::worker) fn is_looking_for_holders(&self) -> bool {
        self.shedding.as_ref().is_some_and(|it| !it.walk.is_over())
    }

    /// Records the size of a connection after work on it.
    pub(in crate::worker) fn note(&mut self, connection: &mut Connection) {
        if let Some(outbox) = &mut connection.outbox {
            self.outboxes.note(outbox);
        }
        let held = u32::try_from(connection.held()).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut connection.incomplete.held, held);
        if held != before {
            self.grow(held.saturating_sub(before) as usize);
            self.held = self.held + u64::from(held) - u64::from(before);
        }
    }

    /// Records that a connection no longer has an outbox.
    pub(in crate::worker) fn forget_outbox(&mut self, outbox: &mut Outbox) {
        self.outboxes.forget(outbox);
    }

    /// Records received bytes.
    pub(in crate::worker) fn grow(&mut self, bytes: usize) {
        self.grown += bytes;
    }

    /// Removes the size of a closed connection.
    pub(in crate::worker) fn release(&mut self, connection: &Connection) {
        self.held -= u64::from(connection.incomplete.held);
    }

    /// Returns the reusable bytes of this process, if they must be reported.
    fn reusable_bytes(&mut self, connections: usize) -> Option<u64> {
        self.allowed.resident_max?;
        let resident = resident_bytes()?;
        self.reusable.on_look(resident, self.held + connections as u64 * CONNECTION_BYTES)
    }
}

/// Checks the memory of this process, and reports the reusable bytes to the supervisor.
fn report_reusable(context: &mut Context, connections: &ConnectionTable) {
    if let Some(bytes) = context.memory.reusable_bytes(connections.count()) {
        context.supervisor.report(ChildEvent::Reusable { bytes });
    }
}

/// Applies the supervisor's memory limits. The supervisor measures the memory of all processes.
pub(in crate::worker) fn on_pressure(
    context: &mut Context,
    connections: &mut ConnectionTable,
    allowed: Allowance,
) {
    context.memory.allowed = allowed;
    shed(context, connections);
}

/// Closes more clients while the pressure lasts. It is called less often than the supervisor
/// updates the pressure.
pub(in crate::worker) fn shed_again(context: &mut Context, connections: &mut ConnectionTable) {
    report_reusable(context, connections);
    if context.memory.shed_at.after(LIVENESS_INTERVAL / 2) <= context.clock.now() {
        shed(context, connections);
    }
}

/// Checks the memory early if much was received since the last check. The supervisor checks ten
/// times per second, which may be too late. Without growth the function costs one comparison.
pub(in crate::worker) fn look_early(context: &mut Context, connections: &mut ConnectionTable) {
    if context.memory.grown < GROWTH_BYTES {
        return;
    }
    context.memory.grown = 0;
    let Some(most) = context.memory.allowed.resident_max else { return };
    context.supervisor.report(ChildEvent::Grown);
    let over = resident_bytes().unwrap_or(0).saturating_sub(most);
    let over = over.saturating_sub(context.memory.reusable.bytes());
    if over > 0 {
        begin_shedding(context, connections, SheddingGoal::bytes(over));
    }
    report_reusable(context, connections);
}

/// Closes the clients that use the most memory, until half of the memory of all clients is free.
fn shed(context: &mut Context, connections: &mut ConnectionTable) {
    if context.memory.pressure() < Pressure::Shedding {
        return;
    }
    begin_shedding(context, connections, SheddingGoal::HALF_OF_ALL);
    report_reusable(context, connections);
}

/// Closing of clients for the memory that they hold: first all clients are examined, then the largest
/// holders are closed. Both take several turns if there are many.
#[derive(Debug)]
struct Shedding {
    walk: TableWalk,
    /// Holders found so far, the largest first.
    holders: BinaryHeap<Holder>,
    /// Bytes that they hold in total.
    found: u64,
    goal: SheddingGoal,
}

/// Memory to free: half of what all holders have, a number of bytes, or the larger of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SheddingGoal {
    is_half: bool,
    bytes: u64,
    /// Bytes that remain to be freed. None until all holders were found.
    left: Option<u64>,
}

impl SheddingGoal {
    const HALF_OF_ALL: Self = Self { is_half: true, bytes: 0, left: None };

    fn bytes(bytes: u64) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// Adds another goal. While holders are being closed, another half is not added: the closing is not done
    /// yet, and memory is measured again after it.
    fn raise(&mut self, other: Self) {
        match &mut self.left {
            Some(left) => *left = (*left).max(other.bytes),
            None => {
                self.is_half |= other.is_half;
                self.bytes = self.bytes.max(other.bytes);
            }
        }
    }

    /// Returns the bytes that remain to be freed, given what all holders have.
    fn left(&self, found: u64) -> u64 {
        let half = if self.is_half { found.div_ceil(2) } else { 0 };
        self.left.unwrap_or_else(|| half.max(self.bytes))
    }
}

/// Client and the bytes that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Holder {
    bytes: u64,
    slot: Slot,
    /// Serial number of the connection: its slot may be reused by then.
    serial: u64,
}

/// Starts to close clients. If clients are being closed already, the larger goal applies.
fn begin_shedding(context: &mut Context, connections: &mut ConnectionTable, goal: SheddingGoal) {
    if let Some(shedding) = &mut context.memory.shedding {
        return shedding.goal.raise(goal);
    }
    let (walk, holders) = (connections.walk(), BinaryHeap::new());
    context.memory.shedding = Some(Shedding { walk, holders, found: 0, goal });
    continue_shedding(context, connections);
}

/// Continues to search for the largest holders and to close them, within the time budget of this part of
/// the turn.
pub(in crate::worker) fn continue_shedding(
    context: &mut Context,
    connections: &mut ConnectionTable,
) {
    let Some(mut shedding) = context.memory.shedding.take() else { return };
    let mut part = context.clock.part();
    while let Some(slot) = connections.next_of(&mut shedding.walk) {
        shedding.look_at(context, connections.get(slot));
        if part.is_spent_after(0, || context.clock.time()) && context.clock.is_over(part) {
            context.memory.shedding = Some(shedding);
            return;
        }
    }
    if shedding.goal.left.is_none() {
        shedding.leave_small_holders();
    }
    let mut left = shedding.goal.left(shedding.found);
    while left > 0
        && let Some(holder) = shedding.holders.pop()
    {
        left = left.saturating_sub(close_if_it_holds(context, connections, holder));
        shedding.goal.left = Some(left);
        if left > 0 && context.clock.is_over(part) {
            context.memory.shedding = Some(shedding);
            return;
        }
    }
    context.memory.shed_at = context.clock.now();
    report_reusable(context, connections);
}

impl Shedding {
    fn look_at(&mut self, context: &Context, connection: Option<&Connection>) {
        let Some(connection) = connection else { return };
        let bytes = held_by_client(context, connection) as u64;
        if bytes > HOLDER_BYTES_MIN {
            self.found += bytes;
            self.holders.push(Holder { bytes, slot: connection.slot, serial: connection.serial });
        }
    }

    /// Omits clients with no more than one send, unless together they hold a significant amount.
    fn leave_small_holders(&mut self) {
        if self.found < SHED_BYTES_MIN {
            self.holders.retain(|holder| holder.bytes > SEND_BYTES as u64);
            self.found = self.holders.iter().map(|holder| holder.bytes).sum();
        }
    }
}

/// Returns the bytes held for one client: its connection, tags, aliases, and events for a backend.
fn held_by_client(context: &Context, connection: &Connection) -> usize {
    let events = match connection.uuid() {
        Some(client) if !context.webhooks.is_idle() => context.webhooks.held(client),
        _ => 0,
    };
    connection.held() + context.broker.uplink.held(connection.slot) + events
}

/// Closes a client if it still holds a significant amount. Returns the bytes that it held.
fn close_if_it_holds(
    context: &mut Context,
    connections: &mut ConnectionTable,
    Holder { slot, serial, .. }: Holder,
) -> u64 {
    let Some(connection) = connections.get(slot).filter(|it| it.serial == serial) else { return 0 };
    let bytes = held_by_client(context, connection) as u64;
    if bytes <= HOLDER_BYTES_MIN {
        return bytes;
    }
    if let Some(mut connection) = connections.take(slot) {
        close_holder(context, &mut connection, bytes);
        readiness::rearm(context, connections, connection);
    }
    bytes
}

fn close_holder(context: &mut Context, connection: &mut Connection, bytes: u64) {
    let client = connection.uuid().map(tracing::field::debug);
    let outbox = connection.outbox.as_ref().map_or(0, |outbox| outbox.held_bytes());
    warn!(
        event = "closed_for_memory",
        connection = connection.serial,
        client,
        bytes,
        outbox,
        "closing a connection because memory is scarce"
    );
    context.stats.shed += 1;
    match &connection.phase {
        Phase::Open(_) if outbox as u64 > bytes / 2 => slow_client::close(context, connection),
        Phase::Open(_) => close::close(context, connection, &SCARCE),
        Phase::Greeting(_) => hello::refuse(context, connection, &SCARCE),
        Phase::Joining(_) => handshake::give_up_joining(context, connection),
        Phase::Head(_) | Phase::Authorizing(_) => {
            refusals::refuse(context, connection, &SCARCE_REFUSAL);
        }
        Phase::Closing { .. }
        | Phase::Answering { .. }
        | Phase::Ending { .. }
        | Phase::Piping(_) => {
            close::discard(context, connection, "the server is short of memory");
        }
        Phase::Gone | Phase::HandedOver => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_goal_is_not_added_to_what_is_being_freed() {
        let mut goal = SheddingGoal::HALF_OF_ALL;
        goal.raise(SheddingGoal::bytes(30));
        assert_eq!((goal.left(100), goal.left(40)), (50, 30), "the larger of both");
        goal.left = Some(10);
        goal.raise(SheddingGoal::HALF_OF_ALL);
        assert_eq!(goal.left(100), 10);
        goal.raise(SheddingGoal::bytes(20));
        assert_eq!(goal.left(100), 20);
    }
}
