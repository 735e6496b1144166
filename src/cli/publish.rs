//! `tagcast publish`: one message to one client, to tags, or to all.

use std::io::Read;
use std::process::ExitCode;

use clap::Args;

use super::connect_args;
use super::connect_args::{ConnectArguments, ResolvedServer};
use super::failure::Failure;
use super::say;
use crate::client::{self, Destination, Publisher};
use crate::types::Tag;

pub(super) const EXAMPLES: &str = "Examples:
  tagcast publish --to-uuid \"$UUID\" 'half done'
  echo '{\"percent\":50}' | tagcast publish --ident dashboard --json
  tagcast publish --tag language=FR --tag town=Lyon 'bonjour'
  tagcast publish --all --key blog --secret-file blog.secret 'good morning'
  TAGCAST_SECRET=… tagcast publish --all --key blog --url wss://example.org/ 'good morning'

Prints how many clients it reached; 0 clients is a success too.
Exit codes: docs/operations.md#exit-codes";

/// To whom, what, and where.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "two independent flags")]
pub(super) struct PublishArguments {
    #[command(flatten)]
    to: Recipient,
    /// The message; without it, standard input is read
    message: Option<String>,
    /// The message is JSON, not a text
    #[arg(long)]
    json: bool,
    /// Do not print how many clients it reached
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    server: ConnectArguments,
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
    /// To clients with this tag; repeat it to require several tags
    #[arg(long, value_name = "NAME=VALUE", value_parser = connect_args::tag)]
    tag: Vec<Tag>,
    /// To everyone
    #[arg(long)]
    all: bool,
}

pub(super) fn run(arguments: &PublishArguments) -> ExitCode {
    match publish(arguments) {
        Ok(reached) => {
            if !arguments.quiet {
                say(&told(&arguments.to, reached));
            }
            ExitCode::SUCCESS
        }
        Err(failure) => failure.end("nothing was published: "),
    }
}

/// How many clients it has reached, where the server says so.
fn publish(arguments: &PublishArguments) -> Result<Option<u64>, Failure> {
    check(&arguments.to)?;
    let tags = connect_args::tags(&arguments.to.tag).map_err(Failure::data)?;
    let message = message(arguments)?;
    let ResolvedServer { url, access } = arguments.server.find()?;
    if !tags.is_empty() {
        return Ok(client::publish_to_tags(&url, &access, &tags, &message)?);
    }
    let mut publisher = Publisher::connect_counting(&url, access)?;
    let reached = publisher.publish_counted(&to(&arguments.to), &message)?;
    publisher.close()?;
    Ok(reached)
}

/// A name that is no name would reach no client and look like success: a variable was empty.
fn check(recipient: &Recipient) -> Result<(), Failure> {
    let is_blank = |name: &Option<String>| name.as_ref().is_some_and(|it| it.trim().is_empty());
    if is_blank(&recipient.to_uuid) {
        return Err(Failure::data("the UUID after --to-uuid is empty"));
    }
    if is_blank(&recipient.ident) {
        return Err(Failure::data("the ident after --ident is empty"));
    }
    Ok(())
}

/// One line: to which clients, and how many that were.
fn told(recipient: &Recipient, reached: Option<u64>) -> String {
    let to = match (&recipient.to_uuid, &recipient.ident) {
        // The signature after it says nothing to people.
        (Some(uuid), _) => format!("the client {}", uuid.split('.').next().unwrap_or_default()),
        (None, Some(ident)) => format!("the client called {ident}"),
        (None, None) if recipient.tag.is_empty() => "all clients".to_owned(),
        (None, None) => {
            let tags = recipient.tag.iter().map(|tag| format!("{}={}", tag.name(), tag.value()));
            format!("all clients with {}", tags.collect::<Vec<_>>().join(", "))
        }
    };
    let to = client::printable(&to);
    match reached {
        Some(1) => format!("published to {to}: reached 1 client"),
        Some(clients) => format!("published to {to}: reached {clients} clients"),
        None => format!("published to {to}; {UNTOLD}"),
    }
}

/// Why there is no number.
const UNTOLD: &str = "the server tells how many clients that reached only if a secret is shown \
                      (--key with --secret-file or TAGCAST_SECRET)";

fn to(recipient: &Recipient) -> Destination {
    match (&recipient.to_uuid, &recipient.ident) {
        (Some(uuid), _) => Destination::Uuid(uuid.clone()),
        (None, Some(ident)) => Destination::Ident(ident.clone()),
        (None, None) => Destination::All,
    }
}

fn message(arguments: &PublishArguments) -> Result<serde_json::Value, Failure> {
    let text = match &arguments.message {
        Some(text) => text.clone(),
        None => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Failure::data(format!("standard input: {error}")))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    if arguments.json {
        serde_json::from_str(&text)
            .map_err(|error| Failure::data(format!("the message is not valid JSON: {error}")))
    } else {
        Ok(serde_json::Value::String(text))
    }
}
