//! A backend that reports the progress of a long job to the client with the given UUID.
//!
//! ```sh
//! cargo run -p tagcast-client --example progress -- "$UUID" ws://127.0.0.1:8094/
//! ```

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tagcast_client::{Client, Options, To};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(uuid) = arguments.next() else {
        return fail("usage: progress UUID [URL]");
    };
    let url = arguments.next().unwrap_or_else(|| "ws://127.0.0.1:8094/".to_owned());
    match report(&uuid, &url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

/// Reports ten steps. The server has each report before the next step begins.
async fn report(uuid: &str, url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::connect(url, Options::new().client("progress/1.0")).await?;
    for step in 1..=10 {
        tokio::time::sleep(Duration::from_millis(10)).await; // the work
        client.publish(To::uuid(uuid), &json!({ "percent": step * 10 })).event("progress").await?;
    }
    client.close().await;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "an example speaks to its user")]
fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
