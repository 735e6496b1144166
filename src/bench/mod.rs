//! The load generator: `tagcast bench`.
//!
//! A run opens connections to a server, its own or any other, publishes, and checks that every
//! delivery comes once and in order. Figures are deliveries per second of the server's processor
//! time: on a machine that others use too, the only kind that can be compared. One thread does it
//! all, from the same epoll, and is pinned to cores that the server does not use.

mod clock;
mod connect;
mod cores;
mod delivery_tracker;
mod error;
mod floor;
mod idle_connections;
mod index;
mod latency;
mod load;
mod load_sources;
mod plan;
mod process;
mod progress;
mod publisher;
mod report;
mod server;
mod socket;
mod splitter;
mod stamp;
mod suite;
mod target;

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

pub use self::cores::{Cores, Shares};
pub use self::error::BenchError;
pub use self::floor::{Writes, serve as serve_floor};
pub use self::index::{IndexReport, index, index_apart};
pub use self::latency::Percentiles;
pub use self::plan::{Audience, IdleConnections, Load, PublishPace, Until};
pub use self::progress::done;
pub use self::report::{IdleReport, LoadReport, NamedReport};
pub use self::server::{ServerKind, TlsMode};
pub use self::suite::{Row, measure as measure_targets, table, write_table};
pub use self::target::BenchProtocol;

use self::server::OwnServer;
use self::target::BenchTarget;
use crate::client::{ClientCredentials, ServerUrl};

/// The server that is measured.
#[derive(Clone, Debug)]
pub enum MeasuredServer {
    /// One that the run starts for itself, and how the machine is shared.
    Own(ServerKind, Shares),
    /// One that runs already.
    At {
        /// Where.
        url: ServerUrl,
        /// What is shown to it.
        access: ClientCredentials,
        /// Its first process, when that is on this machine: it tells what the server costs.
        pid: Option<u32>,
    },
}

/// A run and its floor.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// The floor just before and just after.
    pub floors: [NamedReport<LoadReport>; 2],
    /// The server.
    pub server: NamedReport<LoadReport>,
    /// Deliveries per CPU second, to the mean of both floors.
    pub ratio: Option<f64>,
}

/// Carries out a run with publications.
///
/// # Errors
///
/// When the server is not there, does not let clients in or closes one, and when the plan does not
/// hold together.
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
            load::run(load, &own.target, Some(own.pid()))?
        }
        MeasuredServer::At { url, access, pid } => {
            let target = BenchTarget::new(wire, url.clone(), access.clone())?;
            load::run(load, &target, *pid)?
        }
    };
    Ok(NamedReport { scenario: name.to_owned(), server: server.name(), report })
}

/// As [`load`](load()), between two runs of a floor.
///
/// # Errors
///
/// As [`load`](load()).
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

/// Carries out a run with connections only.
///
/// # Errors
///
/// As [`load`](load()).
pub fn crowd(
    name: &str,
    crowd: IdleConnections,
    wire: BenchProtocol,
    server: &MeasuredServer,
) -> Result<NamedReport<IdleReport>, BenchError> {
    let report = match server {
        MeasuredServer::Own(kind, shares) => {
            let own = OwnServer::start(*kind, wire, shares)?;
            idle_connections::run(crowd, &own.target, Some(own.pid()))?
        }
        MeasuredServer::At { url, access, pid } => {
            let target = BenchTarget::new(wire, url.clone(), access.clone())?;
            idle_connections::run(crowd, &target, *pid)?
        }
    };
    Ok(NamedReport { scenario: name.to_owned(), server: server.name(), report })
}

/// Opens connections, says `open` on standard output, and holds them until standard input ends.
///
/// # Errors
///
/// As [`load`](load()).
pub fn hold(
    crowd: IdleConnections,
    wire: BenchProtocol,
    url: ServerUrl,
    access: ClientCredentials,
) -> Result<(), BenchError> {
    idle_connections::hold(crowd, &BenchTarget::new(wire, url, access)?)
}

impl MeasuredServer {
    fn name(&self) -> String {
        match self {
            Self::Own(ServerKind::Tagcast { workers, tls }, _) => {
                let tls = if *tls == TlsMode::On { ", TLS" } else { "" };
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
