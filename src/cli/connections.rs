//! `tagcast connections`: lists connections.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use serde_json::Value;

use super::api_args::{ApiServerArguments, clients, matched};
use super::failure::Failure;
use super::{print_error, print_line};
use crate::client;
use crate::client::api::ApiRequest;

pub(super) const EXAMPLES: &str = "Examples:
  tagcast connections
  tagcast connections --expr 'language=FR & !(room=1 | beta?)' --limit 20
  tagcast connections --json --key shop --url https://example.org

Prints one line for each connection: UUID, kind, ident and tags.
Exit codes: docs/operations.md#exit-codes";

/// Connections in one page of the list; the largest that the API answers.
const PAGE: u64 = 1000;

#[derive(Debug, Args)]
pub(super) struct ConnectionsArguments {
    /// List only connections whose tags match this expression
    #[arg(long, value_name = "EXPR", conflicts_with = "ident")]
    expr: Option<String>,
    /// List only connections with this ident
    #[arg(long, value_name = "NAME")]
    ident: Option<String>,
    /// Print at most this many connections
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ApiServerArguments,
}

pub(super) fn run(arguments: &ConnectionsArguments) -> ExitCode {
    match list(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.end(""),
    }
}

/// Prints page after page, so the first lines appear while the list is long.
fn list(arguments: &ConnectionsArguments) -> Result<(), Failure> {
    let mut api = arguments.server.connect()?;
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    let mut cursor = None;
    let mut printed = 0;
    loop {
        let page = api.send(&page(arguments, left.min(PAGE), cursor.as_deref()))?;
        let rows = page.get("connections").and_then(Value::as_array);
        for row in rows.into_iter().flatten() {
            print_line(&if arguments.json { row.to_string() } else { line(row) });
            printed += 1;
            left = left.saturating_sub(1);
        }
        cursor = page.get("cursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() || left == 0 {
            // The number goes to standard error, so a pipe gets connections only.
            print_error(&format!("{printed} of {}", clients(matched(&page).max(printed))));
            return Ok(());
        }
    }
}

fn page(arguments: &ConnectionsArguments, limit: u64, cursor: Option<&str>) -> ApiRequest {
    let filters = [("expr", arguments.expr.as_deref()), ("ident", arguments.ident.as_deref())];
    let mut request =
        ApiRequest::new(Method::GET, "/connections").parameter("limit", &limit.to_string());
    for (name, value) in filters.into_iter().chain([("cursor", cursor)]) {
        if let Some(value) = value {
            request = request.parameter(name, value);
        }
    }
    request
}

/// Formats one connection of the list.
fn line(row: &Value) -> String {
    let text = |name| row.get(name).and_then(Value::as_str).unwrap_or("-");
    let mut line = format!("{} {} {}", text("uuid"), text("kind"), quoted(text("ident")));
    for (name, value) in row.get("tags").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), quoted);
        let _cannot_fail = write!(line, " {}={value}", quoted(name));
    }
    client::printable(&line)
}

/// Quotes a text that would look like more than one word.
fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains([' ', '"', '=']) {
        Value::String(text.to_owned()).to_string()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_connection_is_one_line_of_words() {
        let row = json!({"uuid": "u", "ident": null, "kind": "web", "tags": {"language": "FR"}});
        assert_eq!(line(&row), "u web - language=FR");
        let tags = json!({"a b": "", "x": "1\n2"});
        let row = json!({"uuid": "u", "ident": "job 1", "kind": "php", "tags": tags});
        assert_eq!(line(&row), "u php \"job 1\" \"a b\"=\"\" x=1\\n2");
    }
}
