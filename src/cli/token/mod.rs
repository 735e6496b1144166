//! `tagcast token`: connection tokens, made and verified with the keys in auth.yml.

mod create;
mod revoke;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::config_args::source;
use super::failure::Failure;
use super::{after, print_error};
use crate::auth::{Application, Applications, AuthorizeOpen};
use crate::config;

pub(super) const EXAMPLES: &str = "Examples:
  tagcast token create --sub 42 --tag role=admin --expires 1h
  tagcast token verify \"$TOKEN\"
  tagcast token revoke --app shop --sub 42

Exit codes: docs/operations.md#exit-codes";

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Sign a token and print it.
    #[command(after_help = after!("Example: tagcast token create --app shop --sub 42 --tag role=admin"))]
    Create(create::CreateArguments),
    /// Print what a token says, and whether it is valid.
    #[command(after_help = after!("Example: tagcast token verify - < token.txt"))]
    Verify(verify::VerifyArguments),
    /// Revoke tokens at the running server.
    #[command(after_help = after!("Example: tagcast token revoke --app shop --sub 42"))]
    Revoke(revoke::RevokeArguments),
}

pub(super) fn run(command: &TokenCommand) -> ExitCode {
    let done = match command {
        TokenCommand::Create(arguments) => create::run(arguments),
        TokenCommand::Verify(arguments) => verify::run(arguments),
        TokenCommand::Revoke(arguments) => return revoke::run(arguments),
    };
    done.unwrap_or_else(|failure| failure.end(""))
}

/// The applications of a configuration, and one of them if it was named.
#[derive(Debug, Args)]
pub(super) struct TokenApplication {
    /// Key of the application
    #[arg(long, value_name = "KEY")]
    app: Option<String>,
    /// Configuration file [default: websock.ini, if it exists]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
}

impl TokenApplication {
    /// Reads the applications of the configuration.
    fn applications(&self) -> Result<(Applications, AuthorizeOpen), Failure> {
        let loaded = config::load(&source(self.ini.clone(), Vec::new())).map_err(|findings| {
            print_error(&findings.to_string());
            Failure::configuration("the configuration has errors")
        })?;
        let open = loaded.config.authorize_open;
        let all = loaded.config.applications.ok_or_else(|| {
            Failure::configuration("there are no applications, and so no keys; see tagcast app add")
        })?;
        Ok((all, open))
    }

    /// Returns the application that was named, or the only one that accepts tokens.
    fn choose<'a>(&self, all: &'a Applications) -> Result<&'a Application, Failure> {
        let accepting = || all.list.iter().filter(|one| one.tokens.is_some());
        let chosen = match &self.app {
            Some(key) => all.list.iter().find(|one| one.key == *key),
            None => accepting().next().filter(|_| accepting().count() == 1),
        };
        chosen.ok_or_else(|| {
            let keys: Vec<&str> = accepting().map(|one| one.key.as_str()).collect();
            Failure::configuration(match (keys.is_empty(), &self.app) {
                (true, _) => "no application has `tokens` in auth.yml".to_owned(),
                (false, Some(_)) => format!("there is no such application: {}", keys.join(", ")),
                (false, None) => format!("name one with --app: {}", keys.join(", ")),
            })
        })
    }
}
