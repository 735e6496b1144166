//! Work that concerns all connections of a worker is done in parts, and other clients are served in
//! between. Fault 45 of `docs/faults.md`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::wait::in_one_of_a_few;
use crate::harness::{Bystander, DEADLINE, Open, Raw, Setup, feedback_to, frames};

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

/// More connections than one wait of the worker reports. Each of them is always ready.
const READY_CLIENTS: usize = 700;
const MESSAGES: usize = 300;

#[test]
fn fault_45_a_reload_runs_though_very_many_sockets_are_ready() {
    let _quiet = crate::harness::alone();
    let server = Setup::new().workers(1).auth(&format!("{AUTH}{}", publishing(THIRD))).start();
    let worker = server.workers(1)[0];
    let third = Open::at("/web?key=third");
    let open = |number: usize| match number % 2 {
        0 => server.open(&Open::web()),
        _ => server.open(&third),
    };
    let mut clients: Vec<Raw> = (0..READY_CLIENTS).map(open).collect();
    let messages = frames::text(feedback_to("nobody", "x")).repeat(MESSAGES);
    clients.iter_mut().for_each(|client| client.send(&messages));
    assert_eq!(server.status().workers().count(), 1, "the supervisor is answered");
    server.folder.write("auth.yml", AUTH);
    let finished = server.command(&["reload"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    server.wait_for_output(&format!("revoked={}", READY_CLIENTS / 2));
    for (number, client) in clients.iter_mut().enumerate() {
        match number % 2 {
            0 => (0..MESSAGES).for_each(|_| drop(client.expect_next())),
            _ => until_closed(client),
        }
    }
    assert_eq!(server.workers(1), [worker], "the worker lives");
}

fn publishing(application: &str) -> String {
    format!("{application}    clientPublish: true\n")
}

/// Reads the acknowledgements of what was served before the reload, and the Close.
fn until_closed(client: &mut Raw) {
    let closes = (0..=MESSAGES).any(|_| {
        let frame = client.frame();
        frame.is_close() && frame.close_code() == Some(1008)
    });
    assert!(closes, "a revoked client is closed");
}
