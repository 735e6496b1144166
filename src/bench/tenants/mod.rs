//! Measures what a tenant notices of others that flood the server, and what these lose by it.
//!
//! The quiet tenant has few clients and publishes at a low rate. Each row has another load at the same time. Each
//! load is also measured alone, on the same server.

mod report;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

pub use self::report::{TenantsReport, TenantsRow, TenantsVerdict};

use super::MeasuredServer;
use super::NamedReport;
use super::cores::Shares;
use super::error::BenchError;
use super::load;
use super::plan::{Audience, Load, PublishPace, Until};
use super::process::Tree;
use super::report::LoadReport;
use super::server::{OwnServer, ServerKind};

/// A benchmark with several tenants.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantsPlan {
    /// Numbers of the rows, from 1. Empty: all.
    pub only: Vec<usize>,
    /// Clients of all noisy tenants of a row together. None: those of the row.
    pub clients: Option<usize>,
    /// Time before the counted part.
    pub warmup: Duration,
    /// Length of the counted part.
    pub duration: Duration,
}

/// The load of one row.
#[derive(Clone, Copy, Debug)]
struct NoisyLoad {
    /// Tenants with this load.
    tenants: usize,
    /// Clients of each.
    clients: usize,
    publishers: usize,
    in_flight: usize,
    payload: usize,
}

const ROWS: [NoisyLoad; 5] = [
    NoisyLoad { tenants: 1, clients: 1000, publishers: 4, in_flight: 256, payload: 128 },
    NoisyLoad { tenants: 1, clients: 1000, publishers: 8, in_flight: 4096, payload: 128 },
    NoisyLoad { tenants: 1, clients: 5000, publishers: 1, in_flight: 64, payload: 128 },
    NoisyLoad { tenants: 1, clients: 1000, publishers: 1, in_flight: 64, payload: 64 * 1024 },
    NoisyLoad { tenants: 8, clients: 250, publishers: 1, in_flight: 64, payload: 128 },
];

/// Clients and publications per second of the quiet tenant.
const QUIET_CLIENTS: usize = 20;
const QUIET_RATE: f64 = 20.0;
/// Time by which a noisy load outlasts the counted part of the quiet tenant.
const MARGIN: Duration = Duration::from_secs(1);

/// Runs the benchmark.
///
/// # Errors
///
/// If a server does not start or closes a connection, or if the plan has an unknown row.
pub fn tenants(
    plan: &TenantsPlan,
    kind: ServerKind,
    shares: &Shares,
) -> Result<NamedReport<TenantsReport>, BenchError> {
    let chosen = plan.chosen()?;
    let tenants = chosen.iter().map(|row| row.tenants).max().unwrap_or_default();
    let mut report = TenantsReport::default();
    for noisy in chosen {
        let own = OwnServer::start_with_tenants(kind, shares, tenants + 1)?;
        if report.rows.is_empty() {
            let quiet = own.tenant(0);
            report.alone = load::run(&plan.quiet(), &quiet, None)?.latency_us;
        }
        let row = plan.measure(noisy, &own)?;
        report.rows.push(row);
    }
    report.judge();
    let server = MeasuredServer::Own(kind, shares.clone()).name();
    Ok(NamedReport { scenario: "tenants".to_owned(), server, report })
}

impl TenantsPlan {
    fn chosen(&self) -> Result<Vec<NoisyLoad>, BenchError> {
        if self.only.is_empty() {
            return Ok(ROWS.to_vec());
        }
        let row = |number: &usize| {
            let found = number.checked_sub(1).and_then(|at| ROWS.get(at)).copied();
            let unknown = || BenchError::Plan(format!("there are rows 1 to {}", ROWS.len()));
            found.ok_or_else(unknown)
        };
        self.only.iter().map(row).collect()
    }

    fn quiet(&self) -> Load {
        Load {
            clients: QUIET_CLIENTS,
            tags: 0,
            audience: Audience::All,
            pace: PublishPace::PerSecond(QUIET_RATE),
            publishers: 1,
            payload: 128,
            fanout_rate: None,
            warmup: self.warmup,
            until: Until::Time(self.duration),
        }
    }

    fn noisy(&self, noisy: NoisyLoad) -> Load {
        let clients = self.clients.map_or(noisy.clients, |all| all / noisy.tenants);
        Load {
            clients: clients.max(1),
            pace: PublishPace::InFlight(noisy.in_flight),
            publishers: noisy.publishers,
            payload: noisy.payload,
            ..self.quiet()
        }
    }

    fn measure(&self, noisy: NoisyLoad, own: &OwnServer) -> Result<TenantsRow, BenchError> {
        let load = self.noisy(noisy);
        let (alone, _) = run_noisy(&load, noisy.tenants, own, || Ok(()))?;
        let longer = Load { until: Until::Time(self.duration + MARGIN), ..load.clone() };
        let quiet = || load::run(&self.quiet(), &own.tenant(0), None);
        let (together, quiet) = run_noisy(&longer, noisy.tenants, own, quiet)?;
        Ok(TenantsRow::new(&load, [&alone, &together], &quiet))
    }
}

/// Runs the load in several tenants at once, and `meanwhile` while all of them publish.
fn run_noisy<T>(
    load: &Load,
    tenants: usize,
    own: &OwnServer,
    meanwhile: impl FnOnce() -> Result<T, BenchError>,
) -> Result<(Vec<LoadReport>, T), BenchError> {
    let (ready, all_ready) = mpsc::channel();
    thread::scope(|scope| {
        let noisy: Vec<_> = (1..=tenants)
            .map(|tenant| {
                let ready = ready.clone();
                scope.spawn(move || {
                    let tree = Tree::of(own.pid());
                    let ready = || {
                        // The receiver lives longer than this thread.
                        let _sent = ready.send(());
                    };
                    load::run_when_open(load, &own.tenant(tenant), Some(&tree), ready)
                })
            })
            .collect();
        drop(ready);
        // A tenant that fails drops its sender.
        let open = all_ready.iter().take(tenants).count();
        let quiet = if open == tenants { Some(meanwhile()) } else { None };
        let mut reports = Vec::new();
        for thread in noisy {
            let lost = || Err(BenchError::Plan("the thread of a tenant failed".to_owned()));
            reports.push(thread.join().unwrap_or_else(|_| lost())?);
        }
        let missing = || Err(BenchError::Plan("a tenant did not open its connections".to_owned()));
        Ok((reports, quiet.unwrap_or_else(missing)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_number() {
        let time = Duration::from_secs(1);
        let plan =
            TenantsPlan { only: vec![5, 1], clients: Some(80), warmup: time, duration: time };
        let rows = plan.chosen().unwrap();
        assert_eq!(rows.iter().map(|row| row.tenants).collect::<Vec<_>>(), [8, 1]);
        assert_eq!(rows.iter().map(|row| plan.noisy(*row).clients).collect::<Vec<_>>(), [10, 80]);
        for only in [vec![0], vec![6]] {
            let plan = TenantsPlan { only, ..plan.clone() };
            assert!(matches!(plan.chosen(), Err(BenchError::Plan(_))));
        }
    }
}
