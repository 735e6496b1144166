//! Several hosts: the real cores of their bridges over a network that loses, repeats, overtakes, restarts and separates,
//! while bridges, brokers and whole hosts die. Brokers and workers are modelled.

mod check;
mod host;
mod moving;
mod names;
mod network;
mod watches;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use self::world::{Faults, Memory, World};
use crate::setting;

const STEPS: u64 = 600;

/// What may happen in a run.
#[derive(Clone, Copy, Debug)]
struct ClusterMixture {
    name: &'static str,
    faults: Faults,
}

const LOSS: Faults = Faults {
    lost: 150,
    doubled: 30,
    memory: Memory::Ample,
    bridge_deaths: 0,
    broker_deaths: 0,
    host_deaths: 0,
    restarts: 4,
    cuts: 4,
    names: 0,
    watches: 0,
    pause: 30,
    is_lossless: true,
};

const MIXTURES: [ClusterMixture; 12] = [
    ClusterMixture { name: "messages are lost", faults: LOSS },
    ClusterMixture { name: "brokers die", faults: Faults { broker_deaths: 8, ..LOSS } },
    ClusterMixture {
        name: "one bridge dies, and NATS loses nothing",
        faults: Faults { lost: 0, bridge_deaths: 12, restarts: 0, cuts: 0, pause: 5, ..LOSS },
    },
    ClusterMixture {
        name: "little is kept",
        faults: Faults { memory: Memory::Small, is_lossless: false, ..LOSS },
    },
    ClusterMixture {
        name: "bridges die",
        faults: Faults { lost: 50, bridge_deaths: 12, is_lossless: false, ..LOSS },
    },
    ClusterMixture {
        name: "hosts are separated",
        faults: Faults { lost: 20, restarts: 0, cuts: 15, pause: 150, is_lossless: false, ..LOSS },
    },
    ClusterMixture {
        name: "hosts are forgotten",
        faults: Faults { memory: Memory::Short, cuts: 12, pause: 300, is_lossless: false, ..LOSS },
    },
    ClusterMixture {
        name: "everything",
        faults: Faults {
            memory: Memory::Small,
            bridge_deaths: 8,
            broker_deaths: 8,
            host_deaths: 3,
            is_lossless: false,
            ..LOSS
        },
    },
    ClusterMixture {
        name: "names, and brokers die",
        faults: Faults { names: 300, broker_deaths: 8, ..LOSS },
    },
    ClusterMixture {
        name: "names, and everything",
        faults: Faults {
            names: 300,
            memory: Memory::Small,
            bridge_deaths: 8,
            broker_deaths: 8,
            host_deaths: 3,
            is_lossless: false,
            ..LOSS
        },
    },
    ClusterMixture {
        name: "watches, and brokers die",
        faults: Faults { watches: 300, broker_deaths: 8, ..LOSS },
    },
    ClusterMixture {
        name: "watches, and everything",
        faults: Faults {
            watches: 300,
            memory: Memory::Small,
            bridge_deaths: 8,
            broker_deaths: 8,
            host_deaths: 3,
            is_lossless: false,
            ..LOSS
        },
    },
];

/// How a run has ended.
#[derive(Debug)]
struct Outcome {
    trace: Vec<String>,
    delivered: u64,
    gaps: u64,
    result: Result<(), String>,
}

fn run(seed: u64, faults: Faults, trace: Option<Vec<String>>) -> Outcome {
    let mut world = World::new(seed, faults, trace);
    let played = catch_unwind(AssertUnwindSafe(|| {
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
    let trace = world.trace.take().unwrap_or_default();
    Outcome { trace, delivered: world.model.delivered, gaps: world.model.gaps, result }
}

/// Runs the seeds of a mixture. Panics at the first that fails. Returns the deliveries and gaps of all.
fn search(mixture: ClusterMixture, first: u64, seeds: u64) -> (u64, u64) {
    let (next, delivered, gaps) = (AtomicU64::new(first), AtomicU64::new(0), AtomicU64::new(0));
    let one = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return None;
            }
            let outcome = run(seed, mixture.faults, None);
            delivered.fetch_add(outcome.delivered, Ordering::Relaxed);
            gaps.fetch_add(outcome.gaps, Ordering::Relaxed);
            if let Err(fault) = outcome.result {
                next.store(first + seeds, Ordering::Relaxed);
                return Some((seed, fault));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let found: Option<(u64, String)> = thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        all.into_iter().filter_map(|thread| thread.join().unwrap()).min()
    });
    if let Some((seed, fault)) = found {
        panic!(
            "{}, seed {seed}: {fault}\nsee it with: TAGCAST_SIM_FROM={seed} TAGCAST_SIM_SEEDS=1 \
             cargo test --test simulation cluster -- --nocapture",
            mixture.name
        );
    }
    (delivered.into_inner(), gaps.into_inner())
}

#[test]
fn every_host_gets_what_is_for_it_or_reports_a_gap() {
    let (first, seeds) = (setting("TAGCAST_SIM_FROM", 0), setting("TAGCAST_SIM_SEEDS", 300));
    for mixture in MIXTURES {
        if seeds == 1 {
            let outcome = run(first, mixture.faults, Some(Vec::new()));
            if outcome.result.is_err() {
                outcome.trace.iter().for_each(|line| eprintln!("{line}"));
            }
            eprintln!("{}: {:?}", mixture.name, outcome.result);
            outcome.result.unwrap();
            continue;
        }
        let (delivered, gaps) = search(mixture, first, seeds.div_ceil(MIXTURES.len() as u64));
        eprintln!("{}: {delivered} delivered, {gaps} gaps", mixture.name);
        assert!(delivered > 1000, "{}: only {delivered} delivered", mixture.name);
        assert!(gaps == 0 || !mixture.faults.is_lossless, "{}: {gaps} gaps", mixture.name);
    }
}
