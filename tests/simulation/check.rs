//! Conditions that must be true after the faults have stopped.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tagcast::types::limits::{LINK_LOST_WAIT, RESTART_PAUSE_MAX};
use tagcast::types::{ConnectionRef, Slot, Tags, Tenant, WorkerId};

use super::api::CallState;
use super::model::To;
use super::worker::{Phase, Reader, TENANTS, Worker};
use super::world::World;

/// Time within which everything must work again. A crashed child is restarted after at most the
/// longest pause. A link that was lost without a crash may then still cost its worker's life.
const CALM_WITHIN: Duration =
    RESTART_PAUSE_MAX.saturating_add(LINK_LOST_WAIT).saturating_add(Duration::from_secs(1));
/// Time within which a client must join, or a message must arrive, if there are no faults.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Time for a round in which every process takes a turn.
const ROUND: Duration = Duration::from_millis(100);

impl World {
    /// Stops all faults, then checks that all earlier publications arrive, all clients join and
    /// each receives a new message.
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
        self.publish_to_all();
        self.run_for(CALM_WITHIN)?;
        for worker in self.seats() {
            for tenant in [Tenant::shared(), Tenant("other".into())] {
                self.comes(worker, tenant);
            }
        }
        self.run_for(AT_ONCE)?;
        self.all_clients_are_known()?;
        self.programs_are_right()?;
        self.publish_to_all();
        self.run_for(AT_ONCE)?;
        self.slots_are_back()?;
        if let Some(call) = self.calls.iter().find(|call| call.state != CallState::Answered) {
            return Err(format!("{} of a backend is never answered", call.no));
        }
        self.tags_are_right()?;
        self.no_tenant_is_throttled()?;
        for worker in self.workers.values() {
            if worker.waiting_tenants() > 0 {
                return Err("a publication still waits for the window".to_owned());
            }
            worker.reports.are_complete(worker.source)?;
        }
        self.model.is_complete()
    }

    /// Gives links their full capacity and turns large budgets.
    pub fn widen(&mut self) {
        self.pace.link_bytes_max.store(usize::MAX, Ordering::Relaxed);
        (self.pace.read_max, self.pace.slice_max, self.pace.units_max) = (10_000, 300, 10_000);
    }

    pub fn seats(&self) -> Vec<WorkerId> {
        self.workers.keys().copied().collect()
    }

    /// Lets every connected client publish to all clients.
    fn publish_to_all(&mut self) {
        for worker in self.seats() {
            for slot in self.workers[&worker].slots(Phase::Open) {
                self.publishes((worker, slot), &To::Matching(Tags::default()));
            }
        }
    }

    fn run_for(&mut self, time: Duration) -> Result<(), String> {
        let until = self.time + time;
        while self.time < until {
            self.time += ROUND;
            for _ in 0..3 {
                // What has waited is published in one turn, and a client that joins in the next one gets none of it.
                self.model.now += 1;
                self.all_processes_take_a_turn();
            }
            self.fault.take().map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// Checks that the broker and the worker of each client agree on its tags, and that no change of a backend is
    /// missing.
    fn tags_are_right(&self) -> Result<(), String> {
        self.model.marks.are_ended()?;
        let router = self.broker.as_ref().ok_or("there is no broker")?.board.router();
        for (worker, at) in &self.workers {
            for slot in at.slots(Phase::Open) {
                let place = ConnectionRef { worker: *worker, slot };
                let own = at.client(slot).ok_or("an open client is unknown")?;
                let Some(known) = router.versioned_tags(place) else { continue };
                if known.tags != own.tags {
                    return Err(format!(
                        "{place:?} has {:?}, the broker {known:?} (L12)",
                        own.tags
                    ));
                }
                self.model.marks.is_right(own.uuid, &own.tags)?;
            }
        }
        Ok(())
    }

    /// Checks that every throttle was lifted.
    fn no_tenant_is_throttled(&self) -> Result<(), String> {
        let broker = self.broker.as_ref().ok_or("there is no broker")?;
        if broker.board.router().is_throttling() {
            return Err("the broker throttles a tenant that has no work".to_owned());
        }
        let waits = |(_, worker): &(&WorkerId, &Worker)| {
            let is_throttled =
                |it: &str| worker.broker_client.uplink.is_throttled(&Tenant(it.into()));
            TENANTS.into_iter().any(is_throttled)
        };
        match self.workers.iter().find(waits) {
            None => Ok(()),
            Some((worker, _)) => Err(format!("worker {worker} still throttles a tenant")),
        }
    }

    /// Checks that the slots of disconnected clients are free again.
    fn slots_are_back(&self) -> Result<(), String> {
        let withheld = |worker: &Worker| worker.broker_client.slots_withheld();
        match self.workers.values().map(withheld).sum() {
            0 => Ok(()),
            slots => Err(format!("{slots} slots are withheld (L3)")),
        }
    }

    /// Checks that the broker knows exactly the connected clients.
    fn all_clients_are_known(&self) -> Result<(), String> {
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
