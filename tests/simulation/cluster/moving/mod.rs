//! Clients of `tagcast.v1` that move between hosts: real brokers, broker clients of workers and cores of bridges, over the
//! same network, while bridges and brokers die.

mod host;
mod movers;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use self::world::{MovingFaults, MovingWorld};
use crate::setting;

const STEPS: u64 = 700;

const CALM: MovingFaults = MovingFaults {
    lost: 0,
    doubled: 0,
    bridge_deaths: 0,
    broker_deaths: 0,
    restarts: 0,
    cuts: 0,
    entries: 500,
    timeout: Duration::from_secs(30),
};

/// In time, or not.
const USUAL: Duration = Duration::from_millis(300);

const MIXTURES: [(&str, MovingFaults); 6] = [
    ("nothing fails", CALM),
    ("messages are lost", MovingFaults { lost: 100, doubled: 30, ..CALM }),
    ("brokers die", MovingFaults { lost: 20, broker_deaths: 6, timeout: USUAL, ..CALM }),
    ("bridges die", MovingFaults { lost: 20, bridge_deaths: 8, timeout: USUAL, ..CALM }),
    ("little is stored", MovingFaults { lost: 50, doubled: 30, entries: 40, ..CALM }),
    (
        "everything",
        MovingFaults {
            lost: 60,
            doubled: 30,
            bridge_deaths: 4,
            broker_deaths: 4,
            restarts: 4,
            cuts: 4,
            entries: 100,
            timeout: USUAL,
        },
    ),
];

/// What has happened in runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Clients that came to another host and got everything.
    recovered: u64,
    /// Those that came and learned that they may have missed something.
    lost: u64,
    received: u64,
}

fn run(
    seed: u64,
    faults: MovingFaults,
    trace: Option<Vec<String>>,
) -> (Vec<String>, Figures, Result<(), String>) {
    let mut world = MovingWorld::new(seed, faults, trace);
    let played = catch_unwind(AssertUnwindSafe(|| {
        world.begin()?;
        for _ in 0..STEPS {
            world.step()?;
        }
        world.calm_down()
    }));
    let result = played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("a panic: {}", text.unwrap_or_default()))
    });
    (world.trace.take().unwrap_or_default(), world.figures, result)
}

/// Runs the seeds of a mixture. Returns what has happened, or the first seed that fails.
fn search(faults: MovingFaults, first: u64, seeds: u64) -> Result<[u64; 3], (u64, String)> {
    let (next, sums) = (AtomicU64::new(first), [const { AtomicU64::new(0) }; 3]);
    let one = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return None;
            }
            let (_, Figures { recovered, lost, received }, result) = run(seed, faults, None);
            for (sum, figure) in sums.iter().zip([recovered, lost, received]) {
                sum.fetch_add(figure, Ordering::Relaxed);
            }
            if let Err(fault) = result {
                next.store(first + seeds, Ordering::Relaxed);
                return Some((seed, fault));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let found = thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        all.into_iter().filter_map(|thread| thread.join().unwrap()).min()
    });
    found.map_or_else(|| Ok(sums.map(AtomicU64::into_inner)), Err)
}

/// V119a.
#[test]
fn a_client_that_moves_gets_all_once_or_learns_that_it_does_not() {
    let (first, seeds) = (setting("TAGCAST_SIM_FROM", 0), setting("TAGCAST_SIM_SEEDS", 300));
    for (name, faults) in MIXTURES {
        if seeds == 1 {
            let (trace, figures, result) = run(first, faults, Some(Vec::new()));
            if result.is_err() {
                trace.iter().for_each(|line| eprintln!("{line}"));
            }
            eprintln!("{name}: {figures:?} {result:?}");
            result.unwrap();
            continue;
        }
        let each = seeds.div_ceil(MIXTURES.len() as u64);
        match search(faults, first, each) {
            Ok([recovered, lost, received]) => {
                eprintln!("{name}: {recovered} moved whole, {lost} not, {received} received");
                assert!(recovered > 0, "{name}: only {recovered} have recovered");
            }
            Err((seed, fault)) => panic!(
                "{name}, seed {seed}: {fault}\nsee it with: TAGCAST_SIM_FROM={seed} \
                 TAGCAST_SIM_SEEDS=1 cargo test --test simulation moving -- --nocapture"
            ),
        }
    }
}
