//! Runs all targets: limits, results and the table of `docs/benchmarks.md`.

mod rows;
mod table;

use std::cell::OnceCell;
use std::time::Duration;

use serde::Serialize;

use self::rows::TARGETS;
pub use self::table::{table, write_table};

use super::cores::Shares;
use super::error::BenchError;
use super::index::IndexReport;
use super::plan::{Audience, IdleConnections, Load, PublishPace, Until};
use super::report::{IdleReport, LoadReport};
use super::server::{OwnServer, ServerKind};
use super::target::BenchProtocol;
use super::{MeasuredServer, Writes, progress};
use crate::types::Encryption;

/// The result of one target.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Id of the target, such as `T1`.
    pub target: String,
    /// The measured quantity.
    pub what: String,
    /// The limit to reach.
    pub limit: String,
    /// The median of all rounds and their range.
    pub figure: String,
    /// Ratio of the figure to the limit; 1 or more means that the target is reached.
    pub ratio_to_limit: f64,
    /// The command that reproduces the figure.
    pub command: String,
    /// Date of the measurement, as `2026-11-21`.
    pub date: String,
    /// True if no delivery was lost, duplicated or out of order.
    pub is_clean: bool,
}

/// Measures the named targets, or all if `only` is empty.
///
/// # Errors
///
/// If a name is not a target, or if a run fails.
pub fn measure(only: &[String], rounds: usize, shares: &Shares) -> Result<Vec<Row>, BenchError> {
    if let Some(unknown) = only.iter().find(|name| !TARGETS.iter().any(|(id, _)| id == name)) {
        let known: Vec<&str> = TARGETS.iter().map(|(id, _)| *id).collect();
        return Err(BenchError::Plan(format!("no target {unknown}: {}", known.join(", "))));
    }
    let bench = Bench { rounds: rounds.max(1), shares, index: OnceCell::new() };
    let mut rows = Vec::new();
    for (id, measure) in TARGETS {
        if only.is_empty() || only.iter().any(|name| name == id) {
            progress::print_line(&format!("{id} …"));
            rows.extend(measure(&bench)?.into_iter().map(|row| row.named(id)));
        }
    }
    Ok(rows)
}

/// Settings and shared results of the targets.
#[derive(Debug)]
pub(super) struct Bench<'a> {
    rounds: usize,
    shares: &'a Shares,
    index: OnceCell<Vec<IndexReport>>,
}

/// One figure of each round.
#[derive(Clone, Debug)]
struct RoundFigures {
    figures: Vec<f64>,
    is_clean: bool,
}

/// Deliveries per CPU second of the server and of the floor, and their ratio in each round.
struct FloorComparison {
    ours: RoundFigures,
    floor: RoundFigures,
    ratio: RoundFigures,
}

const WARMUP: Duration = Duration::from_millis(700);
const COUNTED: Duration = Duration::from_millis(1600);

impl Bench<'_> {
    fn plan(clients: usize, audience: Audience, pace: PublishPace) -> Load {
        Load {
            clients,
            tags: 0,
            audience,
            pace,
            publishers: 1,
            payload: 128,
            fanout_rate: None,
            warmup: WARMUP,
            until: Until::Time(COUNTED),
        }
    }

    fn tagcast(&self, workers: usize, encryption: Encryption) -> MeasuredServer {
        MeasuredServer::Own(ServerKind::Tagcast { workers, encryption }, self.shares.clone())
    }

    /// Returns one worker per server core, which is what `workers = auto` starts.
    fn workers(&self) -> usize {
        self.shares.server.0.len()
    }

    fn load(
        &self,
        plan: &Load,
        wire: BenchProtocol,
        server: &MeasuredServer,
    ) -> Result<LoadReport, BenchError> {
        Ok(super::load("target", plan, wire, server)?.report)
    }

    fn ours(&self, plan: &Load, encryption: Encryption) -> Result<LoadReport, BenchError> {
        self.load(plan, BenchProtocol::Phpws, &self.tagcast(self.workers(), encryption))
    }

    fn floor(&self, plan: &Load, writes: Writes) -> Result<LoadReport, BenchError> {
        let server = MeasuredServer::Own(ServerKind::Floor(writes), self.shares.clone());
        self.load(plan, BenchProtocol::Floor, &server)
    }

    /// Runs floor, server and floor in each round. `figure` extracts the measured value from a
    /// report.
    fn with_floor(
        &self,
        plan: &Load,
        writes: Writes,
        read: impl Fn(&LoadReport) -> f64,
    ) -> Result<FloorComparison, BenchError> {
        let none = || RoundFigures { figures: Vec::new(), is_clean: true };
        let mut all = FloorComparison { ours: none(), floor: none(), ratio: none() };
        for _ in 0..self.rounds {
            let before = self.floor(plan, writes)?;
            let ours = self.ours(plan, Encryption::Plain)?;
            let after = self.floor(plan, writes)?;
            let floor = f64::midpoint(read(&before), read(&after));
            all.floor.figures.push(floor);
            all.ours.figures.push(read(&ours));
            all.ratio.figures.push(read(&ours) / floor);
            all.ratio.is_clean &= ours.is_clean();
        }
        Ok(all)
    }

    fn idle(
        &self,
        connections: IdleConnections,
        server: &MeasuredServer,
    ) -> Result<IdleReport, BenchError> {
        Ok(super::idle("target", connections, BenchProtocol::Phpws, server)?.report)
    }

    fn rounds(
        &self,
        mut measure: impl FnMut() -> Result<f64, BenchError>,
    ) -> Result<RoundFigures, BenchError> {
        let figures = (0..self.rounds).map(|_| measure()).collect::<Result<_, _>>()?;
        Ok(RoundFigures { figures, is_clean: true })
    }

    /// Returns a figure of the index benchmark. Its runs are shared by two targets.
    fn index(&self, read: impl Fn(&IndexReport) -> f64) -> Result<RoundFigures, BenchError> {
        let reports = match self.index.get() {
            Some(reports) => reports,
            None => {
                // Each round is a process of its own. Memory that this process has returned to its
                // allocator would otherwise not be counted.
                let rounds = (0..self.rounds).map(|_| super::index_apart());
                let reports = rounds.collect::<Result<_, _>>()?;
                self.index.get_or_init(|| reports)
            }
        };
        Ok(RoundFigures { figures: reports.iter().map(read).collect(), is_clean: true })
    }

    fn start(&self) -> Result<Duration, BenchError> {
        let kind = ServerKind::Tagcast { workers: self.workers(), encryption: Encryption::Plain };
        Ok(OwnServer::start(kind, BenchProtocol::Phpws, self.shares)?.started_in)
    }
}

impl RoundFigures {
    fn median(&self) -> f64 {
        median(&self.figures)
    }

    /// Returns the median, and the range if there are several rounds.
    fn spread_text(&self, tell: impl Fn(f64) -> String) -> String {
        let least = self.figures.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self.figures.len() {
            0 | 1 => tell(self.median()),
            _ => format!("{} ({} to {})", tell(self.median()), tell(least), tell(most)),
        }
    }
}

/// Returns the median, or NaN without figures.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(f64::NAN);
    match middle.checked_sub(1).and_then(|below| sorted.get(below)) {
        Some(lower) if sorted.len().is_multiple_of(2) => f64::midpoint(upper, *lower),
        _ => upper,
    }
}

fn per_cpu_second(report: &LoadReport) -> f64 {
    report.deliveries_per_cpu_second.unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_the_rounds_counts() {
        let rounds = |figures: &[f64]| RoundFigures { figures: figures.to_vec(), is_clean: true };
        assert!((rounds(&[3.0, 1.0, 2.0]).median() - 2.0).abs() < 1e-9);
        assert!((rounds(&[4.0, 1.0, 2.0, 3.0]).median() - 2.5).abs() < 1e-9);
        let text = rounds(&[3.0, 1.0, 2.0]).spread_text(|figure| format!("{figure:.0}"));
        assert_eq!(text, "2 (1 to 3)");
    }

    #[test]
    fn an_unknown_target_is_reported_with_the_known_ones() {
        let shares = Shares::halves().unwrap();
        let error = measure(&["T99".to_owned()], 1, &shares).unwrap_err().to_string();
        assert!(error.contains("T99") && error.contains("T12"), "{error}");
    }
}
