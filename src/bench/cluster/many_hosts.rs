//! Many hosts on one machine.

use super::ClusterBench;
use super::bench_host::start_hosts;
use super::runs::run_on_all;
use crate::bench::error::BenchError;
use crate::bench::figure::{BenchFigure, FigureVerdict};
use crate::bench::plan::{Audience, Load, PublishPace, Until};
use crate::bench::target::BenchProtocol;

/// C10: a message to all from each of many hosts.
pub(super) fn many_hosts(bench: &mut ClusterBench<'_>) -> Result<BenchFigure, BenchError> {
    let plan = bench.plan;
    let clients = plan.many * plan.clients;
    // Those of the other rows are no part of it.
    bench.hosts.clear();
    let settings = bench.settings.of_another_cluster();
    let hosts = start_hosts(plan.many, &settings)?;
    let expected = (plan.many * clients) as u64;
    let load = Load {
        warmup: std::time::Duration::ZERO,
        until: Until::Deliveries(expected),
        ..plan.load(clients, Audience::All, PublishPace::InFlight(1))
    };
    let report = run_on_all(&load, &hosts, BenchProtocol::Phpws)?;
    Ok(BenchFigure {
        row: "C10",
        what: format!(
            "{} hosts of {} clients, a message to all from each",
            plan.many, plan.clients
        ),
        figure: format!("{} deliveries in {:.2} s", report.deliveries_in_all, report.seconds),
        target: "all arrive".to_owned(),
        baseline: format!("{expected} deliveries"),
        verdict: FigureVerdict::from(report.is_clean() && report.deliveries_in_all >= expected)
            .of_runs(&[&report]),
    })
}
