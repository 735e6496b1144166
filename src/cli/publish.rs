//! `tagcast publish`: one message to one client or to all.

use std::io::Read;
use std::process::ExitCode;

use clap::Args;

use super::tell;
use crate::client::{Publisher, To};

/// The exit code when nothing was published.
const EXIT_UNAVAILABLE: u8 = 69;

/// To whom, what, and where.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    to: Recipient,
    /// The message; without it, standard input is read
    message: Option<String>,
    /// The message is JSON, not a text
    #[arg(long)]
    json: bool,
    /// The server
    #[arg(long, default_value = "ws://127.0.0.1:8094/web", value_name = "URL")]
    url: String,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Recipient {
    /// To the client with this UUID
    #[arg(long, value_name = "UUID")]
    to_uuid: Option<String>,
    /// To the first client with this ident
    #[arg(long, value_name = "NAME")]
    ident: Option<String>,
    /// To everyone
    #[arg(long)]
    all: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let outcome = message(arguments).and_then(|message| {
        let mut publisher =
            Publisher::connect(&arguments.url).map_err(|error| error.to_string())?;
        publisher.publish(&to(&arguments.to), &message).map_err(|error| error.to_string())?;
        publisher.close();
        Ok(())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tell(&format!("tagcast: nothing was published: {why}"));
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

fn to(recipient: &Recipient) -> To {
    match (&recipient.to_uuid, &recipient.ident) {
        (Some(uuid), _) => To::Uuid(uuid.clone()),
        (None, Some(ident)) => To::Ident(ident.clone()),
        (None, None) => To::All,
    }
}

fn message(arguments: &Arguments) -> Result<serde_json::Value, String> {
    let text = match &arguments.message {
        Some(text) => text.clone(),
        None => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| format!("standard input: {error}"))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    if arguments.json {
        serde_json::from_str(&text).map_err(|error| format!("the message is no JSON: {error}"))
    } else {
        Ok(serde_json::Value::String(text))
    }
}
