//! What faults lose, and what they delay.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::runs::{RunHosts, run};
use super::times::RATE;
use super::{ClusterBench, pause};
use crate::bench::error::BenchError;
use crate::bench::figure::{BenchFigure, FigureVerdict};
use crate::bench::plan::{Audience, Load, PublishPace, Until};
use crate::bench::report::{LoadReport, time};
use crate::bench::target::BenchProtocol;

/// Clients of the receiving host.
const CLIENTS: usize = 4;
/// Publications in flight.
const IN_FLIGHT: usize = 256;
/// How often each fault happens in a run.
const TIMES: usize = 3;
/// Time between the start of a run and the first fault, and between faults.
const BETWEEN: Duration = Duration::from_millis(500);
/// How long NATS stays away.
const AWAY: Duration = Duration::from_millis(200);
/// Local latencies while NATS is away, to those before.
const LOCAL: f64 = 1.1;

/// A fault that a run is to survive.
#[derive(Clone, Copy, Debug)]
enum BenchFault {
    /// 41: NATS is restarted.
    Nats,
    /// 49: the bridge of the origin is killed.
    Bridge,
    /// 50: the broker of the origin is killed, then that of the receiver, in turn.
    Broker,
}

/// C6: publications at full speed while processes are killed.
pub(super) fn faults(bench: &mut ClusterBench<'_>) -> Result<BenchFigure, BenchError> {
    let mut reports = Vec::new();
    for fault in [BenchFault::Nats, BenchFault::Bridge, BenchFault::Broker] {
        reports.extend(run_with(bench, fault)?);
    }
    let sum = |of: fn(&LoadReport) -> u64| reports.iter().map(of).sum::<u64>();
    let published = sum(|report| report.publications);
    let (lost, disordered) = (sum(|report| report.lost), sum(|report| report.out_of_order));
    Ok(BenchFigure {
        row: "C6",
        what: format!(
            "NATS restarted, a bridge and brokers killed, each {TIMES} times at full speed"
        ),
        figure: format!(
            "{lost} lost, {disordered} twice or out of order, of {published} publications"
        ),
        target: "0, 0".to_owned(),
        baseline: "none".to_owned(),
        verdict: FigureVerdict::from(lost == 0 && disordered == 0)
            .of_runs(&reports.iter().collect::<Vec<_>>()),
    })
}

/// Publishes until a fault has happened several times, and all publications of the plan have arrived.
fn run_with(
    bench: &mut ClusterBench<'_>,
    fault: BenchFault,
) -> Result<Vec<LoadReport>, BenchError> {
    let deliveries = bench.plan.publications * CLIENTS as u64;
    let load = Load {
        warmup: Duration::ZERO,
        until: Until::Deliveries(deliveries),
        ..bench.plan.load(CLIENTS, Audience::All, PublishPace::InFlight(IN_FLIGHT))
    };
    let ClusterBench { hosts, nats, shares, .. } = bench;
    let [origin, receiver, ..] = &hosts[..] else { return Ok(Vec::new()) };
    let sides = RunHosts { clients: receiver, publishers: origin };
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let happening = scope.spawn(|| {
            for turn in 0..TIMES {
                pause(BETWEEN);
                match fault {
                    BenchFault::Nats => {
                        nats.kill();
                        pause(AWAY);
                        nats.restart(shares)?;
                    }
                    BenchFault::Bridge => origin.kill("bridge")?,
                    BenchFault::Broker if turn % 2 == 0 => origin.kill("broker")?,
                    BenchFault::Broker => receiver.kill("broker")?,
                }
            }
            is_over.store(true, Ordering::Relaxed);
            Ok(())
        });
        let mut reports = Vec::new();
        while !is_over.load(Ordering::Relaxed) && !happening.is_finished() || reports.is_empty() {
            reports.push(run(&load, sides, BenchProtocol::Phpws, || ())?);
        }
        let failed = || Err(BenchError::Plan("the thread of the faults failed".to_owned()));
        happening.join().unwrap_or_else(|_| failed()).map(|()| reports)
    })
}

/// C7: local latency while NATS is away.
pub(super) fn local_without_nats(bench: &mut ClusterBench<'_>) -> Result<BenchFigure, BenchError> {
    let load = bench.plan.load(CLIENTS, Audience::One, PublishPace::PerSecond(RATE));
    let local = |bench: &ClusterBench<'_>| {
        let [origin, _] = bench.two()?;
        run(&load, RunHosts::on(origin), BenchProtocol::Phpws, || ())
    };
    let before = local(bench)?;
    bench.nats.kill();
    let during = local(bench);
    bench.nats.restart(bench.shares)?;
    let [origin, _] = bench.two()?;
    origin.await_others("live", bench.hosts.len() - 1)?;
    let during = during?;
    let ratio = during.latency_us.p99 / before.latency_us.p99;
    Ok(BenchFigure {
        row: "C7",
        what: "local feedback, p99, while NATS is away, to before".to_owned(),
        figure: format!("{ratio:.2} ({})", time(during.latency_us.p99)),
        target: "1.1".to_owned(),
        baseline: time(before.latency_us.p99),
        verdict: FigureVerdict::from(ratio <= LOCAL).of_runs(&[&before, &during]),
    })
}
