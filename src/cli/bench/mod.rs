//! `tagcast bench`: the load generator.

mod api;
mod cluster;
mod compare;
mod load_arguments;
mod placement;
mod reconnect;
mod tenants;
mod v1;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use self::api::ApiArguments;
use self::cluster::ClusterBenchArguments;
use self::compare::CompareArguments;
use self::load_arguments::{IdleArguments, LoadArguments};
use self::placement::Output;
use self::reconnect::{ReconnectArguments, ReconnectingArguments};
use self::tenants::TenantsArguments;
use self::v1::V1BenchArguments;
use super::{EXIT_CONFIG, EXIT_UNAVAILABLE, print_error, print_line};
use crate::bench::{self, Audience, BenchError, NamedReport, Shares, Writes};

pub(super) const EXAMPLES: &str = "\
Examples:
  tagcast bench fanout --clients 1000 --in-flight 64 --floor
  tagcast bench groups --clients 10000 --groups 100 --dialect gomoob
  tagcast bench feedback --rate 5000 --fanout-rate 10 --clients 9500
  tagcast bench api --connections 64 --batch 100
  tagcast bench tenants --workers 2
  tagcast bench cluster --hosts 3 --nats nats-server
  tagcast bench v1 --only M6,M9
  tagcast bench idle --clients 10000 --tags 1 --tls
  tagcast bench reconnect --clients 10000 --workers 2 --kill worker --jitter 2
  tagcast bench compare benches/compare/tagcast.ini benches/compare/nats.ini
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
    /// Measure how clients reconnect after a worker or the server was killed.
    #[command(after_help = "Example: tagcast bench reconnect --workers 2 --kill worker --jitter 2")]
    Reconnect(ReconnectArguments),
    /// Compare servers that templates describe, such as those in benches/compare/.
    #[command(after_help = "Example: tagcast bench compare benches/compare/tagcast.ini \
                            benches/compare/nats.ini --floor")]
    Compare(CompareArguments),
    /// Measure requests to the HTTP API.
    #[command(after_help = "Example: tagcast bench api --connections 64 --signed")]
    Api(ApiArguments),
    /// Measure what a quiet tenant notices of others that flood the server.
    #[command(after_help = "Example: tagcast bench tenants --workers 2 --only 1,4")]
    Tenants(TenantsArguments),
    /// Measure several hosts over a NATS server.
    #[command(after_help = "Example: tagcast bench cluster --hosts 3 --nats /usr/sbin/nats-server")]
    Cluster(ClusterBenchArguments),
    /// Measure what only clients of tagcast.v1 have: answers, resuming, absence, watches.
    #[command(after_help = "Example: tagcast bench v1 --clients 10000 --only M5,M9")]
    V1(V1BenchArguments),
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
    /// Open reconnecting clients, for another load generator.
    #[command(hide = true)]
    Reconnecting(ReconnectingArguments),
}

pub(super) fn run(command: &BenchCommand) -> ExitCode {
    match run_scenario(command) {
        Ok(code) => code,
        Err(error) => {
            bench::done();
            print_error(&format!("tagcast bench: {error}"));
            ExitCode::from(match error {
                BenchError::Template(_) => EXIT_CONFIG,
                _ => EXIT_UNAVAILABLE,
            })
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
        BenchCommand::Idle(arguments) => arguments.run("idle"),
        BenchCommand::Connect(arguments) => arguments.run("connect"),
        BenchCommand::Reconnect(plan) => plan.run(),
        BenchCommand::Compare(plan) => plan.run(),
        BenchCommand::Api(plan) => plan.run(),
        BenchCommand::Tenants(plan) => plan.run(),
        BenchCommand::Cluster(plan) => plan.run(),
        BenchCommand::V1(plan) => plan.run(),
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
        BenchCommand::Hold(arguments) => arguments.hold(),
        BenchCommand::Reconnecting(arguments) => arguments.run(),
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
