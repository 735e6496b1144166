//! `tagcast bench`: the load generator.

use std::fmt::Display;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::connect_args::CredentialArguments;
use super::{EXIT_UNAVAILABLE, print_error, print_line};
use crate::bench::{
    self, Audience, BenchError, BenchProtocol, Cores, IdleConnections, Load, LoadReport,
    MeasuredServer, NamedReport, PublishPace, ServerKind, Shares, Until, Writes,
};
use crate::client::ServerUrl;
use crate::types::Encryption;

pub(super) const EXAMPLES: &str = "\
Examples:
  tagcast bench fanout --clients 1000 --in-flight 64 --floor
  tagcast bench groups --clients 10000 --groups 100 --dialect gomoob
  tagcast bench feedback --rate 5000 --fanout-rate 10 --clients 9500
  tagcast bench idle --clients 10000 --tags 1 --tls
  tagcast bench fanout --url ws://10.0.0.5:8094/ --key shop --pid 4711
  tagcast bench targets --write docs/benchmarks.md

Without --url it starts a server with applications and limits, on half of the cores.
Exits 1 if a message was lost, duplicated or out of order.";

#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Measure publications to all clients.
    #[command(after_help = "Example: tagcast bench fanout --clients 1000 --floor")]
    Fanout(LoadArguments),
    /// Measure publications by tag, to one group after the other.
    #[command(after_help = "Example: tagcast bench groups --clients 10000 --groups 100")]
    Groups {
        /// Number of groups, each with its own tag
        #[arg(long, default_value_t = 100, value_name = "N")]
        groups: usize,
        #[command(flatten)]
        load: LoadArguments,
    },
    /// Measure publications to one client each.
    #[command(after_help = "Example: tagcast bench feedback --rate 5000 --clients 9500")]
    Feedback {
        /// Also publish N messages per second to all clients
        #[arg(long, value_name = "N")]
        fanout_rate: Option<f64>,
        #[command(flatten)]
        load: LoadArguments,
    },
    /// Measure the memory of idle connections.
    #[command(after_help = "Example: tagcast bench idle --clients 10000 --tls")]
    Idle(IdleArguments),
    /// Measure the cost of handshakes.
    #[command(after_help = "Example: tagcast bench connect --clients 10000 --at-once 64")]
    Connect(IdleArguments),
    /// Measure the index alone, with a million clients.
    #[command(after_help = "Example: tagcast bench index")]
    Index(Output),
    /// Measure the baseline servers, which only write prebuilt frames.
    #[command(after_help = "Example: tagcast bench floor --clients 1000")]
    Floor(LoadArguments),
    /// Measure all targets of docs/benchmarks.md and print their table.
    #[command(after_help = "Example: tagcast bench targets --only T1,T5 --rounds 1")]
    Targets {
        /// Measure only these, for example T1,T5
        #[arg(long, value_name = "LIST", value_delimiter = ',')]
        only: Vec<String>,
        /// Rounds of each target; the median is reported
        #[arg(long, default_value_t = 3, value_name = "N")]
        rounds: usize,
        /// Replace the table in this file
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Run a baseline server for other load generators, and print its address.
    #[command(hide = true)]
    FloorServer {
        /// Write all messages of a turn at once
        #[arg(long)]
        joined: bool,
    },
    /// Hold connections for another load generator.
    #[command(hide = true)]
    Hold(IdleArguments),
}

#[derive(Debug, Args)]
pub(super) struct LoadArguments {
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
pub(super) struct IdleArguments {
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

#[derive(Debug, Args)]
struct BenchPlacement {
    /// URL of a running server, ws:// or wss://
    #[arg(long, value_name = "URL")]
    url: Option<ServerUrl>,
    #[command(flatten)]
    shown: CredentialArguments,
    /// Supervisor process at that URL, to measure CPU and memory
    #[arg(long, value_name = "PID", requires = "url")]
    pid: Option<u32>,
    /// Dialect of the clients
    #[arg(long, value_enum, default_value_t = DialectArgument::Phpws)]
    dialect: DialectArgument,
    /// Number of workers of the started server [default: one per core]
    #[arg(long, value_name = "N", conflicts_with = "url")]
    workers: Option<usize>,
    /// Use TLS for the started server
    #[arg(long, conflicts_with = "url")]
    tls: bool,
    /// Cores of the started server, for example 0,2-3 [default: first half]
    #[arg(long, value_name = "LIST", conflicts_with = "url")]
    server_cores: Option<Cores>,
    /// Cores of the load generator [default: other half]
    #[arg(long, value_name = "LIST")]
    cores: Option<Cores>,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Output {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DialectArgument {
    Phpws,
    Gomoob,
}

pub(super) fn run(command: &BenchCommand) -> ExitCode {
    match run_scenario(command) {
        Ok(code) => code,
        Err(error) => {
            bench::done();
            print_error(&format!("tagcast bench: {error}"));
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    }
}

fn run_scenario(command: &BenchCommand) -> Result<ExitCode, BenchError> {
    match command {
        BenchCommand::Fanout(load) => load.run("fanout", Audience::All, None),
        BenchCommand::Groups { groups, load } => {
            load.run("groups", Audience::Groups(*groups), None)
        }
        BenchCommand::Feedback { fanout_rate, load } => {
            load.run("feedback", Audience::One, *fanout_rate)
        }
        BenchCommand::Idle(crowd) => crowd.run("idle"),
        BenchCommand::Connect(crowd) => crowd.run("connect"),
        BenchCommand::Index(output) => {
            let report = bench::index()?;
            let server = "the index alone".to_owned();
            output.show(&NamedReport { scenario: "index".to_owned(), server, report });
            Ok(ExitCode::SUCCESS)
        }
        BenchCommand::Floor(load) => load.run_floors(),
        BenchCommand::Targets { only, rounds, write, output } => {
            targets(only, *rounds, write.as_ref(), *output)
        }
        BenchCommand::FloorServer { joined: true } => floor_server(Writes::Joined),
        BenchCommand::FloorServer { joined: false } => floor_server(Writes::Direct),
        BenchCommand::Hold(crowd) => crowd.hold(),
    }
}

fn targets(
    only: &[String],
    rounds: usize,
    write: Option<&PathBuf>,
    output: Output,
) -> Result<ExitCode, BenchError> {
    let rows = bench::measure_targets(only, rounds, &Shares::halves()?)?;
    bench::done();
    let is_clean = rows.iter().all(|row| row.is_clean);
    if output.json {
        print_line(&serde_json::to_string_pretty(&rows).unwrap_or_default());
    } else {
        print_line(&bench::table(&rows));
    }
    if let Some(file) = write {
        bench::write_table(file, &rows)?;
    }
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn floor_server(writes: Writes) -> Result<ExitCode, BenchError> {
    let failed = |error| BenchError::System("serving as a floor", error);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
    print_line(&listener.local_addr().map_err(failed)?.to_string());
    bench::serve_floor(listener, writes).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

impl LoadArguments {
    fn run(
        &self,
        name: &str,
        audience: Audience,
        beside: Option<f64>,
    ) -> Result<ExitCode, BenchError> {
        let plan = self.plan(audience, beside)?;
        let (server, wire) = (self.place.server()?, self.place.wire());
        let shares = self.place.shares()?;
        if self.floor {
            let compared = bench::compared(name, &plan, wire, &server, &shares)?;
            self.place.output.show(&compared);
            return Ok(code(&compared.server));
        }
        self.place.pin_cores()?;
        let report = bench::load(name, &plan, wire, &server)?;
        self.place.output.show(&report);
        Ok(code(&report))
    }

    fn run_floors(&self) -> Result<ExitCode, BenchError> {
        let plan = self.plan(Audience::All, None)?;
        let mut reports = Vec::new();
        for writes in [Writes::Direct, Writes::Joined] {
            let server = MeasuredServer::Own(ServerKind::Floor(writes), self.place.shares()?);
            reports.push(bench::load("fanout", &plan, BenchProtocol::Floor, &server)?);
        }
        bench::done();
        if self.place.output.json {
            print_line(&serde_json::to_string_pretty(&reports).unwrap_or_default());
        } else {
            reports.iter().for_each(|report| print_line(report.to_string().trim_end()));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn plan(&self, audience: Audience, beside: Option<f64>) -> Result<Load, BenchError> {
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
            beside,
            warmup: seconds("warmup", self.warmup)?,
            until,
        })
    }
}

impl IdleArguments {
    fn run(&self, name: &str) -> Result<ExitCode, BenchError> {
        self.place.pin_cores()?;
        let report = bench::crowd(name, self.crowd(), self.place.wire(), &self.place.server()?)?;
        self.place.output.show(&report);
        Ok(ExitCode::SUCCESS)
    }

    fn hold(&self) -> Result<ExitCode, BenchError> {
        self.place.pin_cores()?;
        let Some(url) = self.place.url.clone() else {
            return Err(BenchError::Plan("--url is missing".to_owned()));
        };
        let access = self.place.shown.access().map_err(BenchError::Plan)?;
        bench::hold(self.crowd(), self.place.wire(), url, access)?;
        Ok(ExitCode::SUCCESS)
    }

    fn crowd(&self) -> IdleConnections {
        IdleConnections { clients: self.clients, tags: self.tags, at_once: self.at_once }
    }
}

impl BenchPlacement {
    fn wire(&self) -> BenchProtocol {
        match self.dialect {
            DialectArgument::Phpws => BenchProtocol::Phpws,
            DialectArgument::Gomoob => BenchProtocol::Gomoob,
        }
    }

    fn server(&self) -> Result<MeasuredServer, BenchError> {
        if let Some(url) = &self.url {
            let access = self.shown.access().map_err(BenchError::Plan)?;
            return Ok(MeasuredServer::At { url: url.clone(), access, pid: self.pid });
        }
        let shares = self.shares()?;
        let workers = self.workers.unwrap_or(shares.server.0.len());
        let encryption = if self.tls { Encryption::Tls } else { Encryption::Plain };
        Ok(MeasuredServer::Own(ServerKind::Tagcast { workers, encryption }, shares))
    }

    fn shares(&self) -> Result<Shares, BenchError> {
        let halves = Shares::halves()?;
        Ok(Shares {
            server: self.server_cores.clone().unwrap_or(halves.server),
            generator: self.cores.clone().unwrap_or(halves.generator),
        })
    }

    /// Pins this thread to its cores. With a running server this is done only if `--cores` is
    /// given.
    fn pin_cores(&self) -> Result<(), BenchError> {
        match (&self.url, &self.cores) {
            (Some(_), Some(cores)) => cores.take(),
            _ => Ok(()),
        }
    }
}

impl Output {
    fn show(self, report: &(impl Display + Serialize)) {
        bench::done();
        if self.json {
            print_line(&serde_json::to_string_pretty(report).unwrap_or_default());
        } else {
            print_line(report.to_string().trim_end());
        }
    }
}

/// Returns exit code 1 if a message was lost, duplicated or out of order, otherwise 0.
fn code(report: &NamedReport<LoadReport>) -> ExitCode {
    if report.report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
