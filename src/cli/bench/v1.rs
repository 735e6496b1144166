//! Arguments of the benchmark of `tagcast.v1`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::placement::{CoreArguments, Output, seconds};
use crate::bench::{self, BenchError, V1BenchPlan};

#[derive(Debug, Args)]
pub(in crate::cli) struct V1BenchArguments {
    /// Clients that open, go away and come back, and that join what is watched
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    clients: usize,
    /// Clients of a fan-out
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    recipients: usize,
    /// Clients that watch
    #[arg(long, default_value_t = 100, value_name = "N")]
    watchers: usize,
    /// Rounds of the fan-outs; the median counts
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
    /// Measure only these rows, for example M5,M9
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<String>,
    /// Warm-up time before measuring, in seconds
    #[arg(long, default_value = "0.5", value_name = "SECONDS", value_parser = seconds)]
    warmup: Duration,
    /// Time to measure, in seconds
    #[arg(long, default_value = "2", value_name = "SECONDS", value_parser = seconds)]
    duration: Duration,
    #[command(flatten)]
    cores: CoreArguments,
    #[command(flatten)]
    output: Output,
}

impl V1BenchArguments {
    pub(super) fn run(&self) -> Result<ExitCode, BenchError> {
        let plan = V1BenchPlan {
            clients: self.clients,
            recipients: self.recipients,
            watchers: self.watchers,
            rounds: self.rounds,
            only: self.only.clone(),
            warmup: self.warmup,
            duration: self.duration,
        };
        let report = bench::v1(&plan, &self.cores.shares()?)?;
        self.output.show(&report);
        Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
