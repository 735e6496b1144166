//! A bot in a room: a client that sends the event `question` there and shows its UUID gets an `answer`.
//!
//! ```sh
//! cargo run -p tagcast-client --example bot -- 1 ws://127.0.0.1:8094/
//! ```

use std::process::ExitCode;

use serde_json::{Value, json};
use tagcast_client::{Client, Event, Message, Options, RequestError, To};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let room = arguments.next().unwrap_or_else(|| "1".to_owned());
    let url = arguments.next().unwrap_or_else(|| "ws://127.0.0.1:8094/".to_owned());
    match run(&room, &url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Answers until the server ends the client for good.
async fn run(room: &str, url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::connect(url, Options::new().tag("room", room)).await?;
    report(&format!("in room {room} as {}", client.uuid().unwrap_or_default()));
    let mut events = client.events();
    while let Some(event) = events.next().await {
        match event {
            Event::Message(message) => {
                if let Err(error) = answer(&client, &message).await {
                    report(&format!("no answer: {error}"));
                }
            }
            Event::Recovery(recovery) if !recovery.is_recovered => {
                report("questions may be missing");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Answers a question. Other messages are ignored, as those without a sender are.
async fn answer(client: &Client, message: &Message) -> Result<(), RequestError> {
    let (Some("question"), Some(asker)) = (message.event(), message.from()) else {
        return Ok(());
    };
    let question: Value = message.data().unwrap_or_default();
    let answer = json!({ "question": question, "answer": 42 });
    client.publish(To::uuid(asker), &answer).event("answer").await?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "an example speaks to its user")]
fn report(line: &str) {
    eprintln!("{line}");
}
