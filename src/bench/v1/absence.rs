//! What clients cost that are away and come back: their memory (M5), and the processor time of openings (M6).

use super::spinning_client::SpinningClient;
use super::{AT_ONCE, V1Bench, plain, settle};
use crate::bench::connect::{BenchClient, Opener, Resumption};
use crate::bench::error::{At, BenchError};
use crate::bench::figure::{BenchFigure, FigureVerdict};
use crate::bench::load_sources::Sources;
use crate::bench::process::Tree;
use crate::bench::server::{OwnServer, STORES};
use crate::bench::socket::Buffers;
use crate::bench::target::{BenchDestination, BenchProtocol};

/// Messages that a client misses, and their bytes.
const MISSED: usize = 10;
const PAYLOAD: usize = 200;
/// Publications between two acknowledgements that are awaited.
const WINDOW: usize = 64;
/// Bytes of a client that is away, without and with those messages.
const AWAY: [f64; 2] = [600.0, 3584.0];
/// Openings, resumes, and resumes with missed messages, per second of processor time.
const PER_SECOND: [f64; 3] = [35_000.0, 25_000.0, 12_000.0];

/// M5: memory of a client that is away, without and with ten messages.
pub(super) fn memory(bench: &V1Bench<'_>) -> Result<BenchFigure, BenchError> {
    let clients = bench.plan.clients;
    let server = bench.server(1, "")?;
    let tree = Tree::of(server.pid());
    let sources = Sources::towards(server.target.address).at("choosing source addresses")?;
    let mut opener = Opener::new(&server.target, &sources)?;
    // The memory of connections is not returned. With as many more clients the server takes only what is kept of them.
    go_away(opener.open(plain(clients), AT_ONCE)?);
    let first = tree.resident();
    let uuids: Vec<Box<str>> = {
        let clients = opener.open(plain(clients), AT_ONCE)?;
        let uuids = clients.iter().map(|client| client.uuid.clone()).collect();
        go_away(clients);
        uuids
    };
    let away = tree.resident();
    let text = "x".repeat(PAYLOAD);
    let publications = (0..MISSED).flat_map(|_| &uuids).map(|uuid| {
        let to = BenchDestination::One(uuid, 0);
        server.target.publication(BenchProtocol::V1, &to, &text)
    });
    publish(&mut opener, publications)?;
    settle();
    let missed = tree.resident();
    let each = |now: u64, then: u64| now.saturating_sub(then) as f64 / clients as f64;
    let (without, with) = (each(away, first), each(missed, first));
    let [most, most_with] = AWAY;
    Ok(BenchFigure {
        row: "M5",
        what: format!("memory of {clients} clients that are away, without and with ten messages"),
        figure: format!("{without:.0} bytes; {:.2} KiB", with / 1024.0),
        target: "600 bytes; 3.5 KiB".to_owned(),
        baseline: format!("a server with {:.1} MB", first as f64 / 1e6),
        verdict: (without <= most && with <= most_with).into(),
    })
}

/// M6: openings and resumes per second of processor time.
pub(super) fn openings(bench: &V1Bench<'_>) -> Result<BenchFigure, BenchError> {
    let server = bench.server(1, STORES)?;
    let sources = Sources::towards(server.target.address).at("choosing source addresses")?;
    let mut opener = Opener::new(&server.target, &sources)?;
    let clients = bench.plan.clients;
    let (opened, open) = measured(&server, || opener.open(plain(clients), AT_ONCE))?;
    let known = go_away(open);
    let (resumed, open) = measured(&server, || opener.resume_all(&known, AT_ONCE))?;
    let is_resumed = are_resumed(&open);
    let known = go_away(open);
    let text = "x".repeat(PAYLOAD);
    let all = server.target.publication(BenchProtocol::V1, &BenchDestination::All, &text);
    publish(&mut opener, std::iter::repeat_n(all, MISSED))?;
    let (recovered, open) = measured(&server, || opener.resume_all(&known, AT_ONCE))?;
    let is_resumed = is_resumed && are_resumed(&open);
    let rates = [opened, resumed, recovered].map(|cpu| clients as f64 / cpu);
    let [first, second, third] = rates.map(|rate| format!("{:.1}k", rate / 1e3));
    let is_reached = rates.iter().zip(PER_SECOND).all(|(rate, least)| *rate >= least);
    Ok(BenchFigure {
        row: "M6",
        what: "openings, resumes, and resumes with ten messages, per CPU second".to_owned(),
        figure: format!("{first}, {second}, {third}"),
        target: "35k, 25k, 12k".to_owned(),
        baseline: format!("{clients} clients, {AT_ONCE} at once"),
        verdict: if is_resumed { is_reached.into() } else { FigureVerdict::Unclean },
    })
}

/// Returns the seconds of processor time that the server takes for this, and what it returns.
fn measured<T>(
    server: &OwnServer,
    work: impl FnOnce() -> Result<T, BenchError>,
) -> Result<(f64, T), BenchError> {
    let tree = Tree::of(server.pid());
    let before = tree.cpu();
    let done = work()?;
    settle();
    Ok(((tree.cpu() - before).as_secs_f64(), done))
}

/// Returns whether all have resumed.
fn are_resumed(clients: &[BenchClient]) -> bool {
    clients.iter().all(|it| it.resumption.as_ref().is_some_and(|it| it.is_resumed))
}

/// Ends the connections, and returns what their clients know.
fn go_away(clients: Vec<BenchClient>) -> Vec<Option<Box<Resumption>>> {
    let known = clients.into_iter().map(|client| client.resumption).collect();
    settle();
    known
}

/// Publishes and waits until the broker has all.
fn publish(
    opener: &mut Opener<'_>,
    publications: impl Iterator<Item = String>,
) -> Result<(), BenchError> {
    let publisher = opener.open(plain(1), 1)?.pop();
    let Some(publisher) = publisher else { return Ok(()) };
    let (mut publisher, mut buffers) = (SpinningClient::new(publisher), Buffers::new());
    let mut left = 0;
    for (number, publication) in publications.enumerate() {
        publisher.send(&publication.replacen('{', &format!("{{\"id\":{},", number + 1), 1))?;
        left += 1;
        if left > WINDOW {
            publisher.wait_for(ACK, &mut buffers, |_| Ok(()))?;
            left -= 1;
        }
    }
    (0..left).try_for_each(|_| publisher.wait_for(ACK, &mut buffers, |_| Ok(())).map(drop))
}

const ACK: &str = r#"{"op":"ack""#;
