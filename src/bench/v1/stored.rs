//! What it costs to store publications for clients that resume (M2).

use super::V1Bench;
use crate::bench::error::BenchError;
use crate::bench::figure::{BenchFigure, FigureVerdict};
use crate::bench::load;
use crate::bench::plan::{Audience, Load, PublishPace, Until};
use crate::bench::process::Tree;
use crate::bench::report::LoadReport;
use crate::bench::server::STORES;
use crate::bench::target::BenchProtocol;

/// Publications in flight, and the ratio that should be reached with each.
const WINDOWS: [(usize, f64); 2] = [(1, 0.97), (256, 0.85)];
const PROTOCOLS: [(BenchProtocol, &str); 2] =
    [(BenchProtocol::Phpws, "phpws"), (BenchProtocol::V1, "v1")];
const PAYLOAD: usize = 128;

/// M2: deliveries per second of processor time with `history`, divided by those without.
pub(super) fn fan_out(bench: &V1Bench<'_>) -> Result<BenchFigure, BenchError> {
    let (mut shown, mut without, mut is_reached) = (Vec::new(), Vec::new(), true);
    let mut reports = Vec::new();
    for (wire, name) in PROTOCOLS {
        for (in_flight, target) in WINDOWS {
            let mut ratios = Vec::new();
            for _ in 0..bench.plan.rounds {
                let off = run(bench, in_flight, wire, "")?;
                let on = run(bench, in_flight, wire, STORES)?;
                let each = |it: &LoadReport| it.deliveries_per_cpu_second.unwrap_or(f64::NAN);
                ratios.push((each(&on) / each(&off), each(&off)));
                reports.extend([off, on]);
            }
            ratios.sort_by(|one, other| one.0.total_cmp(&other.0));
            let (ratio, off) = ratios.get(ratios.len() / 2).copied().unwrap_or_default();
            is_reached &= ratio >= target;
            shown.push(format!("{name} W={in_flight} {ratio:.2}"));
            without.push(format!("{name} W={in_flight} {:.2} million", off / 1e6));
        }
    }
    Ok(BenchFigure {
        row: "M2",
        what: format!("fan-out to {} with 1,000 stored publications", bench.plan.recipients),
        figure: shown.join(", "),
        target: "W=1 0.97, W=256 0.85 of those without".to_owned(),
        baseline: format!("{} per CPU second", without.join(", ")),
        verdict: FigureVerdict::from(is_reached).of_runs(&reports.iter().collect::<Vec<_>>()),
    })
}

fn run(
    bench: &V1Bench<'_>,
    in_flight: usize,
    wire: BenchProtocol,
    more: &'static str,
) -> Result<LoadReport, BenchError> {
    let server = bench.server(1, more)?;
    let target = match wire {
        BenchProtocol::V1 => server.target.clone().with_v1(),
        _ => server.target.clone(),
    };
    let load = Load {
        clients: bench.plan.recipients,
        tags: 0,
        audience: Audience::All,
        pace: PublishPace::InFlight(in_flight),
        publishers: 1,
        payload: PAYLOAD,
        fanout_rate: None,
        warmup: bench.plan.warmup,
        until: Until::Time(bench.plan.duration),
    };
    load::run(&load, &target, Some(&Tree::of(server.pid())))
}
