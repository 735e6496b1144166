//! An orderly shutdown during which the broker dies. Clients publish until the end and are closed
//! one after the other.

use std::time::Duration;

use tagcast::supervisor::lifecycle::ChildId;
use tagcast::types::{Slot, WorkerId};

use super::api::ApiStage;
use super::broker::Life;
use super::worker::{Phase, Reader, Worker};
use super::world::World;

/// Drain time of the server. Brokers die only in its first half.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Turns that a worker with unread messages takes without waiting.
const READS_ON_MAX: usize = 64;

/// The shutdown strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// The real strategy: a broker that dies is replaced until the last worker has exited, and a
    /// publication is acknowledged only after the broker has it.
    Kept,
    /// A wrong strategy that the model must detect: no broker is replaced while clients are closed,
    /// and publications are acknowledged at once.
    WithoutBroker,
}

/// The stage of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Serving,
    Quiescing { is_reported: bool },
    Draining { until: Duration },
}

impl World {
    /// Shuts the server down. The broker may still die; there are no other faults.
    pub fn end_in_order(&mut self) -> Result<(), String> {
        self.note(|| "the server receives a signal to stop".to_owned());
        self.hung.clear();
        for (worker, slot) in self.open() {
            let Some(at) = self.workers.get_mut(&worker) else { continue };
            at.turn_reader(slot, Reader::Reads, &mut self.model);
        }
        let now = self.started_at + self.time;
        self.processes.request_shutdown(now, &mut self.effects);
        self.carry_out();
        let (until, last_death) = (self.time + DRAIN_TIME, self.time + DRAIN_TIME / 2);
        while !self.is_ended && self.time < until {
            self.pass_time();
            if self.time >= last_death {
                self.widen();
            }
            self.step_of_the_end(last_death);
            self.fault.take().map_or(Ok(()), Err)?;
        }
        self.model.is_complete_at_the_end()
    }

    fn step_of_the_end(&mut self, last_death: Duration) {
        match self.rng.below(40) {
            0..12 => {
                if let Some(worker) = self.any_worker() {
                    self.worker_turn(worker);
                    if self.time >= last_death {
                        self.reads_on(worker);
                    }
                }
            }
            12..16 => self.broker_turn(),
            16..20 => self.api_turn(),
            20..28 => drop(self.supervisor_turn()),
            28..36 => self.a_client_publishes(),
            36 => self.a_client_changes_tags(),
            37 if self.time < last_death => self.broker_may_die(),
            _ => self.all_processes_take_a_turn(),
        }
        self.let_go();
    }

    /// Lets a worker take the turns that its event loop takes without waiting: a large message ends a turn, and a worker
    /// with many of them would not be done in the drain time of a model whose turns are far apart.
    fn reads_on(&mut self, worker: WorkerId) {
        for _ in 0..READS_ON_MAX {
            let is_unread = |it: &Worker| it.broker_client.is_unread();
            if !self.workers.get(&worker).is_some_and(is_unread) {
                return;
            }
            self.worker_turn(worker);
        }
    }

    /// Kills the broker, but only rarely before clients are being closed, so that other cases are
    /// tested too.
    fn broker_may_die(&mut self) {
        let drains = self.workers.values().any(Worker::drains);
        if drains || self.rng.once_in(10) {
            self.broker_dies();
        }
    }

    /// Lets processes exit that have nothing left to do.
    fn let_go(&mut self) {
        for worker in self.workers.values_mut().filter(|it| it.drains()) {
            worker.turn_joiners_away(&mut self.model);
        }
        let done = self.workers.values().filter(|worker| worker.is_done(self.time));
        let done: Vec<ChildId> = done.map(|worker| ChildId::Worker(worker.source)).collect();
        let broker = self.broker.as_ref().filter(|broker| broker.life == Life::Stopped);
        let stopped = broker.map(|broker| ChildId::Broker(broker.generation));
        let api = self.api.as_ref().filter(|api| api.stage == ApiStage::Leaving);
        let left = api.map(|api| ChildId::of(api.source));
        done.into_iter().chain(left).chain(stopped).for_each(|child| self.ends(child));
    }

    fn open(&self) -> Vec<(WorkerId, Slot)> {
        let of = |(worker, it): (&WorkerId, &Worker)| {
            let worker = *worker;
            it.slots(Phase::Open).into_iter().map(move |slot| (worker, slot)).collect::<Vec<_>>()
        };
        self.workers.iter().flat_map(of).collect()
    }

    /// Returns true if the wrong strategy is active and clients are being closed: see
    /// [`Shutdown::WithoutBroker`].
    pub fn starts_no_broker(&self) -> bool {
        self.pace.shutdown == Shutdown::WithoutBroker && self.workers.values().any(Worker::drains)
    }
}
