//! The result of a benchmark of several hosts.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::bench::report::LoadReport;

/// The result of a benchmark of several hosts.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterBenchReport {
    /// The NATS server, as it calls itself.
    pub nats: String,
    /// Hosts.
    pub hosts: usize,
    /// Workers of each host.
    pub workers: usize,
    /// Bytes of a message.
    pub payload: usize,
    /// The rows.
    pub figures: Vec<ClusterFigure>,
    /// Processor time of a tag publication by part.
    pub parts: Vec<PartTime>,
}

/// A figure with its target and its baseline.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterFigure {
    /// Number of the row, such as C1.
    pub row: &'static str,
    /// What was measured.
    pub what: String,
    /// The figure.
    pub figure: String,
    /// What it should be.
    pub target: String,
    /// What the same run measured without what the figure is about.
    pub baseline: String,
    /// Whether the target is reached.
    pub verdict: FigureVerdict,
}

/// What became of the target of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureVerdict {
    /// It is reached.
    Reached,
    /// It is not.
    NotReached,
    /// A delivery was lost, doubled or out of order.
    Unclean,
}

impl From<bool> for FigureVerdict {
    fn from(is_reached: bool) -> Self {
        if is_reached { Self::Reached } else { Self::NotReached }
    }
}

impl FigureVerdict {
    /// Returns the verdict about these runs.
    pub(super) fn of_runs(self, runs: &[&LoadReport]) -> Self {
        if runs.iter().all(|report| report.is_clean()) { self } else { Self::Unclean }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::NotReached => "not reached",
            Self::Unclean => "LOST, DOUBLED OR OUT OF ORDER",
        }
    }
}

/// The processor time of a part.
#[derive(Clone, Debug, Serialize)]
pub struct PartTime {
    /// The part.
    pub part: String,
    /// Microseconds for each publication.
    pub micros: f64,
}

impl ClusterBenchReport {
    /// Returns true if every delivery of all runs arrived once and in order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.figures.iter().all(|figure| figure.verdict != FigureVerdict::Unclean)
    }
}

impl Display for ClusterBenchReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { nats, hosts, workers, payload, figures, parts } = self;
        writeln!(
            f,
            "cluster · {hosts} hosts, each with {workers} workers, {payload} bytes, {nats}"
        )?;
        for figure in figures {
            let ClusterFigure { row, what, figure, target, baseline, verdict } = figure;
            let verdict = verdict.words();
            writeln!(f, "  {row:<4}{what}")?;
            writeln!(f, "      {figure}; target {target}: {verdict}; baseline: {baseline}")?;
        }
        if parts.is_empty() {
            return Ok(());
        }
        writeln!(f, "  processor time of a tag publication")?;
        parts.iter().try_for_each(|PartTime { part, micros }| {
            writeln!(f, "      {part:<20}{micros:>7.2} µs")
        })
    }
}
