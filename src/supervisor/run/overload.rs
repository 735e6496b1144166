//! Monitors the memory of all processes and informs the workers when it is scarce.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::children::RunningChildren;
use super::now;
use crate::admin::MemoryStatus;
use crate::config::MaxMemory;
use crate::link::control::{ApiCommand, WorkerCommand};
use crate::supervisor::lifecycle::ChildId;
use crate::supervisor::memory_limit::{MemoryLimit, ProcessMemory};
use crate::types::limits::PRESSURE_FULL_WAIT;
use crate::types::{Allowance, Pressure};

/// Interval of the checks if there is a memory limit.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The state of the memory.
#[derive(Debug, Default)]
pub(super) struct MemoryMonitor {
    limit: Option<MemoryLimit>,
    used: u64,
    pressure: Pressure,
    looks_at: Option<Instant>,
    /// Time since which memory has been scarce.
    scarce_since: Option<Instant>,
    /// The last allowance that each worker received.
    sent: BTreeMap<ChildId, Allowance>,
    /// Resident bytes of each worker that its allocator can reuse.
    reusable: BTreeMap<ChildId, u64>,
}

impl MemoryMonitor {
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.looks_at
    }

    /// Schedules a check, because this worker has grown.
    pub(super) fn check_soon(&mut self, child: ChildId) {
        self.looks_at = self.looks_at.map(|_| now());
        self.sent.remove(&child);
    }

    /// Returns the reusable bytes of all workers.
    fn free(&self) -> u64 {
        self.reusable.values().sum()
    }

    /// Records the reusable bytes of a worker.
    pub(super) fn reusable(&mut self, child: ChildId, bytes: u64) {
        self.reusable.insert(child, bytes);
        self.looks_at = self.looks_at.map(|_| now());
    }

    /// Returns the stage for the memory in use. If no connections have been accepted for long, the
    /// clients that use the most memory are closed.
    fn stage(&mut self, ceiling: u64, now: Instant) -> Pressure {
        let free = self.free();
        let stage = self.pressure.at(self.used.saturating_sub(free), ceiling);
        if stage == Pressure::None {
            self.scarce_since = None;
            return stage;
        }
        let since = *self.scarce_since.get_or_insert(now);
        let is_long = now.duration_since(since) >= PRESSURE_FULL_WAIT;
        if is_long { stage.max(Pressure::Shedding) } else { stage }
    }

    /// Returns the memory for the status. None without a limit.
    pub(super) fn status(&self) -> Option<MemoryStatus> {
        self.limit.as_ref().map(|limit| MemoryStatus {
            used_bytes: self.used,
            ceiling_bytes: limit.bytes,
            pressure: self.pressure,
        })
    }

    /// Starts or stops the checks, as configured.
    pub(super) fn watch(&mut self, max_memory: MaxMemory, children: &RunningChildren) {
        self.limit = MemoryLimit::of(max_memory);
        self.looks_at = self.limit.is_some().then(now);
        if self.limit.is_none() {
            let _changed = self.set_pressure(Pressure::None);
            self.sent.clear();
            children.members().for_each(|child| self.send_pressure(child, children));
        }
    }

    /// Checks the memory if a check is due, and sends changes to the workers. Returns the pressure if it has
    /// changed.
    pub(super) fn check(&mut self, children: &RunningChildren) -> Option<Pressure> {
        let now = now();
        let limit = self.limit.as_ref()?;
        let ceiling = limit.bytes;
        if self.looks_at.is_none_or(|at| at > now) {
            return None;
        }
        self.looks_at = Some(now + LOOK_EVERY);
        let resident = resident(children);
        // A cgroup may also have other programs, for which the kernel ends processes just as well.
        let of_processes = ProcessMemory::sum(resident.values().copied());
        self.used = of_processes.max(limit.group_bytes().unwrap_or(0));
        self.reusable.retain(|child, _| resident.contains_key(&Some(*child)));
        let stage = self.stage(ceiling, now);
        let is_changed = self.set_pressure(stage);
        if is_changed {
            let is_api = |child: &ChildId| matches!(child, ChildId::Api(_));
            let api = children.members().filter(is_api);
            api.for_each(|child| self.send_pressure(child, children));
        }
        self.allow(ceiling, &resident, children);
        is_changed.then_some(stage)
    }

    /// Tells each worker how much it may grow. The memory left until clients are closed is divided
    /// evenly, again at each check.
    fn allow(
        &mut self,
        ceiling: u64,
        resident: &BTreeMap<Option<ChildId>, ProcessMemory>,
        children: &RunningChildren,
    ) {
        let left = Pressure::sheds_from(ceiling).saturating_sub(self.used);
        let workers: Vec<_> = resident
            .iter()
            .filter_map(|(child, memory)| Some(((*child)?, memory.resident)))
            .filter(|(child, _)| matches!(child, ChildId::Worker(_)))
            .collect();
        let share = left / (workers.len() as u64).max(1);
        for (child, bytes) in workers {
            let allowed = Allowance { pressure: self.pressure, resident_max: Some(bytes + share) };
            if self.sent.get(&child).is_none_or(|sent| sent.differs(&allowed, share)) {
                self.sent.insert(child, allowed);
                children.send(child, WorkerCommand::Pressure(allowed));
            }
        }
        self.sent.retain(|child, _| children.get(*child).is_some());
    }

    /// Returns whether the pressure has changed.
    fn set_pressure(&mut self, pressure: Pressure) -> bool {
        if self.pressure == pressure {
            return false;
        }
        self.pressure = pressure;
        let (used, ceiling) = (self.used, self.limit.as_ref().map(|limit| limit.bytes));
        let (what, reusable) = (pressure.text(), self.free());
        match pressure {
            Pressure::None => tracing::info!(
                event = "memory_recovered",
                used,
                reusable,
                ceiling,
                what,
                "memory is no longer scarce"
            ),
            _ => tracing::warn!(
                event = "memory_scarce",
                used,
                reusable,
                ceiling,
                what,
                "memory is scarce"
            ),
        }
        true
    }

    /// Sends the current stage to a new process, if memory is scarce.
    pub(super) fn greet(&self, child: ChildId, children: &RunningChildren) {
        if self.pressure != Pressure::None {
            self.send_pressure(child, children);
        }
    }

    /// Sends the stage to a worker. Broker and bridge have no memory to release, so they get none.
    fn send_pressure(&self, child: ChildId, children: &RunningChildren) {
        let pressure = self.pressure;
        match child {
            ChildId::Worker(_) => {
                let allowed = Allowance { pressure, resident_max: None };
                children.send(child, WorkerCommand::Pressure(allowed));
            }
            ChildId::Api(_) => children.send(child, ApiCommand::Pressure(pressure)),
            ChildId::Broker(_) | ChildId::Bridge(_) => {}
        }
    }
}

/// Returns the memory of each process. The key None is the supervisor.
fn resident(children: &RunningChildren) -> BTreeMap<Option<ChildId>, ProcessMemory> {
    let of_child = |child| Some((Some(child), ProcessMemory::of(children.get(child)?.pid()?)?));
    let of_children = children.members().filter_map(of_child);
    let own = ProcessMemory::of(std::process::id()).map(|memory| (None, memory));
    of_children.chain(own).collect()
}
