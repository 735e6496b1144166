//! Results of a run with several tenants.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::bench::latency::Percentiles;
use crate::bench::plan::{Load, PublishPace};
use crate::bench::report::LoadReport;

/// What others may add to the 99th percentile of the quiet tenant, in microseconds.
const ADDED_BY_ONE: f64 = 50_000.0;
/// The 99th percentile during the loads of several tenants.
const BESIDE_SEVERAL: f64 = 150_000.0;
/// The part of its throughput that a noisy tenant keeps.
const KEPT: f64 = 0.8;

/// The result of a run with several tenants.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TenantsReport {
    /// Latencies of the quiet tenant alone, in microseconds.
    pub alone: Percentiles,
    /// One row for each load of others.
    pub rows: Vec<TenantsRow>,
}

/// The quiet tenant during one load of others.
#[derive(Clone, Debug, Serialize)]
pub struct TenantsRow {
    /// The load, in words.
    pub load: String,
    /// Noisy tenants.
    pub tenants: usize,
    /// Latencies of the quiet tenant during it, in microseconds.
    pub latency_us: Percentiles,
    /// Deliveries per second of the noisy tenants without the quiet one.
    pub deliveries_per_second_alone: f64,
    /// The same together with the quiet one.
    pub deliveries_per_second: f64,
    /// The second divided by the first.
    pub kept: f64,
    /// Whether the targets are met.
    pub verdict: TenantsVerdict,
}

/// What became of the targets of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantsVerdict {
    /// Both are met.
    Met,
    /// One is not.
    NotMet,
    /// A delivery was lost, doubled or out of order.
    Unclean,
}

impl TenantsRow {
    pub(super) fn new(
        load: &Load,
        [alone, together]: [&[LoadReport]; 2],
        quiet: &LoadReport,
    ) -> Self {
        let sum = |all: &[LoadReport]| all.iter().map(|it| it.deliveries_per_second).sum::<f64>();
        let all = alone.iter().chain(together).chain(std::iter::once(quiet));
        let tenants = together.len();
        let in_flight = match load.pace {
            PublishPace::InFlight(count) => count,
            PublishPace::PerSecond(_) => 0,
        };
        let Load { publishers, clients, payload, .. } = load;
        let several = if tenants > 1 { format!("{tenants} tenants, each ") } else { String::new() };
        let s = if *publishers == 1 { "" } else { "s" };
        Self {
            load: format!(
                "{several}{publishers} publisher{s}, {in_flight} in flight of {payload} bytes to {clients}"
            ),
            tenants,
            latency_us: quiet.latency_us,
            deliveries_per_second_alone: sum(alone),
            deliveries_per_second: sum(together),
            kept: sum(together) / sum(alone),
            verdict: match all.into_iter().all(LoadReport::is_clean) {
                true => TenantsVerdict::NotMet,
                false => TenantsVerdict::Unclean,
            },
        }
    }
}

impl TenantsReport {
    /// Compares the rows with the targets.
    pub(super) fn judge(&mut self) {
        for row in &mut self.rows {
            let p99_max =
                if row.tenants > 1 { BESIDE_SEVERAL } else { self.alone.p99 + ADDED_BY_ONE };
            if row.verdict == TenantsVerdict::NotMet
                && row.latency_us.p99 <= p99_max
                && row.kept >= KEPT
            {
                row.verdict = TenantsVerdict::Met;
            }
        }
    }

    /// Returns true if every delivery arrived once and in order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.rows.iter().all(|row| row.verdict != TenantsVerdict::Unclean)
    }
}

impl Display for TenantsReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let millis = |micros: f64| format!("{:.1} ms", micros / 1000.0);
        let width = self.rows.iter().map(|row| row.load.len()).max().unwrap_or_default();
        let titles = ["p50", "p99", "alone/s", "together/s", "kept", "targets"];
        let [p50, p99, alone, together, kept, targets] = titles;
        writeln!(
            f,
            "  {:<width$}  {p50:>10}  {p99:>10}  {alone:>11}  {together:>11}  {kept:>5}  {targets}",
            "load of others"
        )?;
        let (p50, p99) = (millis(self.alone.p50), millis(self.alone.p99));
        writeln!(f, "  {:<width$}  {p50:>10}  {p99:>10}", "nothing")?;
        for row in &self.rows {
            let (p50, p99) = (millis(row.latency_us.p50), millis(row.latency_us.p99));
            let (load, kept) = (&row.load, row.kept);
            let (alone, together) = (row.deliveries_per_second_alone, row.deliveries_per_second);
            let targets = match row.verdict {
                TenantsVerdict::Met => "met",
                TenantsVerdict::NotMet => "not met",
                TenantsVerdict::Unclean => "lost or out of order",
            };
            writeln!(
                f,
                "  {load:<width$}  {p50:>10}  {p99:>10}  {alone:>11.0}  {together:>11.0}  {kept:>5.2}  {targets}"
            )?;
        }
        Ok(())
    }
}
