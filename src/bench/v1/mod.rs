//! Measures what only clients of `tagcast.v1` have: acknowledgements, questions, stored publications, resuming, absence
//! and watches. The rows have the numbers M2 to M12 of docs/benchmarks.md.

mod absence;
mod answers;
mod presence;
mod spinning_client;
mod stored;

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::Serialize;

use super::connect::WantedClient;
use super::cores::Shares;
use super::error::BenchError;
use super::figure::{BenchFigure, FigureVerdict};
use super::progress;
use super::server::{OwnServer, ServerKind};
use super::target::BenchProtocol;
use crate::types::Encryption;

/// Handshakes at the same time, as in `tagcast bench connect`.
const AT_ONCE: usize = 64;
/// Time for the server to finish its work before its memory and processor time are read.
const SETTLE: Duration = Duration::from_millis(500);

/// A benchmark of `tagcast.v1`.
#[derive(Clone, Debug, PartialEq)]
pub struct V1BenchPlan {
    /// Clients that open, go away and come back, and that join what is watched.
    pub clients: usize,
    /// Clients of a fan-out.
    pub recipients: usize,
    /// Clients that watch.
    pub watchers: usize,
    /// Rounds of the fan-outs; the median counts.
    pub rounds: usize,
    /// Rows to measure, such as M9. Empty: all.
    pub only: Vec<String>,
    /// Time before each counted part of a fan-out.
    pub warmup: Duration,
    /// Length of each counted part.
    pub duration: Duration,
}

/// The result of a benchmark of `tagcast.v1`.
#[derive(Clone, Debug, Serialize)]
pub struct V1BenchReport {
    /// The rows.
    pub figures: Vec<BenchFigure>,
}

/// Measures a row.
type MeasureV1 = fn(&V1Bench<'_>) -> Result<BenchFigure, BenchError>;

const ROWS: &[(&str, MeasureV1)] = &[
    ("M2", stored::fan_out),
    ("M5", absence::memory),
    ("M6", absence::openings),
    ("M9", answers::latency),
    ("M12", presence::watched),
];

/// What all rows share.
#[derive(Clone, Copy, Debug)]
struct V1Bench<'a> {
    plan: &'a V1BenchPlan,
    shares: &'a Shares,
}

/// Runs the benchmark.
///
/// # Errors
///
/// If a server does not start, if a client is refused, or if the plan is impossible.
pub fn v1(plan: &V1BenchPlan, shares: &Shares) -> Result<V1BenchReport, BenchError> {
    plan.check()?;
    let bench = V1Bench { plan, shares };
    let mut figures = Vec::new();
    for (name, measure) in ROWS {
        if plan.only.is_empty() || plan.only.iter().any(|row| row == name) {
            progress::print_line(&format!("{name} …"));
            figures.push(measure(&bench)?);
        }
    }
    Ok(V1BenchReport { figures })
}

impl V1BenchPlan {
    fn check(&self) -> Result<(), BenchError> {
        if self.clients == 0 || self.recipients == 0 || self.watchers == 0 || self.rounds == 0 {
            return Err(BenchError::Plan("there must be at least one of each".to_owned()));
        }
        match self.only.iter().find(|name| !ROWS.iter().any(|(row, _)| row == name)) {
            Some(name) => {
                let rows: Vec<_> = ROWS.iter().map(|(row, _)| *row).collect();
                Err(BenchError::Plan(format!("no row {name}: {}", rows.join(", "))))
            }
            None => Ok(()),
        }
    }
}

impl V1Bench<'_> {
    /// Starts a server whose application has these lines in addition.
    fn server(&self, workers: usize, more: &'static str) -> Result<OwnServer, BenchError> {
        let kind = ServerKind::Tagcast { workers, encryption: Encryption::Plain };
        OwnServer::start_with(kind, self.shares, more)
    }
}

impl V1BenchReport {
    /// Returns true if every delivery of all runs arrived once and in order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.figures.iter().all(|figure| figure.verdict != FigureVerdict::Unclean)
    }
}

impl Display for V1BenchReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "tagcast.v1")?;
        self.figures.iter().try_for_each(|figure| figure.fmt(f))
    }
}

/// Clients of `tagcast.v1` without tags.
fn plain(clients: usize) -> impl ExactSizeIterator<Item = WantedClient> {
    (0..clients).map(|_| WantedClient::plain(BenchProtocol::V1))
}

/// Waits until the server has done what ended connections and openings cause.
#[expect(clippy::disallowed_methods, reason = "a measurement waits for memory to settle")]
fn settle() {
    std::thread::sleep(SETTLE);
}
