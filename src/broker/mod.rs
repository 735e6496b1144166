//! The broker: one loop around the index and the router. It speaks to workers only.

mod census;
mod links;
pub mod member;
mod resolved;
pub mod router;

use std::io;
use std::time::Instant;

use tracing::{debug, error, info};

pub use self::census::Limits;
use self::links::Links;
use self::router::Router;
use crate::config::BrokerConfig;
use crate::link::control::{Control, Order, Peer, Report, RoleEnd};
use crate::link::poller::{Interest, Poller, Ready};
use crate::telemetry::let_go;
use crate::types::limits::ORDERS_WAIT;
use crate::types::{Counts, Generation, Source, WorkerId};

/// The token of the control link; a worker's link has the worker's number.
const CONTROL: u64 = u64::MAX;
/// Events that one wait hands out: one for each worker is enough.
const EVENTS: usize = 64;

/// Runs the broker on this thread until it is told to stop or its supervisor is gone.
#[must_use]
pub fn run(generation: Generation, control: Box<dyn Control>) -> RoleEnd {
    serve(generation, control).unwrap_or_else(RoleEnd::Failed)
}

fn serve(generation: Generation, control: Box<dyn Control>) -> io::Result<RoleEnd> {
    let poller = Poller::new(EVENTS)?;
    poller.watch(control.ready(), CONTROL, Interest::Read)?;
    let mut broker = Broker {
        generation,
        control,
        poller,
        router: Router::default(),
        links: Links::default(),
        limits: Limits::default(),
        read_last: WorkerId(0),
        is_ready: false,
    };
    broker.serve()
}

struct Broker {
    generation: Generation,
    control: Box<dyn Control>,
    poller: Poller,
    router: Router,
    links: Links,
    limits: Limits,
    /// Whose link was read last.
    read_last: WorkerId,
    is_ready: bool,
}

/// Whether the loop goes on.
enum Next {
    Turn,
    End(RoleEnd),
}

impl Broker {
    /// One turn after the other: orders, then all that workers said, then all that is to be told
    /// them (rule L2), then the acknowledgements that this made possible (rule L5).
    fn serve(&mut self) -> io::Result<RoleEnd> {
        let mut ready: Vec<Ready> = Vec::with_capacity(EVENTS);
        loop {
            let_go();
            ready.clear();
            let within = self.links.has_unread().then_some(std::time::Duration::ZERO);
            self.poller.wait(within, &mut ready)?;
            if ready.iter().any(|event| event.token == CONTROL)
                && let Next::End(end) = self.obey()?
            {
                return Ok(end);
            }
            for event in ready.iter().filter(|event| event.token != CONTROL && event.readable) {
                if let Ok(worker) = u16::try_from(event.token) {
                    self.links.mark_unread(WorkerId(worker));
                }
            }
            self.read();
            self.router.end_turn();
            self.write();
            self.router.acknowledge();
            self.write();
            self.announce_readiness();
        }
    }

    fn obey(&mut self) -> io::Result<Next> {
        let mut orders = Vec::new();
        let peer = match self.control.orders(&mut orders) {
            Ok(peer) => peer,
            Err(error) => {
                error!(%error, "the control link broke");
                Peer::Gone
            }
        };
        for order in orders {
            match order {
                Order::Roster { sources } => {
                    debug!(workers = sources.len(), "awaiting announcements");
                    self.router = Router::awaiting(sources);
                    self.router.limit(self.limits);
                }
                Order::WorkerLink { source, transport } => {
                    self.poller.watch(transport.ready(), source.worker.0.into(), Interest::Edge)?;
                    self.router.linked(source);
                    self.links.add(source, transport);
                }
                Order::WorkerDead { source } => self.bury(source),
                Order::Stop | Order::Drain { .. } => return Ok(Next::End(RoleEnd::Told)),
                Order::Configure { number, json } => {
                    self.limits = limits(&json)?;
                    self.router.limit(self.limits);
                    self.report(Report::Configured { number });
                }
                Order::Count { number } => {
                    let counts = Counts::Broker(self.router.counts());
                    self.report(Report::Counts { number, counts });
                }
                Order::Beat => self.report(Report::Beat),
                Order::Listen(_) | Order::Link { .. } | Order::Quiesce(_) | Order::Pressure(_) => {}
            }
        }
        Ok(if peer == Peer::Gone { Next::End(RoleEnd::Alone) } else { Next::Turn })
    }

    /// A dead worker's last words are still heard: its link is read to the end first.
    fn bury(&mut self, source: Source) {
        if self.links.has(source) {
            self.links.mark_unread(source.worker);
            self.read_to_the_end(source);
        }
        self.links.remove(source);
        self.router.dead(source);
        info!(worker = source.worker.0, generation = source.generation.0, "worker forgotten");
    }

    fn read_to_the_end(&mut self, source: Source) {
        while self.links.has(source) && self.links.is_unread(source.worker) {
            self.read();
        }
    }

    /// One read from each link, and no further link once the turn has taken long: so the supervisor
    /// is answered, whatever is asked of the index. The next turn begins where this one stopped.
    fn read(&mut self) {
        let until = now() + ORDERS_WAIT;
        let mut unread = self.links.unread();
        let served = unread.partition_point(|source| source.worker <= self.read_last);
        unread.rotate_left(served);
        for source in unread {
            self.read_last = source.worker;
            let outcome = self.links.read(source, &mut |message| {
                self.router.take(source, message).map_err(|breach| breach.to_string())
            });
            if let Err(reason) = outcome {
                self.lose(source, &reason);
            }
            if now() >= until {
                return;
            }
        }
    }

    fn write(&mut self) {
        let mut lost: Vec<(Source, String)> = Vec::new();
        for member in self.router.members_mut() {
            if let Some(breach) = member.breach() {
                lost.push((member.source, breach.to_string()));
            } else if let Err(reason) = self.links.write(member) {
                lost.push((member.source, reason));
            }
        }
        for (source, reason) in lost {
            self.lose(source, &reason);
        }
    }

    /// A link that ends without a death ends that worker: the supervisor is told (rule L1).
    fn lose(&mut self, source: Source, reason: &str) {
        info!(worker = source.worker.0, generation = source.generation.0, reason, "link lost");
        self.links.remove(source);
        self.router.unlinked(source);
        self.report(Report::LinkLost { peer: source, broker: self.generation });
    }

    fn report(&mut self, report: Report) {
        if let Err(error) = self.control.report(report) {
            error!(%error, "the supervisor cannot be told");
        }
    }

    fn announce_readiness(&mut self) {
        if self.is_ready || !self.router.is_resolving() {
            return;
        }
        self.is_ready = true;
        info!(clients = self.router.clients(), "resolving");
        self.report(Report::Ready);
    }
}

#[expect(clippy::disallowed_methods, reason = "the broker's shell reads the clock, here alone")]
fn now() -> Instant {
    Instant::now()
}

fn limits(json: &str) -> io::Result<Limits> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let BrokerConfig { max_clients, max_per_ip } =
        BrokerConfig::from_json(json).map_err(invalid)?;
    Ok(Limits { max_clients, max_per_ip })
}
