//! Chooses the next event from the seed: turns, clients and faults.

use std::sync::atomic::Ordering;

use tagcast::supervisor::lifecycle::ChildId;
use tagcast::types::{
    AddressLimit, Alias, Client, ClientClass, ClientUuid, Ident, Slot, Tag, Tags, Tenant, Topics,
    WorkerId,
};

use super::api::{Call, CallState};
use super::marks::TOPICS;
use super::model::To;
use super::pipe::BytesUntilDeath;
use super::programs;
use super::rng::Rng;
use super::worker::{Phase, Reader};
use super::world::World;

/// Maximum clients of a worker. It is small, so that slots are reused often.
const CLIENTS_MAX: usize = 5;

/// Relative frequency of each event in this run.
#[derive(Debug)]
pub struct Mixture([u64; 22]);

impl Mixture {
    /// Chooses the frequencies. In some runs one kind of fault is absent, in others very frequent.
    pub fn new(rng: &mut Rng) -> Self {
        let mut often = |usual: u64| rng.pick(&[0, usual, usual, usual * 4]).unwrap();
        let (kill_broker, kill_worker, cut) = (often(2), often(1), often(1));
        let hang = often(3);
        let (retag, stall, jump) = (often(5), often(3), often(1));
        let rename = often(5);
        let (call, kill_api) = (often(6), often(1));
        let command = often(8);
        let (come_back, cut_off, mail) = (often(12), often(6), often(20));
        let request = often(10);
        let round = rng.pick(&[10, 30, 80]).unwrap();
        Self([
            30,
            15,
            12,
            6,
            14,
            4,
            retag,
            stall,
            kill_broker,
            kill_worker + cut,
            round,
            hang,
            jump,
            rename,
            10,
            call,
            kill_api,
            command,
            come_back,
            cut_off,
            mail,
            request,
        ])
    }
}

impl World {
    /// Executes one event.
    pub fn step(&mut self, mixture: &Mixture) {
        self.pass_time();
        match self.rng.weighted(&mixture.0) {
            0 => {
                if let Some(worker) = self.any_worker() {
                    self.worker_turn(worker);
                }
            }
            1 => self.broker_turn(),
            2 => drop(self.supervisor_turn()),
            3 => self.a_client_connects(),
            4 => self.a_client_publishes(),
            5 => self.a_client_leaves(),
            6 => self.a_client_changes_tags(),
            7 => self.a_client_stops_or_resumes_reading(),
            8 => self.broker_dies(),
            9 if self.rng.once_in(2) => self.worker_dies(),
            9 => self.link_is_cut(),
            10 => self.all_processes_take_a_turn(),
            11 => self.a_process_hangs(),
            13 => self.a_client_requests_an_alias(),
            14 => self.api_turn(),
            15 => self.a_backend_publishes(),
            16 => self.api_process_dies(),
            17 => self.a_backend_changes_tags(),
            18 => self.a_program_connects(),
            19 => self.a_program_is_cut_off(),
            20 => self.a_client_publishes_to_a_program(),
            21 => self.a_program_requests(),
            _ => self.time += std::time::Duration::from_millis(self.rng.below(1500)),
        }
    }

    pub fn all_processes_take_a_turn(&mut self) {
        while self.supervisor_turn() {}
        self.seats().into_iter().for_each(|worker| self.worker_turn(worker));
        self.api_turn();
        self.broker_turn();
    }

    pub fn any_worker(&mut self) -> Option<WorkerId> {
        let living: Vec<WorkerId> = self.workers.keys().copied().collect();
        self.rng.pick(&living)
    }

    fn anyone(&mut self) -> Option<(WorkerId, Slot)> {
        let worker = self.any_worker()?;
        let slots = self.workers[&worker].slots(Phase::Open);
        Some((worker, self.rng.pick(&slots)?))
    }

    fn a_client_connects(&mut self) {
        let Some(worker) = self.any_worker() else { return };
        if self.workers[&worker].slots(Phase::Open).len() < CLIENTS_MAX {
            let tenant = self.any_tenant();
            self.comes(worker, tenant);
        }
    }

    fn any_tenant(&mut self) -> Tenant {
        if self.rng.once_in(4) { Tenant("other".into()) } else { Tenant::shared() }
    }

    pub fn comes(&mut self, worker: WorkerId, tenant: Tenant) {
        let no = self.model.lives.len();
        let mut uuid = [0; 16];
        uuid[..8].copy_from_slice(&(no as u64).to_le_bytes());
        let class = if self.rng.once_in(8) { ClientClass::Php } else { ClientClass::Web };
        let name = self.rng.pick(&["anna", "bert"]).filter(|_| self.rng.once_in(3));
        let client = Client {
            tenant,
            uuid: ClientUuid(uuid),
            ident: name.and_then(|name| Ident::new(name).ok()),
            tags: self.any_tags(),
            class,
            takes_publications: !self.rng.once_in(10),
            counted: AddressLimit::ByAddress,
            application: None,
            ip: [192, 0, 2, 1].into(),
        };
        let Some(at) = self.workers.get_mut(&worker) else { return };
        let (slot, no) = at.accept(client.clone(), &mut self.model);
        self.fault = self.fault.take().or_else(|| at.fault.take());
        self.note(|| format!("{no} comes to worker {worker}, slot {slot}: {client:?}"));
    }

    pub fn any_tags(&mut self) -> Tags {
        let mut tags = Vec::new();
        for (name, values) in [("room", ["1", "2"]), ("team", ["a", "b"])] {
            if !self.rng.once_in(3) {
                tags.push(Tag::new(name, self.rng.pick(&values).unwrap()).unwrap());
            }
        }
        let topics = TOPICS.iter().filter(|_| self.rng.once_in(5)).map(|name| (*name).into());
        let topics = Topics::new(topics).unwrap();
        Tags::new(tags).unwrap().with_topics(topics)
    }

    pub fn any_query(&mut self) -> Tags {
        match self.rng.below(6) {
            0..3 => Tags::default(),
            3 => {
                let topic = self.rng.pick(&TOPICS).unwrap();
                Tags::new([Tag::of_topic(topic).unwrap()]).unwrap()
            }
            _ => self.any_tags().with_topics(Topics::default()),
        }
    }

    pub fn a_client_publishes(&mut self) {
        let Some((worker, slot)) = self.anyone() else { return };
        for _ in 0..self.rng.pick(&[1, 1, 2, 3, 12]).unwrap() {
            let to = self.any_address();
            self.publishes((worker, slot), &to);
        }
    }

    pub fn publishes(&mut self, (worker, slot): (WorkerId, Slot), to: &To) {
        let Some(at) = self.workers.get_mut(&worker) else { return };
        let made = at.publish(slot, to, (&mut self.model, self.pace.shutdown));
        if let Some(no) = made {
            let by = self.model.published[no].by;
            self.note(|| format!("{by} publishes {no} to {to:?}"));
        }
    }

    fn any_address(&mut self) -> To {
        match self.rng.below(10) {
            0..3 => To::Matching(self.any_query()),
            3..5 => To::MatchingButSelf(self.any_query()),
            8.. => To::Alias(self.any_alias()),
            5 => To::Ident(Ident::new(self.rng.pick(&["anna", "bert"]).unwrap()).unwrap()),
            _ => {
                // Choose a recent client, which is more likely to leave soon, so that its slot is
                // reused.
                let back = self.rng.place(self.model.lives.len().min(12));
                To::Uuid(self.model.lives[self.model.lives.len() - 1 - back].client.uuid)
            }
        }
    }

    fn a_client_leaves(&mut self) {
        let Some(worker) = self.any_worker() else { return };
        let phase = self.rng.pick(&[Phase::Open, Phase::Open, Phase::Joining]).unwrap();
        let slots = self.workers[&worker].slots(phase);
        let Some(slot) = self.rng.pick(&slots) else { return };
        let turns = self.rng.pick(&[0, 0, 1, 5]).unwrap();
        let Some(at) = self.workers.get_mut(&worker) else { return };
        at.close(slot, turns, &mut self.model);
        self.note(|| format!("the client in slot {slot} of worker {worker} leaves"));
    }

    pub fn a_client_changes_tags(&mut self) {
        let Some((worker, slot)) = self.anyone() else { return };
        let client = self.workers[&worker].client(slot);
        // A change that is under way applies to the next connection of a program too.
        if client.is_none_or(|client| client.tenant == programs::tenant()) {
            return;
        }
        let tags = self.any_tags();
        let Some(at) = self.workers.get_mut(&worker) else { return };
        at.retag(slot, tags.clone(), &mut self.model);
        self.note(|| format!("the client in slot {slot} of worker {worker} now has {tags:?}"));
    }

    /// A backend changes tags of a client, or of many, through any worker.
    fn a_backend_changes_tags(&mut self) {
        let Some(through) = self.any_worker() else { return };
        let is_bulk = self.rng.once_in(4);
        let Some((worker, slot)) = self.anyone() else { return };
        let Some(client) = self.workers[&worker].client(slot).cloned() else { return };
        // Their tags may be lost with the broker.
        if client.tenant == programs::tenant() {
            return;
        }
        let marks = &mut self.model.marks;
        let (command, to) = match is_bulk {
            true => (marks.bulk(client.tenant), 0),
            false => {
                let (command, to) = marks.step(client.tenant, client.uuid);
                (Some(command), to)
            }
        };
        let Some(at) = self.workers.get_mut(&through) else { return };
        let source = at.source;
        let Some(number) = command.and_then(|command| at.command(command)) else { return };
        match is_bulk {
            true => self.model.marks.sent_bulk(source, number),
            false => self.model.marks.sent_step(source, number, (client.uuid, to)),
        }
        self.note(|| match is_bulk {
            true => format!("{number:?} through worker {through} changes all clients of a room"),
            false => format!("{number:?} through worker {through} sets {:?} to {to}", client.uuid),
        });
    }

    fn a_client_requests_an_alias(&mut self) {
        let Some((worker, slot)) = self.anyone() else { return };
        let client = self.workers[&worker].client(slot);
        if client.is_none_or(|client| client.tenant == programs::tenant()) {
            return;
        }
        for _ in 0..self.rng.pick(&[1, 1, 1, 3]).unwrap() {
            let alias = self.any_alias();
            self.note(|| {
                format!("the client in slot {slot} of worker {worker} requests {alias:?}")
            });
            let Some(at) = self.workers.get_mut(&worker) else { return };
            at.wants_alias(slot, alias, &mut self.model);
        }
    }

    fn any_alias(&mut self) -> Alias {
        Alias::new(self.rng.pick(&["u1", "u2", "u3"]).unwrap()).unwrap()
    }

    fn a_client_stops_or_resumes_reading(&mut self) {
        let Some((worker, slot)) = self.anyone() else { return };
        let reader = self.rng.pick(&[Reader::Reads, Reader::Stalls]).unwrap();
        let Some(at) = self.workers.get_mut(&worker) else { return };
        at.turn_reader(slot, reader, &mut self.model);
        self.fault = self.fault.take().or_else(|| at.fault.take());
        self.note(|| format!("the client in slot {slot} of worker {worker}: {reader:?}"));
    }

    /// Kills the broker between two turns, or within a turn after any byte that it writes.
    pub fn broker_dies(&mut self) {
        let Some(broker) = &self.broker else { return };
        let (child, bytes_until_death) =
            (ChildId::Broker(broker.generation), broker.bytes_until_death.clone());
        if self.rng.once_in(2) {
            self.limit_last_turn(&bytes_until_death);
            self.broker_turn();
        }
        self.kill(child);
    }

    fn worker_dies(&mut self) {
        let Some(seat) = self.any_worker() else { return };
        let worker = &self.workers[&seat];
        let (child, bytes_until_death) =
            (ChildId::Worker(worker.source), worker.bytes_until_death.clone());
        if self.rng.once_in(2) {
            self.limit_last_turn(&bytes_until_death);
            self.worker_turn(seat);
        }
        self.kill(child);
    }

    fn limit_last_turn(&mut self, bytes_until_death: &BytesUntilDeath) {
        bytes_until_death.store(self.rng.place(400), Ordering::Relaxed);
        self.note(|| "the last turn of a process that dies".to_owned());
    }

    /// A backend publishes under a new id, or repeats a publication that was answered.
    fn a_backend_publishes(&mut self) {
        let Some(source) = self.api.as_ref().map(|api| api.source) else { return };
        if self.model.lives.is_empty() {
            return;
        }
        if !self.calls.is_empty() && self.rng.once_in(3) {
            let at = self.rng.place(self.calls.len());
            self.calls[at].state = CallState::Asking;
            return self.note(|| format!("a backend repeats its publication {at}"));
        }
        let tenant = self.any_tenant();
        let to = match self.any_address() {
            To::Matching(query) | To::MatchingButSelf(query) => To::Matching(query),
            To::Alias(_) => To::Matching(Tags::default()),
            one => one,
        };
        // Each backend is a client of its own that receives nothing: repeated publications have no order.
        let mut uuid = [255; 16];
        uuid[..8].copy_from_slice(&(self.model.lives.len() as u64).to_le_bytes());
        let backend = Client {
            tenant: tenant.clone(),
            uuid: ClientUuid(uuid),
            ident: None,
            tags: Tags::default(),
            class: ClientClass::Php,
            takes_publications: false,
            counted: AddressLimit::ByAddress,
            application: None,
            ip: [192, 0, 2, 1].into(),
        };
        let by = self.model.asks(backend, source);
        let no = self.model.publishes(by, to.clone());
        self.note(|| format!("a backend publishes {no} to {to:?}"));
        self.calls.push(Call { no, tenant, to, state: CallState::Asking });
    }

    /// Kills the API process between two turns, or within a turn after any byte that it writes.
    fn api_process_dies(&mut self) {
        let Some(api) = &self.api else { return };
        let (child, bytes_until_death) = (ChildId::of(api.source), api.bytes_until_death.clone());
        if self.rng.once_in(2) {
            self.limit_last_turn(&bytes_until_death);
            self.api_turn();
        }
        self.kill(child);
    }

    /// Lets a worker or the broker skip its turns for a while.
    fn a_process_hangs(&mut self) {
        let process = self.any_worker().filter(|_| !self.rng.once_in(4));
        let until = self.model.now + self.rng.below(60);
        self.hung.insert(process, until);
        self.note(|| format!("{process:?} hangs until step {until}"));
    }

    fn link_is_cut(&mut self) {
        let Some(worker) = self.any_worker() else { return };
        let bytes = if self.rng.once_in(2) { 0 } else { self.rng.place(300) };
        let Some(watch) = self.broker.as_ref().and_then(|broker| broker.watch(worker)) else {
            return;
        };
        watch.cut_after(Some(bytes));
        self.model.cut.insert(self.workers[&worker].source);
        self.note(|| format!("the link of worker {worker} is cut after {bytes} bytes"));
    }
}
