//! Arguments of the benchmark with several tenants.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::placement::{OwnServerArguments, seconds};
use crate::bench::{self, BenchError, TenantsPlan};

#[derive(Debug, Args)]
pub(in crate::cli) struct TenantsArguments {
    /// Measure only these rows, for example 1,5
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<usize>,
    /// Number of clients of the noisy tenants together [default: those of each row]
    #[arg(long, value_name = "N")]
    clients: Option<usize>,
    /// Warm-up time before measuring, in seconds
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = seconds)]
    warmup: Duration,
    /// Time to measure, in seconds
    #[arg(long, default_value = "6", value_name = "SECONDS", value_parser = seconds)]
    duration: Duration,
    #[command(flatten)]
    own: OwnServerArguments,
}

impl TenantsArguments {
    pub(super) fn run(&self) -> Result<ExitCode, BenchError> {
        let Self { only, clients, warmup, duration, own } = self;
        let plan = TenantsPlan {
            only: only.clone(),
            clients: *clients,
            warmup: *warmup,
            duration: *duration,
        };
        let report = bench::tenants(&plan, own.kind()?, &own.shares()?)?;
        own.output.show(&report);
        Ok(if report.report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
