//! Measures several hosts on one machine: what publications between them take, what faults lose, and how much it costs
//! to be a host. Each figure has its baseline from the same run.

mod bare_nats;
mod bench_host;
mod costs;
mod faults;
mod many_hosts;
mod nats_process;
mod report;
mod runs;
mod times;

use std::path::PathBuf;
use std::time::Duration;

pub use self::report::{ClusterBenchReport, PartTime};

use self::bench_host::{BenchHost, HostSettings, start_hosts};
use self::nats_process::BenchNats;
use super::cores::Shares;
use super::error::BenchError;
use super::figure::BenchFigure;
use super::plan::{Audience, Load, PublishPace, Until};
use super::progress;

/// A benchmark of several hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterBenchPlan {
    /// The program of the NATS server.
    pub nats: PathBuf,
    /// Hosts.
    pub hosts: usize,
    /// Hosts of the row with many of them.
    pub many: usize,
    /// Clients of a fan-out, and of each of many hosts.
    pub clients: usize,
    /// Bytes of a message.
    pub payload: usize,
    /// Publications of each run with faults.
    pub publications: u64,
    /// Workers of each host.
    pub workers: usize,
    /// Rows to measure, such as C1. Empty: all.
    pub only: Vec<String>,
    /// Time before each counted part.
    pub warmup: Duration,
    /// Length of each counted part.
    pub duration: Duration,
}

/// Measures a row, which may have several figures.
type MeasureRow = fn(&mut ClusterBench<'_>) -> Result<BenchFigure, BenchError>;

const ROWS: &[(&str, MeasureRow)] = &[
    ("C1", times::feedback),
    ("C2", costs::origin),
    ("C3", costs::receiver),
    ("C4", costs::bytes),
    ("C5", costs::alone),
    ("C6", faults::faults),
    ("C7", faults::local_without_nats),
    ("C8", times::membership),
    ("C9", costs::memory),
    ("C10", many_hosts::many_hosts),
];

/// Runs the benchmark.
///
/// # Errors
///
/// If NATS or a host does not start, or if the plan is impossible.
pub fn cluster(plan: &ClusterBenchPlan, shares: &Shares) -> Result<ClusterBenchReport, BenchError> {
    plan.check()?;
    let nats = BenchNats::start(&plan.nats, shares)?;
    let settings = HostSettings::new(plan.workers, shares, nats.port);
    let hosts = start_hosts(plan.hosts, &settings)?;
    let mut bench =
        ClusterBench { plan, shares, nats, settings, hosts, costs: None, parts: Vec::new() };
    let mut figures = Vec::new();
    for (name, measure) in ROWS {
        if plan.has(name) {
            progress::print_line(&format!("{name} …"));
            figures.push(measure(&mut bench)?);
        }
    }
    Ok(ClusterBenchReport {
        nats: bench.nats.version.clone(),
        hosts: plan.hosts,
        workers: plan.workers,
        payload: plan.payload,
        figures,
        parts: bench.parts,
    })
}

/// What all rows share.
struct ClusterBench<'a> {
    plan: &'a ClusterBenchPlan,
    shares: &'a Shares,
    nats: BenchNats,
    settings: HostSettings,
    hosts: Vec<BenchHost>,
    /// What a tag publication costs, once it was measured.
    costs: Option<costs::PublicationCosts>,
    parts: Vec<PartTime>,
}

impl ClusterBenchPlan {
    fn has(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|it| it == row)
    }

    fn check(&self) -> Result<(), BenchError> {
        if self.hosts < 2 || self.many < 2 {
            return Err(BenchError::Plan("there must be at least two hosts".to_owned()));
        }
        match self.only.iter().find(|name| !ROWS.iter().any(|(row, _)| row == name)) {
            Some(name) => Err(BenchError::Plan(format!("no row {name}: C1 to C{}", ROWS.len()))),
            None => Ok(()),
        }
    }

    /// A run with this many clients.
    fn load(&self, clients: usize, audience: Audience, pace: PublishPace) -> Load {
        Load {
            clients,
            tags: 0,
            audience,
            pace,
            publishers: 1,
            payload: self.payload,
            fanout_rate: None,
            warmup: self.warmup,
            until: Until::Time(self.duration),
        }
    }
}

impl ClusterBench<'_> {
    /// Returns the host that publishes, and the one that receives.
    fn two(&self) -> Result<[&BenchHost; 2], BenchError> {
        match &self.hosts[..] {
            [origin, receiver, ..] => Ok([origin, receiver]),
            _ => Err(BenchError::Plan("there must be at least two hosts".to_owned())),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a short-lived command waits for processes")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
