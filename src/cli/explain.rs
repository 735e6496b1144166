//! `tagcast explain`: shows what a tag expression means and why a client matches it.

use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::api_args::{self, ApiServerArguments, clients, matched};
use super::failure::Failure;
use super::print_line;
use crate::client;
use crate::client::api::ApiRequest;

pub(super) const EXAMPLES: &str = "Examples:
  tagcast explain 'role=admin & !(region=eu | region=us)'
  tagcast explain 'role=admin & region=eu*' --uuid \"$UUID\"

Prints the canonical form, the number of clients that match, and for one client the part that decides.
Exit codes: docs/operations.md#exit-codes";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "two independent flags")]
pub(super) struct ExplainArguments {
    /// Tag expression
    expr: String,
    /// Explain why this client matches or does not match
    #[arg(long, value_name = "UUID", value_parser = api_args::uuid)]
    uuid: Option<String>,
    /// Count the clients for each part too (in the JSON)
    #[arg(long, requires = "json")]
    counts: bool,
    /// Print the whole answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ApiServerArguments,
}

pub(super) fn run(arguments: &ExplainArguments) -> ExitCode {
    match explain(arguments) {
        Ok(text) => {
            print_line(&text);
            ExitCode::SUCCESS
        }
        Err(failure) => failure.end(""),
    }
}

fn explain(arguments: &ExplainArguments) -> Result<String, Failure> {
    let mut body = json!({"expr": arguments.expr, "counts": arguments.counts});
    if let (Some(uuid), Some(members)) = (&arguments.uuid, body.as_object_mut()) {
        members.insert("uuid".to_owned(), json!(uuid));
    }
    let mut api = arguments.server.connect()?;
    let answer = api.send(&ApiRequest::new(Method::POST, "/explain").body(body))?;
    Ok(if arguments.json { answer.to_string() } else { summary(&answer) })
}

fn summary(answer: &Value) -> String {
    let canonical = answer.get("canonical").and_then(Value::as_str).unwrap_or_default();
    let mut lines = vec![canonical.to_owned(), format!("matches {}", clients(matched(answer)))];
    if answer.get("open").and_then(Value::as_bool) == Some(true) {
        lines.push("open: it matches a client without any tag".to_owned());
    }
    if let Some(one) = answer.get("connection").filter(|one| !one.is_null()) {
        let matches = one.get("matches").and_then(Value::as_bool) == Some(true);
        let verdict = if matches { "matches" } else { "does not match" };
        lines.push(format!("the client {verdict}, because of"));
        let path = one.get("path").and_then(Value::as_array).into_iter().flatten();
        lines.extend(path.filter_map(Value::as_str).map(|part| format!("  {part}")));
    }
    lines.iter().map(|line| client::printable(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_names_the_parts_that_decide() {
        let answer = json!({"canonical": "!a=1", "open": true, "matched": 1,
            "connection": {"matches": false, "path": ["!a=1", "a=1"]}});
        assert_eq!(
            summary(&answer),
            "!a=1\nmatches 1 client\nopen: it matches a client without any tag\n\
             the client does not match, because of\n  !a=1\n  a=1"
        );
    }
}
