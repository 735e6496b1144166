//! Looking at the memory of all processes, and telling the workers when there is little left.

use std::time::{Duration, Instant};

use super::{Household, now};
use crate::link::control::Order;
use crate::supervisor::ceiling::{ceiling, resident_bytes};
use crate::supervisor::child::Handle;
use crate::supervisor::crew::Member;
use crate::types::Pressure;

/// How often memory is looked at, where it has a ceiling.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is known of the memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) ceiling: Option<u64>,
    pub(super) used: u64,
    pub(super) pressure: Pressure,
    looks_at: Option<Instant>,
}

impl Memory {
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.looks_at
    }

    /// There is a reason to look.
    pub(super) fn look_soon(&mut self) {
        self.looks_at = self.looks_at.map(|_| now());
    }
}

impl Household {
    /// Begins to look, or ends it, as the configuration has it.
    pub(super) fn watch_memory(&mut self) {
        self.memory.ceiling = ceiling(self.prepared.config.limits.max_memory);
        self.memory.looks_at = self.memory.ceiling.map(|_| now());
        if self.memory.ceiling.is_none() {
            self.press(Pressure::None);
        }
    }

    pub(super) fn look_at_memory(&mut self) {
        let now = now();
        let Some(ceiling) = self.memory.ceiling else { return };
        if self.memory.looks_at.is_none_or(|at| at > now) {
            return;
        }
        self.memory.looks_at = Some(now + LOOK_EVERY);
        self.memory.used = self.used_bytes();
        self.press(self.memory.pressure.at(self.memory.used, ceiling));
    }

    /// Pages that several processes share count for each of them: a little too much is safe.
    fn used_bytes(&self) -> u64 {
        let children = self.children.values().filter_map(Handle::pid);
        children.chain([std::process::id()]).filter_map(resident_bytes).sum()
    }

    fn press(&mut self, pressure: Pressure) {
        if self.memory.pressure == pressure {
            return;
        }
        self.memory.pressure = pressure;
        let (used, ceiling) = (self.memory.used, self.memory.ceiling);
        let what = pressure.text();
        match pressure {
            Pressure::None => tracing::info!(used, ceiling, what, "memory"),
            _ => tracing::warn!(used, ceiling, what, "memory becomes scarce"),
        }
        for member in self.children.keys() {
            self.tell_pressure(*member);
        }
    }

    /// Tells a worker how it stands; a broker holds nothing that could be given up.
    pub(super) fn tell_pressure(&self, member: Member) {
        if let Member::Worker(_) = member {
            self.order(member, Order::Pressure(self.memory.pressure));
        }
    }
}
