//! Counters of a worker, for the supervisor.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use super::clock::Moment;
use super::connection::Connection;
use super::connection::table::ConnectionTable;
use super::context::Context;
use super::throttle::{AllWaits, WaitTotals};
use crate::protocol::Protocol;
use crate::protocol::v1::ANSWERED;
use crate::types::limits::TOP_ROWS;
use crate::types::{
    ClientUuid, CloseCode, CountDetail, CountReport, Histogram, HistogramFamily, LabelledSeries,
    Number, OutboxFigures, ProcessCounts, RecoveryReason, SeriesFamily, Slot, WorkerCounts,
};

/// Most timed publications that are under way. An older one has reached no client of this worker.
const LAGS_MAX: usize = 16;

/// Counters that have labels. Those of a message are plain integers; the others are counted on paths
/// that are rare and cost more.
#[derive(Debug, Default)]
pub(super) struct LabelledStats {
    protocols: [ProtocolStats; Protocol::COUNT],
    bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Codes of WebSockets that have ended and whose sockets are still open.
    ending: HashMap<Slot, CloseCode>,
    /// Closed WebSockets, by the label of their code.
    closed: BTreeMap<&'static str, u64>,
    closed_others: u64,
    refused: BTreeMap<Box<str>, u64>,
    tls_completed: u64,
    tls_failed: u64,
    auth_failures: BTreeMap<[&'static str; 2], u64>,
    denied: BTreeMap<&'static str, u64>,
    handovers_rejected: u64,
    tag_changes: BTreeMap<&'static str, u64>,
    requests_repeated: u64,
    asks: BTreeMap<&'static str, u64>,
    answers_dropped: u64,
    resumes_refused: BTreeMap<&'static str, u64>,
    recoveries: BTreeMap<&'static str, u64>,
    /// Publications of resources themselves.
    by_resource: u64,
    by_push_socket: u64,
    turns: Histogram,
    lags: Histogram,
    /// Timed publications of this worker, with the time of their acceptance.
    timed: VecDeque<(Number, Moment)>,
    events: BTreeMap<(Box<str>, &'static str), u64>,
    event_times: BTreeMap<Box<str>, Histogram>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ProtocolStats {
    clients: u64,
    opened: u64,
    messages: u64,
}

impl LabelledStats {
    fn protocol(&mut self, protocol: Protocol) -> &mut ProtocolStats {
        #[expect(clippy::indexing_slicing, reason = "a protocol's place is below COUNT")]
        &mut self.protocols[protocol.place()]
    }

    /// Counts a client whose WebSocket is open.
    pub(super) fn note_opened(&mut self, protocol: Protocol) {
        let stats = self.protocol(protocol);
        stats.clients += 1;
        stats.opened += 1;
    }

    /// Counts a client whose WebSocket ends with this code. Its socket may be closed later.
    pub(super) fn note_ended(&mut self, protocol: Protocol, slot: Slot, code: CloseCode) {
        self.ending.insert(slot, code);
        let stats = self.protocol(protocol);
        stats.clients = stats.clients.saturating_sub(1);
    }

    /// Counts a message of a client.
    pub(super) fn note_message(&mut self, protocol: Protocol, bytes: usize) {
        self.protocol(protocol).messages += 1;
        self.bytes_in += bytes as u64;
    }

    /// Counts a closed socket, by the code of its WebSocket, if it was one.
    pub(super) fn note_closed(&mut self, slot: Slot) {
        match self.ending.remove(&slot) {
            Some(code) => *self.closed.entry(code_label(code)).or_default() += 1,
            None => self.closed_others += 1,
        }
    }

    /// Counts a refused handshake. `status` is the status line of the answer, or `Close` and a code.
    pub(super) fn note_refused(&mut self, status: &str) {
        let word = status.strip_prefix("Close ").unwrap_or(status);
        let word = word.split(' ').next().unwrap_or_default();
        let is_number = word.len() <= 4 && word.bytes().all(|byte| byte.is_ascii_digit());
        let label = if is_number { word } else { "tls" };
        *self.refused.entry(label.into()).or_default() += 1;
    }

    /// Counts a TLS handshake that is complete.
    pub(super) fn note_tls_completed(&mut self) {
        self.tls_completed += 1;
    }

    /// Counts a TLS handshake that failed.
    pub(super) fn note_tls_failed(&mut self) {
        self.tls_failed += 1;
    }

    /// Counts credentials that were refused.
    pub(super) fn note_auth_failure(&mut self, operation: &'static str, reason: &'static str) {
        *self.auth_failures.entry([operation, reason]).or_default() += 1;
    }

    /// Counts a denied publication.
    pub(super) fn note_denied(&mut self, reason: &'static str) {
        *self.denied.entry(reason).or_default() += 1;
    }

    /// Counts a request of the API that was answered with 503 here.
    pub(super) fn note_handover_rejected(&mut self) {
        self.handovers_rejected += 1;
    }

    /// Counts a change of tags.
    pub(super) fn note_tag_change(&mut self, source: &'static str) {
        *self.tag_changes.entry(source).or_default() += 1;
    }

    /// Counts a resume token that was not accepted.
    /// Counts a question that a client has asked, by its outcome.
    pub(super) fn note_ask(&mut self, outcome: &'static str) {
        *self.asks.entry(outcome).or_default() += 1;
    }

    /// Counts an answer to a question that is not open.
    pub(super) fn note_answer_dropped(&mut self) {
        self.answers_dropped += 1;
    }

    pub(super) fn note_resume_refused(&mut self, result: &'static str) {
        *self.resumes_refused.entry(result).or_default() += 1;
    }

    /// Counts a request that its client has sent again although it was accepted.
    pub(super) fn note_request_repeated(&mut self) {
        self.requests_repeated += 1;
    }

    /// Counts a client that does not get what it may have missed.
    pub(super) fn note_recovery(&mut self, reason: RecoveryReason) {
        *self.recoveries.entry(reason.word()).or_default() += 1;
    }

    /// Counts a publication of a resource itself.
    pub(super) fn note_resource_publication(&mut self) {
        self.by_resource += 1;
    }

    /// Returns the number of publications of resources themselves.
    pub(super) fn resource_publications(&self) -> u64 {
        self.by_resource
    }

    /// Counts the publications of resources since `before` as those of the push socket.
    pub(super) fn note_pushed_since(&mut self, before: u64) {
        let pushed = self.by_resource.saturating_sub(before);
        self.by_resource -= pushed;
        self.by_push_socket += pushed;
    }

    /// Counts a turn of the event loop.
    pub(super) fn note_turn(&mut self, took: Duration) {
        self.turns.record_time(took);
    }

    /// Begins to time one of many publications of this worker.
    pub(super) fn time_publication(&mut self, number: Number, accepted: Moment) {
        if !number.is_timed() {
            return;
        }
        if self.timed.len() >= LAGS_MAX {
            self.timed.pop_front();
        }
        self.timed.push_back((number, accepted));
    }

    /// Records the first write of a timed publication.
    pub(super) fn note_first_write(&mut self, number: Number, now: Moment) {
        if let Some(at) = self.timed.iter().position(|(timed, _)| *timed == number)
            && let Some((_, accepted)) = self.timed.remove(at)
        {
            self.lags.record_time(now.until_then(accepted));
        }
    }

    /// Counts an event of an HTTP resource, and the time until its answer.
    pub(super) fn note_event(&mut self, resource: &str, outcome: &'static str, took: Duration) {
        *self.events.entry((resource.into(), outcome)).or_default() += 1;
        match self.event_times.get_mut(resource) {
            Some(times) => times.record_time(took),
            None => self.event_times.entry(resource.into()).or_default().record_time(took),
        }
    }

    fn series(&self, published: u64) -> LabelledSeries {
        let mut series = LabelledSeries::default();
        for (protocol, stats) in Protocol::ALL.into_iter().zip(&self.protocols) {
            let ProtocolStats { clients, opened, messages } = *stats;
            series.one(SeriesFamily::Clients, protocol.name(), clients);
            series.one(SeriesFamily::ConnectionsOpened, protocol.name(), opened);
            series.one(SeriesFamily::MessagesReceived, protocol.name(), messages);
        }
        series.one(SeriesFamily::MessageBytes, "in", self.bytes_in);
        series.one(SeriesFamily::MessageBytes, "out", self.bytes_out);
        series.one(SeriesFamily::ConnectionsClosed, "", self.closed_others);
        for (code, count) in &self.closed {
            series.one(SeriesFamily::ConnectionsClosed, *code, *count);
        }
        for (status, count) in &self.refused {
            series.one(SeriesFamily::HandshakesRefused, status.to_string(), *count);
        }
        series.one(SeriesFamily::TlsHandshakes, "completed", self.tls_completed);
        series.one(SeriesFamily::TlsHandshakes, "failed", self.tls_failed);
        for ([operation, reason], count) in &self.auth_failures {
            series.two(SeriesFamily::AuthFailures, *operation, *reason, *count);
        }
        for (reason, count) in &self.denied {
            series.one(SeriesFamily::PublicationsDenied, *reason, *count);
        }
        for (source, count) in &self.tag_changes {
            series.one(SeriesFamily::TagChanges, *source, *count);
        }
        for (result, count) in &self.resumes_refused {
            series.one(SeriesFamily::Resumes, *result, *count);
        }
        for (reason, count) in &self.recoveries {
            series.one(SeriesFamily::Recoveries, *reason, *count);
        }
        series.plain(SeriesFamily::RequestsRepeated, self.requests_repeated);
        series.one(SeriesFamily::Asks, ANSWERED, 0);
        for (outcome, count) in &self.asks {
            series.one(SeriesFamily::Asks, *outcome, *count);
        }
        series.plain(SeriesFamily::AskAnswersDropped, self.answers_dropped);
        series.plain(SeriesFamily::ApiHandoversRejected, self.handovers_rejected);
        let by_clients = published.saturating_sub(self.by_resource + self.by_push_socket);
        series.one(SeriesFamily::Publications, "websocket", by_clients);
        series.one(SeriesFamily::Publications, "resource", self.by_resource);
        series.one(SeriesFamily::Publications, "push_socket", self.by_push_socket);
        for ((resource, outcome), count) in &self.events {
            series.two(SeriesFamily::ResourceEvents, resource.to_string(), *outcome, *count);
        }
        series.record(HistogramFamily::EventLoopTurn, "worker", &self.turns);
        series.record(HistogramFamily::DeliveryLag, "", &self.lags);
        for (resource, times) in &self.event_times {
            series.record(HistogramFamily::ResourceEvent, resource.to_string(), times);
        }
        series
    }
}

/// The label of a close code: the classes of free codes are one label each.
fn code_label(code: CloseCode) -> &'static str {
    const CODES: [&str; 14] = [
        "1000", "1001", "1002", "1003", "1004", "1005", "lost", "1007", "1008", "1009", "1010",
        "1011", "1012", "1013",
    ];
    match code.0 {
        3000..4000 => "3xxx",
        4000..5000 => "4xxx",
        code => CODES.get(usize::from(code.wrapping_sub(1000))).copied().unwrap_or("other"),
    }
}

/// Returns the current counters. The sums over all connections are kept incrementally, because a worker
/// can have a million connections. Builds with assertions compare them with the connections.
pub(super) fn counts(
    context: &Context,
    connections: &ConnectionTable,
    detail: CountDetail,
) -> CountReport {
    let sum = |of: fn(&Connection) -> u64| connections.connections().map(of).sum::<u64>();
    debug_assert_eq!(
        context.memory.held(),
        sum(|it| it.held() as u64),
        "what connections hold was noted"
    );
    debug_assert_eq!(
        context.memory.waiting(),
        sum(Connection::waiting),
        "what waits for connections was noted"
    );
    let AllWaits { limits, tenants } = context.throttle.waits();
    let millis = |it: WaitTotals| u64::try_from(it.waited.as_millis()).unwrap_or(u64::MAX);
    let published = context.broker.uplink.published();
    let counts = WorkerCounts {
        throttled: limits.waits,
        throttled_ms: millis(limits),
        fair_share_throttled: tenants.waits,
        fair_share_throttled_ms: millis(tenants),
        held: context.memory.held(),
        open: connections.count() as u64,
        published,
        unacknowledged: context.broker.uplink.unacknowledged(),
        waiting: context.memory.waiting(),
        ..context.stats
    };
    let mut series = context.labelled.series(published);
    let outboxes = context.memory.outboxes();
    series.plain(SeriesFamily::Outboxes, outboxes.count);
    series.plain(SeriesFamily::OutboxBytes, outboxes.bytes);
    let link = context.broker.link_bytes();
    series.one(SeriesFamily::LinkBytes, "in", link.read);
    series.one(SeriesFamily::LinkBytes, "out", link.written);
    for (resource, is_open) in context.webhooks.circuits() {
        series.one(SeriesFamily::ResourceCircuitOpen, resource.to_owned(), is_open.into());
    }
    series.plain(SeriesFamily::LogLinesLost, crate::telemetry::lines_lost());
    let mut report = CountReport::of_process(ProcessCounts::Worker(counts), series);
    if detail.has_applications() {
        report.applications = context.applications.table();
    }
    if detail >= CountDetail::Outboxes {
        report.outboxes = largest_outboxes(connections, context.clock.now());
    }
    report
}

/// Returns the largest outboxes. It visits every connection, so it is asked for at most once a second.
fn largest_outboxes(connections: &ConnectionTable, now: Moment) -> Vec<OutboxFigures> {
    let mut largest: BinaryHeap<Reverse<(usize, Slot)>> = BinaryHeap::new();
    for connection in connections.connections() {
        let Some(bytes) = connection.outbox.as_ref().map(|outbox| outbox.bytes()) else { continue };
        if bytes > 0 {
            largest.push(Reverse((bytes, connection.slot)));
        }
        if largest.len() > TOP_ROWS {
            largest.pop();
        }
    }
    let figures = |Reverse((bytes, slot)): Reverse<(usize, Slot)>| {
        let connection = connections.get(slot)?;
        let since = connection.outbox.as_ref()?.moved_at();
        let age = u64::try_from(now.until_then(since).as_millis()).unwrap_or(u64::MAX);
        let client = connection.uuid().map_or_else(|| "-".to_owned(), ClientUuid::short);
        Some(OutboxFigures { client, bytes: bytes as u64, age_ms: age })
    };
    largest.into_sorted_vec().into_iter().filter_map(figures).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_have_few_labels() {
        let labels =
            [1000, 1006, 1013, 1014, 3000, 4999, 999, 5000].map(|code| code_label(CloseCode(code)));
        assert_eq!(labels, ["1000", "lost", "1013", "other", "3xxx", "4xxx", "other", "other"]);
    }

    #[test]
    fn refusals_are_counted_by_status() {
        let mut stats = LabelledStats::default();
        for status in ["401 Unauthorized", "Close 1008", "401 Unauthorized", "protocol_version"] {
            stats.note_refused(status);
        }
        let counted: Vec<_> = stats.refused.iter().map(|(it, count)| (&**it, *count)).collect();
        assert_eq!(counted, [("1008", 1), ("401", 2), ("tls", 1)]);
    }

    #[test]
    fn one_of_many_publications_is_timed_and_few_at_once() {
        let mut stats = LabelledStats::default();
        for number in 0..=64 * (LAGS_MAX as u64 + 1) {
            stats.time_publication(Number(number), Moment::START);
        }
        assert_eq!(stats.timed.len(), LAGS_MAX);
        let now = Moment::START.after(Duration::from_micros(70));
        stats.note_first_write(Number(0), now);
        assert_eq!(stats.lags.count(), 0, "it was forgotten for a later one");
        stats.note_first_write(Number(128), now);
        stats.note_first_write(Number(128), now);
        assert_eq!((stats.lags.count(), stats.lags.sum()), (1, 70));
    }
}
