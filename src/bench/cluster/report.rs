//! The result of a benchmark of several hosts.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::bench::figure::{BenchFigure, FigureVerdict};

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
    pub figures: Vec<BenchFigure>,
    /// Processor time of a tag publication by part.
    pub parts: Vec<PartTime>,
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
        figures.iter().try_for_each(|figure| figure.fmt(f))?;
        if parts.is_empty() {
            return Ok(());
        }
        writeln!(f, "  processor time of a tag publication")?;
        parts.iter().try_for_each(|PartTime { part, micros }| {
            writeln!(f, "      {part:<20}{micros:>7.2} µs")
        })
    }
}
