//! The load generator: `tagcast bench`.
//!
//! A run opens connections to a server, publishes, and checks that every delivery arrives once and
//! in order. It starts its own server or uses a running one. Figures are deliveries per second of
//! processor time of the server, because only those are comparable on a machine with other load.
//! The generator is one thread with one epoll, pinned to cores that the server does not use.

mod api;
mod clock;
mod cluster;
mod compare;
mod connect;
mod cores;
mod delivery_tracker;
mod error;
mod figure;
mod floor;
mod http_responses;
mod idle_connections;
mod index;
mod latency;
mod load;
mod load_sources;
mod pending_client;
mod plan;
mod process;
mod progress;
mod publisher;
mod reconnect;
mod report;
mod server;
mod sleep;
mod socket;
mod splitter;
mod stamp;
mod suite;
mod target;
mod template;
mod tenants;
mod tls_tickets;
mod v1;

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

pub use self::api::{ApiLoad, ApiReport, FeedbackBeside, api};
pub use self::cluster::{ClusterBenchPlan, ClusterBenchReport, PartTime, cluster};
pub use self::compare::{
    CompareCell, ComparePlan, CompareReport, CompareRow, CompareScenario, ComparedServer, compare,
};
pub use self::cores::{Cores, Shares};
pub use self::error::BenchError;
pub use self::figure::{BenchFigure, FigureVerdict};
pub use self::floor::{Writes, serve as serve_floor};
pub use self::index::{IndexReport, index, index_apart};
pub use self::latency::Percentiles;
pub use self::plan::{Audience, IdleConnections, Load, PublishPace, Until};
pub use self::progress::done;
pub use self::reconnect::{Comeback, Disruption, ReconnectPlan, ReconnectReport, ReturnedClients};
pub use self::report::{IdleReport, LoadReport, NamedReport};
pub use self::server::ServerKind;
pub use self::suite::{Row, measure as measure_targets, table, write_table};
pub use self::target::BenchProtocol;
pub use self::template::ServerTemplate;
pub use self::tenants::{TenantsPlan, TenantsReport, TenantsRow, TenantsVerdict, tenants};
pub use self::v1::{V1BenchPlan, V1BenchReport, v1};

use self::process::Tree;
use self::server::OwnServer;
use self::target::BenchTarget;
use crate::client::{ClientCredentials, ServerUrl};
use crate::types::Encryption;

/// The server that is measured.
#[derive(Clone, Debug)]
pub enum MeasuredServer {
    /// A server that the run starts itself, and the split of the cores.
    Own(ServerKind, Shares),
    /// A server that is already running.
    At {
        /// URL of the server.
        url: ServerUrl,
        /// Credentials for connecting.
        access: ClientCredentials,
        /// Process id of its supervisor, if it runs on this machine. Needed to measure its
        /// processor time and memory.
        pid: Option<u32>,
    },
}

/// A run and the floor runs around it.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// Floor runs just before and just after.
    pub floors: [NamedReport<LoadReport>; 2],
    /// The run of the server.
    pub server: NamedReport<LoadReport>,
    /// Deliveries per CPU second, divided by the mean of both floor runs. None if it could not be
    /// measured.
    pub ratio: Option<f64>,
}

/// Runs a benchmark with publications.
///
/// # Errors
///
/// If the server cannot be reached, rejects a client or closes a connection, or if the plan is
/// impossible.
pub fn load(
    name: &str,
    load: &Load,
    wire: BenchProtocol,
    server: &MeasuredServer,
) -> Result<NamedReport<LoadReport>, BenchError> {
    load.check()?;
    let report = match server {
        MeasuredServer::Own(kind, shares) => {
            let own = OwnServer::start(*kind, wire, shares)?;
            load::run(load, &own.target, Some(&Tree::of(own.pid())))?
        }
        MeasuredServer::At { url, access, pid } => {
            let target = BenchTarget::new(wire, url.clone(), access.clone())?;
            load::run(load, &target, pid.map(Tree::of).as_ref())?
        }
    };
    Ok(NamedReport { scenario: name.to_owned(), server: server.name(), report })
}

/// Like [`load`](load()), with a floor run before and after.
///
/// # Errors
///
/// The same as [`load`](load()).
pub fn compared(
    name: &str,
    plan: &Load,
    wire: BenchProtocol,
    server: &MeasuredServer,
    shares: &Shares,
) -> Result<Compared, BenchError> {
    let writes = match plan.pace {
        PublishPace::InFlight(count) if count > 1 && plan.audience == Audience::All => {
            Writes::Joined
        }
        _ => Writes::Direct,
    };
    let floor = MeasuredServer::Own(ServerKind::Floor(writes), shares.clone());
    let before = load(name, plan, BenchProtocol::Floor, &floor)?;
    let server = load(name, plan, wire, server)?;
    let after = load(name, plan, BenchProtocol::Floor, &floor)?;
    let per = |report: &LoadReport| report.deliveries_per_cpu_second;
    let ratio = per(&server.report).zip(per(&before.report)).zip(per(&after.report));
    let ratio = ratio.map(|((server, before), after)| 2.0 * server / (before + after));
    Ok(Compared { floors: [before, after], server, ratio })
}

/// Runs a benchmark with idle connections.
///
/// # Errors
///
/// The same as [`load`](load()).
pub fn idle(
    name: &str,
    connections: IdleConnections,
    wire: BenchProtocol,
    server: &MeasuredServer,
) -> Result<NamedReport<IdleReport>, BenchError> {
    let report = match server {
        MeasuredServer::Own(kind, shares) => {
            let own = OwnServer::start(*kind, wire, shares)?;
            idle_connections::run(connections, &own.target, Some(&Tree::of(own.pid())))?
        }
        MeasuredServer::At { url, access, pid } => {
            let target = BenchTarget::new(wire, url.clone(), access.clone())?;
            idle_connections::run(connections, &target, pid.map(Tree::of).as_ref())?
        }
    };
    Ok(NamedReport { scenario: name.to_owned(), server: server.name(), report })
}

/// Opens connections, writes `open` to standard output, and keeps them open until standard input
/// ends.
///
/// # Errors
///
/// The same as [`load`](load()).
pub fn hold(
    connections: IdleConnections,
    wire: BenchProtocol,
    url: ServerUrl,
    access: ClientCredentials,
) -> Result<(), BenchError> {
    idle_connections::hold(connections, &BenchTarget::new(wire, url, access)?)
}

/// Starts a server, ends connections of its clients, and measures how the clients reconnect.
///
/// # Errors
///
/// If the server does not start, or if a client does not reconnect.
pub fn reconnect(
    plan: &ReconnectPlan,
    kind: ServerKind,
    shares: &Shares,
) -> Result<NamedReport<ReconnectReport>, BenchError> {
    let report = reconnect::reconnect(plan, kind, shares)?;
    let server = MeasuredServer::Own(kind, shares.clone()).name();
    Ok(NamedReport { scenario: "reconnect".to_owned(), server, report })
}

/// Opens clients that reconnect, for another load generator.
///
/// # Errors
///
/// The same as [`load`](load()).
pub fn comeback(
    comeback: &Comeback,
    wire: BenchProtocol,
    url: ServerUrl,
    access: ClientCredentials,
) -> Result<(), BenchError> {
    let target = BenchTarget::new(wire, url, access)?;
    let tickets = if comeback.shows_tickets { comeback.clients } else { 0 };
    reconnect::serve(comeback, &target.with_tickets(tickets))
}

impl MeasuredServer {
    fn name(&self) -> String {
        match self {
            Self::Own(ServerKind::Tagcast { workers, encryption }, _) => {
                let tls = if *encryption == Encryption::Tls { ", TLS" } else { "" };
                let s = if *workers == 1 { "" } else { "s" };
                format!("tagcast, {workers} worker{s}{tls}")
            }
            Self::Own(ServerKind::Floor(Writes::Direct), _) => "floor, one by one".to_owned(),
            Self::Own(ServerKind::Floor(Writes::Joined), _) => "floor, joined".to_owned(),
            Self::At { url, .. } => url.to_string(),
        }
    }
}

impl Display for Compared {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [before, after] = &self.floors;
        write!(f, "{before}{}{after}", self.server)?;
        match self.ratio {
            Some(ratio) => writeln!(f, "  {:<28}{ratio:.2}", "ratio to the floor"),
            None => Ok(()),
        }
    }
}
