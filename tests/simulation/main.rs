//! A seeded simulator of supervisor, broker, links, workers and clients, with its own clock.
//!
//! The lifecycle of the processes, the broker, the workers' broker client and all lower layers are
//! the real code. Processes, sockets and time are simulated. Each received message is checked
//! against `model.rs`. Run more seeds with `TAGCAST_SIM_FROM=1000 TAGCAST_SIM_SEEDS=100000 cargo
//! test --release --test simulation`. A single seed is run with its steps printed.

#![allow(unreachable_pub, reason = "the modules of a test are not reached from outside")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may stop and speak"
)]

mod api;
mod broker;
mod budget;
mod check;
mod cluster;
mod connection;
mod faults;
mod marks;
mod model;
mod pipe;
mod positions;
mod programs;
mod promises;
mod reports;
mod requests;
mod rng;
mod shutdown;
mod worker;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use api::ApiRules;
use faults::Mixture;
use pipe::Kernel;
use positions::RecoveryCounts;
use shutdown::Shutdown;
use world::World;

const STEPS: u64 = 400;

/// Runs one seed. Returns its steps, if they are traced, and the result.
fn run(seed: u64, how: How, trace: Option<Vec<String>>) -> (Vec<String>, Result<(), String>) {
    let mut world = World::new(seed, how, trace);
    let played = catch_unwind(AssertUnwindSafe(|| play(&mut world)));
    let outcome = played.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("a panic: {}", text.unwrap_or_default()))
    });
    (world.trace.take().unwrap_or_default(), outcome)
}

fn play(world: &mut World) -> Result<(), String> {
    let mixture = Mixture::new(&mut world.rng);
    for _ in 0..STEPS {
        world.step(&mixture);
        world.fault.take().map_or(Ok(()), Err)?;
    }
    if world.rng.once_in(3) { world.end_in_order() } else { world.calm_down() }
}

/// How the kernel treats data of dead processes, how the supervisor treats a broker that dies
/// during shutdown, and what a new broker and the API process know of each other.
type How = (Kernel, Shutdown, ApiRules);

/// The behavior of Linux and of the real supervisor.
const AS_IT_IS: How = (Kernel::Keeps, Shutdown::Kept, ApiRules::Kept);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Returns the first of `seeds` seeds that fails.
fn search(first: u64, seeds: u64, how: How) -> Option<(u64, String)> {
    let next = AtomicU64::new(first);
    let one = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return None;
            }
            if let (_, Err(fault)) = run(seed, how, None) {
                next.store(first + seeds, Ordering::Relaxed);
                return Some((seed, fault));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        all.into_iter().filter_map(|thread| thread.join().unwrap()).min()
    })
}

#[test]
fn every_client_gets_exactly_its_deliveries_whatever_dies() {
    let (first, seeds) = (setting("TAGCAST_SIM_FROM", 0), setting("TAGCAST_SIM_SEEDS", 1000));
    if seeds == 1 {
        let (trace, outcome) = run(first, AS_IT_IS, Some(Vec::new()));
        trace.iter().for_each(|line| eprintln!("{line}"));
        return outcome.unwrap();
    }
    if let Some((seed, fault)) = search(first, seeds, AS_IT_IS) {
        panic!(
            "seed {seed}: {fault}\nsee it with: TAGCAST_SIM_FROM={seed} TAGCAST_SIM_SEEDS=1 \
             cargo test --test simulation -- --nocapture"
        );
    }
}

#[test]
fn tenants_are_throttled_and_wait_for_the_window_in_some_runs() {
    let traces: Vec<_> = (0..40).map(|seed| run(seed, AS_IT_IS, Some(Vec::new())).0).collect();
    for said in ["a tenant is throttled", "publishers of two tenants wait for the window"] {
        let has = |trace: &&Vec<String>| trace.iter().any(|line| line.ends_with(said));
        let found = traces.iter().filter(has).count();
        assert!(found > 2, "{said} in {found} of 40");
    }
}

#[test]
fn clients_resume_and_get_what_was_kept_for_them() {
    let (mut resumed, mut replayed) = (0, 0);
    for seed in 0..60 {
        let mut world = World::new(seed, AS_IT_IS, None);
        play(&mut world).unwrap();
        resumed += world.model.programs.resumed;
        replayed += world.model.programs.replayed;
    }
    assert!(resumed > 200 && replayed > 10, "{resumed} resumed, {replayed} replayed");
}

/// V119.
#[test]
fn programs_recover_what_they_have_missed() {
    let mut counts = RecoveryCounts::default();
    for seed in 0..60 {
        let mut world = World::new(seed, AS_IT_IS, None);
        play(&mut world).unwrap();
        let RecoveryCounts { recovered, not_known, replayed } = world.model.programs.recoveries;
        counts.recovered += recovered;
        counts.not_known += not_known;
        counts.replayed += replayed;
    }
    let RecoveryCounts { recovered, not_known, replayed } = counts;
    assert!(recovered > 100 && not_known > 20 && replayed > 20, "{counts:?}");
}

/// V49.
#[test]
fn programs_repeat_requests_and_each_is_carried_out_once() {
    let (mut repeated, mut unknown) = (0, 0);
    for seed in 0..60 {
        let mut world = World::new(seed, AS_IT_IS, None);
        play(&mut world).unwrap();
        repeated += world.model.programs.counts.repeated;
        unknown += world.model.programs.counts.unknown;
    }
    assert!(repeated > 50 && unknown > 5, "{repeated} repeated, {unknown} unknown");
}

#[test]
fn a_kernel_that_loses_the_bytes_of_the_dead_is_detected() {
    let found = search(0, 200, (Kernel::Forgets, Shutdown::Kept, ApiRules::Kept));
    let (seed, fault) = found.unwrap_or_default();
    let is_loss = ["(P3)", "(L12)"].iter().any(|it| fault.contains(it));
    assert!(is_loss, "seed {seed}: {fault}");
}

#[test]
fn a_shutdown_that_acknowledges_without_a_broker_is_detected() {
    let found = search(0, 200, (Kernel::Keeps, Shutdown::WithoutBroker, ApiRules::Kept));
    let (seed, fault) = found.unwrap_or_default();
    assert!(fault.contains("acknowledged and is lost (P3)"), "seed {seed}: {fault}");
}

/// A182.
#[test]
fn a_new_broker_without_a_link_to_the_api_process_is_detected() {
    let found = search(0, 200, (Kernel::Keeps, Shutdown::Kept, ApiRules::NotLinked));
    let (seed, fault) = found.unwrap_or_default();
    assert!(fault.contains("of a backend is never answered"), "seed {seed}: {fault}");
}

#[test]
fn an_api_process_that_does_not_announce_its_ids_is_detected() {
    let found = search(0, 400, (Kernel::Keeps, Shutdown::Kept, ApiRules::IdsForgotten));
    let (seed, fault) = found.unwrap_or_default();
    // The repeat takes effect: for a client that has it already, or for one that joined later.
    let is_repeat = ["twice (P2)", "(L6)", "for others (L3)"].iter().any(|it| fault.contains(it));
    assert!(is_repeat, "seed {seed}: {fault}");
}
