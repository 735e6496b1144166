//! What is left for later turns, and the end of a turn.
//!
//! Messages are held back while other workers are still awaited, or until the clients of a dead worker are
//! removed. Questions wait for that too. They are applied in order, over several turns. At the end of a turn
//! tenants are throttled, and publications become acknowledged (rule L5).

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use super::{
    LinkState, Router, bridge, names, presence_of_hosts, replays_of_hosts, resumes, timers,
};
use crate::broker::descriptions::AskedDescription;
use crate::broker::replays::TurnProgress;
use crate::broker::tracking::TrackedReport;
use crate::broker::turn::Turn;
use crate::link::fairness::{ApplicationCharge, TenantThrottle};
use crate::link::message::{ToBroker, ToWorker};
use crate::link::query::{DescribeAnswer, QueryResult};
use crate::link::resume::FromResumable;
use crate::types::{
    Client, ConnectionRef, Publication, Recipients, Slot, TagVersion, WorkerId, WorkerIncarnation,
};

impl Router {
    /// Sets the limits for new joins of applications, by their keys.
    pub fn limit_applications(&mut self, limits: &[(String, u32)]) {
        self.connection_limits.limit_applications(limits);
    }

    /// Returns whether every awaited worker has announced its clients.
    #[must_use]
    pub fn is_resolving(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Records that a worker has announced its clients, or is dead. After the last one, versions continue above
    /// those that an earlier broker may have shown (rule L12).
    pub(super) fn no_longer_await(&mut self, source: WorkerIncarnation) {
        if self.awaited.remove(&source) && self.awaited.is_empty() {
            self.last_version += TagVersion::STEP;
            self.complete_announced_bulk();
            names::begin(self);
        }
    }

    /// Returns whether the tags of many clients are being changed.
    #[must_use]
    pub fn is_changing_many(&self) -> bool {
        self.bulk.is_some()
    }

    /// Returns whether held messages can be applied now.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.is_resolving() && self.workers.values().any(|member| !member.held.is_empty())
    }

    /// Applies held messages once no worker is awaited, until the turn's time is spent. Messages that a
    /// worker sends meanwhile are held back too, so their order is preserved.
    pub fn resume(&mut self, is_spent: &mut dyn FnMut(usize) -> bool) -> ControlFlow<()> {
        if !self.is_behind() {
            return Continue(());
        }
        let sources: Vec<WorkerIncarnation> =
            self.workers.values().map(|member| member.source).collect();
        sources.into_iter().try_for_each(|source| self.release(source, is_spent))
    }

    /// Applies the held messages of one worker.
    fn release(
        &mut self,
        source: WorkerIncarnation,
        is_spent: &mut dyn FnMut(usize) -> bool,
    ) -> ControlFlow<()> {
        while self.is_resolving()
            && let Some(member) = self.workers.get_mut(&source.worker)
            && let Some(message) = member.held.pop_front()
        {
            if self.waits_for_departed(source, &message) {
                self.hold(source, message);
                return Continue(());
            }
            let work = message.work();
            if let Err(error) = self.apply(source, message)
                && let Some(member) = self.workers.get_mut(&source.worker)
            {
                member.link_state = LinkState::Broken(error);
                member.held.clear();
            }
            if is_spent(work) || self.is_changing_many() {
                return Break(());
            }
        }
        Continue(())
    }

    /// Holds a message back. It comes before all later messages of its worker.
    pub(super) fn hold(&mut self, source: WorkerIncarnation, message: ToBroker) {
        if let Some(member) = self.workers.get_mut(&source.worker) {
            member.held.push_front(message);
        }
    }

    /// Passes the answer of a worker on to the process that has asked.
    pub(super) fn on_described(&mut self, source: WorkerIncarnation, answer: DescribeAnswer) {
        let DescribeAnswer { asker, number, result } = answer;
        if let Some(asked) = self.descriptions.answered(source, asker, number) {
            self.send_description(asked, result);
        }
    }

    pub(super) fn send_description(&mut self, asked: AskedDescription, result: QueryResult) {
        let result = match (result, &mut self.hosts) {
            (QueryResult::Hosts(answer), Some(hosts)) => hosts.findings.with(asked, answer),
            (result, _) => result,
        };
        let AskedDescription { asker, slot, number } = asked;
        if self.workers.get(&asker.worker).is_some_and(|member| member.source == asker) {
            self.send(asker.worker, &ToWorker::Answer { slot, number, result });
        }
    }

    /// Returns whether messages of a worker are held back although no worker is awaited.
    pub(crate) fn holds_back(&self, source: WorkerIncarnation) -> bool {
        self.is_resolving()
            && self.workers.get(&source.worker).is_some_and(|it| !it.held.is_empty())
    }

    /// Returns whether clients of dead workers are still in the index.
    #[must_use]
    pub fn has_departed(&self) -> bool {
        !self.departed.is_empty() || self.connection_limits.has_departed()
    }

    /// Returns whether this worker can be linked: no predecessor with this number, and no client of one,
    /// is left.
    #[must_use]
    pub fn is_free(&self, worker: WorkerId) -> bool {
        !self.workers.contains_key(&worker) && !self.departed.contains(&worker)
    }

    /// Removes clients of dead workers until `is_spent` returns true, which is called after each.
    pub fn remove_departed(&mut self, is_spent: &mut dyn FnMut() -> bool) -> ControlFlow<()> {
        self.connection_limits.remove_departed(is_spent)?;
        while let Some(worker) = self.departed.first().copied() {
            let is_plain = self.records.is_empty() && self.presence.is_idle();
            let outcome = match is_plain && self.hosts.is_none() {
                true => self.index.remove_some_of(worker, is_spent),
                false => timers::put_away_some_of(self, worker, is_spent),
            };
            if self.index.clients_of(worker) == 0 {
                self.departed.remove(&worker);
            }
            outcome?;
        }
        Continue(())
    }

    /// Returns whether the result of a message could change when the clients of dead workers are removed.
    /// Such a message waits.
    pub(super) fn waits_for_departed(&self, source: WorkerIncarnation, message: &ToBroker) -> bool {
        if !self.has_departed() {
            return false;
        }
        let place = |slot: Slot| ConnectionRef { worker: source.worker, slot };
        match message {
            ToBroker::Join { slot, client } => {
                self.connection_limits.admit(self.clients(), place(*slot), client).is_err()
            }
            ToBroker::Resumable(FromResumable::Join(join)) => {
                let admitted =
                    self.connection_limits.admit(self.clients(), place(join.slot), &join.client);
                admitted.is_err()
            }
            ToBroker::Reserve { slot, ip } => {
                self.connection_limits.reserves(place(*slot), *ip).is_err()
            }
            ToBroker::Alias { .. } | ToBroker::Ask { .. } => true,
            // The first client with a name may belong to a dead worker. A UUID has only one client.
            ToBroker::Publish { publication: Publication { address, tenant, .. }, .. } => {
                !matches!(address.recipients, Recipients::First { ident: None, .. })
                    && self
                        .index
                        .resolve_one(tenant, address)
                        .is_some_and(|place| self.departed.contains(&place.worker))
            }
            _ => false,
        }
    }

    /// Removes the client of a dead worker that has this UUID and reconnects to another worker.
    pub(super) fn forget_departed(&mut self, client: &Client) {
        if self.has_departed()
            && let Some(place) = self.index.place_of(&client.tenant, client.uuid)
            && self.departed.contains(&place.worker)
        {
            resumes::go_away(self, place);
        }
    }

    /// Sets the work at which a tenant is throttled while others publish; 0 for no throttles.
    pub fn limit_tenants(&mut self, work: u64) {
        self.fair_share.limit(work);
    }

    /// Returns whether a tenant is throttled, so that its throttle must be checked again in time.
    #[must_use]
    pub fn is_throttling(&self) -> bool {
        !self.fair_share.throttled().is_empty()
    }

    /// Begins and ends throttles of tenants. `now` is the time since any fixed moment.
    pub fn balance_tenants(&mut self, now: Duration) {
        self.resolve_cache.count_last(&mut self.traffic);
        let Self { fair_share, traffic, .. } = self;
        for tenant in traffic.take_recent().into_iter().flatten() {
            fair_share.note_publisher(&tenant, now);
        }
        if self.fair_share.begins_to_count(now) {
            let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
            workers.into_iter().for_each(|worker| self.tell_count(worker));
        }
        for throttle in self.fair_share.decide(now) {
            for member in self.workers.values_mut() {
                member.out.send(&ToWorker::Throttle(throttle.clone()));
            }
        }
    }

    fn tell_count(&mut self, worker: WorkerId) {
        if let Some(reported_from) = self.fair_share.reported_from()
            && worker.has_clients()
        {
            self.send(worker, &ToWorker::CountWork { reported_from });
        }
    }

    /// Tells a new member of the link what it must know.
    pub(super) fn tell_throttles(&mut self, worker: WorkerId) {
        self.tell_count(worker);
        for tenant in self.fair_share.throttled().to_vec() {
            let throttle = TenantThrottle { tenant, is_throttled: true };
            self.send(worker, &ToWorker::Throttle(throttle));
        }
    }

    /// Passes on what a member of the link has accepted of an application with limits.
    pub(super) fn pass_on_charge(&mut self, from: WorkerId, charge: &ApplicationCharge) {
        let others = self.workers.iter_mut().filter(|(worker, _)| **worker != from);
        for (_, member) in others {
            member.out.send(&ToWorker::Charged(charge.clone()));
        }
    }

    /// Returns whether records for a new API process are left that its link has room for.
    #[must_use]
    pub fn has_records(&self) -> bool {
        let (api, progress) = (self.workers.get(&WorkerId::API), self.progress());
        api.is_some_and(|api| self.replays.has_records_for(api.source, &api.out, progress))
    }

    pub(super) fn progress(&self) -> TurnProgress {
        let written = self.turns_ended - self.turns.len() as u64;
        TurnProgress { ended: self.turns_ended, written }
    }

    /// Tells a new API process which requests an earlier one accepted.
    fn tell_records(&mut self) {
        let progress = self.progress();
        if let Some(api) = self.workers.get_mut(&WorkerId::API) {
            self.replays.tell(api.source, &mut api.out, progress);
        }
    }

    /// Sends a publisher a report on one of its publications.
    pub(super) fn report_tracked(&mut self, report: TrackedReport) {
        if let Some(member) = self.workers.get_mut(&report.publisher.worker)
            && member.source == report.publisher
        {
            member.report(report);
        }
    }

    /// Checks that the index is consistent and contains only clients of linked workers; for tests.
    ///
    /// # Errors
    ///
    /// A description of the first disagreement.
    pub fn is_consistent(&self) -> Result<(), String> {
        let linked: usize = self.workers.keys().map(|worker| self.index.clients_of(*worker)).sum();
        if linked != self.clients() {
            return Err(format!("{} clients, {linked} of linked workers", self.clients()));
        }
        self.records.check()?;
        self.index.is_consistent()
    }

    /// Ends a turn. Its publications are acknowledged when all links have taken their bytes (rule L5).
    pub fn end_turn(&mut self) {
        self.resolve_cache.forget();
        replays_of_hosts::forward(self);
        // A removed member gets no acknowledgement, but the next API process learns of its ids once all is written.
        let mut resolved = std::mem::take(&mut self.of_removed);
        for member in self.workers.values_mut() {
            member.set_names = 0;
            resolved.extend(member.end_turn().map(|last| (member.source, last)));
        }
        if !resolved.is_empty() {
            // What the bridge must have is carried, which says more.
            let links = self.workers.values().filter(|it| !it.source.worker.is_bridge());
            let marks = links.map(|member| (member.source, member.out.appended())).collect();
            let forwards = self.hosts.as_ref().map_or(0, |hosts| hosts.forwards.added());
            self.turns.push_back(Turn { resolved, marks, forwards, ended_at: self.now });
            self.turns_ended += 1;
        }
        names::end_turn(self);
        presence_of_hosts::end_turn(self);
        bridge::give(self);
        bridge::tell_clients(self);
        self.acknowledge();
    }

    /// Acknowledges publications that all links have taken. The link of the source itself is not waited for,
    /// because the acknowledgement follows the deliveries in the same byte stream.
    pub fn acknowledge(&mut self) {
        self.acknowledge_turns();
        replays_of_hosts::tell_written(self);
        if self.replays.is_telling() {
            self.tell_records();
        }
    }

    fn acknowledge_turns(&mut self) {
        while let Some(turn) = self.turns.front_mut() {
            let members = &self.workers;
            let is_carried = self.hosts.as_mut().is_none_or(|hosts| {
                !hosts.forwards.waits_for(turn.forwards, self.now.saturating_sub(turn.ended_at))
            });
            turn.marks.retain(|(source, mark)| {
                members
                    .get(&source.worker)
                    .is_some_and(|member| member.source == *source && member.out.written() < *mark)
            });
            let open = &turn.marks;
            turn.resolved.retain(|source, up_to| {
                // Publications of other hosts wait for no other host.
                let waits = open.iter().any(|(waited_for, _)| waited_for != source)
                    || !is_carried && !source.worker.is_bridge();
                if let Some(member) = self.workers.get_mut(&source.worker)
                    && member.source == *source
                    && !waits
                {
                    member.acknowledge(*up_to);
                }
                waits
            });
            if !turn.resolved.is_empty() {
                return;
            }
            self.turns.pop_front();
        }
    }
}
