//! Clients that may resume: programs with a token, whose connections break, are taken over and come back on any
//! worker (V96). A UUID has one owner, no program gets the mailbox of another one, and every record ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tagcast::broker::router::figures;
use tagcast::broker_client::resumable::ResumeRequest;
use tagcast::link::resume::{RecordTerms, ReplayedPublication, ResumeClaim, ToResumable};
use tagcast::types::{
    AllowedNames, Client, ClientUuid, InstanceDigest, MissedRequest, ReplayPosition,
    ResumeGeneration, ResumeStanding, Slot, Tags, Tenant, WorkerId,
};

use super::model::{ClientNo, Model, Moment, PublicationNo, To};
use super::positions::RecoveryCounts;
use super::promises::Sure;
use super::requests::{ProgramRequests, RequestCounts};
use super::worker::{Phase, Worker};
use super::world::World;

/// Open connections of a worker at which those that hang begin to end.
const CONNECTIONS_MAX: usize = 8;
/// Most programs of a run.
const PROGRAMS_MAX: usize = 6;
/// How long a client may be away.
const GRACE: Duration = Duration::from_secs(1);
/// Publications that a mailbox holds.
const MAILBOX: u16 = 5;

/// Number of a program.
pub type ProgramNo = usize;

/// All programs.
#[derive(Debug, Default)]
pub struct Programs {
    pub list: Vec<Program>,
    /// The program of each connection.
    pub of: BTreeMap<ClientNo, ProgramNo>,
    /// Connections whose client is cut off, so that it neither receives nor answers.
    cut_off: BTreeSet<ClientNo>,
    /// Connections that were resumed.
    pub resumed: u64,
    /// Publications that were replayed.
    pub replayed: u64,
    pub counts: RequestCounts,
    pub recoveries: RecoveryCounts,
}

/// A program that connects again and again.
#[derive(Debug)]
pub struct Program {
    instance: InstanceDigest,
    token: Option<(ClientUuid, ResumeGeneration)>,
    /// Its last position, and the time of the first one since which it has got everything.
    pub since: Option<ReplayPosition>,
    pub noted_at: Moment,
    /// The tags of its client.
    tags: Tags,
    /// Publications that it has received.
    pub received: BTreeSet<PublicationNo>,
    /// The present connection.
    pub connection: Option<ClientNo>,
    pub requests: ProgramRequests,
}

impl Programs {
    pub fn hears(&self, client: ClientNo) -> bool {
        !self.cut_off.contains(&client)
    }
}

/// The tenant of all programs.
pub fn tenant() -> Tenant {
    Tenant("programs".into())
}

impl World {
    /// A program connects on a worker, whatever has become of its last connection.
    pub fn a_program_connects(&mut self) {
        let programs = self.model.programs.list.len();
        let no = match programs < PROGRAMS_MAX && (programs == 0 || self.rng.once_in(5)) {
            true => self.adds_a_program(),
            false => self.rng.place(programs),
        };
        let Some(worker) = self.any_worker() else { return };
        // Without pings nothing else ends connections that hang.
        let phases = [Phase::Open, Phase::Joining].iter();
        let all = phases.map(|phase| self.workers[&worker].slots(*phase).len());
        match all.sum::<usize>() > CONNECTIONS_MAX {
            true => self.a_hanging_connection_ends(worker),
            false => self.connects((worker, no)),
        }
    }

    fn a_hanging_connection_ends(&mut self, worker: WorkerId) {
        let Some(at) = self.workers.get_mut(&worker) else { return };
        let hangs = |slot: &Slot| at.life(*slot).is_some_and(|no| !self.model.programs.hears(no));
        let hanging: Vec<Slot> = at.slots(Phase::Open).into_iter().filter(hangs).collect();
        let Some(slot) = self.rng.pick(&hanging) else { return };
        at.breaks(slot, &mut self.model);
        self.note(|| format!("the hanging connection in slot {slot} of worker {worker} ends"));
    }

    /// Adds a program, perhaps one with a copy of the token of another one: a duplicated tab.
    fn adds_a_program(&mut self) -> ProgramNo {
        let others = &self.model.programs.list;
        let copied = if others.is_empty() || !self.rng.once_in(2) {
            None
        } else {
            let other = &others[self.rng.place(others.len())];
            let received = other.received.clone();
            other.token.map(|token| (token, other.since, other.noted_at, received))
        };
        let (token, since, noted_at, received) = copied
            .map_or((None, None, 0, BTreeSet::new()), |(token, since, noted_at, received)| {
                (Some(token), since, noted_at, received)
            });
        let no = others.len();
        let instance = InstanceDigest(no as u64 + 1);
        let requests = ProgramRequests::default();
        let (connection, tags) = (None, Tags::default());
        let program =
            Program { instance, token, since, noted_at, tags, received, connection, requests };
        self.model.programs.list.push(program);
        no
    }

    fn connects(&mut self, (worker, no): (WorkerId, ProgramNo)) {
        let mut uuid = [1; 16];
        let lives = u32::try_from(self.model.lives.len()).unwrap();
        uuid[..4].copy_from_slice(&(lives + 1000).to_le_bytes());
        let client = Client {
            tenant: tenant(),
            uuid: ClientUuid(uuid),
            ident: None,
            tags: self.any_tags(),
            class: tagcast::types::ClientClass::Web,
            takes_publications: true,
            counted: tagcast::types::AddressLimit::ByAddress,
            application: None,
            ip: [192, 0, 2, 1].into(),
        };
        // Its network has changed, so its last connection is half open at most.
        let program = &mut self.model.programs.list[no];
        let former = program.connection.take();
        let claim = program.token.map(|(uuid, generation)| ResumeClaim {
            uuid,
            generation,
            issued: Duration::ZERO,
            guarded: AllowedNames::Listed(Box::new(["private-*".into()])),
        });
        let missed = claim.as_ref().map(|_| Box::new(MissedRequest::Since(program.since)));
        let terms = RecordTerms {
            grace_ms: u32::try_from(GRACE.as_millis()).unwrap(),
            mailbox: MAILBOX,
            instance: Some(program.instance).filter(|_| no % 4 != 3),
            fixed: Tags::default(),
        };
        self.model.programs.cut_off.extend(former);
        let Some(at) = self.workers.get_mut(&worker) else { return };
        let request = ResumeRequest { terms, claim: claim.clone().map(Box::new), missed };
        let (slot, client) = at.accept_resumable(client, request, &mut self.model);
        if let Some(connection) = at.connections.get_mut(&slot) {
            connection.is_recovering = claim.is_some();
        }
        self.model.programs.of.insert(client, no);
        self.model.programs.list[no].connection = Some(client);
        self.fault = self.fault.take().or_else(|| at.fault.take());
        self.note(|| {
            format!("{client} of program {no} comes to worker {worker}, slot {slot}, {claim:?}")
        });
    }

    /// The connection of a program breaks, or hangs without a sign.
    pub fn a_program_is_cut_off(&mut self) {
        let Some(worker) = self.any_worker() else { return };
        let at = &self.workers[&worker];
        let slots: Vec<Slot> = at.slots(Phase::Open);
        let is_program = |slot: &&Slot| {
            at.life(**slot).is_some_and(|no| self.model.programs.of.contains_key(&no))
        };
        let slots: Vec<Slot> = slots.iter().filter(is_program).copied().collect();
        let Some(slot) = self.rng.pick(&slots) else { return };
        let Some(client) = at.life(slot) else { return };
        self.model.programs.cut_off.insert(client);
        let is_silent = self.rng.once_in(3);
        if !is_silent && let Some(at) = self.workers.get_mut(&worker) {
            at.breaks(slot, &mut self.model);
        }
        self.note(|| format!("{client} is cut off, silently: {is_silent}"));
    }

    /// Publishes to a program, whether or not it is here.
    pub fn a_client_publishes_to_a_program(&mut self) {
        let model = &self.model;
        let is_away = |it: &&Program| {
            let is_open = |no: ClientNo| model.lives[no].is_open() && model.programs.hears(no);
            it.connection.is_none_or(|no| !is_open(no))
        };
        let programs = model.programs.list.iter();
        let mut known: Vec<ClientUuid> =
            programs.clone().filter(is_away).filter_map(|it| Some(it.token?.0)).collect();
        if known.is_empty() || self.rng.once_in(4) {
            known = programs.filter_map(|it| Some(it.token?.0)).collect();
        }
        let Some(uuid) = self.rng.pick(&known) else { return };
        let Some((worker, slot)) = self.a_program_that_is_open() else { return };
        for _ in 0..self.rng.pick(&[1, 1, 2, 7]).unwrap() {
            self.publishes((worker, slot), &To::Uuid(uuid));
        }
    }

    fn a_program_that_is_open(&mut self) -> Option<(WorkerId, Slot)> {
        let open = self.workers.iter().flat_map(|(worker, at)| {
            let is_its = |slot: &Slot| at.client(*slot).is_some_and(|it| it.tenant == tenant());
            at.slots(Phase::Open).into_iter().filter(is_its).map(|slot| (*worker, slot))
        });
        let open: Vec<(WorkerId, Slot)> = open.collect();
        self.rng.pick(&open)
    }

    /// Checks a server without faults: no two connections have the same UUID, and no record is left without its client.
    pub fn programs_are_right(&self) -> Result<(), String> {
        let mut owners: BTreeMap<ClientUuid, (WorkerId, Slot)> = BTreeMap::new();
        let mut here = 0;
        for (worker, at) in &self.workers {
            for slot in at.slots(Phase::Open) {
                let client = at.client(slot).ok_or("an open client is unknown")?;
                here += usize::from(client.tenant == tenant());
                if let Some(other) = owners.insert(client.uuid, (*worker, slot)) {
                    return Err(format!(
                        "{:?} is at {other:?} and at {worker}, {slot} (V96)",
                        client.uuid
                    ));
                }
            }
        }
        let router = self.broker.as_ref().ok_or("there is no broker")?.board.router();
        match figures::records(router) {
            (known, 0) if known == here => Ok(()),
            (known, away) => {
                Err(format!("{here} clients may resume, {known} records, {away} away (V96)"))
            }
        }
    }
}

impl Worker {
    /// A connection of a program has joined.
    pub fn program_joins(&self, slot: Slot, no: ClientNo, model: &mut Model) -> Result<(), String> {
        let Some(program) = model.programs.of.get(&no).copied() else { return Ok(()) };
        let client = self.client(slot).ok_or("a client has joined and is unknown")?.clone();
        let record = self.broker_client.uplink.record(slot).ok_or("a program has no record")?;
        let is_resumed = record.standing == ResumeStanding::Resumed;
        let its = model.programs.list[program].token.map(|(uuid, _)| uuid);
        if is_resumed && its != Some(client.uuid) && model.programs.hears(no) {
            return Err(format!(
                "{no} gets {:?}, which is not that of its token (V96)",
                client.uuid
            ));
        }
        model.becomes(no, client.clone());
        model.programs.resumed += u64::from(is_resumed);
        if model.programs.hears(no) {
            let program = &mut model.programs.list[program];
            program.token = Some((client.uuid, record.generation));
            if !is_resumed {
                (program.since, program.received) = (None, BTreeSet::new());
            }
            if program.tags != client.tags {
                // Its record has ended, and it has those that it has shown now.
                (program.tags, program.noted_at) = (client.tags, model.now);
            }
        }
        Ok(())
    }

    /// Carries out what the broker says about a program.
    pub fn on_resumable(&mut self, event: &ToResumable, model: &mut Model) {
        let slot = match event {
            ToResumable::Record(_) | ToResumable::Passed { .. } => return,
            ToResumable::Replay(replayed) => replayed.slot,
            ToResumable::Recovered(recovery) => recovery.slot,
            ToResumable::Probe(slot) | ToResumable::Continued(slot) => *slot,
        };
        let Some(no) = self.life(slot).filter(|_| self.is_open(slot)) else { return };
        match event {
            ToResumable::Record(_) | ToResumable::Passed { .. } => {}
            ToResumable::Replay(replayed) => {
                let outcome = model.replays(no, replayed);
                self.note(outcome);
            }
            ToResumable::Recovered(recovery) => {
                if let Some(connection) = self.connections.get_mut(&slot) {
                    connection.is_recovering = false;
                }
                let outcome = model.recovers(no, *recovery);
                self.note(outcome);
                // Some clients break again before they have confirmed it.
                if model.programs.hears(no) && !model.now.is_multiple_of(3) {
                    self.broker_client.uplink.settle(slot);
                }
            }
            ToResumable::Probe(_) => {
                if model.programs.hears(no) {
                    self.broker_client.uplink.is_alive(slot);
                }
            }
            ToResumable::Continued(_) => self.close(slot, 0, model),
        }
    }
}

impl Model {
    /// A connection that has joined is that of another client than it was.
    fn becomes(&mut self, no: ClientNo, client: Client) {
        let life = &mut self.lives[no];
        life.tags[0].tags = client.tags.clone();
        life.client = client;
    }

    /// Checks a publication that was kept for a client.
    fn replays(&mut self, no: ClientNo, replayed: &ReplayedPublication) -> Result<(), String> {
        let text = str::from_utf8(&replayed.content.payload).map_err(|error| error.to_string())?;
        let publication: PublicationNo =
            text.trim().parse().map_err(|_| format!("a client receives {text:?}"))?;
        let uuid = self.lives[no].client.uuid;
        let it = self.published.get(publication).ok_or("a replay of what no client published")?;
        let is_its = match &it.to {
            To::Uuid(addressed) => *addressed == uuid && replayed.is_direct,
            _ => !replayed.is_direct && self.is_for(it, no, (0, self.now), Sure::Yes),
        };
        if !is_its || it.tenant != self.lives[no].client.tenant {
            return Err(format!("{no} gets {publication}, which is for another one (V96)"));
        }
        match replayed.is_direct {
            true => self.programs.replayed += 1,
            false => self.programs.recoveries.replayed += 1,
        }
        let Some(program) = self.programs.of.get(&no).copied().filter(|_| self.programs.hears(no))
        else {
            return Ok(());
        };
        let program = &mut self.programs.list[program];
        if !program.received.insert(publication) {
            return Err(format!("{no} of program is replayed {publication} a second time (P2)"));
        }
        program.since = Some(replayed.position);
        self.published[publication].received_by.push(no);
        Ok(())
    }
}
