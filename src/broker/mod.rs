//! The broker: one loop around the index and the router. It speaks to workers only.

mod breach;
mod census;
mod links;
pub mod member;
mod resolved;
pub mod router;
pub mod switchboard;

use std::io;
use std::time::{Duration, Instant};

use tracing::{error, info};

pub use self::census::Limits;
use self::switchboard::Switchboard;
use crate::config::BrokerConfig;
use crate::link::control::{Control, Order, Peer, Report, RoleEnd};
use crate::link::poller::{Interest, Poller, Ready};
use crate::telemetry::{let_go, set_level};
use crate::types::limits::BROKER_TURN;
use crate::types::{Counts, Generation, TurnBudget, WorkerId};

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
    let board = Switchboard::new(generation);
    Broker { control, poller, board, is_ready: false }.serve()
}

struct Broker {
    control: Box<dyn Control>,
    poller: Poller,
    board: Switchboard,
    is_ready: bool,
}

/// Whether the loop goes on.
enum Next {
    Turn,
    End(RoleEnd),
}

impl Broker {
    /// One turn after the other: orders, then what there is between the workers.
    fn serve(&mut self) -> io::Result<RoleEnd> {
        let mut ready: Vec<Ready> = Vec::with_capacity(EVENTS);
        loop {
            let_go();
            ready.clear();
            let within = self.board.has_unread().then_some(Duration::ZERO);
            self.poller.wait(within, &mut ready)?;
            if ready.iter().any(|event| event.token == CONTROL)
                && let Next::End(end) = self.obey()?
            {
                return Ok(end);
            }
            for event in ready.iter().filter(|event| event.token != CONTROL && event.readable) {
                if let Ok(worker) = u16::try_from(event.token) {
                    self.board.mark_unread(WorkerId(worker));
                }
            }
            let Self { board, control, .. } = self;
            let started = now();
            let mut budget = TurnBudget::new(Duration::ZERO, BROKER_TURN);
            board.turn(&mut |report| tell(control.as_mut(), report), &mut || {
                budget.is_spent_after(0, || started.elapsed())
            });
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
                Order::Roster { sources } => self.board.await_workers(sources),
                Order::WorkerLink { source, transport } => {
                    self.poller.watch(transport.ready(), source.worker.0.into(), Interest::Edge)?;
                    self.board.link(source, transport);
                }
                Order::WorkerDead { source } => {
                    let Self { board, control, .. } = self;
                    board.bury(source, &mut |report| tell(control.as_mut(), report));
                }
                Order::Stop | Order::Drain { .. } => return Ok(Next::End(RoleEnd::Told)),
                Order::Configure { number, json } => {
                    self.board.limit(limits(&json)?);
                    self.report(Report::Configured { number });
                }
                Order::Count { number } => {
                    let counts = Counts::Broker(self.board.router().counts());
                    self.report(Report::Counts { number, counts });
                }
                Order::LogLevel(level) => set_level(level),
                Order::Beat => self.report(Report::Beat),
                Order::Listen(_)
                | Order::PushSocket(_)
                | Order::Link { .. }
                | Order::Quiesce(_)
                | Order::Pressure(_)
                | Order::Accept(_)
                | Order::Appoint(_) => {}
            }
        }
        Ok(if peer == Peer::Gone { Next::End(RoleEnd::Alone) } else { Next::Turn })
    }

    fn report(&mut self, report: Report) {
        tell(self.control.as_mut(), report);
    }

    fn announce_readiness(&mut self) {
        if self.is_ready || !self.board.router().is_resolving() {
            return;
        }
        self.is_ready = true;
        info!(clients = self.board.router().clients(), "resolving");
        self.report(Report::Ready);
    }
}

fn tell(control: &mut dyn Control, report: Report) {
    if let Err(error) = control.report(report) {
        error!(%error, "the supervisor cannot be told");
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
