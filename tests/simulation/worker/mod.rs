//! The worker process: the real broker client, and connections that only record what they received.

mod publishing;

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::time::Duration;

use tagcast::broker_client::fanout::Batch;
use tagcast::broker_client::resumable::ResumeRequest;
use tagcast::broker_client::window_turns::WindowTurns;
use tagcast::broker_client::{BrokerClient, BrokerEvent};
use tagcast::link::command::ClientCommand;
use tagcast::link::control::ChildEvent;
use tagcast::protocol::Protocol;
use tagcast::types::limits::OVERTAKE_BATCHES_MAX;
use tagcast::types::{
    Alias, Claim, Client, Exclusivity, Generation, Number, Slot, Tags, WorkerIncarnation,
};

use self::publishing::Pending;
use super::api::ApiRules;
use super::budget::Budget;
use super::connection::Connection;
pub use super::connection::{Phase, Reader};
use super::marks::own_edit;
use super::model::{ClientNo, Model, PublicationNo};
use super::pipe::{BytesUntilDeath, End, Kernel, Shared, Watch};
use super::reports::{self, Reports};
use super::requests::Answer;
use super::rng::Rng;
use super::shutdown::{Shutdown, Stage};

/// Length in bytes from which payloads and messages of the broker are large.
pub const LARGE_BYTES: usize = 100;

/// The amount of work per turn.
#[derive(Debug)]
pub struct Pace {
    /// Capacity of a link in bytes.
    pub link_bytes_max: Shared,
    pub kernel: Kernel,
    pub shutdown: Shutdown,
    pub api: ApiRules,
    /// Maximum bytes per read.
    pub read_max: usize,
    /// Maximum clients per turn that a fan-out is written to.
    pub slice_max: usize,
    /// Maximum units of one kind of work per turn.
    pub units_max: usize,
    pub window: Window,
}

/// The most that the window of a worker holds.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub publications: u64,
    pub bytes: usize,
}

/// The tenants of all clients.
pub const TENANTS: [&str; 3] = ["", "other", "programs"];

#[derive(Debug)]
pub struct Worker {
    pub source: WorkerIncarnation,
    pub bytes_until_death: BytesUntilDeath,
    pub broker_client: BrokerClient,
    /// Commands from the supervisor that the process has not read yet.
    pub orders: VecDeque<Order>,
    pub stage: Stage,
    /// Publications that the broker has not acknowledged, with their numbers. During a drain the
    /// client gets `next` only after the acknowledgement.
    owed: VecDeque<(u64, PublicationNo)>,
    /// Requests that are answered later.
    pub answers: VecDeque<Answer>,
    window: Window,
    /// Publications that wait for room in the window.
    waiting: WindowTurns<VecDeque<Pending>>,
    /// Unanswered liveness probes of the supervisor.
    pub questions: u32,
    watch: Option<Watch>,
    pub connections: BTreeMap<Slot, Connection>,
    is_started: bool,
    /// Reports that this worker waits for as a publisher.
    pub reports: Reports,
    /// The first violation that a client has detected.
    pub fault: Option<String>,
}

#[derive(Debug)]
pub enum Order {
    Link(Generation, End),
    Quiesce,
    /// Drain until this time.
    Drain(Duration),
}

impl Worker {
    pub fn new(
        source: WorkerIncarnation,
        bytes_until_death: BytesUntilDeath,
        window: Window,
    ) -> Self {
        let mut broker_client = BrokerClient::new(source).with_large_messages_from(LARGE_BYTES);
        broker_client.uplink.limit_window(window.publications, window.bytes);
        Self {
            source,
            bytes_until_death,
            broker_client,
            window,
            waiting: WindowTurns::default(),
            orders: VecDeque::new(),
            stage: Stage::Serving,
            owed: VecDeque::new(),
            answers: VecDeque::new(),
            questions: 0,
            watch: None,
            connections: BTreeMap::new(),
            is_started: false,
            reports: Reports::default(),
            fault: None,
        }
    }

    /// Runs one turn, in the order of `worker/event_loop.rs`: commands, the link, the fan-out,
    /// sockets, the link again.
    pub fn turn(&mut self, model: &mut Model, rng: &mut Rng, pace: &Pace) -> Vec<ChildEvent> {
        let mut reports = Vec::new();
        if !std::mem::replace(&mut self.is_started, true) {
            reports.push(ChildEvent::Ready);
        }
        if std::mem::take(&mut self.questions) > 0 {
            reports.push(ChildEvent::Heartbeat);
        }
        let mut scratch = vec![0; rng.between(1, pace.read_max)];
        while let Some(order) = self.orders.pop_front() {
            match order {
                Order::Link(broker, end) => {
                    self.connect((broker, end), model, (&mut scratch, &mut reports));
                }
                Order::Quiesce => self.stage = Stage::Quiescing { is_reported: false },
                Order::Drain(until) => self.stage = Stage::Draining { until },
            }
        }
        if self.watch.as_ref().is_some_and(Watch::take_rung) {
            self.broker_client.mark_unread();
        }
        if self.watch.as_ref().is_some_and(Watch::has_ended) {
            self.broker_client.mark_ended();
        }
        if self.broker_client.takes_more() {
            self.broker_client.read(&mut scratch);
            let mut budget = Budget::any(rng, pace.units_max);
            while let Some(arrival) = self.broker_client.next(&mut || budget.is_spent()) {
                self.take(arrival, model, &mut reports);
                if budget.is_spent() {
                    break;
                }
            }
            self.keeps_to(&budget, 0);
        }
        for (slot, connection) in &self.connections {
            let claim = self.broker_client.uplink.alias(*slot);
            model.on_granted(connection.client, claim.map(|claim| &claim.alias));
        }
        self.fan_out((rng.between(1, pace.slice_max), Budget::any(rng, pace.units_max)), model);
        self.acknowledge(model);
        if rng.once_in(4) {
            self.pings_programs(model);
        }
        self.answer_requests(model);
        self.resume_waiting(model, pace.shutdown);
        self.read_requests(model);
        self.counts_all_tenants();
        if self.drains() && rng.once_in(12) {
            self.send_one_away(rng, model, (&mut scratch, &mut reports));
        }
        self.send_close();
        self.broker_client.report_writes(Duration::from_millis(model.now));
        self.broker_client.write();
        if self.broker_client.uplink.is_quiet() {
            model.settles(self.source);
            if self.stage == (Stage::Quiescing { is_reported: false }) {
                self.stage = Stage::Quiescing { is_reported: true };
                reports.push(ChildEvent::Quiesced);
            }
        }
        reports
    }

    /// Returns true if the worker is draining and has nothing left to do.
    pub fn is_done(&self, now: Duration) -> bool {
        let Stage::Draining { until } = self.stage else { return false };
        until <= now || (self.connections.is_empty() && self.broker_client.uplink.is_quiet())
    }

    pub fn drains(&self) -> bool {
        matches!(self.stage, Stage::Draining { .. })
    }

    /// Records all publications that the broker has acknowledged.
    fn acknowledge(&mut self, model: &mut Model) {
        let reached = self.broker_client.uplink.reached().acknowledged;
        while let Some((_, no)) = self.owed.pop_front_if(|(number, _)| *number <= reached) {
            model.acknowledges(no);
        }
    }

    /// Closes one client of a drain. It first receives the publications that are already on the
    /// link.
    fn send_one_away(
        &mut self,
        rng: &mut Rng,
        model: &mut Model,
        (scratch, reports): (&mut [u8], &mut Vec<ChildEvent>),
    ) {
        let Some(slot) = rng.pick(&self.slots(Phase::Open)) else { return };
        self.broker_client.mark_unread();
        while self.broker_client.is_unread() {
            self.broker_client.read(scratch);
            while let Some(arrival) = self.broker_client.next(&mut || false) {
                self.take(arrival, model, reports);
            }
        }
        let mut fanout = self.broker_client.take_fanout();
        fanout.write_for(slot, |slot, batch| {
            if let Err(fault) = self.deliver(slot, batch, model) {
                self.fault.get_or_insert(fault);
            }
        });
        self.broker_client.put_fanout(fanout);
        if let Some(connection) = self.connections.get(&slot) {
            model.sent_away(connection.client);
        }
        self.close(slot, 0, model);
    }

    fn connect(
        &mut self,
        (broker, end): (Generation, End),
        model: &mut Model,
        (scratch, reports): (&mut [u8], &mut Vec<ChildEvent>),
    ) {
        self.broker_client.mark_unread();
        while let Some(arrival) = self.broker_client.next_until_end(scratch) {
            self.take(arrival, model, reports);
        }
        if self.watch.is_some() {
            self.reports.on_broker_lost();
        }
        self.watch = Some(end.watch());
        self.broker_client.connect(broker, Box::new(end));
    }

    fn take(&mut self, arrival: BrokerEvent, model: &mut Model, reports: &mut Vec<ChildEvent>) {
        match arrival {
            BrokerEvent::Joined { slot, .. } => {
                let Some(connection) = self.connections.get_mut(&slot) else { return };
                if connection.phase == Phase::Joining {
                    connection.phase = Phase::Open;
                    let no = connection.client;
                    let joined = self.program_joins(slot, no, model);
                    self.note(joined);
                    self.program_is_welcomed(slot, no, model);
                    model.opens(no);
                    self.repeats_requests(slot, no, model);
                }
            }
            BrokerEvent::Lost(lost) => {
                self.watch = None;
                self.reports.on_broker_lost();
                reports.push(ChildEvent::LinkLost { peer: self.source, broker: lost.broker });
            }
            BrokerEvent::Outcome(number, outcome) => {
                let ended = model.marks.ended(self.source, number, &outcome);
                self.note(ended);
            }
            BrokerEvent::Resumable(event) => self.on_resumable(&event, model),
            BrokerEvent::Close(_)
            | BrokerEvent::Reserved(_)
            | BrokerEvent::Refused { .. }
            | BrokerEvent::Presence(_)
            | BrokerEvent::Remembered { .. }
            | BrokerEvent::Answer { .. }
            | BrokerEvent::Throttle(_)
            | BrokerEvent::Charged(_)
            | BrokerEvent::Hosts(_)
            | BrokerEvent::TagsChanged { .. }
            | BrokerEvent::Describe(_) => {}
            BrokerEvent::Reached { counted, .. } => {
                let outcome = self.reports.reached(counted.number, counted.clients);
                self.note(outcome);
            }
            BrokerEvent::Tracked { number, outcome } => {
                let outcome = self.reports.reported(number, &outcome, model);
                self.note(outcome);
            }
        }
    }

    fn fan_out(&mut self, (most, mut budget): (usize, Budget), model: &mut Model) {
        let mut fanout = self.broker_client.take_fanout();
        fanout.write_some(most, |slot, batch| {
            if let Err(fault) = self.deliver(slot, batch, model) {
                self.fault.get_or_insert(fault);
            }
            if budget.is_spent() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.broker_client.put_fanout(fanout);
        // A publication to one client is written together with all earlier ones that wait for that
        // client.
        self.keeps_to(&budget, OVERTAKE_BATCHES_MAX);
    }

    pub fn note(&mut self, outcome: Result<(), String>) {
        if let Err(fault) = outcome {
            self.fault.get_or_insert(fault);
        }
    }

    fn keeps_to(&mut self, budget: &Budget, more: usize) {
        if let Err(fault) = budget.is_kept(more) {
            self.fault.get_or_insert(fault);
        }
    }

    fn deliver(&mut self, slot: Slot, batch: &mut Batch, model: &mut Model) -> Result<(), String> {
        let open = self.connections.get_mut(&slot).filter(|it| it.phase == Phase::Open);
        let Some(connection) = open else {
            let frames = batch.frames_for(slot, Protocol::Gomoob).each().count();
            drop(reports::ticket(batch, frames));
            return Ok(());
        };
        connection.is_sent(slot, batch)?;
        if connection.reader == Reader::Reads {
            return connection.reads(model);
        }
        if connection.is_slow() {
            connection.drops_slow();
            self.close(slot, 3, model);
        }
        Ok(())
    }

    /// Ends an open or joining connection. Its socket stays for this many turns.
    pub fn close(&mut self, slot: Slot, turns: u64, model: &mut Model) {
        let Some(connection) = self.connections.get_mut(&slot) else { return };
        if matches!(connection.phase, Phase::Closing(_)) {
            return;
        }
        connection.phase = Phase::Closing(turns);
        model.ends(connection.client);
        match model.now.is_multiple_of(3) {
            true => self.broker_client.uplink.leave(slot),
            false => self.broker_client.uplink.go_away(slot),
        }
    }

    /// The connection of a client breaks.
    pub fn breaks(&mut self, slot: Slot, model: &mut Model) {
        let Some(connection) = self.connections.get_mut(&slot) else { return };
        connection.phase = Phase::Closing(0);
        model.ends(connection.client);
        self.broker_client.uplink.go_away(slot);
    }

    /// Returns the number of the connection in a slot.
    pub fn life(&self, slot: Slot) -> Option<ClientNo> {
        self.connections.get(&slot).map(|connection| connection.client)
    }

    pub fn is_open(&self, slot: Slot) -> bool {
        self.connections.get(&slot).is_some_and(|connection| connection.phase == Phase::Open)
    }

    fn send_close(&mut self) {
        let broker_client = &mut self.broker_client;
        self.connections.retain(|slot, connection| match &mut connection.phase {
            Phase::Closing(0) => {
                broker_client.end_connection(*slot);
                false
            }
            Phase::Closing(turns) => {
                *turns -= 1;
                true
            }
            _ => true,
        });
    }

    /// Accepts a client and asks the broker to join it.
    pub fn accept(&mut self, client: Client, model: &mut Model) -> (Slot, ClientNo) {
        let (slot, no) = self.connect_client(&client, model);
        self.broker_client.uplink.join(slot, client);
        (slot, no)
    }

    /// Accepts a client that may resume.
    pub fn accept_resumable(
        &mut self,
        client: Client,
        request: ResumeRequest,
        model: &mut Model,
    ) -> (Slot, ClientNo) {
        let (slot, no) = self.connect_client(&client, model);
        self.broker_client.uplink.join_resumable(slot, client, request);
        (slot, no)
    }

    fn connect_client(&mut self, client: &Client, model: &mut Model) -> (Slot, ClientNo) {
        let slot = self.broker_client.allocate_slot();
        let no = model.asks(client.clone(), self.source);
        if self.connections.insert(slot, Connection::new(no)).is_some() {
            let fault = || format!("{no} is put into slot {slot}, which is taken (L3)");
            self.fault.get_or_insert_with(fault);
        }
        (slot, no)
    }

    /// Returns the slots of the clients in this phase.
    pub fn slots(&self, phase: Phase) -> Vec<Slot> {
        let those = self.connections.iter().filter(|(_, it)| it.phase == phase);
        those.map(|(slot, _)| *slot).collect()
    }

    /// Sends a command of a backend, if the window has room.
    pub fn command(&mut self, command: ClientCommand) -> Option<Number> {
        let is_read = !matches!(self.stage, Stage::Quiescing { .. });
        let uplink = &mut self.broker_client.uplink;
        (is_read && uplink.has_room(1000)).then(|| uplink.command(command))
    }

    /// Returns the client in a slot with its tags, as this worker knows them.
    pub fn client(&self, slot: Slot) -> Option<&Client> {
        self.broker_client.uplink.client(slot)
    }

    pub fn retag(&mut self, slot: Slot, tags: Tags, model: &mut Model) {
        if let Some(connection) = self.connections.get(&slot) {
            model.retags(connection.client, tags.clone());
            self.broker_client.uplink.change_tags(slot, own_edit(tags));
        }
    }

    /// Requests an alias for a client.
    pub fn wants_alias(&mut self, slot: Slot, alias: Alias, model: &mut Model) {
        if let Some(connection) = self.connections.get(&slot) {
            model.requests_alias(connection.client, alias.clone());
            self.broker_client
                .uplink
                .request_alias(slot, Claim { alias, keeping: Exclusivity::Alone });
        }
    }

    /// Stops or resumes the reader of a client.
    pub fn turn_reader(&mut self, slot: Slot, reader: Reader, model: &mut Model) {
        let Some(connection) = self.connections.get_mut(&slot) else { return };
        connection.reader = reader;
        if reader == Reader::Reads
            && let Err(fault) = connection.reads(model)
        {
            self.fault.get_or_insert(fault);
        }
    }

    /// Ends all connections that are still joining, because a draining worker does not open them.
    pub fn turn_joiners_away(&mut self, model: &mut Model) {
        for slot in self.slots(Phase::Joining) {
            self.close(slot, 0, model);
        }
    }

    /// Ends the process and its connections.
    pub fn dies(self, model: &mut Model) {
        model.dies(self.source);
        self.connections.values().for_each(|connection| model.ends(connection.client));
    }
}
