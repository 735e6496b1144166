//! Requests of programs, which are repeated on other connections until they are answered (V49): each is carried out
//! once, or its fate is unknown, and what was acknowledged reaches all its recipients.

use std::collections::{BTreeSet, VecDeque};

use tagcast::broker_client::sent_requests::RequestVerdict;
use tagcast::link::message::NewPublication;
use tagcast::types::{Address, PayloadForm, Slot};
use tagcast::websocket::write;

use super::model::{ClientNo, Model, PublicationNo, To};
use super::shutdown::Stage;
use super::worker::{LARGE_BYTES, Phase, Worker};
use super::world::World;

/// Most requests of a program that have no answer.
const UNANSWERED_MAX: usize = 20;

/// A request of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    id: u64,
    no: PublicationNo,
}

/// A request that a worker answers when the broker has acknowledged its number.
#[derive(Debug)]
pub struct Answer {
    number: u64,
    slot: Slot,
    client: ClientNo,
    request: Request,
}

/// Requests of one program.
#[derive(Debug, Default)]
pub struct ProgramRequests {
    last_id: u64,
    unanswered: VecDeque<Request>,
}

/// Requests of all programs.
#[derive(Debug, Default)]
pub struct RequestCounts {
    /// Those that were answered after they were repeated.
    pub repeated: u64,
    /// Those whose fate is unknown.
    pub unknown: u64,
    /// Those that were answered by `unknown` and not repeated. They may arrive after later ones.
    pub unordered: BTreeSet<PublicationNo>,
}

impl World {
    /// A program publishes to several clients. If it is cut off, it keeps the request for its next connection.
    pub fn a_program_requests(&mut self) {
        let programs = &self.model.programs;
        let known: Vec<usize> = (0..programs.list.len())
            .filter(|no| {
                programs.list[*no]
                    .connection
                    .is_some_and(|it| self.model.lives[it].opened_at.is_some())
            })
            .collect();
        let Some(program) = self.rng.pick(&known) else { return };
        for _ in 0..self.rng.pick(&[1, 1, 2, 6]).unwrap() {
            let to = To::Matching(self.any_query());
            let Some(client) = self.model.programs.list[program].connection else { return };
            if self.model.programs.list[program].requests.unanswered.len() == UNANSWERED_MAX {
                return;
            }
            let no = self.model.publishes(client, to);
            self.model.published[no].is_request = true;
            let requests = &mut self.model.programs.list[program].requests;
            requests.last_id += 1;
            let request = Request { id: requests.last_id, no };
            requests.unanswered.push_back(request);
            if self.model.programs.hears(client)
                && let Some(at) = self.workers.get_mut(&self.model.lives[client].worker.worker)
            {
                at.socket_takes(client, request);
            }
            self.note(|| format!("program {program} makes request {request:?} on {client}"));
        }
    }
}

impl Worker {
    /// The socket of a client has a request, if the client is connected.
    fn socket_takes(&mut self, client: ClientNo, request: Request) {
        let is_its = |it: &&mut super::connection::Connection| {
            it.client == client && it.phase == Phase::Open
        };
        if let Some(connection) = self.connections.values_mut().find(is_its) {
            connection.requests.push_back(request);
        }
    }

    /// A program that was resumed sends its unanswered requests again, if the server knows which were accepted.
    pub fn repeats_requests(&mut self, slot: Slot, client: ClientNo, model: &mut Model) {
        let Some(program) = model.programs.of.get(&client).copied() else { return };
        if !model.programs.hears(client) {
            return;
        }
        let keeps_ids = self.broker_client.uplink.record(slot).is_some_and(|it| it.keeps_ids);
        let requests = &mut model.programs.list[program].requests;
        match keeps_ids {
            true => {
                let all = requests.unanswered.clone();
                if let Some(connection) = self.connections.get_mut(&slot) {
                    connection.requests = all;
                }
            }
            false => {
                model.programs.counts.unknown += requests.unanswered.len() as u64;
                requests.unanswered.clear();
            }
        }
    }

    /// Reads requests from sockets while the window has room.
    pub fn read_requests(&mut self, model: &mut Model) {
        if matches!(self.stage, Stage::Quiescing { .. }) {
            return;
        }
        let open = self.connections.iter().filter(|(_, it)| it.phase == Phase::Open);
        let slots: Vec<Slot> = open.map(|(slot, _)| *slot).collect();
        for slot in slots {
            for _ in 0..3 {
                let Some(connection) = self.connections.get_mut(&slot) else { break };
                let Some(request) = connection.requests.front().copied() else { break };
                let client = connection.client;
                if !self.carries_out((slot, client), request, model) {
                    break;
                }
                if let Some(connection) = self.connections.get_mut(&slot) {
                    connection.requests.pop_front();
                }
            }
        }
    }

    /// Carries out a request like `worker/dispatch/requests.rs`. Returns false if it must wait.
    fn carries_out(
        &mut self,
        (slot, client): (Slot, ClientNo),
        request: Request,
        model: &mut Model,
    ) -> bool {
        let Request { id, no } = request;
        let published = &model.published[no];
        let text = format!("{no:>width$}", width = 1 + client % 9 * 20);
        let tenant = published.tenant.clone();
        if self.lack_of_room(&tenant, text.len()).is_some()
            || self.broker_client.uplink.is_throttled(&tenant)
        {
            return false;
        }
        let uplink = &mut self.broker_client.uplink;
        let number = match uplink.judge_request(slot, id) {
            // The fate of the request is unknown.
            Some(RequestVerdict::Doubtful | RequestVerdict::TooOld) => {
                model.programs.counts.unordered.insert(no);
                return true;
            }
            Some(RequestVerdict::Repeated) => uplink.last_number(),
            Some(RequestVerdict::RepeatedBehindBarrier) => {
                let Some(number) = uplink.barrier(slot) else { return true };
                number
            }
            verdict @ (None | Some(RequestVerdict::New)) => {
                let To::Matching(query) = &published.to else { return true };
                let address = Address::matching(query.clone());
                let form = PayloadForm::Message;
                let payload = text.as_bytes();
                let publication =
                    NewPublication { tenant: &tenant, address: &address, form, payload };
                if verdict.is_some() {
                    uplink.begin_request(slot, id);
                }
                match text.len() >= LARGE_BYTES {
                    true => uplink.publish_large(publication, write::framed_text(payload)),
                    false => uplink.publish(publication),
                }
                uplink.last_number()
            }
        };
        self.answers.push_back(Answer { number: number.0, slot, client, request });
        true
    }

    /// Answers requests that the broker has acknowledged.
    pub fn answer_requests(&mut self, model: &mut Model) {
        let reached = self.broker_client.uplink.reached().acknowledged;
        while let Some(answer) = self.answers.pop_front_if(|it| it.number <= reached) {
            let Answer { slot, client, request, .. } = answer;
            let verdict = self.broker_client.uplink.judge_request(slot, request.id);
            let is_here = self.life(slot) == Some(client) && self.is_open(slot);
            let program = model.programs.of[&client];
            if verdict == Some(RequestVerdict::Doubtful) && is_here {
                continue;
            }
            if !is_here {
                // Only what this worker has published itself is certain.
                continue;
            }
            model.acknowledges(request.no);
            if !model.programs.hears(client) {
                continue;
            }
            let unanswered = &mut model.programs.list[program].requests.unanswered;
            if let Some(place) = unanswered.iter().position(|it| *it == request) {
                unanswered.remove(place);
                model.programs.counts.repeated +=
                    u64::from(model.published[request.no].by != client);
            }
        }
    }
}
