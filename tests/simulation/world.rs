//! All processes of one server with a simulated clock, and the actions of the supervisor.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tagcast::link::control::{
    ApiCommand, BrokerCommand, ChildCommand, ChildEvent, CommonCommand, WorkerCommand,
};
use tagcast::supervisor::lifecycle::{Action, ChildId, ProcessTable};
use tagcast::types::limits::{WINDOW_BYTES, WINDOW_PUBLICATIONS};
use tagcast::types::{Generation, WorkerId, WorkerIncarnation};

use super::api::{self, Api, ApiRules, Call};
use super::broker::{Broker, Order};
use super::budget::Budget;
use super::model::{Model, Moment};
use super::pipe::{Kernel, pipe, unlimited};
use super::rng::Rng;
use super::shutdown::Shutdown;
use super::worker::{self, Pace, Window, Worker};

/// Windows of workers: small ones, and the real one.
const WINDOWS: [Window; 3] = [
    Window { publications: 3, bytes: 10_000 },
    Window { publications: 100, bytes: 1500 },
    Window { publications: WINDOW_PUBLICATIONS, bytes: WINDOW_BYTES },
];
/// Maximum time of one step in microseconds.
const STEP_MICROS_MAX: u64 = 10_000;

#[derive(Debug)]
pub struct World {
    pub rng: Rng,
    pub model: Model,
    pub time: Duration,
    pub started_at: Instant,
    pub processes: ProcessTable,
    pub broker: Option<Broker>,
    pub workers: BTreeMap<WorkerId, Worker>,
    pub api: Option<Api>,
    /// Publications of backends through the API process.
    pub calls: Vec<Call>,
    /// Events that the supervisor has not received yet, in order for each child.
    events_of: BTreeMap<ChildId, VecDeque<Event>>,
    pub effects: Vec<Action>,
    /// True if all processes have exited in order.
    pub is_ended: bool,
    pub pace: Pace,
    /// Hung processes and the step until which they take no turns. The key None is the broker.
    pub hung: BTreeMap<Option<WorkerId>, Moment>,
    /// The first violation.
    pub fault: Option<String>,
    /// Description of each step, if they are traced.
    pub trace: Option<Vec<String>>,
}

#[derive(Debug)]
enum Event {
    Reported(ChildEvent),
    Died,
}

#[expect(clippy::disallowed_methods, reason = "a moment to count from; nothing else reads a clock")]
fn any_moment() -> Instant {
    Instant::now()
}

impl World {
    pub fn new(
        seed: u64,
        (kernel, shutdown, api): (Kernel, Shutdown, ApiRules),
        trace: Option<Vec<String>>,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let workers = u16::try_from(rng.between(1, 4)).unwrap();
        let pace = Pace {
            link_bytes_max: Arc::new(AtomicUsize::new(rng.pick(&[60, 300, 3000, 99_999]).unwrap())),
            kernel,
            shutdown,
            api,
            read_max: rng.pick(&[50, 500, 5000]).unwrap(),
            slice_max: rng.pick(&[1, 3, 10, 300]).unwrap(),
            units_max: rng.pick(&[1, 5, 40, 1000]).unwrap(),
            window: rng.pick(&WINDOWS).unwrap(),
        };
        let mut world = Self {
            rng,
            model: Model::default(),
            time: Duration::ZERO,
            started_at: any_moment(),
            processes: ProcessTable::new(workers, Duration::from_secs(5)).with_api(),
            broker: None,
            workers: BTreeMap::new(),
            api: None,
            calls: Vec::new(),
            events_of: BTreeMap::new(),
            effects: Vec::new(),
            is_ended: false,
            pace,
            hung: BTreeMap::new(),
            fault: None,
            trace,
        };
        world.processes.start(world.started_at, &mut world.effects);
        world.carry_out();
        world
    }

    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>5} {:>9.3?} {}", self.model.now, self.time, what()));
        }
    }

    pub fn pass_time(&mut self) {
        self.model.now += 1;
        self.time += Duration::from_micros(self.rng.below(STEP_MICROS_MAX));
    }

    fn hangs(&self, process: Option<WorkerId>) -> bool {
        self.hung.get(&process).is_some_and(|until| self.model.now < *until)
    }

    pub fn worker_turn(&mut self, worker: WorkerId) {
        if self.hangs(Some(worker)) {
            return;
        }
        let Some(worker) = self.workers.get_mut(&worker) else { return };
        let reports = worker.turn(&mut self.model, &mut self.rng, &self.pace);
        self.fault = self.fault.take().or_else(|| worker.fault.take());
        let (child, waiting) = (ChildId::Worker(worker.source), worker.waiting_tenants());
        self.report(child, reports);
        if waiting > 1 {
            self.note(|| "publishers of two tenants wait for the window".to_owned());
        }
    }

    pub fn broker_turn(&mut self) {
        if self.hangs(None) {
            return;
        }
        let Some(broker) = &mut self.broker else { return };
        let budget = Budget::any(&mut self.rng, self.pace.units_max);
        let reports = broker.turn(self.time, [budget.clone(), budget]);
        let is_throttling = broker.board.router().is_throttling();
        self.fault = self.fault.take().or_else(|| broker.fault.take());
        let child = ChildId::Broker(broker.generation);
        self.report(child, reports);
        if is_throttling {
            self.note(|| "a tenant is throttled".to_owned());
        }
    }

    pub fn api_turn(&mut self) {
        let Some(api) = &mut self.api else { return };
        let how = (&mut self.rng, &self.pace);
        let (source, turned) = (api.source, api.turn(&mut self.calls, &mut self.model, how));
        match turned {
            Ok(reports) => self.report(ChildId::of(source), reports),
            Err(fault) => drop(self.fault.get_or_insert(fault)),
        }
    }

    fn report(&mut self, child: ChildId, reports: Vec<ChildEvent>) {
        for report in reports {
            self.note(|| format!("{child:?} reports {report:?}"));
            self.events_of.entry(child).or_default().push_back(Event::Reported(report));
        }
    }

    /// Lets the supervisor receive one event and do everything that is due. Returns false if there
    /// was no event.
    pub fn supervisor_turn(&mut self) -> bool {
        let now = self.started_at + self.time;
        let children: Vec<ChildId> = self.events_of.keys().copied().collect();
        let child = self.rng.pick(&children);
        if let Some(child) = child {
            let events = self.events_of.get_mut(&child).unwrap();
            match events.pop_front() {
                Some(Event::Reported(report)) => {
                    self.processes.reported(child, report, now, &mut self.effects);
                }
                Some(Event::Died) => {
                    self.note(|| format!("{child:?} is reaped"));
                    self.processes.died(child, now, &mut self.effects);
                }
                None => {
                    self.events_of.remove(&child);
                }
            }
        }
        self.processes.proceed(now, &mut self.effects);
        self.carry_out();
        child.is_some()
    }

    pub fn carry_out(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            self.note(|| format!("supervisor: {effect:?}"));
            match effect {
                Action::Start(ChildId::Broker(_)) if self.starts_no_broker() => {}
                Action::Start(ChildId::Broker(generation)) => {
                    self.broker = Some(Broker::new(generation, unlimited()));
                }
                Action::Start(ChildId::Worker(source)) => {
                    let worker = Worker::new(source, unlimited(), self.pace.window);
                    self.workers.insert(source.worker, worker);
                }
                Action::Start(ChildId::Api(generation)) => {
                    let source = WorkerIncarnation { worker: WorkerId::API, generation };
                    self.api = Some(Api::new(source, unlimited()));
                }
                Action::Link { source, broker } if !self.is_link_missing(source, broker) => {
                    self.link(source, broker);
                }
                Action::Send(ChildId::Api(_), command) => self.command_api(&command),
                Action::Send(ChildId::Broker(generation), word) => {
                    self.deliver_command(generation, word);
                }
                Action::Send(ChildId::Worker(source), command) => {
                    self.command_worker(source, &command);
                }
                Action::Kill(child) => self.kill(child),
                Action::End => self.is_ended = true,
                _ => {}
            }
        }
    }

    fn command_worker(&mut self, source: WorkerIncarnation, command: &ChildCommand) {
        match command {
            ChildCommand::Common(CommonCommand::Heartbeat) => {
                let worker = self.workers.get_mut(&source.worker);
                if let Some(worker) = worker.filter(|worker| worker.source == source) {
                    worker.questions += 1;
                }
            }
            ChildCommand::Worker(WorkerCommand::Quiesce(_)) => {
                self.order(source, worker::Order::Quiesce);
            }
            ChildCommand::Worker(WorkerCommand::Drain { within }) => {
                self.order(source, worker::Order::Drain(self.time + *within));
            }
            _ => {}
        }
    }

    fn command_api(&mut self, command: &ChildCommand) {
        let Some(api) = &mut self.api else { return };
        match command {
            ChildCommand::Common(CommonCommand::Heartbeat) => api.questions += 1,
            ChildCommand::Api(ApiCommand::Quiesce) => api.orders.push_back(api::Order::Quiesce),
            ChildCommand::Api(ApiCommand::Drain { .. }) => {
                api.orders.push_back(api::Order::Drain);
            }
            _ => {}
        }
    }

    fn order(&mut self, source: WorkerIncarnation, order: worker::Order) {
        let worker = self.workers.get_mut(&source.worker).filter(|it| it.source == source);
        if let Some(worker) = worker {
            worker.orders.push_back(order);
        }
    }

    /// Returns whether a broken supervisor forgets this link, which is that of the API process to a later broker.
    fn is_link_missing(&self, source: WorkerIncarnation, broker: Generation) -> bool {
        let is_of_api = source.worker == WorkerId::API;
        is_of_api && broker > Generation(1) && self.pace.api == ApiRules::NotLinked
    }

    fn deliver_command(&mut self, generation: Generation, mut word: ChildCommand) {
        if let ChildCommand::Broker(BrokerCommand::LiveWorkers { sources }) = &mut word
            && self.pace.api == ApiRules::NotLinked
        {
            sources.retain(|source| source.worker != WorkerId::API);
        }
        if let Some(broker) = self.broker.as_mut().filter(|it| it.generation == generation) {
            broker.orders.push_back(Order::Word(word));
        }
    }

    /// Links a worker and a broker. If one of them is dead, its end is dropped with its control
    /// link.
    fn link(&mut self, source: WorkerIncarnation, broker: Generation) {
        let worker = self.workers.get_mut(&source.worker).filter(|it| it.source == source);
        let api = self.api.as_mut().filter(|it| it.source == source);
        let board = self.broker.as_mut().filter(|it| it.generation == broker);
        let of_api = || api.as_ref().map_or_else(unlimited, |it| it.bytes_until_death.clone());
        let bytes_until_death =
            worker.as_ref().map_or_else(of_api, |it| it.bytes_until_death.clone());
        let other = board.as_ref().map_or_else(unlimited, |it| it.bytes_until_death.clone());
        let [one, other] =
            pipe((self.pace.link_bytes_max.clone(), self.pace.kernel), [bytes_until_death, other]);
        if let Some(board) = board {
            board.orders.push_back(Order::Link(source, other));
        }
        if let Some(worker) = worker {
            worker.orders.push_back(worker::Order::Link(broker, one));
        } else if let Some(api) = api {
            api.orders.push_back(api::Order::Link(broker, one));
        }
    }

    /// Lets a process exit on its own. The supervisor receives the event later.
    pub fn ends(&mut self, child: ChildId) {
        match child {
            ChildId::Broker(_) => self.broker = None,
            ChildId::Api(_) => self.api = None,
            ChildId::Bridge(_) => {}
            ChildId::Worker(source) => drop(self.workers.remove(&source.worker)),
        }
        self.note(|| format!("{child:?} ends"));
        self.events_of.entry(child).or_default().push_back(Event::Died);
    }

    /// Kills a process. The supervisor receives the event later.
    pub fn kill(&mut self, child: ChildId) {
        match child {
            ChildId::Broker(generation) => {
                // Nothing is promised if both holders die within the same moments.
                if !self.api.as_ref().is_some_and(Api::is_informed) {
                    self.model.forget_ids();
                }
                if self.broker.take_if(|it| it.generation == generation).is_none() {
                    return;
                }
            }
            ChildId::Bridge(_) => return,
            ChildId::Api(_) => {
                let Some(api) = self.api.take() else { return };
                let is_broker_ready = self.broker.as_ref().is_some_and(Broker::is_ready);
                if api.is_informed() && (!is_broker_ready || api.is_repeating()) {
                    self.model.forget_ids();
                }
                self.model.dies(api.source);
            }
            ChildId::Worker(source) => {
                if self.workers.get(&source.worker).is_none_or(|it| it.source != source) {
                    return;
                }
                let worker = self.workers.remove(&source.worker);
                worker.unwrap().dies(&mut self.model);
            }
        }
        self.note(|| format!("{child:?} dies"));
        self.events_of.entry(child).or_default().push_back(Event::Died);
    }
}
