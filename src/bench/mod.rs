//! The load generator: `tagcast bench`.
//!
//! A run opens connections to a server, its own or any other, publishes, and checks that every
//! delivery comes once and in order. Figures are deliveries per second of the server's processor
//! time: on a machine that others use too, the only kind that can be compared. One thread does it
//! all, from the same epoll, and is pinned to cores that the server does not use.

mod clock;
mod cores;
mod crowd;
mod error;
mod floor;
mod index;
mod latency;
mod ledger;
mod load;
mod opening;
mod plan;
mod process;
mod progress;
mod publisher;
mod report;
mod server;
mod socket;
mod sources;
mod splitter;
mod stamp;
mod target;
mod targets;

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

pub use self::cores::{Cores, Shares};
pub use self::error::BenchError;
pub use self::floor::{Writes, serve as serve_floor};
pub use self::index::{IndexReport, index, index_apart};
pub use self::latency::Percentiles;
pub use self::plan::{Audience, Crowd, Load, Pace, Until};
pub use self::progress::done;
pub use self::report::{CrowdReport, LoadReport, Named};
pub use self::server::{Kind, Tls};
pub use self::target::Wire;
pub use self::targets::{Row, measure as measure_targets, table, write_table};

use self::server::Own;
use self::target::Target;
use crate::client::{Access, ServerUrl};

/// The server that is measured.
#[derive(Clone, Debug)]
pub enum Server {
    /// One that the run starts for itself, and how the machine is shared.
    Own(Kind, Shares),
    /// One that runs already.
    At {
        /// Where.
        url: ServerUrl,
        /// What is shown to it.
        access: Access,
        /// Its first process, when that is on this machine: it tells what the server costs.
        pid: Option<u32>,
    },
}

/// A run beside its floor.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// The floor just before and just after.
    pub floors: [Named<LoadReport>; 2],
    /// The server.
    pub server: Named<LoadReport>,
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
    wire: Wire,
    server: &Server,
) -> Result<Named<LoadReport>, BenchError> {
    load.check()?;
    let report = match server {
        Server::Own(kind, shares) => {
            let own = Own::start(*kind, wire, shares)?;
            load::run(load, &own.target, Some(own.pid()))?
        }
        Server::At { url, access, pid } => {
            let target = Target::new(wire, url.clone(), access.clone())?;
            load::run(load, &target, *pid)?
        }
    };
    Ok(Named { scenario: name.to_owned(), server: server.name(), report })
}

/// As [`load`](load()), between two runs of a floor.
///
/// # Errors
///
/// As [`load`](load()).
pub fn compared(
    name: &str,
    plan: &Load,
    wire: Wire,
    server: &Server,
    shares: &Shares,
) -> Result<Compared, BenchError> {
    let writes = match plan.pace {
        Pace::InFlight(count) if count > 1 && plan.audience == Audience::All => Writes::Joined,
        _ => Writes::Direct,
    };
    let floor = Server::Own(Kind::Floor(writes), shares.clone());
    let before = load(name, plan, Wire::Floor, &floor)?;
    let server = load(name, plan, wire, server)?;
    let after = load(name, plan, Wire::Floor, &floor)?;
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
    crowd: Crowd,
    wire: Wire,
    server: &Server,
) -> Result<Named<CrowdReport>, BenchError> {
    let report = match server {
        Server::Own(kind, shares) => {
            let own = Own::start(*kind, wire, shares)?;
            crowd::run(crowd, &own.target, Some(own.pid()))?
        }
        Server::At { url, access, pid } => {
            let target = Target::new(wire, url.clone(), access.clone())?;
            crowd::run(crowd, &target, *pid)?
        }
    };
    Ok(Named { scenario: name.to_owned(), server: server.name(), report })
}

/// Opens connections, says `open` on standard output, and holds them until standard input ends.
///
/// # Errors
///
/// As [`load`](load()).
pub fn hold(crowd: Crowd, wire: Wire, url: ServerUrl, access: Access) -> Result<(), BenchError> {
    crowd::hold(crowd, &Target::new(wire, url, access)?)
}

impl Server {
    fn name(&self) -> String {
        match self {
            Self::Own(Kind::Tagcast { workers, tls }, _) => {
                let tls = if *tls == Tls::On { ", TLS" } else { "" };
                let s = if *workers == 1 { "" } else { "s" };
                format!("tagcast, {workers} worker{s}{tls}")
            }
            Self::Own(Kind::Floor(Writes::Direct), _) => "floor, one by one".to_owned(),
            Self::Own(Kind::Floor(Writes::Joined), _) => "floor, joined".to_owned(),
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
