//! Measures connections without publications: the cost of opening them and of keeping them idle.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::clock::RunClock;
use super::connect::{BenchClient, Opener, WantedClient};
use super::error::{At, BenchError};
use super::load_sources::Sources;
use super::plan::IdleConnections;
use super::process::Tree;
use super::report::IdleReport;
use super::target::{BenchProtocol, BenchTarget};

/// Connections per generator process. Many machines limit descriptors to 20,000.
pub(super) const CLIENTS_PER_PROCESS: usize = 15_000;
/// Environment variable that passes the secret to a helper process. Every process can read
/// arguments of others.
const SECRET_VARIABLE: &str = "TAGCAST_SECRET";
/// Time for the server to finish its work after the last connection has opened.
const SETTLE: Duration = Duration::from_millis(500);

/// Opens all connections, measures their cost and closes them.
///
/// Connections beyond the limit of this process are opened by helper processes.
pub(super) fn run(
    connections: IdleConnections,
    target: &BenchTarget,
    tree: Option<&Tree>,
) -> Result<IdleReport, BenchError> {
    let (before, cpu) = (tree.map(Tree::resident), tree.map(Tree::cpu));
    let clock = RunClock::start();
    let own = connections.clients.min(CLIENTS_PER_PROCESS);
    let mut helpers: Vec<Child> = Vec::new();
    let mut left = connections.clients - own;
    while left > 0 {
        let part = left.min(CLIENTS_PER_PROCESS);
        helpers.push(start_helper(IdleConnections { clients: part, ..connections }, target)?);
        left -= part;
    }
    let sources = Sources::towards(target.address).at("choosing source addresses")?;
    let mut opener = Opener::new(target, &sources)?;
    let clients = opener.open(
        wanted(IdleConnections { clients: own, ..connections }, target),
        connections.at_once,
    )?;
    for helper in &mut helpers {
        await_helper(helper)?;
    }
    let seconds = clock.nanos() as f64 / 1e9;
    let cpu = tree.map(Tree::cpu).zip(cpu).map(|(now, then)| (now - then).as_secs_f64());
    settle();
    let after = tree.map(Tree::resident);
    let report = IdleReport {
        clients: connections.clients,
        tags: connections.tags,
        seconds,
        handshakes_per_cpu_second: cpu.map(|cpu| connections.clients as f64 / cpu),
        opening_us: opener.latencies(),
        bytes_per_connection: after.zip(before).map(|(after, before)| {
            after.saturating_sub(before) / connections.clients.max(1) as u64
        }),
        bytes_before: before,
    };
    drop(clients);
    for mut helper in helpers {
        // Dropping the handle closes the standard input of the helper, which makes the helper exit.
        drop(helper.stdin.take());
        helper.wait().at("waiting for a generator")?;
    }
    Ok(report)
}

/// Opens connections, reports that, and keeps them open until standard input ends.
pub(super) fn hold(connections: IdleConnections, target: &BenchTarget) -> Result<(), BenchError> {
    let sources = Sources::towards(target.address).at("choosing source addresses")?;
    let mut opener = Opener::new(target, &sources)?;
    let clients: Vec<BenchClient> =
        opener.open(wanted(connections, target), connections.at_once)?;
    let mut out = std::io::stdout();
    writeln!(out, "open").and_then(|()| out.flush()).at("telling that all are open")?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).at("waiting for the end")?;
    drop(clients);
    Ok(())
}

fn wanted(
    connections: IdleConnections,
    target: &BenchTarget,
) -> impl ExactSizeIterator<Item = WantedClient> {
    let wire = target.wire;
    // A client of a template has a subscription in place of tags.
    let group = (wire == BenchProtocol::Template).then_some(0);
    (0..connections.clients).map(move |_| WantedClient {
        wire,
        group,
        tags: connections.tags,
        own: None,
    })
}

fn start_helper(connections: IdleConnections, target: &BenchTarget) -> Result<Child, BenchError> {
    let mut command = Command::new(std::env::current_exe().at("finding this program")?);
    command.args(["bench", "hold"]).args(target.arguments());
    command.envs(target.secret().map(|secret| (SECRET_VARIABLE, secret)));
    command.args([
        "--clients",
        &connections.clients.to_string(),
        "--tags",
        &connections.tags.to_string(),
    ]);
    command.args(["--at-once", &connections.at_once.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().at("starting another generator")
}

fn await_helper(helper: &mut Child) -> Result<(), BenchError> {
    let mut line = String::new();
    if let Some(out) = &mut helper.stdout {
        BufReader::new(out).read_line(&mut line).at("waiting for a generator")?;
    }
    match line.trim() {
        "open" => Ok(()),
        _ => Err(BenchError::Plan("another generator could not open its connections".to_owned())),
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement waits for memory to settle")]
fn settle() {
    std::thread::sleep(SETTLE);
}
