//! `tagcast disconnect`: closes the connection of one client, or of all clients that an expression matches.

use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use serde_json::json;

use super::api_args::{self, ApiServerArguments, add_given, clients, finish, matched};
use super::failure::Failure;
use crate::client::api::ApiRequest;

pub(super) const EXAMPLES: &str = "Examples:
  tagcast disconnect --uuid \"$UUID\" --code 4001 --reason banned
  tagcast disconnect 'room=1' --spread 5000
  tagcast disconnect --all --dry-run

Prints how many connections are closed.
Exit codes: docs/operations.md#exit-codes";

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "three independent flags")]
pub(super) struct DisconnectArguments {
    /// Close the connections of all clients whose tags match this expression
    #[arg(required_unless_present_any = ["uuid", "all"], conflicts_with_all = ["uuid", "all"])]
    expr: Option<String>,
    /// Close the connection of this client
    #[arg(long, value_name = "UUID", value_parser = api_args::uuid, conflicts_with = "all")]
    uuid: Option<String>,
    /// Close the connections of all clients that tags can reach
    #[arg(long)]
    all: bool,
    /// Code of the Close, 1000 or 3000 to 4999
    #[arg(long, default_value_t = 1000)]
    code: u16,
    /// Reason of the Close, one line of at most 123 bytes
    #[arg(long, default_value = "", value_name = "TEXT")]
    reason: String,
    /// Spread the closes evenly over this time, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", conflicts_with = "uuid")]
    spread: Option<u64>,
    /// Close no connection if more clients match
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

pub(super) fn run(arguments: &DisconnectArguments) -> ExitCode {
    finish(disconnect(arguments))
}

fn disconnect(arguments: &DisconnectArguments) -> Result<String, Failure> {
    let answer = arguments.server.connect()?.send(&request(arguments))?;
    if arguments.json {
        return Ok(answer.to_string());
    }
    if answer.get("accepted").is_some() {
        return Ok("accepted: the server closes the connections later".to_owned());
    }
    let found = clients(matched(&answer));
    Ok(if arguments.dry_run {
        format!("{found} would be closed")
    } else {
        format!("closed {found}")
    })
}

fn request(arguments: &DisconnectArguments) -> ApiRequest {
    let DisconnectArguments { code, reason, .. } = arguments;
    if let Some(uuid) = &arguments.uuid {
        let request = ApiRequest::for_client(Method::DELETE, uuid, "");
        return request.parameter("code", &code.to_string()).parameter("reason", reason);
    }
    let mut body = json!({"code": code, "reason": reason});
    if let Some(body) = body.as_object_mut() {
        let members = [
            ("expr", arguments.expr.as_ref().map(|expr| json!(expr))),
            ("all", arguments.all.then_some(json!(true))),
            ("spread_ms", arguments.spread.map(|spread| json!(spread))),
            ("max_recipients", arguments.max.map(|max| json!(max))),
            ("dry_run", arguments.dry_run.then_some(json!(true))),
        ];
        add_given(body, members);
    }
    ApiRequest::new(Method::POST, "/connections:disconnect").body(body)
}
