//! Runs the same scenarios against several servers, in alternating rounds.

mod probe;
mod report;

use std::time::Duration;

pub use self::report::{CompareCell, CompareReport, CompareRow};

use super::cores::Shares;
use super::error::BenchError;
use super::idle_connections::CLIENTS_PER_PROCESS;
use super::plan::{Audience, IdleConnections, Load, PublishPace, Until};
use super::process::Tree;
use super::server::{OwnServer, ServerKind};
use super::target::{BenchProtocol, BenchTarget};
use super::template::{ServerTemplate, TemplatePlace};
use super::{Writes, idle_connections, load, progress};

/// Concurrent handshakes, as in `tagcast bench connect`.
const AT_ONCE: usize = 64;
/// Publications in flight to groups, as in the targets.
const GROUPS_IN_FLIGHT: usize = 64;
/// Publications in flight to one client, as in the targets.
const ONE_IN_FLIGHT: usize = 256;
/// Most connections while one client receives.
const ONE_CLIENTS: usize = 100;

/// The servers and scenarios of a comparison.
#[derive(Clone, Debug)]
pub struct ComparePlan {
    /// The servers.
    pub servers: Vec<ComparedServer>,
    /// Rounds. In each round every server runs every scenario.
    pub rounds: usize,
    /// The scenarios.
    pub scenarios: Vec<CompareScenario>,
    /// Connections that receive.
    pub clients: usize,
    /// Groups of the scenario with groups.
    pub groups: usize,
    /// Connections of the scenario with idle connections.
    pub connections: usize,
    /// Bytes of a message.
    pub payload: usize,
    /// Time before the counted part of each run.
    pub warmup: Duration,
    /// Time of the counted part.
    pub duration: Duration,
}

/// One of the servers.
#[derive(Clone, Debug)]
pub enum ComparedServer {
    /// A server that only writes prebuilt frames.
    Floor(Writes),
    /// The server of a template.
    Template(Box<ServerTemplate>),
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareScenario {
    /// Publications to all clients, with this number in flight.
    Fanout(usize),
    /// Publications to groups of clients in turn.
    Groups,
    /// Publications to one client.
    One,
    /// Idle connections: the cost of opening them, and their memory.
    Connections,
}

/// Figures of one run, one for each row of the scenario.
struct RunFigures {
    figures: Vec<f64>,
    is_clean: bool,
}

/// A server during one run.
enum ServerUnderTest {
    Own(OwnServer),
    Running(BenchTarget, Tree),
}

/// Runs the plan.
///
/// # Errors
///
/// If a template is wrong, or if the plan is impossible. The report contains the errors of single runs.
pub fn compare(plan: &ComparePlan, shares: &Shares) -> Result<CompareReport, BenchError> {
    plan.check()?;
    for server in &plan.servers {
        if let ComparedServer::Template(template) = server {
            progress::print_line(&format!("{}: probe", server.name()));
            let started = server.start(shares)?;
            probe::probe(template, started.target())?;
        }
    }
    let mut report = CompareReport::new(plan);
    for round in 1..=plan.rounds {
        for scenario in &plan.scenarios {
            for (at, server) in plan.servers.iter().enumerate() {
                let name = server.name();
                let rounds = plan.rounds;
                let what = plan.names(*scenario).join(", ");
                progress::print_line(&format!("round {round} of {rounds}: {what}: {name}"));
                report.add(*scenario, at, &plan.run(*scenario, server, shares));
            }
        }
    }
    Ok(report)
}

impl ComparePlan {
    fn check(&self) -> Result<(), BenchError> {
        let wrong = |why: String| Err(BenchError::Plan(why));
        if self.servers.is_empty() || self.rounds == 0 || self.scenarios.is_empty() {
            return wrong("there must be a server, a scenario and a round".to_owned());
        }
        let all = CLIENTS_PER_PROCESS;
        if self.clients.max(self.connections) > all || self.connections == 0 {
            return wrong(format!("--clients and --connections must be from 1 to {all}"));
        }
        let loads = self.scenarios.iter().filter_map(|scenario| self.load(*scenario));
        loads.into_iter().try_for_each(|load| load.check())
    }

    /// Returns the plan of a scenario with publications.
    fn load(&self, scenario: CompareScenario) -> Option<Load> {
        let (audience, in_flight, clients) = match scenario {
            CompareScenario::Fanout(in_flight) => (Audience::All, in_flight, self.clients),
            CompareScenario::Groups => {
                (Audience::Groups(self.groups), GROUPS_IN_FLIGHT, self.clients)
            }
            CompareScenario::One => (Audience::One, ONE_IN_FLIGHT, self.clients.min(ONE_CLIENTS)),
            CompareScenario::Connections => return None,
        };
        Some(Load {
            clients,
            tags: 0,
            audience,
            pace: PublishPace::InFlight(in_flight),
            publishers: 1,
            payload: self.payload,
            fanout_rate: None,
            warmup: self.warmup,
            until: Until::Time(self.duration),
        })
    }

    /// Returns the names of the rows of a scenario.
    fn names(&self, scenario: CompareScenario) -> Vec<String> {
        let Self { clients, groups, connections, .. } = self;
        match scenario {
            CompareScenario::Fanout(in_flight) => {
                vec![format!("fan-out to {clients}, W={in_flight}")]
            }
            CompareScenario::Groups => {
                let each = clients / groups.max(&1);
                vec![format!("{groups} groups of {each}, W={GROUPS_IN_FLIGHT}")]
            }
            CompareScenario::One => vec![format!("one to one, W={ONE_IN_FLIGHT}")],
            CompareScenario::Connections => {
                vec![format!("openings ({connections})"), "idle connection, bytes".to_owned()]
            }
        }
    }

    fn run(
        &self,
        scenario: CompareScenario,
        server: &ComparedServer,
        shares: &Shares,
    ) -> Result<RunFigures, BenchError> {
        let started = server.start(shares)?;
        let tree = started.tree();
        let unknown = f64::NAN;
        if let Some(plan) = self.load(scenario) {
            let report = load::run(&plan, started.target(), Some(&tree))?;
            let figure = report.deliveries_per_cpu_second.unwrap_or(unknown);
            return Ok(RunFigures { figures: vec![figure], is_clean: report.is_clean() });
        }
        let idle = IdleConnections { clients: self.connections, tags: 0, at_once: AT_ONCE };
        let report = idle_connections::run(idle, started.target(), Some(&tree))?;
        let bytes = report.bytes_per_connection.map_or(unknown, |bytes| bytes as f64);
        let figures = vec![report.handshakes_per_cpu_second.unwrap_or(unknown), bytes];
        Ok(RunFigures { figures, is_clean: true })
    }
}

impl ComparedServer {
    /// Returns its name in the table.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Floor(Writes::Direct) => "floor",
            Self::Floor(Writes::Joined) => "joined floor",
            Self::Template(template) => template.name(),
        }
    }

    fn start(&self, shares: &Shares) -> Result<ServerUnderTest, BenchError> {
        let template = match self {
            Self::Floor(writes) => {
                let own =
                    OwnServer::start(ServerKind::Floor(*writes), BenchProtocol::Floor, shares);
                return Ok(ServerUnderTest::Own(own?));
            }
            Self::Template(template) => template,
        };
        match &template.place {
            TemplatePlace::Started { .. } => {
                Ok(ServerUnderTest::Own(OwnServer::start_template(template, shares)?))
            }
            TemplatePlace::Running { url, process } => {
                shares.generator.take()?;
                let tree = Tree::named(process.as_deref().unwrap_or_default());
                let tree = tree.ok_or_else(|| {
                    let process = process.as_deref().unwrap_or_default();
                    template.wrong(&format!(
                        "[server] process: `{process}` is not a running process; \
                         write its id or the name of its program"
                    ))
                })?;
                Ok(ServerUnderTest::Running(template.target(url)?, tree))
            }
        }
    }
}

impl ServerUnderTest {
    fn target(&self) -> &BenchTarget {
        match self {
            Self::Own(own) => &own.target,
            Self::Running(target, _) => target,
        }
    }

    fn tree(&self) -> Tree {
        match self {
            Self::Own(own) => Tree::of(own.pid()),
            Self::Running(_, tree) => tree.clone(),
        }
    }
}
