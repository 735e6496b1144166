//! Arguments of the benchmarks with publications and with idle connections.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::placement::BenchPlacement;
use crate::bench::{
    self, Audience, BenchError, BenchProtocol, IdleConnections, Load, LoadReport, MeasuredServer,
    NamedReport, PublishPace, ServerKind, Until, Writes,
};
use crate::cli::print_line;

#[derive(Debug, Args)]
pub(in crate::cli) struct LoadArguments {
    /// Number of connections that receive
    #[arg(long, default_value_t = 1000, value_name = "N")]
    clients: usize,
    /// Number of unique tags of each connection
    #[arg(long, default_value_t = 0, value_name = "N")]
    tags: usize,
    /// Number of connections that publish
    #[arg(long, default_value_t = 1, value_name = "N")]
    publishers: usize,
    /// Publications in flight at the same time [default: 64]
    #[arg(long, value_name = "N", conflicts_with = "rate")]
    in_flight: Option<usize>,
    /// Publish at a fixed rate of N messages per second
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Size of a message in bytes, at least 16
    #[arg(long, default_value_t = 128, value_name = "N")]
    payload: usize,
    /// Warm-up time before measuring, in seconds
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    warmup: f64,
    /// Time to measure, in seconds
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    duration: f64,
    /// Measure N deliveries in place of a time
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    count: Option<u64>,
    /// Also run the baseline server before and after and print the ratio
    #[arg(long)]
    floor: bool,
    #[command(flatten)]
    place: BenchPlacement,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct IdleArguments {
    /// Number of connections
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    clients: usize,
    /// Number of tags of each connection
    #[arg(long, default_value_t = 1, value_name = "N")]
    tags: usize,
    /// Number of handshakes at the same time
    #[arg(long, default_value_t = 64, value_name = "N")]
    at_once: usize,
    #[command(flatten)]
    place: BenchPlacement,
}

impl LoadArguments {
    pub(super) fn run(
        &self,
        name: &str,
        audience: Audience,
        fanout_rate: Option<f64>,
    ) -> Result<ExitCode, BenchError> {
        let plan = self.plan(audience, fanout_rate)?;
        let (server, wire) = (self.place.server()?, self.place.wire());
        let shares = self.place.shares()?;
        if self.floor {
            let compared = bench::compared(name, &plan, wire, &server, &shares)?;
            self.place.output().show(&compared);
            return Ok(code(&compared.server));
        }
        self.place.pin_cores()?;
        let report = bench::load(name, &plan, wire, &server)?;
        self.place.output().show(&report);
        Ok(code(&report))
    }

    pub(super) fn run_floors(&self) -> Result<ExitCode, BenchError> {
        let plan = self.plan(Audience::All, None)?;
        let mut reports = Vec::new();
        for writes in [Writes::Direct, Writes::Joined] {
            let server = MeasuredServer::Own(ServerKind::Floor(writes), self.place.shares()?);
            reports.push(bench::load("fanout", &plan, BenchProtocol::Floor, &server)?);
        }
        bench::done();
        if self.place.output().json {
            print_line(&serde_json::to_string_pretty(&reports).unwrap_or_default());
        } else {
            reports.iter().for_each(|report| print_line(report.to_string().trim_end()));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn plan(&self, audience: Audience, fanout_rate: Option<f64>) -> Result<Load, BenchError> {
        let seconds = |name: &str, value: f64| {
            Duration::try_from_secs_f64(value)
                .map_err(|_| BenchError::Plan(format!("--{name} is not a number of seconds")))
        };
        let pace = match self.rate {
            Some(rate) => PublishPace::PerSecond(rate),
            None => PublishPace::InFlight(self.in_flight.unwrap_or(64)),
        };
        let until = match self.count {
            Some(count) => Until::Deliveries(count),
            None => Until::Time(seconds("duration", self.duration)?),
        };
        Ok(Load {
            clients: self.clients,
            tags: self.tags,
            audience,
            pace,
            publishers: self.publishers,
            payload: self.payload,
            fanout_rate,
            warmup: seconds("warmup", self.warmup)?,
            until,
        })
    }
}

impl IdleArguments {
    pub(super) fn run(&self, name: &str) -> Result<ExitCode, BenchError> {
        self.place.pin_cores()?;
        let report =
            bench::idle(name, self.connections(), self.place.wire(), &self.place.server()?)?;
        self.place.output().show(&report);
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn hold(&self) -> Result<ExitCode, BenchError> {
        self.place.pin_cores()?;
        let (url, access) = self.place.address()?;
        bench::hold(self.connections(), self.place.wire(), url, access)?;
        Ok(ExitCode::SUCCESS)
    }

    fn connections(&self) -> IdleConnections {
        IdleConnections { clients: self.clients, tags: self.tags, at_once: self.at_once }
    }
}

/// Returns exit code 1 if a message was lost, duplicated or out of order, otherwise 0.
fn code(report: &NamedReport<LoadReport>) -> ExitCode {
    if report.report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
