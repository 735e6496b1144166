//! What it costs to be a host: processor time, bytes and memory.

use std::time::Duration;

use super::bench_host::BenchHost;
use super::report::PartTime;
use super::runs::{ProcessorParts, RunHosts, run, run_with_parts};
use super::{ClusterBench, bare_nats};
use crate::bench::error::BenchError;
use crate::bench::figure::{BenchFigure, FigureVerdict};
use crate::bench::plan::{Audience, Load, PublishPace};
use crate::bench::report::LoadReport;
use crate::bench::target::BenchProtocol;

/// Publications in flight of the runs at full speed.
const IN_FLIGHT: usize = 256;
/// Tags, each of one client.
const TAGS: usize = 100;
/// Bytes of a large message through a lane, and of one of the bare clients.
const LARGE: usize = 16 * 1024;
const BARE: usize = 60 * 1024;
/// Targets: added microseconds at the origin, microseconds at a receiver, part of the bytes of bare clients, part of
/// the work of a server without a cluster, bytes of a bridge.
const ORIGIN: f64 = 0.8;
const RECEIVER: f64 = 1.4;
const BYTES: f64 = 0.5;
const ALONE: f64 = 0.98;
const BRIDGE_BYTES: u64 = 24 * 1024 * 1024;
/// How long the bridge is idle before its memory is read.
const IDLE: Duration = Duration::from_secs(2);

/// What a tag publication costs.
#[derive(Clone, Debug)]
pub(super) struct PublicationCosts {
    /// Microseconds of all processes of a server without a cluster.
    alone: f64,
    /// The same of the origin.
    origin: f64,
    /// The same of another host, on which no client has the tag.
    receiver: f64,
    reports: [LoadReport; 2],
}

/// C2: processor time of the origin, over the same without a cluster.
pub(super) fn origin(bench: &mut ClusterBench<'_>) -> Result<BenchFigure, BenchError> {
    let costs = publication_costs(bench)?;
    let [alone, cluster] = &costs.reports;
    let added = costs.origin - costs.alone;
    Ok(BenchFigure {
        row: "C2",
        what: "processor time of the origin of a tag publication, over that without a cluster"
            .to_owned(),
        figure: format!("{added:+.2} µs"),
        target: "+ 0.8 µs".to_owned(),
        baseline: format!("{:.2} µs without a cluster", costs.alone),
        verdict: FigureVerdict::from(added <= ORIGIN).of_runs(&[alone, cluster]),
    })
}

/// C3: processor time of a receiver, in addition to deliveries. Its clients have other tags, so there are none.
pub(super) fn receiver(bench: &mut ClusterBench<'_>) -> Result<BenchFigure, BenchError> {
    let costs = publication_costs(bench)?;
    let [alone, cluster] = &costs.reports;
    Ok(BenchFigure {
        row: "C3",
        what: "processor time of another host for it, without deliveries".to_owned(),
        figure: format!("{:.2} µs", costs.receiver),
        target: "1.4 µs".to_owned(),
        baseline: format!("{:.2} µs without a cluster, with a delivery", costs.alone),
        verdict: FigureVerdict::from(costs.receiver <= RECEIVER).of_runs(&[alone, cluster]),
    })
}

/// Measures tag publications on a host, and on a server without a cluster; once.
fn publication_costs(bench: &mut ClusterBench<'_>) -> Result<PublicationCosts, BenchError> {
    if let Some(costs) = &bench.costs {
        return Ok(costs.clone());
    }
    let wire = BenchProtocol::Gomoob;
    let load = bench.plan.load(TAGS, Audience::Groups(TAGS), PublishPace::InFlight(IN_FLIGHT));
    let single = BenchHost::start_alone(&bench.settings)?;
    let mut parts = ProcessorParts::new(vec![("server", single.tree())]);
    let alone = run_with_parts(&load, RunHosts::on(&single), wire, &mut parts, || ())?;
    let of_single = parts.micros_for_each(alone.publications);
    drop(single);
    let [origin, receiver] = bench.two()?;
    let mut parts = ProcessorParts::new(vec![
        ("origin", origin.tree()),
        ("receiver", receiver.tree()),
        ("origin: workers", origin.part("worker")?),
        ("origin: broker", origin.part("broker")?),
        ("origin: bridge", origin.part("bridge")?),
        ("NATS", bench.nats.tree()),
        ("receiver: bridge", receiver.part("bridge")?),
        ("receiver: broker", receiver.part("broker")?),
        ("receiver: workers", receiver.part("worker")?),
    ]);
    let cluster = run_with_parts(&load, RunHosts::on(origin), wire, &mut parts, || ())?;
    let mut shown = parts.micros_for_each(cluster.publications).into_iter();
    let mut next = || shown.next().map_or(0.0, |(_, micros)| micros);
    let (of_origin, of_receiver) = (next(), next());
    bench.parts = shown.map(|(part, micros)| PartTime { part: part.to_owned(), micros }).collect();
    let costs = PublicationCosts {
        alone: of_single.first().map_or(0.0, |(_, micros)| *micros),
        origin: of_origin,
        receiver: of_receiver,
        reports: [alone, cluster],
    };
    bench.costs = Some(costs.clone());
    Ok(costs)
}

/// C4: bytes a second through one lane, to those of bare clients.
pub(super) fn bytes(bench: &mut ClusterBench<'_>) -> Result<BenchFigure, BenchError> {
    let plan = bench.plan;
    let load = plan.load(1, Audience::One, PublishPace::InFlight(IN_FLIGHT));
    let load = Load { payload: LARGE, ..load };
    let [origin, receiver] = bench.two()?;
    let sides = RunHosts { clients: receiver, publishers: origin };
    let lane = run(&load, sides, BenchProtocol::Phpws, || ())?;
    let bare = bare_nats::throughput(bench.nats.port, BARE, plan.duration)?;
    let own = lane.deliveries_per_second * LARGE as f64;
    let ratio = own / bare.bytes_per_second;
    let megabytes = |bytes: f64| format!("{:.0} MB/s", bytes / 1e6);
    Ok(BenchFigure {
        row: "C4",
        what: "bytes of publications of 16 KiB through one lane, to bare clients".to_owned(),
        figure: format!("{ratio:.2} ({})", megabytes(own)),
        target: "0.5".to_owned(),
        baseline: format!(
            "bare NATS, 60 KiB: {}, {} lost",
            megabytes(bare.bytes_per_second),
            bare.lost
        ),
        verdict: FigureVerdict::from(ratio >= BYTES).of_runs(&[&lane]),
    })
}

/// C5: a cluster of one to a server without one: deliveries for a second of processor time.
pub(super) fn alone(bench: &mut ClusterBench<'_>) -> Result<BenchFigure, BenchError> {
    let plan = bench.plan;
    let clients = plan.clients;
    let groups = [100, 10, 1].into_iter().find(|it| clients.is_multiple_of(*it)).unwrap_or(1);
    let loads = [
        plan.load(clients, Audience::All, PublishPace::InFlight(1)),
        plan.load(clients, Audience::All, PublishPace::InFlight(64)),
        plan.load(clients, Audience::Groups(groups), PublishPace::InFlight(64)),
        plan.load(100, Audience::One, PublishPace::PerSecond(5_000.0)),
        plan.load(100, Audience::One, PublishPace::InFlight(IN_FLIGHT)),
    ];
    // Another name: it is a cluster of its own.
    let settings = bench.settings.of_another_cluster();
    let (mut ratios, mut reports) = (Vec::new(), Vec::new());
    for load in &loads {
        // Both servers run while the other is measured, so they have the same neighbours.
        let (single, host) = (BenchHost::start_alone(&settings)?, BenchHost::start(&settings)?);
        let per_second = |host: &BenchHost, reports: &mut Vec<LoadReport>| {
            let wire = match load.audience {
                Audience::Groups(_) => BenchProtocol::Gomoob,
                Audience::All | Audience::One => BenchProtocol::Phpws,
            };
            let mut parts = ProcessorParts::new(vec![("all", host.tree())]);
            let report = run_with_parts(load, RunHosts::on(host), wire, &mut parts, || ())?;
            let each = parts.micros_for_each(report.deliveries);
            reports.push(report);
            Ok::<f64, BenchError>(each.first().map_or(f64::NAN, |(_, micros)| 1e6 / micros))
        };
        let before = per_second(&single, &mut reports)?;
        let with = per_second(&host, &mut reports)?;
        let after = per_second(&single, &mut reports)?;
        ratios.push(2.0 * with / (before + after));
    }
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let all: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    Ok(BenchFigure {
        row: "C5",
        what: "a cluster of one to a server without, T1 to T5, deliveries for a CPU second"
            .to_owned(),
        figure: all.join(", "),
        target: "0.98".to_owned(),
        baseline: "1; the same server before and after each run".to_owned(),
        verdict: FigureVerdict::from(least >= ALONE).of_runs(&reports.iter().collect::<Vec<_>>()),
    })
}

/// C9: resident memory of an idle bridge.
pub(super) fn memory(bench: &mut ClusterBench<'_>) -> Result<BenchFigure, BenchError> {
    // A host that has done nothing.
    let host = BenchHost::start(&bench.settings)?;
    host.await_others("live", bench.hosts.len())?;
    super::pause(IDLE);
    let bytes = host.part("bridge")?.resident();
    let broker = host.part("broker")?.resident();
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    Ok(BenchFigure {
        row: "C9",
        what: format!("memory of a bridge, {} other hosts, idle", bench.hosts.len()),
        figure: format!("{:.1} MiB", mib(bytes)),
        target: "24 MiB".to_owned(),
        baseline: format!("its broker {:.1} MiB", mib(broker)),
        verdict: FigureVerdict::from(bytes <= BRIDGE_BYTES),
    })
}
