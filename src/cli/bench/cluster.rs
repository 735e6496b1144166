//! Arguments of the benchmark with several hosts.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::placement::{CoreArguments, Output, seconds};
use crate::bench::{self, BenchError, ClusterBenchPlan};

#[derive(Debug, Args)]
pub(in crate::cli) struct ClusterBenchArguments {
    /// Number of hosts
    #[arg(long, default_value_t = 3, value_name = "N")]
    hosts: usize,
    /// Program of the NATS server
    #[arg(long, default_value = "nats-server", value_name = "PROGRAM")]
    nats: PathBuf,
    /// Measure only these rows, for example C1,C6
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<String>,
    /// Hosts of the row with many hosts
    #[arg(long, default_value_t = 10, value_name = "N")]
    many: usize,
    /// Clients of a fan-out, and of each of many hosts
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    clients: usize,
    /// Size of each message in bytes
    #[arg(long, default_value_t = 128, value_name = "BYTES")]
    payload: usize,
    /// Publications of each run with faults
    #[arg(long, default_value_t = 30_000, value_name = "N")]
    publications: u64,
    /// Workers of each host
    #[arg(long, default_value_t = 1, value_name = "N")]
    workers: usize,
    /// Warm-up time before measuring, in seconds
    #[arg(long, default_value = "0.7", value_name = "SECONDS", value_parser = seconds)]
    warmup: Duration,
    /// Time to measure, in seconds
    #[arg(long, default_value = "3", value_name = "SECONDS", value_parser = seconds)]
    duration: Duration,
    #[command(flatten)]
    cores: CoreArguments,
    #[command(flatten)]
    output: Output,
}

impl ClusterBenchArguments {
    pub(super) fn run(&self) -> Result<ExitCode, BenchError> {
        let plan = ClusterBenchPlan {
            nats: self.nats.clone(),
            hosts: self.hosts,
            many: self.many,
            clients: self.clients,
            payload: self.payload,
            publications: self.publications,
            workers: self.workers,
            only: self.only.clone(),
            warmup: self.warmup,
            duration: self.duration,
        };
        let report = bench::cluster(&plan, &self.cores.shares()?)?;
        self.output.show(&report);
        Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
