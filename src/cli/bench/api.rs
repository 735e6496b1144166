//! Arguments of the benchmark of the HTTP API.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::placement::{BenchPlacement, seconds};
use crate::bench::{self, ApiLoad, BenchError};

#[derive(Debug, Args)]
pub(in crate::cli) struct ApiArguments {
    /// Number of connections, each with one request in flight
    #[arg(long, default_value_t = 1, value_name = "N")]
    connections: usize,
    /// Number of publications of a request, up to 100
    #[arg(long, default_value_t = 1, value_name = "N")]
    batch: usize,
    /// Sign the requests in place of showing the secret
    #[arg(long)]
    signed: bool,
    /// Send N requests per second [default: each as soon as the last is answered]
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Size of a message in bytes
    #[arg(long, default_value_t = 128, value_name = "N")]
    payload: usize,
    /// Also send N feedbacks per second over WebSocket, with and without the requests
    #[arg(long, value_name = "N")]
    feedback_rate: Option<f64>,
    /// Warm-up time before measuring, in seconds
    #[arg(long, default_value = "1", value_name = "SECONDS", value_parser = seconds)]
    warmup: Duration,
    /// Time to measure, in seconds
    #[arg(long, default_value = "3", value_name = "SECONDS", value_parser = seconds)]
    duration: Duration,
    #[command(flatten)]
    place: BenchPlacement,
}

impl ApiArguments {
    pub(super) fn run(&self) -> Result<ExitCode, BenchError> {
        let plan = ApiLoad {
            connections: self.connections,
            batch: self.batch,
            is_signed: self.signed,
            rate: self.rate,
            payload: self.payload,
            warmup: self.warmup,
            duration: self.duration,
            feedback: self.feedback_rate,
        };
        self.place.pin_cores()?;
        let report = bench::api(&plan, &self.place.server()?)?;
        self.place.output().show(&report);
        Ok(if report.report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
