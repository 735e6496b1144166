//! What must hold when the faults have stopped.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tagcast::types::limits::{LINK_LOST_WAIT, RESTART_PAUSE_MAX};
use tagcast::types::{Slot, Tags, Tenant, WorkerId};

use super::model::To;
use super::worker::{Phase, Reader, Worker};
use super::world::World;

/// Within this time everything works again: a dead child waits for its place at the most so long,
/// and a link that was lost without a death costs its worker its life after that.
const CALM_WITHIN: Duration =
    RESTART_PAUSE_MAX.saturating_add(LINK_LOST_WAIT).saturating_add(Duration::from_secs(1));
/// Within this time a client is let in, or a message arrives, where nothing is broken.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long a round of everybody takes.
const ROUND: Duration = Duration::from_millis(100);

impl World {
    /// The faults stop: what was published is heard, everybody is let in, and hears a new message.
    pub fn calm_down(&mut self) -> Result<(), String> {
        self.note(|| "the faults stop".to_owned());
        self.hung.clear();
        self.widen();
        for worker in self.seats() {
            if let Some(link) = self.broker.as_ref().and_then(|broker| broker.watch(worker)) {
                link.cut_after(None);
            }
            for slot in self.workers[&worker].slots(Phase::Open) {
                let Some(at) = self.workers.get_mut(&worker) else { continue };
                at.turn_reader(slot, Reader::Reads, &mut self.model);
            }
        }
        self.tell_everyone();
        self.run_for(CALM_WITHIN)?;
        for worker in self.seats() {
            for tenant in [Tenant::shared(), Tenant("other".into())] {
                self.comes(worker, tenant);
            }
        }
        self.run_for(AT_ONCE)?;
        self.everybody_is_known()?;
        self.tell_everyone();
        self.run_for(AT_ONCE)?;
        self.slots_are_back()?;
        self.model.is_complete()
    }

    /// Links hold what they are given, and a turn gets much done.
    pub fn widen(&mut self) {
        self.pace.link_bytes_max.store(usize::MAX, Ordering::Relaxed);
        (self.pace.read_max, self.pace.slice_max, self.pace.units_max) = (10_000, 300, 10_000);
    }

    pub fn seats(&self) -> Vec<WorkerId> {
        self.workers.keys().copied().collect()
    }

    /// Everybody who is connected says something to all.
    fn tell_everyone(&mut self) {
        for worker in self.seats() {
            for slot in self.workers[&worker].slots(Phase::Open) {
                self.publishes((worker, slot), &To::Matching(Tags::default()));
            }
        }
    }

    fn run_for(&mut self, time: Duration) -> Result<(), String> {
        let until = self.time + time;
        while self.time < until {
            self.model.now += 1;
            self.time += ROUND;
            (0..3).for_each(|_| self.everybody_takes_a_turn());
            self.fault.take().map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// No slot is lost to those who left.
    fn slots_are_back(&self) -> Result<(), String> {
        let withheld = |worker: &Worker| worker.broker_client.slots_withheld();
        match self.workers.values().map(withheld).sum() {
            0 => Ok(()),
            slots => Err(format!("{slots} slots are withheld (L3)")),
        }
    }

    /// The broker knows exactly those who are connected.
    fn everybody_is_known(&self) -> Result<(), String> {
        let joining: Vec<Vec<Slot>> =
            self.workers.values().map(|it| it.slots(Phase::Joining)).collect();
        if joining.iter().any(|slots| !slots.is_empty()) {
            return Err(format!("not let in, by worker: {joining:?}"));
        }
        let open = self.model.lives.iter().filter(|life| life.is_open()).count();
        let broker = self.broker.as_ref().ok_or("there is no broker")?;
        let known = broker.board.router().clients();
        if known == open { Ok(()) } else { Err(format!("{open} clients, {known} known")) }
    }
}
