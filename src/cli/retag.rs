//! `tagcast retag`: changes tags of one client, or of all clients that an expression matches.

use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use serde_json::{Map, Value, json};

use super::api_args::{self, ApiServerArguments, add_given, clients, finish, matched};
use super::failure::Failure;
use crate::client;
use crate::client::api::ApiRequest;

pub(super) const EXAMPLES: &str = "Examples:
  tagcast retag 'language=FR & room?' --set wave=2 --remove room
  tagcast retag --uuid \"$UUID\" --set room=1 --if-version 17

Prints how many clients have changed, or the tags and their version with --uuid.
Exit codes: docs/operations.md#exit-codes";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "two independent flags")]
pub(super) struct RetagArguments {
    /// Change all clients whose tags match this expression
    #[arg(required_unless_present = "uuid", conflicts_with = "uuid")]
    expr: Option<String>,
    /// Change this client
    #[arg(long, value_name = "UUID", value_parser = api_args::uuid)]
    uuid: Option<String>,
    /// Set a tag; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair, required_unless_present = "remove")]
    set: Vec<TagPair>,
    /// Remove a tag; may be repeated
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
    /// Change the client only if its tags have this version
    #[arg(long, value_name = "VERSION", conflicts_with = "expr")]
    if_version: Option<u64>,
    /// Change nothing if more clients match
    #[arg(long, value_name = "COUNT", conflicts_with = "uuid")]
    max: Option<u64>,
    /// Only count the clients that match
    #[arg(long, conflicts_with = "uuid")]
    dry_run: bool,
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ApiServerArguments,
}

/// A tag of the command line.
#[derive(Clone, Debug, PartialEq)]
struct TagPair {
    name: String,
    value: String,
}

fn pair(text: &str) -> Result<TagPair, String> {
    let (name, value) = text.split_once('=').ok_or("it is NAME=VALUE")?;
    Ok(TagPair { name: name.to_owned(), value: value.to_owned() })
}

pub(super) fn run(arguments: &RetagArguments) -> ExitCode {
    finish(retag(arguments))
}

fn retag(arguments: &RetagArguments) -> Result<String, Failure> {
    let answer = arguments.server.connect()?.send(&request(arguments))?;
    if arguments.json {
        return Ok(answer.to_string());
    }
    if answer.get("accepted").is_some() {
        return Ok("accepted: the server makes the change later".to_owned());
    }
    Ok(match (&arguments.uuid, arguments.dry_run) {
        (Some(_), _) => tags_line(&answer),
        (None, true) => format!("{} would change", clients(matched(&answer))),
        (None, false) => format!("changed {}", clients(matched(&answer))),
    })
}

fn request(arguments: &RetagArguments) -> ApiRequest {
    let tag = |TagPair { name, value }: &TagPair| (name.clone(), json!(value));
    let set: Map<String, Value> = arguments.set.iter().map(tag).collect();
    let mut body = json!({"set": set, "remove": arguments.remove});
    if let Some(body) = body.as_object_mut() {
        let members = [
            ("expr", arguments.expr.as_ref().map(|expr| json!(expr))),
            ("if_version", arguments.if_version.map(|version| json!(version))),
            ("max_recipients", arguments.max.map(|max| json!(max))),
            ("dry_run", arguments.dry_run.then_some(json!(true))),
        ];
        add_given(body, members);
    }
    let request = match &arguments.uuid {
        Some(uuid) => ApiRequest::for_client(Method::PATCH, uuid, "/tags"),
        None => ApiRequest::new(Method::POST, "/connections:retag"),
    };
    request.body(body)
}

/// Formats the tags of a client and their version.
fn tags_line(answer: &Value) -> String {
    let version = answer.get("version").and_then(Value::as_u64).unwrap_or_default();
    let mut line = format!("version {version}:");
    for (name, value) in answer.get("tags").and_then(Value::as_object).into_iter().flatten() {
        line.push_str(&format!(" {name}={}", value.as_str().unwrap_or_default()));
    }
    client::printable(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_one_line_with_their_version() {
        let answer = json!({"version": 18, "tags": {"a": "1", "b": "x\ny"}});
        assert_eq!(tags_line(&answer), "version 18: a=1 b=x\\ny");
        assert!(pair("a").is_err());
        let right = TagPair { name: "a".to_owned(), value: "b=c".to_owned() };
        assert_eq!(pair("a=b=c"), Ok(right));
    }
}
