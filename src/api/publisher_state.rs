//! What the API process knows of its link to the broker, and what messages of the broker do.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::info;

use super::publication::{ApiPublication, PublicationReceipt, Reached};
use super::publisher::BrokerLinkLost;
use super::queries::AwaitedOutcome;
use super::traces::PublicationTrace;
use super::tracked::{ReportProgress, TrackedRequests};
use super::window_waits::WindowWaits;
use crate::broker_client::report_requests::{RecipientForm, ReportRequester};
use crate::broker_client::{BrokerClient, BrokerEvent};
use crate::link::bridge::HostsNotice;
use crate::link::fairness::ApplicationCharge;
use crate::link::query::QueryResult;
use crate::types::limits::READ_BYTES;
use crate::types::{ClusterReach, Number, ReplayBasis, Slot, Tracking, WorkerIncarnation};

/// The link to the broker, and the requests that wait for it.
#[derive(Debug)]
pub(super) struct PublisherState {
    pub(super) client: BrokerClient,
    /// Requests that wait for a count, in the order of their publications. The window limits them.
    waiting: VecDeque<(Number, oneshot::Sender<Reached>)>,
    /// Requests that wait for reports of workers.
    pub(super) tracked: TrackedRequests,
    /// Requests that wait for the answer to a question, by its number. The requests that are served at the
    /// same time bound them.
    pub(super) asking: HashMap<u32, oneshot::Sender<QueryResult>>,
    /// Nonces were spent that are not on the link yet.
    pub(super) has_unsent_nonces: bool,
    /// What the broker said after its records, until the process has applied it.
    pub(super) told_basis: Option<Option<ReplayBasis>>,
    /// Gaps in what other hosts have sent.
    pub(super) gaps: u64,
    /// Whether publications pass between this host and others.
    pub(super) cluster: ClusterReach<Instant>,
    pub(super) window_waits: WindowWaits,
    /// Requests that wait for the outcome of a command. The window limits them.
    pub(super) commanded: HashMap<Number, AwaitedOutcome>,
    /// What other processes have accepted of applications with limits, until the process has counted it.
    pub(super) charges: Vec<ApplicationCharge>,
    /// Live hosts, this one included.
    pub(super) live_hosts: u32,
    pub(super) scratch: Box<[u8]>,
}

/// A publication that was taken over, and that the broker counts.
#[derive(Debug)]
pub(super) struct CountedReceipt {
    pub(super) number: Number,
    pub(super) receipt: PublicationReceipt,
    /// The reports on it, if it is traced.
    progress: Option<Rc<ReportProgress>>,
}

impl PublisherState {
    /// A member of the link that has no link yet.
    pub(super) fn new(source: WorkerIncarnation) -> Self {
        Self {
            client: BrokerClient::new(source),
            waiting: VecDeque::new(),
            tracked: TrackedRequests::default(),
            asking: HashMap::new(),
            has_unsent_nonces: false,
            told_basis: None,
            gaps: 0,
            cluster: ClusterReach::default(),
            window_waits: WindowWaits::default(),
            commanded: HashMap::new(),
            charges: Vec::new(),
            live_hosts: 1,
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
        }
    }

    /// Takes a publication over. The workers report on one that is tracked, or traced.
    pub(super) fn publish_tracked(
        &mut self,
        publication: ApiPublication<'_>,
        clients_max: Option<u64>,
        tracking: Option<Tracking>,
    ) -> CountedReceipt {
        let trace = publication.trace.filter(|trace| {
            let has_room = trace.has_room() && self.tracked.has_room_for_report();
            if !has_room {
                trace.skip();
            }
            has_room
        });
        let tracking = match trace {
            None => tracking,
            Some(_) => Some(PublicationTrace::timed(tracking)),
        };
        let (sender, receipt) = oneshot::channel();
        let requester = ReportRequester { slot: Slot::NONE, naming: RecipientForm::Usual };
        let uplink = &mut self.client.uplink;
        if let Some(id) = publication.id {
            uplink.identify_next(id);
        }
        uplink.publish_tracked(requester, clients_max, tracking, publication.into());
        let number = uplink.last_number();
        self.waiting.push_back((number, sender));
        let mut progress = None;
        if let (Some(trace), Some(tracking)) = (trace, tracking) {
            let opened = self.tracked.open_report(number, clients_max);
            trace.follow(tracking.within, &opened);
            progress = Some(opened);
        }
        CountedReceipt { number, receipt: PublicationReceipt(receipt), progress }
    }

    /// Returns the reports on a publication that was taken over. They are opened with it.
    pub(super) fn progress(
        &mut self,
        taken: &CountedReceipt,
        clients_max: Option<u64>,
    ) -> Rc<ReportProgress> {
        match &taken.progress {
            Some(progress) => Rc::clone(progress),
            None => self.tracked.open_report(taken.number, clients_max),
        }
    }

    pub(super) fn on_event(&mut self, event: BrokerEvent) -> Option<BrokerLinkLost> {
        match event {
            BrokerEvent::Reached { counted, id, .. } => {
                let number = counted.number;
                self.tracked.on_reached(number, counted.clients, counted.workers);
                let is_past = |(asked, _): &mut (Number, _)| *asked <= number;
                while let Some((asked, waiting)) = self.waiting.pop_front_if(is_past) {
                    if asked == number {
                        // The request may no longer wait.
                        let _gone = waiting.send(Reached::new(counted, id));
                    }
                }
                None
            }
            BrokerEvent::Tracked { number, outcome } => {
                self.tracked.on_report(number, outcome);
                None
            }
            BrokerEvent::Lost(lost) => {
                self.tracked.on_broker_lost();
                let (broker, error) = (lost.broker, &lost.error);
                info!(event = "broker_link_lost", broker = broker.0, %error, "link to the broker lost");
                Some(BrokerLinkLost { broker })
            }
            BrokerEvent::Answer { query, result, .. } => {
                if let Some(asker) = self.asking.remove(&query.number) {
                    // Its request may have stopped waiting.
                    let _gone = asker.send(result);
                }
                None
            }
            BrokerEvent::Remembered { basis } => {
                self.told_basis = Some(basis);
                None
            }
            BrokerEvent::Outcome(number, outcome) => {
                if let Some(waiting) = self.commanded.remove(&number) {
                    waiting.send(*outcome);
                }
                None
            }
            BrokerEvent::Hosts(notice) => {
                match notice {
                    HostsNotice::Joined => self.cluster = ClusterReach::Joined,
                    HostsNotice::Cut => self.cluster.cut(Instant::now()),
                    HostsNotice::Live { hosts } => self.live_hosts = hosts,
                    // This process has no clients. But what was lost may have been nonces.
                    HostsNotice::Missed { .. } => self.gaps += 1,
                }
                None
            }
            BrokerEvent::Charged(charge) => {
                self.charges.push(charge);
                None
            }
            // This process has no clients. The caller wakes the requests that wait for a throttle.
            BrokerEvent::Throttle(_)
            | BrokerEvent::Joined { .. }
            | BrokerEvent::Reserved(_)
            | BrokerEvent::Refused { .. }
            | BrokerEvent::Close(_)
            | BrokerEvent::TagsChanged { .. }
            | BrokerEvent::Resumable(_)
            | BrokerEvent::Presence(_)
            | BrokerEvent::Describe(_) => None,
        }
    }
}
