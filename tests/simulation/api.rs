//! The API process, with the real broker client, and backends that repeat their publications under one id
//! until they are answered (rule L11).

use std::collections::{BTreeMap, VecDeque};

use tagcast::broker_client::uplink::NewPublication;
use tagcast::broker_client::{BrokerClient, BrokerEvent};
use tagcast::link::control::ChildEvent;
use tagcast::replay::{Claimed, IdOutcome, ReplayMemory};
use tagcast::types::{
    Address, Generation, Number, PayloadForm, PublicationId, RecipientBounds, ReplayBasis,
    ReplayDigest, ReplayRecords, Tenant, WorkerIncarnation,
};

use super::model::{Model, PublicationNo, To};
use super::pipe::{BytesUntilDeath, End, Watch};
use super::reports::REQUESTER;
use super::rng::Rng;
use super::worker::{LARGE_BYTES, Pace};

/// Which rule of the API process is broken. The model must detect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiRules {
    Kept,
    /// A new broker does not know the API process (L10).
    NotLinked,
    /// The API process forgets all ids when the broker is replaced (L11).
    IdsForgotten,
}

/// A publication of a backend.
#[derive(Debug)]
pub struct Call {
    pub no: PublicationNo,
    pub tenant: Tenant,
    pub to: To,
    pub state: CallState,
}

/// What the backend knows about its publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    /// It repeats the request until it is answered.
    Asking,
    Answered,
}

#[derive(Debug)]
pub struct Api {
    pub source: WorkerIncarnation,
    pub bytes_until_death: BytesUntilDeath,
    pub stage: ApiStage,
    client: BrokerClient,
    pub orders: VecDeque<Order>,
    /// Unanswered liveness probes of the supervisor.
    pub questions: u32,
    watch: Option<Watch>,
    /// Publications that are under way, with their calls.
    open: BTreeMap<Number, usize>,
    /// The last publication that an earlier broker may have delivered.
    earlier: Number,
    is_started: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiStage {
    Serving,
    Quiescing,
    Quiet,
    Leaving,
}

#[derive(Debug)]
pub enum Order {
    Link(Generation, End),
    Quiesce,
    Drain,
}

impl To {
    /// The address of a backend's publication.
    fn address(&self) -> Address {
        match self {
            Self::Uuid(uuid) => Address::first(Some(*uuid), None),
            Self::Ident(ident) => Address::first(None, Some(ident.clone())),
            Self::Matching(query) | Self::MatchingButSelf(query) => {
                Address::matching(query.clone())
            }
            Self::Alias(_) => Address::everyone(),
        }
    }
}

impl Api {
    pub fn new(source: WorkerIncarnation, bytes_until_death: BytesUntilDeath) -> Self {
        Self {
            source,
            bytes_until_death,
            stage: ApiStage::Serving,
            client: BrokerClient::new(source).with_large_messages_from(LARGE_BYTES),
            orders: VecDeque::new(),
            questions: 0,
            watch: None,
            open: BTreeMap::new(),
            earlier: Number(0),
            is_started: false,
        }
    }

    /// Returns whether it knows what earlier processes accepted.
    pub fn is_informed(&self) -> bool {
        self.client.uplink.replays.basis().is_some()
    }

    /// Returns whether it repeats publications that an earlier broker may have delivered. Until they are acknowledged it
    /// alone may know their ids: it is not known whether the new broker has read them.
    pub fn is_repeating(&self) -> bool {
        self.open.first_key_value().is_some_and(|(number, _)| *number <= self.earlier)
    }

    /// Runs one turn, in the order of `api/process.rs`.
    pub fn turn(
        &mut self,
        calls: &mut [Call],
        model: &mut Model,
        (rng, pace): (&mut Rng, &Pace),
    ) -> Result<Vec<ChildEvent>, String> {
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
                    self.client.mark_unread();
                    while let Some(event) = self.client.next_until_end(&mut scratch) {
                        self.take(event, calls, model, &mut reports)?;
                    }
                    if pace.api == ApiRules::IdsForgotten && self.watch.is_some() {
                        self.client.uplink.replays = ReplayMemory::default();
                    }
                    self.watch = Some(end.watch());
                    self.earlier = Number(self.client.uplink.published());
                    self.client.connect(broker, Box::new(end));
                }
                Order::Quiesce => self.stage = ApiStage::Quiescing,
                Order::Drain => self.stage = ApiStage::Leaving,
            }
        }
        if self.watch.as_ref().is_some_and(Watch::take_rung) {
            self.client.mark_unread();
        }
        if self.watch.as_ref().is_some_and(Watch::has_ended) {
            self.client.mark_ended();
        }
        self.client.read(&mut scratch);
        while let Some(event) = self.client.next(&mut || false) {
            self.take(event, calls, model, &mut reports)?;
        }
        if self.is_informed() && self.stage == ApiStage::Serving {
            for at in 0..calls.len() {
                self.serve(at, calls, model)?;
            }
        }
        self.client.write();
        if self.stage == ApiStage::Quiescing && self.client.uplink.is_quiet() {
            self.stage = ApiStage::Quiet;
            reports.push(ChildEvent::Quiesced);
        }
        Ok(reports)
    }

    fn take(
        &mut self,
        event: BrokerEvent,
        calls: &mut [Call],
        model: &mut Model,
        reports: &mut Vec<ChildEvent>,
    ) -> Result<(), String> {
        match event {
            BrokerEvent::Remembered { basis } if !self.is_informed() => {
                let fresh = ReplayBasis { since: 1, window: 300 };
                let basis = ReplayRecords::Basis(Some(basis.unwrap_or(fresh)));
                self.client.uplink.remember(basis);
            }
            BrokerEvent::Reached { counted, id, .. } => {
                let Some(at) = self.open.remove(&counted.number) else { return Ok(()) };
                if id == IdOutcome::Reused {
                    return Err(format!("the id of {} belongs to another content", calls[at].no));
                }
                calls[at].state = CallState::Answered;
                model.acknowledges(calls[at].no);
            }
            BrokerEvent::Lost(lost) => {
                self.watch = None;
                reports.push(ChildEvent::LinkLost { peer: self.source, broker: lost.broker });
            }
            _ => {}
        }
        Ok(())
    }

    /// Serves the request of a backend that has no answer.
    fn serve(&mut self, at: usize, calls: &mut [Call], model: &mut Model) -> Result<(), String> {
        let call = &mut calls[at];
        let text = call.no.to_string();
        let uplink = &mut self.client.uplink;
        let waits = uplink.is_throttled(&call.tenant) || !uplink.has_room(text.len());
        if call.state == CallState::Answered || waits {
            return Ok(());
        }
        let id = id_of(call.no);
        match uplink.claims.claim(id, &uplink.replays) {
            Claimed::New => {
                let address = call.to.address();
                let publication = NewPublication {
                    tenant: &call.tenant,
                    address: &address,
                    form: PayloadForm::Message,
                    payload: text.as_bytes(),
                };
                uplink.identify_next(id);
                uplink.publish_tracked(REQUESTER, None, None, publication);
                uplink.claims.release(id.id);
                self.open.insert(Number(uplink.published()), at);
            }
            Claimed::InFlight => {}
            Claimed::Used(_) => {
                call.state = CallState::Answered;
                model.acknowledges(call.no);
            }
            Claimed::Reused => return Err(format!("{} has the id of another one", call.no)),
        }
        Ok(())
    }
}

fn id_of(no: PublicationNo) -> PublicationId {
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&(no as u64).to_le_bytes());
    let (id, content) = (ReplayDigest(digest), ReplayDigest(digest));
    let recipients = RecipientBounds { min: 0, max: u64::MAX };
    PublicationId { id, content, at: 0, until: u64::MAX, recipients, origin: None }
}
