//! Arguments of `tagcast bench compare`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::placement::{CoreArguments, Output, seconds};
use crate::bench::{
    self, BenchError, ComparePlan, CompareScenario, ComparedServer, ServerTemplate, Writes,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct CompareArguments {
    /// Templates of the servers, such as benches/compare/nats.ini
    #[arg(required = true, value_name = "TEMPLATE")]
    templates: Vec<PathBuf>,
    /// Run only these scenarios
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',')]
    only: Vec<ScenarioArgument>,
    /// Rounds; in each one every server runs every scenario
    #[arg(long, default_value_t = 3, value_name = "N")]
    rounds: usize,
    /// Number of connections that receive
    #[arg(long, default_value_t = 1000, value_name = "N")]
    clients: usize,
    /// Publications in flight of the fan-outs
    #[arg(long, default_value = "1,32,64,256", value_name = "LIST", value_delimiter = ',')]
    in_flight: Vec<usize>,
    /// Number of groups
    #[arg(long, default_value_t = 100, value_name = "N")]
    groups: usize,
    /// Number of idle connections
    #[arg(long, default_value_t = 5000, value_name = "N")]
    connections: usize,
    /// Size of a message in bytes, at least 16
    #[arg(long, default_value_t = 128, value_name = "N")]
    payload: usize,
    /// Warm-up time of each run, in seconds
    #[arg(long, default_value = "0.5", value_name = "SECONDS", value_parser = seconds)]
    warmup: Duration,
    /// Measured time of each run, in seconds
    #[arg(long, default_value = "2", value_name = "SECONDS", value_parser = seconds)]
    duration: Duration,
    /// Also measure the baseline servers, which only write prebuilt frames
    #[arg(long)]
    floor: bool,
    #[command(flatten)]
    cores: CoreArguments,
    #[command(flatten)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ScenarioArgument {
    /// Publications to all clients
    Fanout,
    /// Publications to groups in turn
    Groups,
    /// Publications to one client
    Feedback,
    /// Openings, and the memory of idle connections
    Connections,
}

impl CompareArguments {
    pub(super) fn run(&self) -> Result<ExitCode, BenchError> {
        let floors = [Writes::Direct, Writes::Joined].map(ComparedServer::Floor);
        let mut servers: Vec<ComparedServer> = floors.into_iter().filter(|_| self.floor).collect();
        for file in &self.templates {
            servers.push(ComparedServer::Template(Box::new(ServerTemplate::read(file)?)));
        }
        let plan = ComparePlan {
            servers,
            rounds: self.rounds,
            scenarios: self.scenarios(),
            clients: self.clients,
            groups: self.groups,
            connections: self.connections,
            payload: self.payload,
            warmup: self.warmup,
            duration: self.duration,
        };
        let report = bench::compare(&plan, &self.cores.shares()?)?;
        self.output.show(&report);
        Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn scenarios(&self) -> Vec<CompareScenario> {
        let mut scenarios = Vec::new();
        for one in ScenarioArgument::value_variants() {
            if !self.only.is_empty() && !self.only.contains(one) {
                continue;
            }
            match one {
                ScenarioArgument::Fanout => {
                    for count in &self.in_flight {
                        let fanout = CompareScenario::Fanout(*count);
                        if !scenarios.contains(&fanout) {
                            scenarios.push(fanout);
                        }
                    }
                }
                ScenarioArgument::Groups => scenarios.push(CompareScenario::Groups),
                ScenarioArgument::Feedback => scenarios.push(CompareScenario::One),
                ScenarioArgument::Connections => scenarios.push(CompareScenario::Connections),
            }
        }
        scenarios
    }
}
