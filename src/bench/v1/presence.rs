//! What it costs that others watch who joins (M12).

use super::spinning_client::SpinningClient;
use super::{AT_ONCE, V1Bench, plain, settle};
use crate::bench::connect::{Opener, WantedClient};
use crate::bench::error::{At, BenchError};
use crate::bench::figure::BenchFigure;
use crate::bench::load_sources::Sources;
use crate::bench::process::Tree;
use crate::bench::socket::Buffers;
use crate::bench::target::BenchProtocol;

const MAY_WATCH: &str = "    presence: any\n";
const WATCH: &str = r#"{"op":"watch","id":1,"tags":{"group":"0"},"mode":"members"}"#;
/// Clients that open between two looks at what the watchers have got.
const PART: usize = 500;
/// The processor time, in times of that without watchers.
const MOST: f64 = 2.0;

/// M12: clients join what others watch, and what none watches.
pub(super) fn watched(bench: &V1Bench<'_>) -> Result<BenchFigure, BenchError> {
    let (without, _) = join(bench, 0)?;
    let (with, frames) = join(bench, bench.plan.watchers)?;
    let ratio = with / without;
    let [watchers, clients] = [bench.plan.watchers, bench.plan.clients];
    Ok(BenchFigure {
        row: "M12",
        what: format!("{clients} clients join a tag that {watchers} watch in `members`"),
        figure: format!("{ratio:.2} times the processor time, {frames} frames to watchers"),
        target: "2 times".to_owned(),
        baseline: format!("{:.1} µs for each client with none watching", without * 1e6),
        verdict: (ratio <= MOST && frames > 0).into(),
    })
}

/// Returns the seconds of processor time for each client that joins, and how many frames the watchers get.
fn join(bench: &V1Bench<'_>, watchers: usize) -> Result<(f64, usize), BenchError> {
    let server = bench.server(1, MAY_WATCH)?;
    let sources = Sources::towards(server.target.address).at("choosing source addresses")?;
    let mut opener = Opener::new(&server.target, &sources)?;
    let mut buffers = Buffers::new();
    let mut watching: Vec<_> =
        opener.open(plain(watchers), AT_ONCE)?.into_iter().map(SpinningClient::new).collect();
    for watcher in &mut watching {
        watcher.send(WATCH)?;
        watcher.wait_for(r#"{"op":"presence""#, &mut buffers, |_| Ok(()))?;
    }
    let tree = Tree::of(server.pid());
    let (before, mut frames) = (tree.cpu(), 0);
    let (mut open, mut left) = (Vec::new(), bench.plan.clients);
    while left > 0 {
        let part = left.min(PART);
        let wanted = WantedClient { wire: BenchProtocol::V1, group: Some(0), tags: 1, own: None };
        open.extend(
            opener
                .open(std::iter::repeat_n(wanted, part).collect::<Vec<_>>().into_iter(), AT_ONCE)?,
        );
        frames += read_all(&mut watching, &mut buffers)?;
        left -= part;
    }
    // Changes are collected over half a second.
    settle();
    settle();
    let used = tree.cpu() - before;
    frames += read_all(&mut watching, &mut buffers)?;
    Ok((used.as_secs_f64() / bench.plan.clients as f64, frames))
}

/// Reads what the watchers have got, and returns how many frames.
fn read_all(watching: &mut [SpinningClient], buffers: &mut Buffers) -> Result<usize, BenchError> {
    let mut frames = 0;
    for watcher in watching {
        watcher.read(buffers)?;
        while watcher.next().is_some() {
            frames += 1;
        }
    }
    Ok(frames)
}
