//! Handshake latency (rule R5): the PHP client of bloatless waits ten milliseconds for the 101.

use std::time::{Duration, Instant};

use crate::harness::{Open, Setup};

#[test]
fn half_of_all_openings_are_answered_within_ten_milliseconds() {
    let _quiet = crate::harness::alone();
    let server = Setup::new().ini("[bloatless]\napplications = status").start();
    for open in [Open::web(), Open::php(), Open::at("/status")] {
        let mut times: Vec<Duration> = (0..50)
            .map(|_| {
                let asked_at = Instant::now();
                open.ask(server.port).expect_upgrade();
                asked_at.elapsed()
            })
            .collect();
        times.sort();
        assert!(times[25] < Duration::from_millis(10), "{times:?}");
    }
}
