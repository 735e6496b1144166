//! Arguments of `tagcast bench reconnect`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use super::placement::{BenchPlacement, OwnServerArguments, seconds};
use crate::bench::{self, BenchError, Comeback, Disruption, ReconnectPlan};

#[derive(Debug, Args)]
pub(in crate::cli) struct ReconnectArguments {
    #[command(flatten)]
    comeback: ComebackArguments,
    /// Let the clients speak tagcast.v1 and resume
    #[arg(long)]
    resume: bool,
    /// Event that ends the connections
    #[arg(long, value_enum, default_value_t = KillArgument::Worker)]
    kill: KillArgument,
    #[command(flatten)]
    server: OwnServerArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReconnectingArguments {
    #[command(flatten)]
    comeback: ComebackArguments,
    #[command(flatten)]
    place: BenchPlacement,
}

#[derive(Debug, Args)]
struct ComebackArguments {
    /// Number of connections
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    clients: usize,
    /// Spread the first attempts over this time; 0 is at once
    #[arg(long, default_value = "0", value_name = "SECONDS", value_parser = seconds)]
    jitter: Duration,
    /// Whether clients use TLS session tickets
    #[arg(long, default_value = "on", value_name = "on|off", value_parser = switch)]
    #[arg(action = ArgAction::Set)]
    tls_tickets: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KillArgument {
    /// Kill the worker with most connections
    Worker,
    /// Kill all processes of the server, and start it again
    Server,
    /// Replace the workers one after the other
    Rolling,
}

impl ReconnectArguments {
    pub(super) fn run(&self) -> Result<ExitCode, BenchError> {
        let disruption = match self.kill {
            KillArgument::Worker => Disruption::Worker,
            KillArgument::Server => Disruption::Server,
            KillArgument::Rolling => Disruption::Rolling,
        };
        let comeback = Comeback { resumes: self.resume, ..self.comeback.comeback() };
        let plan = ReconnectPlan { comeback, disruption };
        let report = bench::reconnect(&plan, self.server.kind()?, &self.server.shares()?)?;
        self.server.output.show(&report);
        let is_clean = report.report.bystander_lost == 0;
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl ReconnectingArguments {
    pub(super) fn run(&self) -> Result<ExitCode, BenchError> {
        let (url, access) = self.place.address()?;
        bench::comeback(&self.comeback.comeback(), self.place.wire(), url, access)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl ComebackArguments {
    fn comeback(&self) -> Comeback {
        let Self { clients, jitter, tls_tickets: shows_tickets } = *self;
        Comeback { clients, jitter, shows_tickets, resumes: false }
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("use on or off".to_owned()),
    }
}
