//! The broker without its epoll and its control link: the reading, resolving, writing and acknowledging of a
//! turn. The simulator in `tests/simulation.rs` runs this code over links of its own.

use std::ops::ControlFlow;

use tracing::{debug, info};

use super::connection_limits::MaxConnections;
use super::links::Links;
use super::router::Router;
use crate::link::control::ChildEvent;
use crate::link::transport::Transport;
use crate::types::{Generation, WorkerId, WorkerIncarnation};

/// The router and the links to its workers.
#[derive(Debug)]
pub struct BrokerCore {
    generation: Generation,
    router: Router,
    links: Links,
    limits: MaxConnections,
    /// The worker whose link was read last.
    read_last: WorkerId,
}

impl BrokerCore {
    /// Creates a broker without clients.
    #[must_use]
    pub fn new(generation: Generation) -> Self {
        let (router, links, limits) =
            (Router::default(), Links::default(), MaxConnections::default());
        Self { generation, router, links, limits, read_last: WorkerId(0) }
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
    }

    /// Sets the limits that joins are checked against.
    pub fn limit(&mut self, limits: MaxConnections) {
        self.limits = limits;
        self.router.limit(limits);
    }

    /// Adds the link to a worker.
    pub fn link(&mut self, source: WorkerIncarnation, transport: Box<dyn Transport>) {
        self.router.linked(source);
        self.links.add(source, transport);
    }

    /// The link of a worker has readable data or was closed.
    pub fn mark_unread(&mut self, worker: WorkerId) {
        self.links.mark_unread(worker);
    }

    /// Returns whether work is left for which no further event will arrive.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        self.links.has_unread() || self.router.is_behind()
    }

    /// Removes a dead worker. Its link is read to the end first, so that its last messages count.
    pub fn remove_worker(&mut self, source: WorkerIncarnation, report: &mut dyn FnMut(ChildEvent)) {
        if self.links.has(source) {
            self.links.mark_unread(source.worker);
            let _done: ControlFlow<()> = self.router.release(source, &mut || false);
            while self.links.has(source) && self.links.is_unread(source.worker) {
                let _done: ControlFlow<()> = self.read_link(source, report, &mut || false);
            }
        }
        self.links.remove(source);
        self.router.remove_worker(source);
        info!(
            event = "worker_removed",
            worker = source.worker.0,
            generation = source.generation.0,
            "worker removed"
        );
    }

    /// Runs one turn: reads the messages of workers, writes the results (rule L2), then writes the
    /// acknowledgements that have become possible (rule L5). Lost links are reported at once, so that the
    /// supervisor learns of them before publications are acknowledged without them. `is_spent` is called
    /// after each message; when it returns true, the remaining messages wait for the next turn. The broker
    /// therefore answers the supervisor and sends its results, however much the workers send.
    pub fn run_turn(
        &mut self,
        report: &mut dyn FnMut(ChildEvent),
        is_spent: &mut dyn FnMut() -> bool,
    ) {
        self.read(report, is_spent);
        self.router.end_turn();
        self.write(report);
        self.router.acknowledge();
        self.write(report);
    }

    /// Applies the messages that were held back, then reads each link once. The next turn starts with the
    /// link after the one where this turn stopped.
    fn read(&mut self, report: &mut dyn FnMut(ChildEvent), is_spent: &mut dyn FnMut() -> bool) {
        if self.router.resume(is_spent).is_break() {
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

    fn read_link(
        &mut self,
        source: WorkerIncarnation,
        report: &mut dyn FnMut(ChildEvent),
        is_spent: &mut dyn FnMut() -> bool,
    ) -> ControlFlow<()> {
        let Self { links, router, .. } = self;
        let outcome = links.read(source, &mut |message| {
            router.on_message(source, message).map_err(|breach| breach.to_string())?;
            Ok(if is_spent() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        outcome.unwrap_or_else(|reason| {
            self.on_link_error(source, &reason, report);
            ControlFlow::Continue(())
        })
    }

    fn write(&mut self, report: &mut dyn FnMut(ChildEvent)) {
        let mut lost: Vec<(WorkerIncarnation, String)> = Vec::new();
        for member in self.router.workers_mut() {
            if let Some(breach) = member.protocol_error() {
                lost.push((member.source, breach.to_string()));
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
            worker = source.worker.0,
            generation = source.generation.0,
            reason,
            "link to a worker lost"
        );
        self.links.remove(source);
        self.router.unlinked(source);
        report(ChildEvent::LinkLost { peer: source, broker: self.generation });
    }
}
