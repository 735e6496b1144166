//! The slots of the broker, the API process and the workers, with the process in each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::child_state::{ChildSlot, ChildState};
use super::{Action, ChildId};
use crate::link::control::BrokerCommand;
use crate::types::{WorkerId, WorkerIncarnation};

/// The broker, the API process and the workers.
#[derive(Debug)]
pub(super) struct Children {
    broker: ChildSlot,
    /// None if the API is off.
    api: Option<ChildSlot>,
    /// None if the host runs alone.
    bridge: Option<ChildSlot>,
    /// Worker slots, one more than there are workers. In a rolling restart the successor starts
    /// before the old worker exits.
    workers: BTreeMap<WorkerId, ChildSlot>,
}

impl Children {
    /// Creates empty slots for a broker and this many workers.
    pub(super) fn new(workers: u16) -> Self {
        Self {
            broker: ChildSlot::default(),
            api: None,
            bridge: None,
            workers: (0..=workers)
                .map(|worker_id| (WorkerId(worker_id), ChildSlot::default()))
                .collect(),
        }
    }

    /// Adds an empty slot for an API process.
    pub(super) fn add_api(&mut self) {
        self.api = Some(ChildSlot::default());
    }

    /// Adds an empty slot for a bridge.
    pub(super) fn add_bridge(&mut self) {
        self.bridge = Some(ChildSlot::default());
    }

    /// Returns all processes that are running or waiting for a restart, with their states. The
    /// broker is first.
    pub(super) fn members(&self) -> impl Iterator<Item = (ChildId, &'static str)> {
        let broker = self.broker.last().map(|it| (ChildId::Broker(it), self.broker.state()));
        let workers = self.workers.iter().filter_map(|(worker, slot)| {
            let source = WorkerIncarnation { worker: *worker, generation: slot.last()? };
            Some((ChildId::Worker(source), slot.state()))
        });
        let api = self.api.as_ref();
        let api = api.and_then(|slot| Some((ChildId::Api(slot.last()?), slot.state())));
        let bridge = self.bridge.as_ref();
        let bridge = bridge.and_then(|slot| Some((ChildId::Bridge(slot.last()?), slot.state())));
        let said = broker.into_iter().chain(api).chain(bridge).chain(workers);
        said.filter_map(|(child, state)| Some((child, state.word()?)))
    }

    /// Starts the broker. It gets the list of live workers before any link (L6).
    pub(super) fn start_broker(&mut self, effects: &mut Vec<Action>) {
        let broker = self.broker.take_up();
        let child = ChildId::Broker(broker);
        let api = self.living_api().and_then(ChildId::source);
        let bridge = self.living_bridge().and_then(ChildId::source);
        let sources: Vec<_> = self.living_sources().chain(api).chain(bridge).collect();
        effects.push(Action::Start(child));
        let living = BrokerCommand::LiveWorkers { sources: sources.clone() };
        effects.push(Action::Send(child, living.into()));
        effects.extend(sources.into_iter().map(|source| Action::Link { source, broker }));
    }

    /// Starts the process of this seat, which may be that of the API process or of the bridge.
    pub(super) fn start_worker(&mut self, worker: WorkerId, effects: &mut Vec<Action>) {
        let slot = match worker {
            WorkerId::API => self.api.as_mut(),
            WorkerId::BRIDGE => self.bridge.as_mut(),
            _ => self.workers.get_mut(&worker),
        };
        let Some(slot) = slot else { return };
        let source = WorkerIncarnation { worker, generation: slot.take_up() };
        effects.push(Action::Start(ChildId::of(source)));
        if let Some(broker) = self.broker.holder() {
            effects.push(Action::Link { source, broker });
        }
    }

    /// Starts the processes whose restart is due.
    pub(super) fn start_due(&mut self, now: Instant, effects: &mut Vec<Action>) {
        if self.broker.is_due(now) {
            self.start_broker(effects);
        }
        let api = self.api.iter().map(|slot| (&WorkerId::API, slot));
        let bridge = self.bridge.iter().map(|slot| (&WorkerId::BRIDGE, slot));
        let seats = self.workers.iter().chain(api).chain(bridge);
        let due = seats.filter(|(_, slot)| slot.is_due(now));
        let workers: Vec<_> = due.map(|(worker, _)| *worker).collect();
        for worker in workers {
            self.start_worker(worker, effects);
        }
    }

    /// Returns the time of the next restart.
    pub(super) fn next_start(&self) -> Option<Instant> {
        let others = [&self.broker].into_iter().chain(&self.api).chain(&self.bridge);
        self.workers.values().chain(others).filter_map(ChildSlot::starts_at).min()
    }

    /// Records the death of a process and returns the delay of its restart.
    pub(super) fn died(&mut self, child: ChildId, now: Instant) -> Duration {
        self.slot_mut(child).map_or(Duration::ZERO, |slot| slot.died(now))
    }

    /// Records the death of a process that is not restarted.
    pub(super) fn retire(&mut self, child: ChildId) {
        if let Some(slot) = self.slot_mut(child) {
            slot.retire();
        }
    }

    /// Makes a planned restart of the broker or the bridge happen at the latest at this time.
    pub(super) fn restart_broker_by(&mut self, latest: Instant) {
        self.broker.start_by(latest);
        self.bridge.iter_mut().for_each(|slot| slot.start_by(latest));
    }

    /// Cancels all restarts of workers and of the API process.
    pub(super) fn vacate_workers(&mut self) {
        self.workers.values_mut().chain(&mut self.api).for_each(ChildSlot::vacate);
    }

    /// Cancels the restart of the bridge.
    pub(super) fn vacate_bridge(&mut self) {
        self.bridge.iter_mut().for_each(ChildSlot::vacate);
    }

    /// Cancels all restarts.
    pub(super) fn vacate(&mut self) {
        self.vacate_workers();
        self.vacate_bridge();
        self.broker.vacate();
    }

    pub(super) fn mark_broker_ready(&mut self) {
        self.broker.set_state(ChildState::Ready);
    }

    pub(super) fn mark_api(&mut self, state: ChildState) {
        self.api.iter_mut().for_each(|slot| slot.set_state(state));
    }

    pub(super) fn mark_bridge_ready(&mut self) {
        self.bridge.iter_mut().for_each(|slot| slot.set_state(ChildState::Ready));
    }

    /// Records that a worker has become ready.
    pub(super) fn mark_ready(&mut self, worker: WorkerId) {
        if let Some(slot) = self.workers.get_mut(&worker)
            && slot.state() == ChildState::Starting
        {
            slot.set_state(ChildState::Ready);
        }
    }

    pub(super) fn mark_quiesced(&mut self, worker: WorkerId) {
        self.set_worker_state(worker, ChildState::Quiesced);
    }

    pub(super) fn mark_leaving(&mut self, worker: WorkerId) {
        self.set_worker_state(worker, ChildState::Leaving);
    }

    fn set_worker_state(&mut self, worker: WorkerId, state: ChildState) {
        if let Some(slot) = self.workers.get_mut(&worker) {
            slot.set_state(state);
        }
    }

    fn slot_mut(&mut self, child: ChildId) -> Option<&mut ChildSlot> {
        match child {
            ChildId::Broker(_) => Some(&mut self.broker),
            ChildId::Api(_) => self.api.as_mut(),
            ChildId::Bridge(_) => self.bridge.as_mut(),
            ChildId::Worker(source) => self.workers.get_mut(&source.worker),
        }
    }

    /// Returns the state of a worker's slot.
    pub(super) fn worker_state(&self, worker: WorkerId) -> Option<ChildState> {
        self.workers.get(&worker).map(ChildSlot::state)
    }

    pub(super) fn lives(&self, child: ChildId) -> bool {
        match child {
            ChildId::Broker(generation) => self.broker.is_held_by(generation),
            ChildId::Api(generation) => {
                self.api.as_ref().is_some_and(|slot| slot.is_held_by(generation))
            }
            ChildId::Bridge(generation) => {
                self.bridge.as_ref().is_some_and(|slot| slot.is_held_by(generation))
            }
            ChildId::Worker(source) => self
                .workers
                .get(&source.worker)
                .is_some_and(|slot| slot.is_held_by(source.generation)),
        }
    }

    /// Returns true if this worker is ready, and neither quiesced nor draining.
    pub(super) fn serves(&self, source: WorkerIncarnation) -> bool {
        self.worker_state(source.worker) == Some(ChildState::Ready)
            && self.lives(ChildId::Worker(source))
    }

    pub(super) fn living_broker(&self) -> Option<ChildId> {
        self.broker.holder().map(ChildId::Broker)
    }

    pub(super) fn living_api(&self) -> Option<ChildId> {
        self.api.as_ref()?.holder().map(ChildId::Api)
    }

    pub(super) fn living_bridge(&self) -> Option<ChildId> {
        self.bridge.as_ref()?.holder().map(ChildId::Bridge)
    }

    pub(super) fn living_workers(&self) -> impl Iterator<Item = ChildId> {
        self.living_sources().map(ChildId::Worker)
    }

    pub(super) fn living_sources(&self) -> impl Iterator<Item = WorkerIncarnation> {
        self.sources(|state| !matches!(state, ChildState::Vacant { .. }))
    }

    /// Returns the workers that are ready, and neither quiesced nor draining.
    pub(super) fn ready_sources(&self) -> impl Iterator<Item = WorkerIncarnation> {
        self.sources(|state| state == ChildState::Ready)
    }

    fn sources(&self, is_one: fn(ChildState) -> bool) -> impl Iterator<Item = WorkerIncarnation> {
        self.workers.iter().filter(move |(_, slot)| is_one(slot.state())).filter_map(
            |(worker, slot)| {
                slot.holder().map(|generation| WorkerIncarnation { worker: *worker, generation })
            },
        )
    }

    /// Returns an empty slot without a planned restart.
    pub(super) fn spare(&self) -> Option<WorkerId> {
        let is_spare = |slot: &ChildSlot| slot.state() == ChildState::Vacant { until: None };
        self.workers.iter().find(|(_, slot)| is_spare(slot)).map(|(worker, _)| *worker)
    }

    /// Returns true if no worker has unacknowledged publications, and the API process neither.
    pub(super) fn all_quiesced(&self) -> bool {
        let is_quiesced = |slot: &ChildSlot| {
            matches!(
                slot.state(),
                ChildState::Quiesced | ChildState::Leaving | ChildState::Vacant { .. }
            )
        };
        self.workers.values().chain(&self.api).all(is_quiesced)
    }

    /// Returns true if no process is running except the broker and the bridge.
    pub(super) fn only_broker_lives(&self) -> bool {
        self.living_sources().next().is_none() && self.living_api().is_none()
    }
}
