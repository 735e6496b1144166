//! A progress line on standard error during a run.

use std::io::{IsTerminal, Write, stderr};

use super::delivery_tracker::DeliveryTracker;

const SECOND: u64 = 1_000_000_000;

/// State of the last progress line.
#[derive(Debug, Default)]
pub(super) struct Progress {
    at: u64,
    delivered: u64,
}

impl Progress {
    /// Prints progress once a second. On a terminal each line overwrites the last.
    pub(super) fn report(&mut self, now: u64, tracker: &DeliveryTracker) {
        if now < self.at + SECOND {
            return;
        }
        let delivered = tracker.counts.delivered;
        let rate = (delivered - self.delivered) as f64 * SECOND as f64 / (now - self.at) as f64;
        let line = format!(
            "{:>4} s  {} deliveries, {rate:.0} a second, {} in flight",
            now / SECOND,
            delivered,
            tracker.in_flight()
        );
        print_line(&line);
        (self.at, self.delivered) = (now, delivered);
    }
}

/// Prints the current step.
pub(super) fn print_line(line: &str) {
    let mut out = stderr();
    // If the terminal is gone, the error cannot be reported anywhere.
    let _gone = if out.is_terminal() {
        write!(out, "\r\x1b[K{line}").and_then(|()| out.flush())
    } else {
        writeln!(out, "{line}")
    };
}

/// Clears the progress line before a result is printed.
pub fn done() {
    let mut out = stderr();
    if out.is_terminal() {
        let _gone = write!(out, "\r\x1b[K").and_then(|()| out.flush());
    }
}
