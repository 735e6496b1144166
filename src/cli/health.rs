//! `tagcast health`: tells whether a server takes traffic.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::failure::Failure;
use super::local_server::LocalServer;
use super::{after, print_error, print_line};
use crate::client::ApiUrl;
use crate::client::health::server_health;

pub(super) const EXAMPLES: &str = after!(
    "Examples:
  tagcast health
  tagcast health --url https://example.org

Requests /readyz. Prints `ok`, or the reason why the server takes no traffic.
The exit code is 0 for `ok`. It is 1 for a reason and for a server that does not answer, as a
container's HEALTHCHECK expects it."
);

#[derive(Debug, Args)]
pub(super) struct HealthArguments {
    /// Address of the server, http://, https:// or unix: [default: from the configuration]
    #[arg(long, value_name = "URL")]
    url: Option<ApiUrl>,
    /// Configuration file of the server [default: websock.ini, if it exists]
    #[arg(short = 'i', long = "ini", value_name = "FILE")]
    ini: Option<PathBuf>,
    /// PEM certificates to trust for https://, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

pub(super) fn run(arguments: &HealthArguments) -> ExitCode {
    let url = match arguments.url() {
        Ok(url) => url,
        Err(failure) => return failure.end(""),
    };
    match server_health(&url, arguments.ca.as_deref()) {
        Ok(health) => {
            print_line(&health.word);
            if health.is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            print_error(&format!("tagcast: {error}"));
            ExitCode::FAILURE
        }
    }
}

impl HealthArguments {
    /// Returns `--url`, otherwise an address in the ini file. With `api = off` that is one of the
    /// WebSockets.
    fn url(&self) -> Result<ApiUrl, Failure> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let server = LocalServer::read(self.ini.as_deref())?;
        server.api_url().or_else(|_| server.shared_url())
    }
}
