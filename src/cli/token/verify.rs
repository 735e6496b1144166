//! `tagcast token verify`: prints what a token says, and the verdict.

use std::io::Read as _;
use std::process::ExitCode;

use clap::Args;

use super::TokenApplication;
use crate::auth::{Permissions, ShownToken, VerifiedToken, token_parts};
use crate::cli::failure::Failure;
use crate::cli::print_line;
use crate::client::printable;
use crate::telemetry::unix_seconds;
use crate::types::limits::TOKEN_BYTES_MAX;

#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArguments {
    /// Token, or `-` to read it from standard input
    token: String,
    /// Judge it at this time, in Unix seconds [default: now]
    #[arg(long, value_name = "SECONDS")]
    at: Option<u64>,
    #[command(flatten)]
    application: TokenApplication,
}

pub(super) fn run(arguments: &VerifyArguments) -> Result<ExitCode, Failure> {
    let (applications, open) = arguments.application.applications()?;
    let token = match arguments.token.as_str() {
        "-" => from_input()?,
        token => token.to_owned(),
    };
    let token = token.trim();
    if let Some([header, claims]) = token_parts(token) {
        print_line(&format!("header: {}", printable(&header)));
        print_line(&format!("claims: {}", printable(&claims)));
    }
    let key = arguments.application.app.as_deref();
    let shown = ShownToken { token, key, now: arguments.at.unwrap_or_else(unix_seconds) };
    Ok(match Permissions::new(Some(&applications), open).verify_token(shown) {
        Ok(verified) => {
            print_line(&verdict(&verified, shown.now));
            ExitCode::SUCCESS
        }
        Err(error) => {
            print_line(&format!("invalid: {}", printable(&error.to_string())));
            ExitCode::FAILURE
        }
    })
}

fn verdict(verified: &VerifiedToken, now: u64) -> String {
    let VerifiedToken { application, key, claims } = verified;
    let (application, key) = (printable(application), printable(key));
    let end = match claims.expires.checked_sub(now) {
        Some(left) => format!("expires in {left} s"),
        None => "expired a few seconds ago, which is allowed for clocks that differ".to_owned(),
    };
    format!("valid: application `{application}`, key `{key}`, {end}")
}

fn from_input() -> Result<String, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::data(format!("standard input: {why}"));
    // Some more bytes for blanks. A longer token is invalid anyway.
    let bytes_max = 2 * TOKEN_BYTES_MAX as u64;
    let mut text = String::new();
    let read = std::io::stdin().take(bytes_max).read_to_string(&mut text);
    read.map_err(|error| failed(&error))?;
    Ok(text)
}
