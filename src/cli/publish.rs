//! `tagcast publish`: sends a message to one client, by tags, or to all.

use std::io::Read;
use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::connect_args;
use super::connect_args::{ConnectArguments, ResolvedServer};
use super::failure::Failure;
use super::print_line;
use crate::client::api::ApiRequest;
use crate::client::{self, Destination, Publisher};
use crate::types::Tag;

pub(super) const EXAMPLES: &str = "Examples:
  tagcast publish --to-uuid \"$UUID\" 'half done'
  echo '{\"percent\":50}' | tagcast publish --ident dashboard --json
  tagcast publish --tag language=FR --tag town=Lyon 'bonjour'
  tagcast publish --expr 'language=FR & !(room=1 | beta?)' 'bonjour'
  tagcast publish --all --key blog --secret-file blog.secret 'good morning'
  TAGCAST_SECRET=… tagcast publish --all --key blog --url wss://example.org/ hi

Prints how many clients it reached. Reaching 0 clients is not an error.
Exit codes: docs/operations.md#exit-codes";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "two independent flags")]
pub(super) struct PublishArguments {
    #[command(flatten)]
    to: Recipient,
    /// Message to publish [default: read from standard input]
    message: Option<String>,
    /// Treat the message as JSON, not as text
    #[arg(long)]
    json: bool,
    /// Print nothing on success
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    server: ConnectArguments,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Recipient {
    /// Send to the client with this UUID
    #[arg(long, value_name = "UUID")]
    to_uuid: Option<String>,
    /// Send to the longest connected client with this ident
    #[arg(long, value_name = "NAME")]
    ident: Option<String>,
    /// Send to clients with this tag; repeat to require several tags
    #[arg(long, value_name = "NAME=VALUE", value_parser = connect_args::tag)]
    tag: Vec<Tag>,
    /// Send to clients whose tags match this expression
    #[arg(long, value_name = "EXPR")]
    expr: Option<String>,
    /// Send to all clients
    #[arg(long)]
    all: bool,
}

pub(super) fn run(arguments: &PublishArguments) -> ExitCode {
    match publish(arguments) {
        Ok(reached) => {
            if !arguments.quiet {
                print_line(&summary(&arguments.to, reached));
            }
            ExitCode::SUCCESS
        }
        Err(failure) => failure.end("nothing was published: "),
    }
}

/// Publishes the message and returns how many clients it reached, if the server reports it.
fn publish(arguments: &PublishArguments) -> Result<Option<u64>, Failure> {
    check(&arguments.to)?;
    let tags = connect_args::tags(&arguments.to.tag).map_err(Failure::data)?;
    let message = message(arguments)?;
    if let Some(expr) = &arguments.to.expr {
        let body = json!({"to": {"expr": expr}, "message": message});
        let mut api = arguments.server.connect_api()?;
        let answer = api.send(&ApiRequest::new(Method::POST, "/publish").body(body))?;
        return Ok(answer.get("matched").and_then(Value::as_u64));
    }
    let ResolvedServer { url, access } = arguments.server.find()?;
    if !tags.is_empty() {
        return Ok(client::publish_to_tags(&url, &access, &tags, &message)?);
    }
    let mut publisher = Publisher::connect_counting(&url, access)?;
    let reached = publisher.publish_counted(&to(&arguments.to), &message)?;
    publisher.close()?;
    Ok(reached)
}

/// Rejects an empty name, as from an empty variable. It would reach no client and look like
/// success.
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

/// Returns one line with the recipients and their number.
fn summary(recipient: &Recipient, reached: Option<u64>) -> String {
    let to = match (&recipient.to_uuid, &recipient.ident) {
        // The signature after the UUID is not useful to a reader.
        (Some(uuid), _) => format!("the client {}", uuid.split('.').next().unwrap_or_default()),
        (None, Some(ident)) => format!("the client called {ident}"),
        (None, None) if let Some(expr) = &recipient.expr => format!("all clients with {expr}"),
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

/// Printed instead of the number of clients.
const UNTOLD: &str = "the server reports how many clients it reached only to those with a secret \
                      (--key with --secret-file or TAGCAST_SECRET)";

fn to(recipient: &Recipient) -> Destination {
    match (&recipient.to_uuid, &recipient.ident) {
        (Some(uuid), _) => Destination::Uuid(uuid.clone()),
        (None, Some(ident)) => Destination::Ident(ident.clone()),
        (None, None) => Destination::All,
    }
}

fn message(arguments: &PublishArguments) -> Result<Value, Failure> {
    let text = match &arguments.message {
        Some(text) => text.clone(),
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| {
                Failure::data(format!("failed to read standard input: {error}"))
            })?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    if arguments.json {
        serde_json::from_str(&text)
            .map_err(|error| Failure::data(format!("the message is not valid JSON: {error}")))
    } else {
        Ok(Value::String(text))
    }
}
