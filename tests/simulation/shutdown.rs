//! The orderly end of a server in which the broker dies: clients publish to the last, and are closed one
//! after the other.

use std::time::Duration;

use tagcast::supervisor::lifecycle::ChildId;
use tagcast::types::{Slot, WorkerId};

use super::broker::Life;
use super::worker::{Phase, Reader};
use super::world::World;

/// What the server may take for its end; in the first half of it brokers die.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// How the server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// A broker that dies is replaced up to the end of the last worker, and nothing is acknowledged
    /// before the broker has it.
    Kept,
    /// What must not be: none is replaced while clients are closed, and all is acknowledged when it
    /// is taken.
    WithoutBroker,
}

/// What a worker is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Serving,
    Quiescing { is_reported: bool },
    Draining { until: Duration },
}

impl World {
    /// The server is told to end. The broker may still die; everything else goes on as it should.
    pub fn end_in_order(&mut self) -> Result<(), String> {
        self.note(|| "the server is told to end".to_owned());
        self.hung.clear();
        for (worker, slot) in self.open() {
            let Some(at) = self.workers.get_mut(&worker) else { continue };
            at.turn_reader(slot, Reader::Reads, &mut self.model);
        }
        let now = self.begun_at + self.time;
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
                }
            }
            12..20 => self.broker_turn(),
            20..28 => drop(self.supervisor_turn()),
            28..36 => self.someone_publishes(),
            36 => self.someone_changes_tags(),
            37 if self.time < last_death => self.broker_may_die(),
            _ => self.everybody_takes_a_turn(),
        }
        self.let_go();
    }

    /// Rarely before clients are closed, so that this is not all that is ever tried.
    fn broker_may_die(&mut self) {
        let drains = self.workers.values().any(super::worker::Worker::drains);
        if drains || self.rng.once_in(10) {
            self.broker_dies();
        }
    }

    /// Processes that have nothing left to do end.
    fn let_go(&mut self) {
        for worker in self.workers.values_mut().filter(|it| it.drains()) {
            worker.turn_joiners_away(&mut self.model);
        }
        let done = self.workers.values().filter(|worker| worker.is_done(self.time));
        let done: Vec<ChildId> = done.map(|worker| ChildId::Worker(worker.source)).collect();
        let broker = self.broker.as_ref().filter(|broker| broker.life == Life::Stopped);
        let stopped = broker.map(|broker| ChildId::Broker(broker.generation));
        done.into_iter().chain(stopped).for_each(|member| self.ends(member));
    }

    fn open(&self) -> Vec<(WorkerId, Slot)> {
        let of = |(worker, it): (&WorkerId, &super::worker::Worker)| {
            let worker = *worker;
            it.slots(Phase::Open).into_iter().map(move |slot| (worker, slot)).collect::<Vec<_>>()
        };
        self.workers.iter().flat_map(of).collect()
    }

    /// The rule that must not be: see [`Shutdown::WithoutBroker`].
    pub fn starts_no_broker(&self) -> bool {
        self.pace.shutdown == Shutdown::WithoutBroker
            && self.workers.values().any(super::worker::Worker::drains)
    }
}
