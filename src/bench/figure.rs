//! A figure with its target and its baseline, as the scenarios of several hosts and of `tagcast.v1` print them.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::report::LoadReport;

/// A figure with its target and its baseline.
#[derive(Clone, Debug, Serialize)]
pub struct BenchFigure {
    /// Number of the row, such as C1 of docs/benchmarks.md.
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

impl Display for BenchFigure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { row, what, figure, target, baseline, verdict } = self;
        let verdict = verdict.words();
        writeln!(f, "  {row:<4}{what}")?;
        writeln!(f, "      {figure}; target {target}: {verdict}; baseline: {baseline}")
    }
}
