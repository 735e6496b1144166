//! How long acknowledgements and answers take (M9).

use serde_json::Value;

use super::spinning_client::SpinningClient;
use super::{V1Bench, plain, settle};
use crate::bench::clock::{RunClock, nanos};
use crate::bench::connect::{Opener, WantedClient};
use crate::bench::error::{At, BenchError};
use crate::bench::figure::{BenchFigure, FigureVerdict};
use crate::bench::latency::{Latencies, Percentiles};
use crate::bench::load_sources::Sources;
use crate::bench::report::time;
use crate::bench::server::OwnServer;
use crate::bench::socket::Buffers;
use crate::bench::target::{BenchDestination, BenchProtocol};

/// Workers of the server: asker and answerer are clients of two.
const WORKERS: usize = 2;
/// Clients that open at once, among which two of different workers are looked for, and how often that is tried: one worker
/// may accept all of them.
const CANDIDATES: usize = 16;
const ATTEMPTS: usize = 10;
/// Bytes of a message.
const PAYLOAD: usize = 128;
/// Median and 99th percentile of an acknowledgement and of an answer, in microseconds.
const ACK: [f64; 2] = [100.0, 250.0];
const ASK: [f64; 2] = [200.0, 500.0];

/// M9: the acknowledgement of one publication in flight, compared with `next` of phpWebSocketServer, and a question to a
/// client of another worker.
pub(super) fn latency(bench: &V1Bench<'_>) -> Result<BenchFigure, BenchError> {
    let server = bench.server(WORKERS, "")?;
    let next = acknowledged(bench, &server, BenchProtocol::Phpws)?;
    let ack = acknowledged(bench, &server, BenchProtocol::V1)?;
    let ask = asked(bench, &server)?;
    let shown = |it: Percentiles| format!("{} / {}", time(it.p50), time(it.p99));
    let is_within = |it: Percentiles, [p50, p99]: [f64; 2]| it.p50 <= p50 && it.p99 <= p99;
    Ok(BenchFigure {
        row: "M9",
        what: "acknowledgement; question and answer over two workers; p50 / p99".to_owned(),
        figure: format!("{}; {}", shown(ack), shown(ask)),
        target: "100 / 250 µs; 200 / 500 µs".to_owned(),
        baseline: format!("`next` of phpWebSocketServer {}", shown(next)),
        verdict: FigureVerdict::from(is_within(ack, ACK) && is_within(ask, ASK)),
    })
}

/// Publishes to one client, each time after the acknowledgement of the publication before.
fn acknowledged(
    bench: &V1Bench<'_>,
    server: &OwnServer,
    wire: BenchProtocol,
) -> Result<Percentiles, BenchError> {
    let sources = Sources::towards(server.target.address).at("choosing source addresses")?;
    let mut opener = Opener::new(&server.target, &sources)?;
    let wanted = [WantedClient::plain(BenchProtocol::V1), WantedClient::plain(wire)];
    let mut clients = opener.open(wanted.into_iter(), 1)?.into_iter().map(SpinningClient::new);
    let (Some(mut recipient), Some(mut publisher)) = (clients.next(), clients.next()) else {
        return Err(BenchError::Plan("two clients are needed".to_owned()));
    };
    let to = BenchDestination::One(recipient.uuid(), 0);
    let publication = server.target.publication(wire, &to, &"x".repeat(PAYLOAD));
    let (publication, start) = match wire {
        BenchProtocol::V1 => (publication.replacen('{', r#"{"id":1,"#, 1), r#"{"op":"ack""#),
        _ => (publication, r#"{"opcode":"next""#),
    };
    measure(bench, &mut |buffers| {
        publisher.send(&publication)?;
        publisher.wait_for(start, buffers, |_| Ok(()))?;
        recipient.read(buffers)?;
        while recipient.next().is_some() {}
        Ok(())
    })
}

/// Asks a client of another worker, which answers at once.
fn asked(bench: &V1Bench<'_>, server: &OwnServer) -> Result<Percentiles, BenchError> {
    let sources = Sources::towards(server.target.address).at("choosing source addresses")?;
    let mut opener = Opener::new(&server.target, &sources)?;
    let [mut asker, mut answerer] = on_two_workers(&mut opener, server)?;
    let question = format!(
        r#"{{"op":"ask","id":1,"to":{{"uuid":"{}"}},"data":"{}"}}"#,
        answerer.uuid(),
        "x".repeat(PAYLOAD)
    );
    measure(bench, &mut |buffers| {
        asker.send(&question)?;
        let answered = asker.wait_for(r#"{"op":"answer""#, buffers, |buffers| {
            answerer.read(buffers)?;
            match answerer.next() {
                Some(asked) => answerer.send(&answer_to(&asked)),
                None => Ok(()),
            }
        })?;
        match answered.contains("\"error\"") {
            true => Err(BenchError::Refused(answered)),
            false => Ok(()),
        }
    })
}

/// Opens clients until two are on different workers, and returns those.
fn on_two_workers(
    opener: &mut Opener<'_>,
    server: &OwnServer,
) -> Result<[SpinningClient; 2], BenchError> {
    let mut clients = Vec::new();
    for _ in 0..ATTEMPTS {
        let more = opener.open(plain(CANDIDATES), CANDIDATES)?;
        clients.extend(more.into_iter().map(SpinningClient::new));
        let workers = workers_of(server)?;
        let worker = |client: &SpinningClient| {
            workers.iter().find(|(uuid, _)| uuid == client.uuid()).map(|(_, worker)| *worker)
        };
        let first = clients.first().and_then(worker);
        let is_other = |it: &SpinningClient| worker(it).is_some_and(|it| Some(it) != first);
        if let Some(other) = clients.iter().position(is_other).filter(|_| first.is_some()) {
            let answerer = clients.swap_remove(other);
            return Ok([clients.swap_remove(0), answerer]);
        }
        // The other worker may still start.
        settle();
    }
    Err(BenchError::Plan("all clients are on one worker".to_owned()))
}

fn answer_to(asked: &str) -> String {
    let asked: Value = serde_json::from_str(asked).unwrap_or_default();
    let number = asked.get("ask").unwrap_or(&Value::Null);
    format!(r#"{{"op":"answer","ask":{number},"data":true}}"#)
}

/// Repeats an exchange for the duration of the plan and returns how long one takes.
fn measure(
    bench: &V1Bench<'_>,
    exchange: &mut dyn FnMut(&mut Buffers) -> Result<(), BenchError>,
) -> Result<Percentiles, BenchError> {
    let (mut buffers, mut latencies) = (Buffers::new(), Latencies::new());
    let clock = RunClock::start();
    let (warm, end) = (nanos(bench.plan.warmup), nanos(bench.plan.warmup + bench.plan.duration));
    loop {
        let begun = clock.nanos();
        if begun > end {
            return Ok(latencies.percentiles());
        }
        exchange(&mut buffers)?;
        if begun >= warm {
            latencies.record(clock.nanos() - begun);
        }
    }
}

/// Returns the worker of each client.
fn workers_of(server: &OwnServer) -> Result<Vec<(String, u64)>, BenchError> {
    let mut command = server.command(&["connections", "--json"])?;
    if let Some(application) = server.application() {
        command.args(["--key", &application.key]);
        command.envs(application.secret().map(|secret| ("TAGCAST_SECRET", secret)));
    }
    let listed = command.output().at("asking for the connections")?;
    let lines = String::from_utf8_lossy(&listed.stdout).into_owned();
    let connections = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let worker_of =
        |it: Value| Some((it.get("uuid")?.as_str()?.to_owned(), it.get("worker")?.as_u64()?));
    let workers: Vec<_> = connections.filter_map(worker_of).collect();
    match workers.is_empty() {
        true => {
            let why = String::from_utf8_lossy(&listed.stderr).trim().to_owned();
            Err(BenchError::Plan(format!("the server lists no connection: {why}")))
        }
        false => Ok(workers),
    }
}
