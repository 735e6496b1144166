//! `tagcast token revoke`: revokes tokens at the running server.

use std::process::ExitCode;

use clap::Args;

use crate::admin::AdminRequest;
use crate::cli::admin::{Which, order};
use crate::telemetry::unix_seconds;
use crate::types::RevokedTokens;

#[derive(Debug, Args)]
pub(in crate::cli) struct RevokeArguments {
    /// Key of the application
    #[arg(long, value_name = "KEY")]
    app: String,
    #[command(flatten)]
    tokens: RevokedArguments,
    /// Only tokens that were issued before this time, in Unix seconds [default: now]
    #[arg(long, value_name = "SECONDS", conflicts_with = "jti")]
    before: Option<u64>,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct RevokedArguments {
    /// The token with this id
    #[arg(long, value_name = "ID")]
    jti: Option<String>,
    /// Tokens of this user
    #[arg(long, value_name = "USER")]
    sub: Option<String>,
    /// All tokens of the application
    #[arg(long)]
    all: bool,
}

pub(super) fn run(arguments: &RevokeArguments) -> ExitCode {
    let RevokeArguments { app, tokens: RevokedArguments { jti, sub, .. }, before, which } =
        arguments;
    let issued_before = before.unwrap_or_else(unix_seconds);
    let tokens = match (jti, sub) {
        (Some(jti), _) => RevokedTokens::Id { jti: jti.as_str().into() },
        (None, Some(sub)) => RevokedTokens::Subject { sub: sub.as_str().into(), issued_before },
        (None, None) => RevokedTokens::All { issued_before },
    };
    order(which, &AdminRequest::RevokeTokens { application: app.as_str().into(), tokens })
}
