//! The table of a comparison.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::{ComparePlan, CompareScenario, RunFigures};
use crate::bench::error::BenchError;
use crate::bench::report::grouped;
use crate::bench::suite::median;

/// The result of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct CompareReport {
    /// Always `compare`.
    pub scenario: &'static str,
    /// Rounds of each run.
    pub rounds: usize,
    /// Bytes of a message.
    pub payload: usize,
    /// One row for each quantity.
    pub rows: Vec<CompareRow>,
    #[serde(skip)]
    scenarios: Vec<CompareScenario>,
}

/// One quantity of all servers.
#[derive(Clone, Debug, Serialize)]
pub struct CompareRow {
    /// The quantity. It counts per second of the server's processor time, except for bytes.
    pub what: String,
    /// One cell for each server, in the order of the plan.
    pub servers: Vec<CompareCell>,
    #[serde(skip)]
    scenario: usize,
}

/// One quantity of one server.
#[derive(Clone, Debug, Serialize)]
pub struct CompareCell {
    /// The server.
    pub server: String,
    /// Median of the rounds. None if no round had a figure.
    pub median: Option<f64>,
    /// The figures of the rounds.
    pub figures: Vec<f64>,
    /// True if no delivery was lost, duplicated or out of order.
    pub is_clean: bool,
    /// Reasons why rounds have no figure.
    pub error: Option<String>,
}

impl CompareReport {
    pub(super) fn new(plan: &ComparePlan) -> Self {
        let cell = |server: &str| CompareCell {
            server: server.to_owned(),
            median: None,
            figures: Vec::new(),
            is_clean: true,
            error: None,
        };
        let mut rows = Vec::new();
        for (scenario, one) in plan.scenarios.iter().enumerate() {
            for what in plan.names(*one) {
                let servers = plan.servers.iter().map(|server| cell(server.name())).collect();
                rows.push(CompareRow { what, servers, scenario });
            }
        }
        Self {
            scenario: "compare",
            rounds: plan.rounds,
            payload: plan.payload,
            rows,
            scenarios: plan.scenarios.clone(),
        }
    }

    /// Adds the figures of one run to the rows of its scenario.
    pub(super) fn add(
        &mut self,
        scenario: CompareScenario,
        server: usize,
        run: &Result<RunFigures, BenchError>,
    ) {
        let scenarios = &self.scenarios;
        let rows =
            self.rows.iter_mut().filter(|row| scenarios.get(row.scenario) == Some(&scenario));
        for (at, row) in rows.enumerate() {
            let Some(cell) = row.servers.get_mut(server) else { continue };
            match run {
                Ok(run) => {
                    let figure = run.figures.get(at).copied();
                    cell.figures.extend(figure.filter(|figure| figure.is_finite()));
                    cell.median = (!cell.figures.is_empty()).then(|| median(&cell.figures));
                    cell.is_clean &= run.is_clean;
                }
                Err(error) => cell.error = Some(error.to_string()),
            }
        }
    }

    /// Returns true if all runs have a figure and no delivery was lost, duplicated or out of order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let mut cells = self.rows.iter().flat_map(|row| &row.servers);
        // A figure is missing if the processor time of a server could not be read.
        cells.all(|cell| cell.is_clean && cell.error.is_none() && cell.figures.len() == self.rounds)
    }
}

impl Display for CompareReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { rounds, payload, .. } = self;
        write!(f, "| per CPU second, {payload} bytes, median of {rounds} |")?;
        let servers = self.rows.first().map(|row| row.servers.as_slice()).unwrap_or_default();
        servers.iter().try_for_each(|cell| write!(f, " {} |", cell.server))?;
        write!(f, "\n| --- |")?;
        servers.iter().try_for_each(|_| write!(f, " ---: |"))?;
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "| {} |", row.what)?;
            row.servers.iter().try_for_each(|cell| write!(f, " {cell} |"))?;
            writeln!(f)?;
        }
        for row in &self.rows {
            for cell in &row.servers {
                if let Some(error) = &cell.error {
                    writeln!(f, "{}, {}: {error}", row.what, cell.server)?;
                }
            }
        }
        Ok(())
    }
}

impl Display for CompareCell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.median {
            None => write!(f, "failed")?,
            Some(figure) if figure >= 1e6 => write!(f, "{:.2} M", figure / 1e6)?,
            Some(figure) if figure >= 1e5 => write!(f, "{:.0} k", figure / 1e3)?,
            Some(figure) => f.write_str(&grouped(figure))?,
        }
        match self.is_clean {
            true => Ok(()),
            false => write!(f, " **LOST OR OUT OF ORDER**"),
        }
    }
}
