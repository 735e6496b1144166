//! Work that concerns all connections of a worker is done in parts, and other clients are served in
//! between. Fault 45 of `docs/faults.md`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::wait::in_one_of_a_few;
use crate::harness::{Bystander, DEADLINE, Open, Raw, Setup};

const CLIENTS: usize = 6_000;

/// The application that stays. The reload removes the one in `THIRD`.
const AUTH: &str = "anonymous: shop\napplications:\n  - key: shop\n    secret: shop-secret-1\n    \
                    authorizeOpen: true\n    clientPublish: true\n";
const THIRD: &str = "  - key: third\n    secret: third-secret-1\n    authorizeOpen: true\n";

#[test]
fn fault_45_a_reload_that_revokes_thousands_leaves_time_for_the_others() {
    let _quiet = crate::harness::alone();
    in_one_of_a_few(a_reload_that_revokes_thousands);
}

fn a_reload_that_revokes_thousands() -> Result<(), String> {
    let server = Setup::new().workers(1).auth(&format!("{AUTH}{THIRD}")).start();
    let worker = server.workers(1)[0];
    let third = Open::at("/web?key=third");
    let mut revoked: Vec<Raw> = (0..CLIENTS).map(|_| server.open(&third)).collect();
    let mut bystander = Bystander::between(server.open(&Open::web()), server.open(&Open::web()));
    bystander.is_served();
    server.folder.write("auth.yml", AUTH);
    let is_done = AtomicBool::new(false);
    let (mut rounds, mut longest) = (0, Duration::ZERO);
    let begun = Instant::now();
    let all = std::thread::scope(|scope| {
        let reload = scope.spawn(|| {
            let finished = server.command(&["reload"]);
            is_done.store(true, Ordering::Release);
            assert_eq!(finished.code, Some(0), "{}", finished.text);
            begun.elapsed()
        });
        while !is_done.load(Ordering::Acquire) {
            let begun = Instant::now();
            bystander.is_served();
            longest = longest.max(begun.elapsed());
            rounds += 1;
        }
        reload.join().unwrap()
    });
    println!("all {all:?}; {rounds} rounds of the bystander, longest {longest:?}");
    // The reload is acknowledged after the last of the connections is closed.
    for client in &mut revoked {
        client.expect_closed(1008);
    }
    server.wait_for_output(&format!("revoked={CLIENTS}"));
    assert_eq!(server.workers(1), [worker], "the worker lives");
    match longest < DEADLINE && longest < all / 2 {
        true => Ok(()),
        false => Err(format!("{longest:?} of {all:?}")),
    }
}
