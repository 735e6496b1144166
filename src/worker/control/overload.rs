//! What a worker does when memory becomes scarce: it accepts no connection, closes the clients that hold
//! the most, and denies publications.

use std::cmp::Reverse;
use std::fs;

use tracing::warn;

use crate::http::{Refusal, RefusalStatus};
use crate::link::control::ChildEvent;
use crate::types::limits::{
    BEAT_EVERY, CONNECTION_BYTES, GROWTH_BYTES, HOLDER_BYTES_MIN, PAGE_BYTES, SEND_BYTES,
    SHED_BYTES_MIN,
};
use crate::types::{Allowance, Pressure, Slot};
use crate::worker::clock::Moment;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{Connection, Phase, SCARCE, close, readiness};
use crate::worker::context::Context;
use crate::worker::handshake;
use crate::worker::handshake::refusals;

const SCARCE_REFUSAL: Refusal =
    Refusal::new(RefusalStatus::Unavailable, "the server is short of memory: try again later");

/// What a worker knows of the memory.
#[derive(Debug)]
pub(in crate::worker) struct MemoryAccount {
    /// How scarce it is, and how far the worker may grow.
    allowed: Allowance,
    /// Bytes that the connections hold: the sum of what each held when it was put back.
    held: u64,
    /// What they have taken in since the memory was looked at for it.
    grown: usize,
    reusable: Reusable,
    /// When clients were closed last.
    shed_at: Moment,
}

impl Default for MemoryAccount {
    fn default() -> Self {
        let (allowed, reusable) = (Allowance::default(), Reusable::default());
        Self { allowed, held: 0, grown: 0, reusable, shed_at: Moment::START }
    }
}

impl MemoryAccount {
    pub(in crate::worker) fn pressure(&self) -> Pressure {
        self.allowed.pressure
    }

    /// Bytes that the connections hold.
    pub(in crate::worker) fn held(&self) -> u64 {
        self.held
    }

    /// Notes what a connection holds after work on it.
    pub(in crate::worker) fn note(&mut self, connection: &mut Connection) {
        let held = u32::try_from(connection.held()).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut connection.incomplete.held, held);
        if held != before {
            self.grow(held.saturating_sub(before) as usize);
            self.held = self.held + u64::from(held) - u64::from(before);
        }
    }

    /// Notes what was taken in.
    pub(in crate::worker) fn grow(&mut self, bytes: usize) {
        self.grown += bytes;
    }

    /// Notes the end of a connection.
    pub(in crate::worker) fn release(&mut self, connection: &Connection) {
        self.held -= u64::from(connection.incomplete.held);
    }

    /// Bytes of this process that can be used again, when they are to be reported.
    fn reusable_bytes(&mut self, connections: usize) -> Option<u64> {
        self.allowed.resident_max?;
        let resident = resident_bytes()?;
        self.reusable.on_look(resident, self.held + connections as u64 * CONNECTION_BYTES)
    }
}

/// Looks at the memory of this process, and reports to the supervisor how much of it can be used again.
fn report_reusable(context: &mut Context, connections: &ConnectionTable) {
    if let Some(bytes) = context.memory.reusable_bytes(connections.count()) {
        context.supervisor.report(ChildEvent::Reusable { bytes });
    }
}

/// The supervisor has looked at the memory of all processes.
pub(in crate::worker) fn on_pressure(
    context: &mut Context,
    connections: &mut ConnectionTable,
    allowed: Allowance,
) {
    context.memory.allowed = allowed;
    shed(context, connections);
}

/// Memory is still scarce, as far as is known: the supervisor looks more often than this comes.
pub(in crate::worker) fn shed_again(context: &mut Context, connections: &mut ConnectionTable) {
    report_reusable(context, connections);
    if context.memory.shed_at.after(BEAT_EVERY / 2) <= context.clock.now() {
        shed(context, connections);
    }
}

/// Looks at the memory when much was taken in since the last look: what the supervisor sees ten
/// times a second may be too late. Costs one comparison where nothing has grown.
pub(in crate::worker) fn look_early(context: &mut Context, connections: &mut ConnectionTable) {
    if context.memory.grown < GROWTH_BYTES {
        return;
    }
    context.memory.grown = 0;
    let Some(most) = context.memory.allowed.resident_max else { return };
    context.supervisor.report(ChildEvent::Grown);
    let over = resident_bytes().unwrap_or(0).saturating_sub(most);
    let over = over.saturating_sub(context.memory.reusable.bytes);
    if over > 0 {
        let holders = holders(context, connections);
        close_largest(context, connections, holders, over);
    }
    report_reusable(context, connections);
}

/// Closes the clients that hold the most, until half of what all hold is free.
fn shed(context: &mut Context, connections: &mut ConnectionTable) {
    if context.memory.pressure() < Pressure::Shedding {
        return;
    }
    let holders = holders(context, connections);
    let all: u64 = holders.iter().map(|holder| holder.bytes).sum();
    close_largest(context, connections, holders, all.div_ceil(2));
    context.memory.shed_at = context.clock.now();
    report_reusable(context, connections);
}

/// A client, and the bytes that it holds.
#[derive(Clone, Copy, Debug)]
struct Holder {
    slot: Slot,
    bytes: u64,
}

/// The clients that hold something, the largest first. What one send takes is not a backlog, unless there
/// are so many of those that together they matter.
fn holders(context: &Context, connections: &ConnectionTable) -> Vec<Holder> {
    let holder =
        |it: &Connection| Holder { slot: it.slot, bytes: held_by_client(context, it) as u64 };
    let mut all: Vec<_> = connections.connections().map(holder).collect();
    all.retain(|holder| holder.bytes > HOLDER_BYTES_MIN);
    if all.iter().map(|holder| holder.bytes).sum::<u64>() < SHED_BYTES_MIN {
        all.retain(|holder| holder.bytes > SEND_BYTES as u64);
    }
    all.sort_unstable_by_key(|holder| Reverse(holder.bytes));
    all
}

/// Bytes that one client holds: those of its connection, its tags and aliases, and its events
/// for a backend.
fn held_by_client(context: &Context, connection: &Connection) -> usize {
    let events = match connection.uuid() {
        Some(client) if !context.webhooks.is_idle() => context.webhooks.held(client),
        _ => 0,
    };
    connection.held() + context.broker.uplink.held(connection.slot) + events
}

fn close_largest(
    context: &mut Context,
    connections: &mut ConnectionTable,
    holders: Vec<Holder>,
    mut left: u64,
) {
    for Holder { slot, bytes } in holders {
        if left == 0 {
            return;
        }
        left = left.saturating_sub(bytes);
        if let Some(mut connection) = connections.take(slot) {
            close_holder(context, &mut connection, bytes);
            readiness::rearm(context, connections, connection);
        }
    }
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
        Phase::Open(_) if outbox as u64 > bytes / 2 => close::close_slow(context, connection),
        Phase::Open(_) => close::close(context, connection, &SCARCE),
        Phase::Joining(_) => handshake::give_up_joining(context, connection),
        Phase::Head(_) | Phase::Authorizing(_) => {
            refusals::refuse(context, connection, &SCARCE_REFUSAL);
        }
        Phase::Closing { .. } | Phase::Answering { .. } | Phase::Ending { .. } => {
            close::discard(context, connection, "the server is short of memory");
        }
        Phase::Gone => {}
    }
}

/// Memory that the allocator has and nothing is in: it does not give small blocks back to the system,
/// so what a process has does not fall when clients are closed that held such blocks. It is room for others
/// all the same. Known only from outside: by how much less the connections hold without the process
/// having less.
#[derive(Debug, Default)]
struct Reusable {
    bytes: u64,
    told: u64,
    resident: u64,
    held: u64,
}

impl Reusable {
    /// Notes what the process has, and what its connections hold. Whenever the process grows, what was
    /// thought to be free was not, so a wrong guess corrects itself. The bytes, when they are to be
    /// told.
    fn on_look(&mut self, resident: u64, held: u64) -> Option<u64> {
        let moved = resident.abs_diff(self.resident);
        let released = (self.bytes + self.held).saturating_sub(held);
        self.bytes = released.saturating_sub(moved);
        (self.resident, self.held) = (resident, held);
        if self.bytes.abs_diff(self.told) < GROWTH_BYTES as u64 {
            return None;
        }
        self.told = self.bytes;
        Some(self.bytes)
    }
}

/// What this process has in memory: the second number of `/proc/self/statm`, in pages (proc(5)).
fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    text.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * PAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn what_was_given_up_and_not_given_back_can_be_used_again() {
        let mut memory = Reusable::default();
        assert_eq!(memory.on_look(10 * MIB, 0), None);
        assert_eq!(memory.on_look(110 * MIB, 100 * MIB), None, "it grew for what it holds");
        assert_eq!(memory.on_look(110 * MIB, 20 * MIB), Some(80 * MIB));
        assert_eq!(memory.on_look(110 * MIB, 50 * MIB), Some(50 * MIB), "some of it is used again");
        assert_eq!(memory.on_look(90 * MIB, 50 * MIB), Some(30 * MIB), "some was given back");
        assert_eq!(memory.on_look(90 * MIB, 50 * MIB), None);
        assert_eq!(
            memory.on_look(130 * MIB, 50 * MIB),
            Some(0),
            "it was not free, or not to be had"
        );
    }

    #[test]
    fn large_blocks_go_back_at_once() {
        let mut memory = Reusable::default();
        memory.on_look(110 * MIB, 100 * MIB);
        assert_eq!(memory.on_look(10 * MIB, 0), None);
    }
}
