//! Placement of a benchmark: the server, the cores, and the form of the result.

use std::fmt::Display;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::bench::{self, BenchError, BenchProtocol, Cores, MeasuredServer, ServerKind, Shares};
use crate::cli::connect_args::CredentialArguments;
use crate::cli::print_line;
use crate::client::{ClientCredentials, ServerUrl};
use crate::types::Encryption;

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchPlacement {
    /// URL of a running server, ws:// or wss://
    #[arg(long, value_name = "URL", conflicts_with_all = ["workers", "tls", "server_cores"])]
    url: Option<ServerUrl>,
    #[command(flatten)]
    shown: CredentialArguments,
    /// Supervisor process at that URL, to measure CPU and memory
    #[arg(long, value_name = "PID", requires = "url")]
    pid: Option<u32>,
    /// Dialect of the clients
    #[arg(long, value_enum, default_value_t = DialectArgument::Phpws)]
    dialect: DialectArgument,
    #[command(flatten)]
    own: OwnServerArguments,
}

/// The server that a benchmark starts, and the cores.
#[derive(Debug, Args)]
pub(in crate::cli) struct OwnServerArguments {
    /// Number of workers of the started server [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Use TLS for the started server
    #[arg(long)]
    tls: bool,
    #[command(flatten)]
    cores: CoreArguments,
    #[command(flatten)]
    pub(super) output: Output,
}

/// The cores of the started server and of the load generator.
#[derive(Debug, Args)]
pub(in crate::cli) struct CoreArguments {
    /// Cores of the started server, for example 0,2-3 [default: first half]
    #[arg(long, value_name = "LIST")]
    server_cores: Option<Cores>,
    /// Cores of the load generator [default: other half]
    #[arg(long, value_name = "LIST")]
    cores: Option<Cores>,
}

#[derive(Clone, Copy, Debug, Args)]
pub(in crate::cli) struct Output {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DialectArgument {
    Phpws,
    Gomoob,
    V1,
}

impl BenchPlacement {
    pub(super) fn wire(&self) -> BenchProtocol {
        match self.dialect {
            DialectArgument::Phpws => BenchProtocol::Phpws,
            DialectArgument::Gomoob => BenchProtocol::Gomoob,
            DialectArgument::V1 => BenchProtocol::V1,
        }
    }

    pub(super) fn server(&self) -> Result<MeasuredServer, BenchError> {
        if self.url.is_some() {
            let (url, access) = self.address()?;
            return Ok(MeasuredServer::At { url, access, pid: self.pid });
        }
        Ok(MeasuredServer::Own(self.own.kind()?, self.own.shares()?))
    }

    /// Returns the URL of the running server, and what clients show to it.
    pub(super) fn address(&self) -> Result<(ServerUrl, ClientCredentials), BenchError> {
        let Some(url) = self.url.clone() else {
            return Err(BenchError::Plan("--url is missing".to_owned()));
        };
        Ok((url, self.shown.access().map_err(BenchError::Plan)?))
    }

    pub(super) fn shares(&self) -> Result<Shares, BenchError> {
        self.own.shares()
    }

    pub(super) fn output(&self) -> Output {
        self.own.output
    }

    /// Pins this thread to its cores. With a running server this is done only if `--cores` is
    /// given.
    pub(super) fn pin_cores(&self) -> Result<(), BenchError> {
        match (&self.url, &self.own.cores.cores) {
            (Some(_), Some(cores)) => cores.take(),
            _ => Ok(()),
        }
    }
}

impl OwnServerArguments {
    pub(super) fn kind(&self) -> Result<ServerKind, BenchError> {
        let workers = match self.workers {
            Some(workers) => workers,
            None => self.shares()?.server.0.len(),
        };
        let encryption = if self.tls { Encryption::Tls } else { Encryption::Plain };
        Ok(ServerKind::Tagcast { workers, encryption })
    }

    pub(super) fn shares(&self) -> Result<Shares, BenchError> {
        self.cores.shares()
    }
}

impl CoreArguments {
    pub(super) fn shares(&self) -> Result<Shares, BenchError> {
        let halves = Shares::halves()?;
        Ok(Shares {
            server: self.server_cores.clone().unwrap_or(halves.server),
            generator: self.cores.clone().unwrap_or(halves.generator),
        })
    }
}

impl Output {
    pub(super) fn show(self, report: &(impl Display + Serialize)) {
        bench::done();
        if self.json {
            print_line(&serde_json::to_string_pretty(report).unwrap_or_default());
        } else {
            print_line(report.to_string().trim_end());
        }
    }
}

/// Parses a number of seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "use a number of seconds, such as 2.5")?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| "use a number of seconds, 0 or more".to_owned())
}
