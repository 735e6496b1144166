//! How long things take between hosts.

use std::time::Duration;

use super::bench_host::BenchHost;
use super::runs::{RunHosts, run};
use super::{ClusterBench, bare_nats};
use crate::bench::clock::RunClock;
use crate::bench::error::BenchError;
use crate::bench::figure::{BenchFigure, FigureVerdict};
use crate::bench::plan::{Audience, PublishPace};
use crate::bench::report::time;
use crate::bench::target::BenchProtocol;

/// Publications a second while latencies are measured.
pub(super) const RATE: f64 = 1_000.0;
/// Clients of the receiving host.
const CLIENTS: usize = 10;
/// What a lane may add to the median, in microseconds.
const ADDED_P50: f64 = 100.0;
/// The 99th percentile, in times of that without a lane.
const TIMES_P99: f64 = 2.0;
/// Seconds until a new host is live, and until a dead one is gone.
const LIVE: f64 = 1.0;
const GONE: f64 = 4.0;

/// C1: feedback to another host, to local feedback and a message of bare clients of NATS.
pub(super) fn feedback(bench: &mut ClusterBench<'_>) -> Result<BenchFigure, BenchError> {
    let plan = bench.plan;
    let load = plan.load(CLIENTS, Audience::One, PublishPace::PerSecond(RATE));
    let [origin, receiver] = bench.two()?;
    let sides = RunHosts { clients: receiver, publishers: origin };
    let local = run(&load, RunHosts::on(origin), BenchProtocol::Phpws, || ())?;
    let bare = bare_nats::latency(bench.nats.port, plan.payload, RATE, plan.duration)?;
    let remote = run(&load, sides, BenchProtocol::Phpws, || ())?;
    let [far, near] = [&remote, &local].map(|report| report.latency_us);
    let added = far.p50 - near.p50 - bare.p50;
    let ratio = far.p99 / (near.p99 + bare.p99);
    let shown = |name: &str, p50: f64, p99: f64| format!("{name} {} / {}", time(p50), time(p99));
    Ok(BenchFigure {
        row: "C1",
        what: "feedback to another host, 1,000 a second, p50 / p99".to_owned(),
        figure: format!(
            "{added:+.0} µs, {ratio:.1} times ({})",
            shown("", far.p50, far.p99).trim_start()
        ),
        target: "+ 100 µs, 2 times".to_owned(),
        baseline: format!(
            "{}, {}",
            shown("local", near.p50, near.p99),
            shown("bare NATS", bare.p50, bare.p99)
        ),
        verdict: FigureVerdict::from(added <= ADDED_P50 && ratio <= TIMES_P99)
            .of_runs(&[&remote, &local]),
    })
}

/// C8: the time until a new host is known, and until a dead one is gone.
pub(super) fn membership(bench: &mut ClusterBench<'_>) -> Result<BenchFigure, BenchError> {
    let [origin, _] = bench.two()?;
    let others = bench.hosts.len() - 1;
    let clock = RunClock::start();
    let new = BenchHost::start(&bench.settings)?;
    let started = new.server.started_in.as_secs_f64();
    origin.await_others("live", others + 1)?;
    let live = seconds(&clock);
    let clock = RunClock::start();
    new.tree().kill();
    origin.await_others("gone", 1)?;
    let gone = seconds(&clock);
    Ok(BenchFigure {
        row: "C8",
        what: "a new host is live; a dead one is gone".to_owned(),
        figure: format!("{live:.1} s; {gone:.1} s"),
        target: "1 s; 4 s".to_owned(),
        baseline: format!("the new host accepts clients after {started:.1} s"),
        verdict: FigureVerdict::from(live <= LIVE && gone <= GONE),
    })
}

fn seconds(clock: &RunClock) -> f64 {
    Duration::from_nanos(clock.nanos()).as_secs_f64()
}
