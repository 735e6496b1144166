//! Questions of processes of this host to other hosts, and questions of other hosts to the broker of this one.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::link::BridgeLink;
use super::write_reports::{CompleteReport, ReportsForHosts};
use crate::cluster::{
    AnsweredQuery, AskedQuestion, BridgeCore, CarriedPublication, CarriedQuestion, ClusterEffect,
    Forward, HostState,
};
use crate::link::bridge::{AnsweredByHosts, FromBridge, QueryOfProcess};
use crate::link::codec::{decode_answer, decode_question, encode_answer, encode_question};
use crate::link::command::CommandOutcome;
use crate::link::message::{CountedPublication, ToBroker};
use crate::link::query::{
    BrokerQuery, CountedClients, HostsAnswer, HostsQuery, QueryKind, QueryResult,
};
use crate::types::limits::{CLUSTER_QUERIES_MAX, CLUSTER_REPORTS_MAX, WRITE_REPORT_GRACE};
use crate::types::{HostId, Number, Slot, TrackedOutcome, WorkerIncarnation};

/// Questions on their way, in both directions, and commands whose outcomes are awaited.
#[derive(Debug)]
pub(super) struct BridgeQueries {
    /// Those of this host, by their id among hosts.
    own: BTreeMap<u64, AwaitingHosts>,
    /// Commands of this host that others carry out, or have carried out.
    directed: BTreeMap<(WorkerIncarnation, Number), DirectedCommand>,
    /// Those whose outcomes are known, the oldest first. The others are bounded by the open questions.
    known_order: VecDeque<(WorkerIncarnation, Number)>,
    /// Publications of this host whose reports are awaited.
    reports: usize,
    /// Reports for other hosts.
    for_hosts: ReportsForHosts,
    /// Those of other hosts, by the number that the broker has.
    asked: BTreeMap<u32, AskingHost>,
    last_number: u32,
    /// Commands of other hosts, by their number among the arrivals.
    arrived: BTreeMap<u64, AskingHost>,
    /// Questions of other hosts to clients, by their number among the arrivals.
    questions: BTreeMap<u64, AskingHost>,
    /// For the broker.
    ready: Vec<FromBridge>,
    /// Answers of other hosts, and their questions, for the broker too.
    answered: Vec<AnsweredQuery>,
    questioned: Vec<AskedQuestion>,
    /// This host.
    host: HostId,
}

/// What waits for answers of other hosts.
#[derive(Clone, Copy, Debug)]
enum AwaitingHosts {
    Process(AskingProcess),
    Command(WorkerIncarnation, Number),
    Report(WorkerIncarnation, Number),
}

/// What other hosts have made of a command.
#[derive(Debug)]
enum DirectedCommand {
    /// Its process may ask before it is known.
    Awaited(Vec<AskingProcess>),
    Known(HostsAnswer),
}

#[derive(Clone, Copy, Debug)]
struct AskingProcess {
    asker: WorkerIncarnation,
    number: u32,
}

impl AskingProcess {
    fn answer(self, answer: HostsAnswer) -> FromBridge {
        let Self { asker, number } = self;
        FromBridge::Answered(Box::new(AnsweredByHosts { asker, number, answer }))
    }
}

/// A host that awaits an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AskingHost {
    pub(super) host: HostId,
    /// Its number for the question.
    pub(super) id: u64,
}

impl BridgeQueries {
    pub(super) fn new(host: HostId) -> Self {
        Self {
            own: BTreeMap::new(),
            directed: BTreeMap::new(),
            known_order: VecDeque::new(),
            reports: 0,
            for_hosts: ReportsForHosts::default(),
            asked: BTreeMap::new(),
            last_number: 0,
            arrived: BTreeMap::new(),
            questions: BTreeMap::new(),
            ready: Vec::new(),
            answered: Vec::new(),
            questioned: Vec::new(),
            host,
        }
    }

    /// The broker was replaced. It knows none of the questions, and their askers repeat them. It will get commands of
    /// other hosts again that are not acknowledged.
    pub(super) fn broker_restarted(&mut self) {
        self.own.retain(|_, awaiting| !matches!(awaiting, AwaitingHosts::Process(_)));
        self.for_hosts.broker_restarted();
        for directed in self.directed.values_mut() {
            if let DirectedCommand::Awaited(askers) = directed {
                askers.clear();
            }
        }
        self.asked.clear();
        self.ready.clear();
    }

    /// Notes what other hosts have answered, and what they ask.
    pub(super) fn note(&mut self, answered: Vec<AnsweredQuery>, asked: Vec<AskedQuestion>) {
        self.answered.extend(answered);
        self.questioned.extend(asked);
        self.questioned.truncate(CLUSTER_QUERIES_MAX);
    }

    /// Passes a command on to other hosts, or a publication whose outcome is awaited.
    pub(super) fn direct(
        &mut self,
        core: &mut BridgeCore,
        mut forward: Forward,
        times: DirectiveTimes,
    ) {
        let CarriedPublication { source, number, question, report_ms, .. } = forward.publication;
        let DirectiveTimes { now, timeout } = times;
        let within = |question: CarriedQuestion| Duration::from_millis(question.within_ms.into());
        let mut timeout = question.map_or(timeout, within);
        let mut awaiting = AwaitingHosts::Command(source, number);
        if let Some(within_ms) = report_ms {
            if self.reports >= CLUSTER_REPORTS_MAX {
                // No host is asked for a report, so none has answered.
                let publication = &mut forward.publication;
                (publication.directive, publication.report_ms) = (None, None);
                return core.forward(forward, now);
            }
            timeout = Duration::from_millis(within_ms.into()) + WRITE_REPORT_GRACE;
            awaiting = AwaitingHosts::Report(source, number);
        }
        let Some(id) = core.direct(forward, now + timeout, now) else { return };
        self.reports += usize::from(report_ms.is_some());
        self.own.insert(id, awaiting);
        self.directed.insert((source, number), DirectedCommand::Awaited(Vec::new()));
    }

    /// Notes a command of another host, on its way to the broker.
    pub(super) fn note_arrival(&mut self, effect: &ClusterEffect) {
        if let ClusterEffect::Arrive(arrival) = effect
            && let Some(id) = arrival.publication.directive
        {
            let asking = AskingHost { host: arrival.taken.host, id };
            if arrival.publication.is_command() {
                self.arrived.insert(arrival.number, asking);
                return;
            }
            if arrival.publication.question.is_none() {
                return;
            }
            self.questions.insert(arrival.number, asking);
            while self.questions.len() > CLUSTER_QUERIES_MAX {
                self.questions.pop_first();
            }
        }
    }

    /// Notes a publication of another host whose report is awaited, on its way to the broker for the first time.
    pub(super) fn note_new_arrival(&mut self, effect: &ClusterEffect) {
        self.note_arrival(effect);
        self.for_hosts.note_arrival(effect);
    }

    /// The broker has counted the clients of a question, one or none, or of a publication whose report is awaited.
    pub(super) fn reached(&mut self, core: &mut BridgeCore, counted: &CountedPublication) {
        send(core, self.for_hosts.reached(counted));
        if counted.clients == 0
            && let Some(AskingHost { host, id }) = self.questions.remove(&counted.number.0)
        {
            let result = QueryResult::Counted(CountedClients::default());
            core.answer(host, id, Some(&encode_answer(&result)));
        }
    }

    /// A client has answered, or will not. Or a worker has reported on a publication.
    pub(super) fn asked(&mut self, core: &mut BridgeCore, number: u64, outcome: TrackedOutcome) {
        if let TrackedOutcome::Writes(part) = outcome {
            return send(core, self.for_hosts.reported(number, part));
        }
        if let Some(AskingHost { host, id }) = self.questions.remove(&number) {
            core.answer(host, id, Some(&encode_answer(&QueryResult::Asked(outcome))));
        }
    }

    /// Passes on what the broker has made of a command of another host.
    pub(super) fn outcome(&mut self, core: &mut BridgeCore, number: u64, outcome: CommandOutcome) {
        if let Some(AskingHost { host, id }) = self.arrived.remove(&number) {
            let result = QueryResult::Commanded(Box::new(outcome));
            core.answer(host, id, Some(&encode_answer(&result)));
        }
    }

    /// The broker has acknowledged arrivals up to this number. It says before what it has made of them.
    pub(super) fn acknowledged(&mut self, up_to: u64) {
        while self.arrived.first_key_value().is_some_and(|(number, _)| *number <= up_to) {
            self.arrived.pop_first();
        }
    }

    /// Puts a question of a process to other hosts.
    pub(super) fn ask(&mut self, core: &mut BridgeCore, query: QueryOfProcess, now: Instant) {
        let own = self.host;
        let QueryOfProcess { asker, number, tenant, query } = query;
        let HostsQuery { reach, timeout_ms, kind } = query;
        let asking = AskingProcess { asker, number };
        if let QueryKind::Directed(command) = kind {
            match self.directed.get_mut(&(asker, command)) {
                Some(DirectedCommand::Awaited(askers)) => askers.push(asking),
                Some(DirectedCommand::Known(answer)) => {
                    self.ready.push(asking.answer(answer.clone()));
                }
                // An earlier bridge has passed it on.
                None => self.ready.push(asking.answer(unanswered(core, own))),
            }
            return;
        }
        let question = Bytes::from(encode_question(&tenant, &kind));
        let until = now + Duration::from_millis(timeout_ms.into());
        let id = core.query(reach, &question, until);
        self.own.insert(id, AwaitingHosts::Process(asking));
    }

    /// Passes on what the broker has answered to another host.
    pub(super) fn answer(&mut self, core: &mut BridgeCore, number: u32, result: &QueryResult) {
        if let Some(AskingHost { host, id }) = self.asked.remove(&number) {
            core.answer(host, id, Some(&encode_answer(result)));
        }
    }

    /// The outcomes of a command are known. Its process may ask for them later.
    fn know(&mut self, source: WorkerIncarnation, number: Number, answer: &HostsAnswer) {
        let command = (source, number);
        let Some(directed) = self.directed.get_mut(&command) else { return };
        let known = DirectedCommand::Known(answer.clone());
        if let DirectedCommand::Awaited(askers) = std::mem::replace(directed, known) {
            self.ready.extend(askers.into_iter().map(|it| it.answer(answer.clone())));
        }
        self.known_order.push_back(command);
        while self.known_order.len() > CLUSTER_QUERIES_MAX
            && let Some(oldest) = self.known_order.pop_front()
        {
            self.directed.remove(&oldest);
        }
    }

    /// Tells the broker what other hosts have answered, and what they ask.
    pub(super) fn tell(&mut self, core: &mut BridgeCore, link: &mut BridgeLink) {
        for AnsweredQuery { id, hosts } in std::mem::take(&mut self.answered) {
            let Some(awaiting) = self.own.remove(&id) else { continue };
            // What cannot be read is of another version, and does not count as an answer.
            let read = |answer: Option<Bytes>| answer.and_then(|it| decode_answer(&it).ok());
            let hosts = hosts.into_iter().map(|(host, answer)| (host, read(answer))).collect();
            let answer = HostsAnswer { own: self.host, hosts };
            match awaiting {
                AwaitingHosts::Process(asking) => self.ready.push(asking.answer(answer)),
                AwaitingHosts::Command(source, number) => self.know(source, number, &answer),
                AwaitingHosts::Report(source, number) => {
                    self.reports -= 1;
                    self.know(source, number, &answer);
                }
            }
        }
        for AskingHost { host, id } in self.for_hosts.take_lost() {
            core.answer(host, id, None);
        }
        std::mem::take(&mut self.ready).into_iter().for_each(|answered| link.say(answered));
        for AskedQuestion { host, id, question } in std::mem::take(&mut self.questioned) {
            let question = decode_question(&question).ok();
            let has_room = self.asked.len() < CLUSTER_QUERIES_MAX;
            let Some((tenant, kind)) = question.filter(|_| has_room) else {
                core.answer(host, id, None);
                continue;
            };
            self.last_number = self.last_number.wrapping_add(1);
            let number = self.last_number;
            self.asked.insert(number, AskingHost { host, id });
            let query = BrokerQuery { number, tenant, kind };
            link.send(&ToBroker::Ask { slot: Slot::NONE, query });
        }
    }
}

/// Sends the host of a publication the report on it.
fn send(core: &mut BridgeCore, complete: Option<CompleteReport>) {
    if let Some(CompleteReport { asking: AskingHost { host, id }, written }) = complete {
        core.answer(host, id, Some(&encode_answer(&QueryResult::Written(written))));
    }
}

/// When a command is passed on, and how long its outcomes are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct DirectiveTimes {
    pub(super) now: Instant,
    pub(super) timeout: Duration,
}

/// Returns the answers if no host has answered.
fn unanswered(core: &BridgeCore, own: HostId) -> HostsAnswer {
    let is_here = |state| matches!(state, HostState::Live | HostState::Silent);
    let hosts = core.hosts().filter(|(_, state)| is_here(*state)).map(|(host, _)| (host, None));
    HostsAnswer { own, hosts: hosts.collect() }
}
