//! Runs with publishers on one host and clients on another.

use std::time::Duration;

use super::bench_host::BenchHost;
use crate::bench::connect::Opener;
use crate::bench::error::{At, BenchError};
use crate::bench::load::{RunConnections, open_clients, run_connected};
use crate::bench::load_sources::Sources;
use crate::bench::plan::Load;
use crate::bench::process::Tree;
use crate::bench::publisher::{BenchPublisher, open_publishers};
use crate::bench::report::LoadReport;
use crate::bench::target::BenchProtocol;

/// Where the clients of a run connect, and where its publishers.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunHosts<'a> {
    pub(super) clients: &'a BenchHost,
    pub(super) publishers: &'a BenchHost,
}

impl<'a> RunHosts<'a> {
    /// Both on one host.
    pub(super) fn on(host: &'a BenchHost) -> Self {
        Self { clients: host, publishers: host }
    }
}

/// Processes whose processor time is measured apart.
#[derive(Debug)]
pub(super) struct ProcessorParts {
    parts: Vec<(&'static str, Tree)>,
    /// The processor time of each part at the start and at the end of the counted part.
    marks: Vec<Vec<Duration>>,
}

impl ProcessorParts {
    pub(super) fn new(parts: Vec<(&'static str, Tree)>) -> Self {
        Self { parts, marks: Vec::new() }
    }

    fn mark(&mut self) {
        self.marks.push(self.parts.iter().map(|(_, tree)| tree.cpu()).collect());
    }

    /// Returns the microseconds of a part for each publication, by their number.
    pub(super) fn micros_for_each(&self, publications: u64) -> Vec<(&'static str, f64)> {
        let [begin, end] = &self.marks[..] else { return Vec::new() };
        let used = begin.iter().zip(end).map(|(begin, end)| end.saturating_sub(*begin));
        let each = |time: Duration| time.as_secs_f64() * 1e6 / publications.max(1) as f64;
        self.parts.iter().map(|(name, _)| *name).zip(used.map(each)).collect()
    }
}

/// Runs a plan. `ready` is called when all connections are open.
pub(super) fn run(
    load: &Load,
    hosts: RunHosts<'_>,
    wire: BenchProtocol,
    ready: impl FnOnce(),
) -> Result<LoadReport, BenchError> {
    run_with_parts(load, hosts, wire, &mut ProcessorParts::new(Vec::new()), ready)
}

/// The same, and measures the processor time of these parts.
pub(super) fn run_with_parts(
    load: &Load,
    hosts: RunHosts<'_>,
    wire: BenchProtocol,
    parts: &mut ProcessorParts,
    ready: impl FnOnce(),
) -> Result<LoadReport, BenchError> {
    load.check()?;
    let target = hosts.clients.target(wire);
    let sources = Sources::towards(target.address).at("choosing source addresses")?;
    let clients = open_clients(load, &target, &mut Opener::new(&target, &sources)?)?;
    let publishers = hosts.publishers.target(wire);
    let publishers = {
        let sources = Sources::towards(publishers.address).at("choosing source addresses")?;
        open_publishers(load, &publishers, &mut Opener::new(&publishers, &sources)?, &clients)?
    };
    ready();
    let connections = RunConnections { target: &target, clients, publishers };
    run_connected(load, connections, &mut || parts.mark())
}

/// Runs a plan with clients on all hosts, and one publisher on each.
pub(super) fn run_on_all(
    load: &Load,
    hosts: &[BenchHost],
    wire: BenchProtocol,
) -> Result<LoadReport, BenchError> {
    let Some(first) = hosts.first() else {
        return Err(BenchError::Plan("there must be hosts".to_owned()));
    };
    let (mut clients, mut publishers): (Vec<_>, Vec<BenchPublisher>) = (Vec::new(), Vec::new());
    let of_one = Load { publishers: 1, clients: load.clients / hosts.len(), ..load.clone() };
    for host in hosts {
        let target = host.target(wire);
        let sources = Sources::towards(target.address).at("choosing source addresses")?;
        let mut opener = Opener::new(&target, &sources)?;
        clients.extend(open_clients(&of_one, &target, &mut opener)?);
        publishers.extend(open_publishers(&of_one, &target, &mut opener, &clients)?);
    }
    let target = first.target(wire);
    let all = Load { clients: clients.len(), publishers: publishers.len(), ..load.clone() };
    let connections = RunConnections { target: &target, clients, publishers };
    run_connected(&all, connections, &mut || ())
}
