//! The broker without its epoll and its control link: the reading, resolving, writing and acknowledging of a
//! turn. The simulator in `tests/simulation.rs` runs this code over links of its own.

mod history;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use tracing::{debug, info};

use self::history::StoredHistory;
use super::connection_limits::MaxConnections;
use super::links::Links;
use super::router::{BrokerClocks, Router, arrivals, bridge, presence, timers};
use crate::link::control::ChildEvent;
use crate::link::message::FromWorker;
use crate::link::transport::Transport;
use crate::reactor::poller::Interest;
use crate::types::limits::{
    AWAY_MEMORY, EXPRESSION_SCAN_MAX, FAIR_SHARE_CHECK, FAIR_SHARE_WORK, IDEMPOTENCY_MAX,
};
use crate::types::{ClusterMember, Generation, WorkerId, WorkerIncarnation};

impl fmt::Debug for TurnBudgets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnBudgets").finish_non_exhaustive()
    }
}

/// The router and the links to its workers.
#[derive(Debug)]
pub struct BrokerCore {
    generation: Generation,
    router: Router,
    links: Links,
    limits: MaxConnections,
    /// Maximum clients of applications, by their keys.
    applications: Vec<(String, u32)>,
    /// Values that the prefixes of one expression may scan.
    scan_max: u64,
    /// Ids of publications that are kept.
    ids_max: usize,
    /// The clocks, if there are some.
    clocks: Option<BrokerClocks>,
    /// Work at which a tenant is throttled.
    fair_share_work: u64,
    /// Memory for clients that are away, in bytes.
    away_bytes: usize,
    /// This host, if it shares publications with others.
    own_host: Option<ClusterMember>,
    history: StoredHistory,
    /// Time since 1970 at which this broker was started.
    started: Duration,
    /// The worker whose link was read last.
    read_last: WorkerId,
    /// Workers whose link was closed. Their last messages may still be held back.
    lost: BTreeSet<WorkerIncarnation>,
    /// Workers that are dead. Their links are read to the end.
    dead: BTreeSet<WorkerIncarnation>,
    /// Links of workers whose predecessor still has clients in the index.
    successors: BTreeMap<WorkerId, (WorkerIncarnation, Box<dyn Transport>)>,
}

/// Time budgets of a turn. Each is called after one unit of work; when it returns true, the remaining
/// units wait for the next turn.
pub struct TurnBudgets<'a> {
    /// Called after each message of a worker, with its [work](crate::link::message::ToBroker::work).
    pub messages: &'a mut dyn FnMut(usize) -> bool,
    /// Called after each removed client of a dead worker.
    pub removals: &'a mut dyn FnMut() -> bool,
}

impl BrokerCore {
    /// Creates a broker without clients.
    #[must_use]
    pub fn new(generation: Generation) -> Self {
        Self {
            generation,
            router: Router::default(),
            links: Links::default(),
            limits: MaxConnections::default(),
            applications: Vec::new(),
            scan_max: EXPRESSION_SCAN_MAX,
            ids_max: IDEMPOTENCY_MAX,
            clocks: None,
            fair_share_work: FAIR_SHARE_WORK,
            away_bytes: AWAY_MEMORY,
            own_host: None,
            history: StoredHistory::default(),
            started: Duration::ZERO,
            read_last: WorkerId(0),
            lost: BTreeSet::new(),
            dead: BTreeSet::new(),
            successors: BTreeMap::new(),
        }
    }

    /// Returns the router.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Sets the workers whose announcements must arrive before anything is resolved. Must be called before
    /// any link is added.
    pub fn await_workers(&mut self, sources: Vec<WorkerIncarnation>) {
        debug!(workers = sources.len(), "awaiting announcements");
        self.router = Router::awaiting(sources);
        self.router.limit(self.limits);
        self.router.limit_applications(&self.applications);
        self.router.limit_scan(self.scan_max);
        self.router.replays.limit_ids(self.ids_max);
        self.router.limit_tenants(self.fair_share_work);
        timers::limit_away(&mut self.router, self.away_bytes);
        timers::started_at(&mut self.router, self.started);
        if let Some(own) = self.own_host {
            bridge::share(&mut self.router, own, self.generation);
        }
        self.history.apply(&mut self.router);
        if let Some(clocks) = self.clocks {
            self.router.measure_with(clocks);
        }
    }

    /// Measures the time of expressions, and of traced publications.
    pub fn measure_with(&mut self, clocks: BrokerClocks) {
        self.router.measure_with(clocks);
        self.clocks = Some(clocks);
    }

    /// Sets the limits that joins are checked against.
    pub fn limit(&mut self, limits: MaxConnections) {
        self.limits = limits;
        self.router.limit(limits);
    }

    /// Sets how many clients of applications may join, by their keys.
    pub fn limit_applications(&mut self, limits: Vec<(String, u32)>) {
        self.router.limit_applications(&limits);
        self.applications = limits;
    }

    /// Sets how many values the prefixes of one expression may scan.
    pub fn limit_scan(&mut self, values: u64) {
        self.scan_max = values;
        self.router.limit_scan(values);
    }

    /// Removes some of the records of requests whose time is over, and readers of publications that ask no
    /// more. `now` is in Unix seconds.
    pub fn forget_expired(&mut self, now: u64) {
        self.router.replays.forget_expired(now);
        self.router.tail.forget_silent(now);
    }

    /// Sets how many ids of publications are kept.
    pub fn limit_ids(&mut self, ids_max: usize) {
        self.ids_max = ids_max;
        self.router.replays.limit_ids(ids_max);
    }

    /// Sets the work at which a tenant is throttled while others publish; 0 for no throttles.
    pub fn limit_tenants(&mut self, work: u64) {
        self.fair_share_work = work;
        self.router.limit_tenants(work);
    }

    /// Sets the time since 1970 at which this broker was started. A client that shows an earlier token may have been
    /// known to an earlier broker.
    pub fn started_at(&mut self, started: Duration) {
        self.started = started;
        timers::started_at(&mut self.router, started);
    }

    /// Shares publications with other hosts, if this host is one of several. Only the first id counts.
    pub fn share_with_hosts(&mut self, own: Option<ClusterMember>) {
        if let Some(own) = own {
            self.own_host = Some(own);
            bridge::share(&mut self.router, own, self.generation);
        }
    }

    /// Returns the longest time until the next turn; `None`: until the next event. `now` is the time since any fixed
    /// moment.
    #[must_use]
    pub fn wait_time(&self, now: Duration) -> Option<Duration> {
        if self.has_unread() {
            return Some(Duration::ZERO);
        }
        let throttled = self.router.is_throttling().then_some(FAIR_SHARE_CHECK);
        let due = timers::next_due(&self.router).map(|due| due.saturating_sub(now));
        throttled.into_iter().chain(due).min()
    }

    /// Adds the link to a worker.
    pub fn link(&mut self, source: WorkerIncarnation, transport: Box<dyn Transport>) {
        self.successors.insert(source.worker, (source, transport));
        self.link_successors();
    }

    /// Adds links of workers whose predecessor has no clients left.
    fn link_successors(&mut self) {
        let Self { router, links, dead, successors, .. } = self;
        let is_dying = |worker| dead.iter().any(|source| source.worker == worker);
        let is_free = |worker: &WorkerId| !is_dying(*worker) && router.is_free(*worker);
        let free: Vec<WorkerId> = successors.keys().copied().filter(is_free).collect();
        for (source, transport) in free.iter().filter_map(|worker| successors.remove(worker)) {
            router.linked(source);
            links.add(source, transport);
        }
    }

    /// The link of a worker has readable data or was closed.
    pub fn mark_unread(&mut self, worker: WorkerId) {
        self.links.mark_unread(worker);
    }

    /// A worker has closed its link. What it wrote before may be left.
    pub fn mark_ended(&mut self, worker: WorkerId) {
        self.links.mark_ended(worker);
    }

    /// Returns whether work is left for which no further event will arrive.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        self.links.has_unread()
            || self.router.is_behind()
            || self.router.has_departed()
            || self.router.is_changing_many()
            || self.router.has_records()
            || bridge::has_forwards(&self.router)
            || timers::has_due(&self.router)
            || !(self.lost.is_empty() && self.dead.is_empty())
    }

    /// Updates the watched events of each link whose wanted events have changed.
    ///
    /// # Errors
    ///
    /// The first error of `watch`.
    pub fn rewatch(
        &mut self,
        watch: &mut dyn FnMut(WorkerId, BorrowedFd<'_>, Interest) -> io::Result<()>,
    ) -> io::Result<()> {
        self.links.rewatch(watch)
    }

    /// Removes a dead worker over the next turns. Its link is read to the end first, so that its last
    /// messages count. Then its clients are removed.
    pub fn remove_worker(&mut self, source: WorkerIncarnation) {
        self.successors.retain(|_, (successor, _)| *successor != source);
        self.links.mark_unread(source.worker);
        self.dead.insert(source);
    }

    /// Runs one turn: removes clients of dead workers, reads the messages of workers, writes the results
    /// (rule L2), then writes the acknowledgements that have become possible (rule L5). Lost links are
    /// reported at once, so that the supervisor learns of them before publications are acknowledged without
    /// them. Work beyond the budgets waits for the next turn. The broker therefore answers the supervisor
    /// and sends its results, however much the workers send. `now` is the time since any fixed moment.
    pub fn run_turn(
        &mut self,
        now: Duration,
        report: &mut dyn FnMut(ChildEvent),
        TurnBudgets { messages, removals }: TurnBudgets<'_>,
    ) {
        timers::begin_turn(&mut self.router, now);
        let removed = self.router.remove_departed(removals);
        self.read(report, messages);
        self.end_workers();
        timers::serve_waiting(&mut self.router);
        if removed.is_continue() {
            timers::end_due(&mut self.router, removals);
        }
        self.link_successors();
        self.router.balance_tenants(now);
        self.router.end_turn();
        self.write(report);
        self.router.acknowledge();
        self.write(report);
    }

    /// Applies the messages that were held back, then reads each link once. The next turn starts with the
    /// link after the one where this turn stopped.
    fn read(
        &mut self,
        report: &mut dyn FnMut(ChildEvent),
        is_spent: &mut dyn FnMut(usize) -> bool,
    ) {
        // Announcements must not collide with clients of a dead worker. Publications are not resolved
        // before all announcements, so reading later delays nothing else.
        if self.router.has_departed() && !self.router.is_resolving() {
            return;
        }
        if self.router.continue_bulk(is_spent).is_break() || self.router.resume(is_spent).is_break()
        {
            return;
        }
        let mut unread = self.links.unread();
        let served = unread.partition_point(|source| source.worker <= self.read_last);
        unread.rotate_left(served);
        for source in unread {
            self.read_last = source.worker;
            if self.read_link(source, report, is_spent).is_break() {
                return;
            }
        }
    }

    /// Removes dead workers and workers without a link, once their last messages are applied.
    fn end_workers(&mut self) {
        let Self { router, links, lost, dead, .. } = self;
        lost.retain(|source| {
            let is_over = !router.holds_back(*source);
            if is_over {
                router.unlinked(*source);
            }
            !is_over
        });
        dead.retain(|source| {
            let has_more = links.has(*source) && links.is_unread(source.worker);
            if has_more || router.holds_back(*source) {
                return true;
            }
            links.remove(*source);
            router.remove_worker(*source);
            info!(
                event = "worker_removed",
                role = source.worker.role(),
                generation = source.generation.0,
                "process removed"
            );
            false
        });
    }

    fn read_link(
        &mut self,
        source: WorkerIncarnation,
        report: &mut dyn FnMut(ChildEvent),
        is_spent: &mut dyn FnMut(usize) -> bool,
    ) -> ControlFlow<()> {
        let Self { links, router, .. } = self;
        let outcome = links.read(source, &mut |message| {
            let work = message.work();
            let done = match message {
                FromWorker::Publish(publish) => router.on_publish(source, publish),
                FromWorker::Arrive(arrival) => arrivals::on_arrival(router, source, arrival),
                FromWorker::Other(message) => router.on_message(source, message),
            };
            done.map_err(|error| error.to_string())?;
            // Nothing is read while the tags of many clients change.
            let work = work + presence::take_work(router);
            let is_over = is_spent(work) || router.is_changing_many();
            Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        outcome.unwrap_or_else(|reason| {
            self.on_link_error(source, &reason, report);
            ControlFlow::Continue(())
        })
    }

    fn write(&mut self, report: &mut dyn FnMut(ChildEvent)) {
        let mut lost: Vec<(WorkerIncarnation, String)> = Vec::new();
        for member in self.router.workers_mut() {
            if let Some(error) = member.protocol_error() {
                lost.push((member.source, error.to_string()));
            } else if let Err(reason) = self.links.write(member) {
                lost.push((member.source, reason));
            }
        }
        for (source, reason) in lost {
            self.on_link_error(source, &reason, report);
        }
    }

    /// Handles a link that failed before its process exited: the worker is removed, and the supervisor gets a
    /// report (rule L1).
    fn on_link_error(
        &mut self,
        source: WorkerIncarnation,
        reason: &str,
        report: &mut dyn FnMut(ChildEvent),
    ) {
        info!(
            event = "worker_link_lost",
            role = source.worker.role(),
            generation = source.generation.0,
            reason,
            "link to a process lost"
        );
        self.links.remove(source);
        self.lost.insert(source);
        report(ChildEvent::LinkLost { peer: source, broker: self.generation });
    }
}
