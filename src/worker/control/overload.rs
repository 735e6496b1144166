//! What a worker does when memory becomes scarce: it accepts nobody, closes the clients that hold
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
use crate::worker::connection::{Connection, Phase, SCARCE};
use crate::worker::event_loop::EventLoop;

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
        let before = std::mem::replace(&mut connection.holding.held, held);
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
        self.held -= u64::from(connection.holding.held);
    }
}

impl EventLoop {
    /// Looks at the memory of this process, and tells the supervisor how much of it can be used again.
    pub(in crate::worker) fn tell_reusable(&mut self) {
        if self.memory.allowed.resident_max.is_none() {
            return;
        }
        let Some(resident) = resident_bytes() else { return };
        let connections = self.table.count() as u64 * CONNECTION_BYTES;
        let memory = &mut self.memory;
        if let Some(bytes) = memory.reusable.seen(resident, memory.held + connections) {
            self.report(ChildEvent::Reusable { bytes });
        }
    }

    /// The supervisor has looked at the memory of all processes.
    pub(in crate::worker) fn feel_pressure(&mut self, allowed: Allowance) {
        self.memory.allowed = allowed;
        self.shed();
    }

    /// Memory is still scarce, as far as is known: the supervisor looks more often than this comes.
    pub(in crate::worker) fn shed_again(&mut self) {
        self.tell_reusable();
        if self.memory.shed_at.after(BEAT_EVERY / 2) <= self.now {
            self.shed();
        }
    }

    /// Looks at the memory when much was taken in since the last look: what the supervisor sees ten
    /// times a second may be too late. Costs one comparison where nothing has grown.
    pub(in crate::worker) fn look_early(&mut self) {
        if self.memory.grown < GROWTH_BYTES {
            return;
        }
        self.memory.grown = 0;
        let Some(most) = self.memory.allowed.resident_max else { return };
        self.report(ChildEvent::Grown);
        let over = resident_bytes().unwrap_or(0).saturating_sub(most);
        let over = over.saturating_sub(self.memory.reusable.bytes);
        if over > 0 {
            self.close_largest(self.holders(), over);
        }
        self.tell_reusable();
    }

    /// Closes the clients that hold the most, until half of what all hold is free.
    pub(in crate::worker) fn shed(&mut self) {
        if self.memory.pressure() < Pressure::Shedding {
            return;
        }
        let holders = self.holders();
        let all: u64 = holders.iter().map(|(bytes, _)| *bytes).sum();
        self.close_largest(holders, all.div_ceil(2));
        self.memory.shed_at = self.now;
        self.tell_reusable();
    }

    /// Who holds how much, the largest first. What one send takes is no backlog, unless there are so
    /// many of those that together they matter.
    fn holders(&self) -> Vec<(u64, Slot)> {
        let holds = |slot: Slot| Some((self.held_by(slot)?, slot));
        let mut all: Vec<_> = self.table.slots().into_iter().filter_map(holds).collect();
        all.retain(|(bytes, _)| *bytes > HOLDER_BYTES_MIN);
        if all.iter().map(|(bytes, _)| *bytes).sum::<u64>() < SHED_BYTES_MIN {
            all.retain(|(bytes, _)| *bytes > SEND_BYTES as u64);
        }
        all.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        all
    }

    /// Bytes that one client holds: those of its connection, its tags and aliases, and its events
    /// for a backend.
    fn held_by(&self, slot: Slot) -> Option<u64> {
        let connection = self.table.get(slot)?;
        let events = match connection.uuid() {
            Some(client) if !self.errands.is_idle() => self.errands.held(client),
            _ => 0,
        };
        Some((connection.held() + self.relay.uplink.held(slot) + events) as u64)
    }

    fn close_largest(&mut self, holders: Vec<(u64, Slot)>, mut left: u64) {
        for (bytes, slot) in holders {
            if left == 0 {
                return;
            }
            left = left.saturating_sub(bytes);
            if let Some(mut connection) = self.table.take(slot) {
                self.close_holder((slot, bytes), &mut connection);
                self.put_back(slot, connection);
            }
        }
    }

    fn close_holder(&mut self, (slot, bytes): (Slot, u64), connection: &mut Connection) {
        let client = connection.uuid().map(tracing::field::debug);
        let outbox = connection.outbox.as_ref().map_or(0, |outbox| outbox.held());
        warn!(connection = connection.serial, client, bytes, outbox, "closed for memory");
        self.books.shed += 1;
        match &connection.phase {
            Phase::Open(_) if outbox as u64 > bytes / 2 => self.throw_out(slot, connection),
            Phase::Open(_) => self.close(slot, connection, &SCARCE),
            Phase::Joining(_) => self.give_up_joining(slot, connection),
            Phase::Head(_) | Phase::Authorizing(_) => {
                self.refuse(slot, connection, &SCARCE_REFUSAL);
            }
            Phase::Closing { .. } | Phase::Answering { .. } | Phase::Ending { .. } => {
                self.discard(slot, connection, "the server is short of memory");
            }
            Phase::Gone => {}
        }
    }
}

/// Memory that the allocator has and nothing is in: it does not give small blocks back to the system,
/// so what a process has does not fall when clients are closed who held such. It is room for others
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
    fn seen(&mut self, resident: u64, held: u64) -> Option<u64> {
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

impl Connection {
    /// Bytes of memory that it holds of what its peer sent, and of what its peer does not take: all
    /// that can grow. `docs/architecture.md` lists it. Cheap, since it is asked after each piece of
    /// work.
    pub(in crate::worker) fn held(&self) -> usize {
        let phase = match &self.phase {
            Phase::Open(session) => session.held(),
            Phase::Head(heading) => heading.bytes.len(),
            Phase::Authorizing(asking) => asking.joining.held(),
            Phase::Joining(joining) => joining.held(),
            _ => 0,
        };
        phase
            + self.reader.held()
            + self.outbox.as_ref().map_or(0, |outbox| outbox.held())
            + self.tls.as_ref().map_or(0, |tls| tls.held())
            + self.stash.as_ref().map_or(0, |stash| stash.held())
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
        assert_eq!(memory.seen(10 * MIB, 0), None);
        assert_eq!(memory.seen(110 * MIB, 100 * MIB), None, "it grew for what it holds");
        assert_eq!(memory.seen(110 * MIB, 20 * MIB), Some(80 * MIB));
        assert_eq!(memory.seen(110 * MIB, 50 * MIB), Some(50 * MIB), "some of it is used again");
        assert_eq!(memory.seen(90 * MIB, 50 * MIB), Some(30 * MIB), "some was given back");
        assert_eq!(memory.seen(90 * MIB, 50 * MIB), None);
        assert_eq!(memory.seen(130 * MIB, 50 * MIB), Some(0), "it was not free, or not to be had");
    }

    #[test]
    fn large_blocks_go_back_at_once() {
        let mut memory = Reusable::default();
        memory.seen(110 * MIB, 100 * MIB);
        assert_eq!(memory.seen(10 * MIB, 0), None);
    }
}
