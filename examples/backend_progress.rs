//! A backend that reports the progress of a long job to the client with the given UUID.
//!
//! ```sh
//! cargo run --example backend_progress -- "$UUID" ws://127.0.0.1:8094/web
//! ```

use std::process::ExitCode;

use serde_json::json;
use tagcast::client::{Destination, PublishError, Publisher};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(uuid) = arguments.next() else {
        return fail("usage: backend_progress UUID [URL]");
    };
    let url = arguments.next().unwrap_or_else(|| "ws://127.0.0.1:8094/web".to_owned());
    match report(uuid, &url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

/// Reports ten steps. Each report is acknowledged before the next step starts.
fn report(uuid: String, url: &str) -> Result<(), PublishError> {
    let mut publisher = Publisher::connect(url)?;
    let page = Destination::Uuid(uuid);
    for step in 1..=10 {
        work();
        publisher.publish(&page, &json!({ "percent": step * 10 }))?;
    }
    publisher.close()
}

/// One step of the job.
fn work() {
    let sum: u64 = (0..1_000_000).sum();
    std::hint::black_box(sum);
}

#[expect(clippy::print_stderr, reason = "an example speaks to its user")]
fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
