//! Work of tenants and their throttles, reports on publications, questions to the broker, and its progress with what
//! it was sent.

use super::{UnknownPublication, Uplink};
use crate::broker_client::BrokerEvent;
use crate::broker_client::large::DeliveredContent;
use crate::broker_client::report_requests::ReportRequester;
use crate::broker_client::send_window::{KeptPublication, WindowUse};
use crate::broker_client::sent_requests::RequestVerdict;
use crate::broker_client::sync::SyncMark;
use crate::broker_client::window_turns::TurnOutcome;
use crate::link::codec::{WireMessage, encode_publish};
use crate::link::command::{ClientCommand, CommandKind, CommandOutcome, NumberedCommand};
use crate::link::fairness::{ApplicationCharge, TenantThrottle, WorkReport};
use crate::link::message::{CountedPublication, Deliver, NewPublication, PublishFrame, ToBroker};
use crate::link::query::{DescribeAnswer, HostsQuery, QueryKind};
use crate::link::resume::{ClientRequest, FromResumable};
use crate::replay::IdOutcome;
use crate::types::{
    Content, Number, PublicationId, QueryReach, ReplayRecords, Slot, Tenant, TrackedOutcome,
    Tracking, WorkerIncarnation,
};

impl Uplink {
    /// Returns the content of a delivery: this worker's own publications are in its window.
    ///
    /// # Errors
    ///
    /// If the window does not have it.
    pub fn content<'a>(
        &'a self,
        deliver: &Deliver<&'a [u8]>,
    ) -> Result<Content<&'a [u8]>, UnknownPublication> {
        self.delivered(deliver).map(DeliveredContent::borrowed)
    }

    /// Returns the content of a delivery like [`Uplink::content`], in the form in which it is kept.
    pub(crate) fn delivered<'a>(
        &'a self,
        deliver: &Deliver<&'a [u8]>,
    ) -> Result<DeliveredContent<'a>, UnknownPublication> {
        let Deliver { content, source, number, .. } = *deliver;
        let kept = || match self.window.get(number).filter(|_| source == self.source)? {
            KeptPublication::Small(said) => {
                Some(DeliveredContent::Small(PublishFrame::find(said)?.content))
            }
            KeptPublication::Large(content) => Some(DeliveredContent::Large(content)),
        };
        content.map(DeliveredContent::Small).or_else(kept).ok_or(UnknownPublication(number))
    }

    /// Reports work that was done for a tenant.
    pub(crate) fn report_work(&mut self, report: WorkReport) {
        if self.is_linked {
            ToBroker::Work(report).encode(&mut self.out);
        }
    }

    /// Reports what was accepted of an application whose publications are limited. Without a link nothing is
    /// reported.
    pub fn report_charge(&mut self, charge: ApplicationCharge) {
        if self.is_linked {
            ToBroker::Charged(charge).encode(&mut self.out);
        }
    }

    /// Returns whether the publishers of a tenant wait. A throttle ends with the link at the latest.
    #[must_use]
    pub fn is_throttled(&self, tenant: &Tenant) -> bool {
        self.throttles.is_throttled(tenant)
    }

    /// Returns whether a tenant is throttled, or starts slowly because it was.
    #[must_use]
    pub fn has_throttles(&self) -> bool {
        !self.throttles.is_empty()
    }

    /// Returns why a publication of this many bytes in a tenant has to wait for the window; `None` if it need not.
    /// While publishers of another tenant wait, a tenant has at most half of the window, or one publication. After a
    /// throttle it starts slowly.
    #[must_use]
    pub fn lack_of_room(
        &self,
        tenant: &Tenant,
        bytes: usize,
        others_wait: impl FnOnce() -> bool,
    ) -> Option<TurnOutcome> {
        if !self.has_room(bytes) {
            return Some(TurnOutcome::NoRoom);
        }
        let is_within_share = (self.window.is_within_half(tenant, bytes) || !others_wait())
            && self.throttles.have_room(&self.window, tenant, bytes);
        (!is_within_share).then_some(TurnOutcome::OverShare)
    }

    /// Sets the most that the window holds, so that a simulation can do with a small one.
    pub fn limit_window(&mut self, publications: u64, bytes: usize) {
        self.window.limit(WindowUse { count: publications, bytes });
    }

    pub(super) fn on_throttle(&mut self, throttle: TenantThrottle) -> BrokerEvent {
        match throttle.is_throttled {
            true => self.throttles.begin(throttle.tenant.clone()),
            false => self.throttles.end(&throttle.tenant),
        }
        BrokerEvent::Throttle(throttle)
    }

    /// Accepts a publication like [`Uplink::publish`], and requests its recipient count; answered by
    /// [`BrokerEvent::Reached`], from this broker or a later one. With more recipients than `clients_max` it
    /// is not delivered.
    pub fn publish_counted(
        &mut self,
        asker: ReportRequester,
        clients_max: Option<u64>,
        publication: NewPublication<'_>,
    ) {
        self.publish_tracked(asker, clients_max, None, publication);
    }

    /// Accepts a publication like [`Uplink::publish_counted`], and requests reports on its deliveries;
    /// answered by [`BrokerEvent::Tracked`], at most once by each worker of its recipients. If the broker
    /// dies, reports may be missing.
    pub fn publish_tracked(
        &mut self,
        asker: ReportRequester,
        clients_max: Option<u64>,
        tracking: Option<Tracking>,
        publication: NewPublication<'_>,
    ) {
        let start = self.start_entry();
        let number = self.window.next_number();
        if let Some(id) = self.next_id.take() {
            ToBroker::Identify(id).encode(&mut self.out);
            self.claims.published(id, number);
        }
        ToBroker::Count { clients_max, tracking }.encode(&mut self.out);
        encode_publish(&mut self.out, number, publication);
        // All messages are kept as one entry, so that the request is repeated together with the publication.
        self.window.push(publication.tenant, start..self.out.len());
        self.report_requests.ask(number, asker);
    }

    /// Decides whether a request of a client is carried out, by the number that the client gave it. `None`: requests of
    /// this client are not recognised when they are repeated.
    #[must_use]
    pub fn judge_request(&self, slot: Slot, id: u64) -> Option<RequestVerdict> {
        self.resumable.has_instance(slot).then(|| self.sent_requests.judge(slot, id))
    }

    /// Says which request of a client the next publication or change of tags is. It must follow at once.
    pub fn begin_request(&mut self, slot: Slot, id: u64) {
        let (Some(joined), Some(client)) = (self.joins.number(slot), self.joins.client(slot))
        else {
            return;
        };
        let request = ClientRequest { uuid: client.uuid, joined, id };
        let before = self.out.len();
        ToBroker::Resumable(FromResumable::Request(request)).encode(&mut self.out);
        self.prefix_bytes = self.out.len() - before;
        self.sent_requests.send(slot, id, self.window.next_number());
    }

    /// Returns where the entry of the next publication or command begins in `out`.
    pub(super) fn start_entry(&mut self) -> usize {
        self.out.len() - std::mem::take(&mut self.prefix_bytes)
    }

    /// Queues all unacknowledged publications and commands again.
    pub(super) fn repeat_window(&mut self) {
        self.window.repeat(&mut self.out);
        for slot in self.sent_requests.repeated() {
            ToBroker::Resumable(FromResumable::Repeated(slot)).encode(&mut self.out);
        }
    }

    /// Sends a command without an effect for a client. When its number is acknowledged, all links have taken
    /// everything that the broker accepted before.
    pub fn barrier(&mut self, slot: Slot) -> Option<Number> {
        let tenant = self.joins.client(slot)?.tenant.clone();
        let number = self.window.next_number();
        let command = ClientCommand { tenant, kind: CommandKind::Barrier };
        self.push_command(NumberedCommand { number, is_answered: false, command });
        Some(number)
    }

    /// Reports on a tracked publication, if there is a broker.
    pub fn report(
        &mut self,
        publisher: WorkerIncarnation,
        number: Number,
        outcome: TrackedOutcome,
    ) {
        if self.is_linked {
            ToBroker::Tracked { publisher, number, outcome }.encode(&mut self.out);
        }
    }

    /// Reports what has become of a question to a client, to this broker or a later one. An answer needs
    /// [room](Uplink::has_room).
    pub fn answer(
        &mut self,
        publisher: WorkerIncarnation,
        number: Number,
        outcome: TrackedOutcome,
    ) {
        let message = ToBroker::Tracked { publisher, number, outcome };
        if self.is_linked {
            message.encode(&mut self.out);
        }
        self.answers.keep(self.syncs.want(), message);
    }

    /// Answers a question about a client of this worker. A new broker is asked again, and asks again.
    pub fn describe(&mut self, answer: DescribeAnswer) {
        if self.is_linked {
            ToBroker::Described(answer).encode(&mut self.out);
        }
    }

    /// Asks for a client; answered by [`BrokerEvent::Answer`](crate::broker_client::BrokerEvent::Answer), from
    /// this broker or a later one. The question is dropped if the client has too many open ones.
    pub fn query(&mut self, slot: Slot, tenant: Tenant, kind: QueryKind) {
        if self.joins.client(slot).is_some() {
            self.ask(slot, tenant, kind);
        }
    }

    /// Asks what other hosts have made of a question that a client has published. Answered as [`Uplink::query`]. Returns
    /// false if the client has too many open ones.
    pub fn query_directed(&mut self, slot: Slot, number: Number) -> bool {
        let Some(client) = self.joins.client(slot) else { return false };
        let (tenant, kind) = (client.tenant.clone(), QueryKind::Directed(number));
        let query = HostsQuery { reach: QueryReach::All, timeout_ms: 0, kind };
        self.ask(slot, tenant, QueryKind::Hosts(Box::new(query))).is_some()
    }

    /// Asks for this process itself. Returns the number of the question; `None` if too many are open. The
    /// answer is addressed to [`Slot::NONE`].
    pub fn query_for_process(&mut self, tenant: Tenant, kind: QueryKind) -> Option<u32> {
        self.ask(Slot::NONE, tenant, kind)
    }

    /// Drops a question of this process whose answer is no longer awaited.
    pub fn drop_query(&mut self, number: u32) {
        self.queries.take(Slot::NONE, number);
    }

    /// Adds records of requests that must not take effect twice, here and at the broker. What is sent to the
    /// broker after this arrives after them (rule L11).
    pub fn remember(&mut self, records: ReplayRecords) {
        self.replays.learn(&records);
        if self.is_linked {
            ToBroker::Remember(records).encode(&mut self.out);
        }
    }

    /// Gives the next publication whose recipients are counted an id. It takes effect once, whichever process
    /// dies (rule L11). The id must be [claimed](crate::replay::IdClaims::claim).
    pub fn identify_next(&mut self, id: PublicationId) {
        self.next_id = Some(id);
    }

    /// Takes what has become of a command.
    pub(super) fn on_outcome(
        &mut self,
        number: Number,
        outcome: Box<CommandOutcome>,
    ) -> BrokerEvent {
        if *outcome == CommandOutcome::TooManyTags {
            self.sent_requests.refused(number);
        }
        BrokerEvent::Outcome(number, outcome)
    }

    /// Records that the broker has counted the recipients of a publication.
    pub(super) fn acknowledge_id(&mut self, counted: &CountedPublication) -> IdOutcome {
        let CountedPublication { number, clients, workers, scan_values, .. } = *counted;
        match scan_values {
            0 => self.claims.acknowledged(number, clients, workers, &mut self.replays),
            _ => {
                self.sent_requests.refused(number);
                self.claims.refused(number)
            }
        }
    }

    fn ask(&mut self, slot: Slot, tenant: Tenant, kind: QueryKind) -> Option<u32> {
        let query = self.queries.open(slot, tenant, kind)?;
        let number = query.number;
        if self.is_linked {
            ToBroker::Ask { slot, query }.encode(&mut self.out);
        }
        Some(number)
    }

    /// Returns the mark that is reached when this broker or a later one has applied everything sent so far.
    pub fn mark(&mut self) -> SyncMark {
        SyncMark { synced: self.syncs.want(), acknowledged: 0 }
    }

    /// Returns the mark that is reached when every link has taken everything published so far (rule L5).
    #[must_use]
    pub fn mark_of_publications(&self) -> SyncMark {
        SyncMark { synced: 0, acknowledged: self.last_number().0 }
    }

    /// Returns the progress that the broker has made.
    #[must_use]
    pub fn reached(&self) -> SyncMark {
        let acknowledged = self.last_number().0 - self.unacknowledged();
        SyncMark { synced: self.syncs.answered(), acknowledged }
    }

    /// Returns whether a client has an alias request that no broker has answered.
    #[must_use]
    pub fn awaits_alias(&self, slot: Slot) -> bool {
        self.aliases.is_asking(slot)
    }

    /// Returns whether all publications are acknowledged.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.window.is_empty()
    }

    /// Returns the number of publications and commands that the broker has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.window.len()
    }

    /// Returns the number of those that are in a tenant, with their bytes.
    #[must_use]
    pub fn unacknowledged_in(&self, tenant: &Tenant) -> (u64, usize) {
        let used = self.window.used_by(tenant);
        (used.count, used.bytes)
    }

    /// Returns the total number of publications accepted.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.last_number().0 - self.commands
    }

    /// Returns the number of the last publication or command.
    #[must_use]
    pub fn last_number(&self) -> Number {
        Number(self.window.next_number().0 - 1)
    }
}
