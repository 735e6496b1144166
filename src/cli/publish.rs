//! `tagcast publish`: one message to one client, to tags, or to all.

use std::io::Read;
use std::process::ExitCode;

use clap::Args;

use super::server::{self, Server};
use super::{EXIT_UNAVAILABLE, tell};
use crate::client::{self, Publisher, To};
use crate::types::Tag;

pub(super) const EXAMPLES: &str = "Examples:
  tagcast publish --to-uuid \"$UUID\" 'half done'
  echo '{\"percent\":50}' | tagcast publish --ident dashboard --json
  tagcast publish --tag language=FR --tag town=Lyon 'bonjour'
  tagcast publish --all --key blog --secret-file blog.secret 'good morning'
  TAGCAST_SECRET=… tagcast publish --all --key blog --url wss://example.org/ 'good morning'";

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
    #[command(flatten)]
    server: Server,
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
    /// To everyone who carries this tag; given several times: to who carries all of them
    #[arg(long, value_name = "NAME=VALUE", value_parser = server::tag)]
    tag: Vec<Tag>,
    /// To everyone
    #[arg(long)]
    all: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match publish(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tell(&format!("tagcast: nothing was published: {why}"));
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

fn publish(arguments: &Arguments) -> Result<(), String> {
    let (url, access) = (&arguments.server.url, arguments.server.shown.access()?);
    let tags = server::tags(&arguments.to.tag)?;
    let message = message(arguments)?;
    let published = if tags.is_empty() {
        Publisher::connect_as(url, access).and_then(|mut publisher| {
            publisher.publish(&to(&arguments.to), &message)?;
            publisher.close()
        })
    } else {
        client::publish_to_tags(url, &access, &tags, &message)
    };
    published.map_err(|error| error.to_string())
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
