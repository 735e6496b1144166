//! `tagcast publish`: sends a message to one client, by tags, or to all, and asks a client.
//!
//! What the old protocols have goes over a WebSocket, the rest over the HTTP API.

use std::io::Read;
use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::api_args::{add_given, clients};
use super::connect_args;
use super::connect_args::{ConnectArguments, ResolvedServer};
use super::failure::Failure;
use super::print_line;
use crate::client::api::ApiRequest;
use crate::client::{self, Destination, Publisher, Received};
use crate::types::limits::TOPIC_BYTES_MAX;

use crate::types::{Tag, Tags, is_topic_name, topic_tag_name};

pub(super) const EXAMPLES: &str = "Examples:
  tagcast publish --to-uuid \"$UUID\" 'half done'
  echo '{\"percent\":50}' | tagcast publish --ident dashboard --json
  tagcast publish --tag language=FR --tag town=Lyon 'bonjour'
  tagcast publish --expr 'language=FR & !(room=1 | beta?)' 'bonjour'
  tagcast publish --topic prices --event price --json '{\"p\":3}'
  tagcast publish --to-uuid \"$UUID\" --ask 'Delete the file?'
  tagcast publish --all --key blog --secret-file blog.secret 'good morning'
  TAGCAST_SECRET=… tagcast publish --all --key blog --url wss://example.org/ hi

Prints how many clients it reached. Reaching 0 clients is not an error. With --ask, prints the answer.
Exit codes: docs/operations.md#exit-codes";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags")]
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
    /// Name of the event, for clients of tagcast.v1
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    /// Wait for the answer of the client with this UUID, and print it
    #[arg(long, conflicts_with_all = ["ident", "tag", "expr", "topic", "all", "quiet"])]
    ask: bool,
    /// Seconds to wait for the answer, 1 to 60 [default: 5]
    #[arg(long, value_name = "SECONDS", requires = "ask", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: Option<u64>,
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
    /// Send to clients of tagcast.v1 that are in this topic
    #[arg(long, value_name = "NAME", value_parser = topic)]
    topic: Option<String>,
    /// Send to all clients
    #[arg(long)]
    all: bool,
}

/// What became of a message.
enum Published {
    /// It was for this number of clients. None if the server does not report it.
    Reached(Option<u64>),
    /// It is kept for a client that is away.
    Kept,
    /// The client has answered.
    Answered(Received),
}

pub(super) fn run(arguments: &PublishArguments) -> ExitCode {
    match publish(arguments) {
        Ok(published) => {
            if !arguments.quiet {
                print_line(&summary(arguments, &published));
            }
            ExitCode::SUCCESS
        }
        Err(failure) if arguments.ask => failure.end("there is no answer: "),
        Err(failure) => failure.end("nothing was published: "),
    }
}

fn publish(arguments: &PublishArguments) -> Result<Published, Failure> {
    check(&arguments.to)?;
    let tags = connect_args::tags(&arguments.to.tag).map_err(Failure::data)?;
    let message = message(arguments)?;
    if let Some(request) = api_request(arguments, &message) {
        let answer = arguments.server.connect_api()?.send(&request)?;
        return Ok(published(&answer));
    }
    publish_by_websocket(arguments, &tags, &message).map(Published::Reached)
}

/// Returns the request of the HTTP API, if the message needs it.
fn api_request(arguments: &PublishArguments, message: &Value) -> Option<ApiRequest> {
    let PublishArguments { to, event, ask, timeout, .. } = arguments;
    if !ask && event.is_none() && to.expr.is_none() && to.topic.is_none() {
        return None;
    }
    let mut body = Map::from_iter([("message".to_owned(), message.clone())]);
    let timeout = timeout.map(|seconds| json!(seconds * 1000));
    add_given(
        &mut body,
        [("event", event.as_ref().map(|name| json!(name))), ("timeout_ms", timeout)],
    );
    if *ask && let Some(uuid) = &to.to_uuid {
        let request = ApiRequest::for_client(Method::POST, uuid, "/ask");
        return Some(request.body(body.into()));
    }
    body.insert("to".to_owned(), target(to));
    Some(ApiRequest::new(Method::POST, "/publish").body(body.into()))
}

/// The recipients as the HTTP API names them.
fn target(to: &Recipient) -> Value {
    let named = [("uuid", &to.to_uuid), ("ident", &to.ident), ("expr", &to.expr)];
    if let Some((kind, Some(name))) = named.into_iter().find(|(_, name)| name.is_some()) {
        return json!({kind: name});
    }
    match &to.topic {
        Some(topic) => json!({"tags": {topic_tag_name(topic): topic}}),
        None if to.tag.is_empty() => json!("all"),
        None => {
            let tags = to.tag.iter().map(|tag| (tag.name().to_owned(), json!(tag.value())));
            json!({"tags": Map::from_iter(tags)})
        }
    }
}

fn published(answer: &Value) -> Published {
    if let Some(answer) = answer.get("answer") {
        return Published::Answered(Received::new(&answer.to_string()));
    }
    match answer.get("away").and_then(Value::as_u64) {
        Some(1..) => Published::Kept,
        _ => Published::Reached(answer.get("matched").and_then(Value::as_u64)),
    }
}

/// Publishes with the protocols of phpWebSocketServer and Gomoob. Returns how many clients it reached, if the server
/// reports it.
fn publish_by_websocket(
    arguments: &PublishArguments,
    tags: &Tags,
    message: &Value,
) -> Result<Option<u64>, Failure> {
    let ResolvedServer { url, access } = arguments.server.find()?;
    if !tags.is_empty() {
        return Ok(client::publish_to_tags(&url, &access, tags, message)?);
    }
    let mut publisher = Publisher::connect_counting(&url, access)?;
    let reached = publisher.publish_counted(&to(&arguments.to), message)?;
    publisher.close()?;
    Ok(reached)
}

/// Parses the name of a flag `--topic`.
fn topic(name: &str) -> Result<String, String> {
    if is_topic_name(name) {
        return Ok(name.to_owned());
    }
    Err(format!("a topic has 1 to {TOPIC_BYTES_MAX} letters, digits and characters of _-=@,.;"))
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

/// Returns one line: the answer, or the recipients and their number.
fn summary(arguments: &PublishArguments, published: &Published) -> String {
    let recipient = &arguments.to;
    let to = match (&recipient.to_uuid, &recipient.ident) {
        // The signature after the UUID is not useful to a reader.
        (Some(uuid), _) => format!("the client {}", uuid.split('.').next().unwrap_or_default()),
        (None, Some(ident)) => format!("the client called {ident}"),
        (None, None) if let Some(expr) = &recipient.expr => format!("all clients with {expr}"),
        (None, None) if let Some(topic) = &recipient.topic => format!("the topic {topic}"),
        (None, None) if recipient.tag.is_empty() => "all clients".to_owned(),
        (None, None) => {
            let tags = recipient.tag.iter().map(|tag| format!("{}={}", tag.name(), tag.value()));
            format!("all clients with {}", tags.collect::<Vec<_>>().join(", "))
        }
    };
    let to = client::printable(&to);
    match published {
        Published::Reached(Some(count)) => {
            format!("published to {to}: reached {}", clients(*count))
        }
        Published::Reached(None) => format!("published to {to}; {UNTOLD}"),
        Published::Kept => format!("published to {to}, which is away: kept until it is back"),
        Published::Answered(answer) if arguments.json => answer.json_line(),
        Published::Answered(answer) => answer.print_line(),
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
