//! Counters, gauges and histograms with labels, which the supervisor adds up without knowledge of single
//! families.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Histogram;
use super::histogram::{DURATION_BOUNDS, RECIPIENT_BOUNDS};

/// How the figures of several processes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesKind {
    /// A sum that never falls: what ended processes counted is part of it.
    Counter,
    /// The sum over living processes.
    Sum,
    /// The greatest figure of a living process.
    Greatest,
}

/// Defines the families: variant, name without prefix, kind, labels, most rows, help.
macro_rules! families {
    ($($name:ident = $text:literal, $kind:ident, $labels:expr, $most:literal, $help:literal;)+) => {
        /// A family of counters or gauges.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub enum SeriesFamily { $(#[doc = $help] $name),+ }

        impl SeriesFamily {
            /// All families.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the name, without its prefix and without `_total`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Returns how the figures of several processes become one.
            #[must_use]
            pub const fn kind(self) -> SeriesKind {
                match self { $(Self::$name => SeriesKind::$kind),+ }
            }

            /// Returns the names of the labels, three at most.
            #[must_use]
            pub const fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$name => &$labels),+ }
            }

            /// Returns the help text.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help),+ }
            }

            /// Returns the greatest number of rows. Further ones are counted in the row without label values.
            const fn rows_max(self) -> usize {
                match self { $(Self::$name => $most),+ }
            }
        }
    };
}

families! {
    Clients = "clients", Sum, ["dialect"], 12, "Clients with an open WebSocket";
    ConnectionsOpened = "connections_opened", Counter, ["dialect"], 12, "Completed WebSocket handshakes";
    ConnectionsClosed = "connections_closed", Counter, ["code"], 20, "Closed sockets";
    HandshakesRefused = "handshakes_refused", Counter, ["status"], 24, "Refused handshakes";
    TlsHandshakes = "tls_handshakes", Counter, ["result"], 4, "TLS handshakes";
    MessagesReceived = "messages_received", Counter, ["dialect"], 12, "Messages from clients";
    MessageBytes = "message_bytes", Counter, ["direction"], 4,
        "Bytes of messages from clients, and of frames of publications for clients";
    Publications = "publications", Counter, ["source"], 8,
        "Publications of clients, of resources, of the push socket, and of backends by the HTTP API";
    PublicationsDenied = "publications_denied", Counter, ["reason"], 8, "Denied publications";
    Outboxes = "outboxes", Sum, [], 1, "Connections whose socket did not take everything";
    OutboxBytes = "outbox_bytes", Sum, [], 1, "Bytes in these outboxes";
    LinkBytes = "link_bytes", Counter, ["direction"], 4,
        "Bytes on the links between the broker and the other processes";
    IndexTagNames = "index_tag_names", Sum, [], 1, "Distinct names of tags";
    ExpressionsEvaluated = "expressions_evaluated", Counter, [], 1, "Evaluated expressions";
    ExpressionValuesScanned = "expression_values_scanned", Counter, [], 1,
        "Values that prefixes of expressions have scanned";
    TagChanges = "tag_changes", Counter, ["source"], 8, "Changes of the tags of one client";
    Records = "records", Sum, ["state"], 3, "Clients of tagcast.v1 that may resume";
    MailboxBytes = "mailbox_bytes", Sum, [], 1, "Memory of publications that are kept for clients";
    Resumes = "resumes", Counter, ["result"], 8, "Openings that showed a resume token";
    ClusterDirectoryEntries = "cluster_directory_entries", Sum, ["kind"], 4,
        "Names that clients of all hosts have; one that two hosts have counts twice";
    ClusterDirectoryRefused = "cluster_directory_refused", Counter, [], 1,
        "Names of clients that had no room in the directory of all hosts";
    JournalBytes = "journal_bytes", Sum, [], 1, "Memory of stored publications";
    JournalEntries = "journal_entries", Sum, [], 1, "Stored publications";
    Watches = "watches", Sum, [], 1, "Queries that clients watch";
    PresenceUpdates = "presence_updates", Counter, [], 1,
        "News for the watchers of a query, counted once for all of them";
    Recoveries = "recoveries", Counter, ["result"], 12,
        "Clients that came back, and whether they got what they had missed";
    RequestsRepeated = "requests_repeated", Counter, [], 1,
        "Requests that their clients sent again although they were accepted";
    Asks = "asks", Counter, ["outcome"], 10, "Questions to clients, by what became of them";
    AskAnswersDropped = "ask_answers_dropped", Counter, [], 1,
        "Answers of clients of tagcast.v1 to questions that were not open";
    AuthFailures = "auth_failures", Counter, ["operation", "reason"], 30, "Refused credentials";
    ApiRequests = "api_requests", Counter, ["route", "status"], 138, "Requests that the API answered";
    ApiRequestsInFlight = "api_requests_in_flight", Sum, [], 1, "Requests that the API is serving";
    ApiHandoversRejected = "api_handovers_rejected", Counter, [], 1,
        "Requests answered with 503, because the API process accepted no more connections";
    NoncesStored = "nonces_stored", Sum, [], 1, "Nonces of signed requests that are remembered";
    IdempotencyKeysStored = "idempotency_keys_stored", Sum, [], 1,
        "Ids of publications that are remembered";
    IdempotencyKeysRepeated = "idempotency_keys_repeated", Counter, [], 1,
        "Publications whose id was used before";
    IdempotencyKeysEvicted = "idempotency_keys_evicted", Counter, [], 1,
        "Ids of publications that were forgotten before their time";
    ResourceEvents = "resource_events", Counter, ["resource", "outcome"], 40, "Events of HTTP resources";
    ResourceCircuitOpen = "resource_circuit_open", Greatest, ["resource"], 11,
        "1 while the circuit breaker of an HTTP resource is open";
    CertificateExpiry = "certificate_expiry_timestamp_seconds", Greatest, [], 1,
        "End of the validity of the certificate, Unix seconds";
    TailEventsDropped = "tail_events_dropped", Counter, [], 1,
        "Publications that operators who watch them were not shown";
    TraceSpans = "trace_spans", Counter, ["outcome"], 3,
        "Spans that the receiver of traces has taken, and those that were dropped";
    ClusterClients = "cluster_clients", Sum, [], 1, "Clients of all live hosts of the cluster";
    ClusterUnconfirmedItems = "cluster_unconfirmed_items", Sum, [], 1,
        "Items for other hosts that the NATS server has not confirmed";
    ClusterItems = "cluster_items", Counter, ["direction", "lane", "kind"], 36,
        "Items of other hosts that were passed on, and items for other hosts";
    ClusterBatches = "cluster_batches", Counter, ["direction", "lane"], 6,
        "Messages with items, those that were sent again included";
    ClusterBytes = "cluster_bytes", Counter, ["direction", "lane"], 8,
        "Bytes of valid messages from and to NATS";
    ClusterGaps = "cluster_gaps", Counter, ["reason"], 7, "Gaps in what other hosts have sent";
    ClusterLostItems = "cluster_lost_items", Counter, ["reason", "kind"], 13,
        "Items of other hosts that are lost, as far as their number is known";
    ClusterInvalidMessages = "cluster_invalid_messages", Counter, ["reason"], 6,
        "Messages from NATS that are not of a host of this cluster";
    LogLinesLost = "log_lines_lost", Counter, [], 1, "Log lines that could not be written";
}

/// Defines the families of histograms: variant, name without prefix, bounds, unit, label, most rows, help.
macro_rules! histograms {
    ($($name:ident = $text:literal, $bounds:ident, $unit:literal, $label:expr, $most:literal, $help:literal;)+) => {
        /// A family of histograms.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
        )]
        pub enum HistogramFamily { $(#[doc = $help] $name),+ }

        impl HistogramFamily {
            /// All families.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the name, without its prefix.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// Returns the upper bounds of its buckets.
            #[must_use]
            pub const fn bounds(self) -> &'static [u64] {
                match self { $(Self::$name => &$bounds),+ }
            }

            /// Returns how many of the units of its values are one unit of the metric.
            #[must_use]
            pub const fn unit(self) -> f64 {
                match self { $(Self::$name => $unit),+ }
            }

            /// Returns the name of the label, if it has one.
            #[must_use]
            pub const fn label(self) -> Option<&'static str> {
                match self { $(Self::$name => $label),+ }
            }

            /// Returns the help text.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help),+ }
            }

            const fn rows_max(self) -> usize {
                match self { $(Self::$name => $most),+ }
            }
        }
    };
}

histograms! {
    PublicationRecipients = "publication_recipients", RECIPIENT_BOUNDS, 1.0, None, 1,
        "Recipients of a publication";
    DeliveryLag = "delivery_lag_seconds", DURATION_BOUNDS, 1e6, None, 1,
        "Time from the acceptance of a publication to its first write to a socket; one of 64";
    EventLoopTurn = "event_loop_turn_duration_seconds", DURATION_BOUNDS, 1e6, Some("role"), 3,
        "Time that a turn of an event loop took";
    ExpressionEvaluation = "expression_evaluation_duration_seconds", DURATION_BOUNDS, 1e6, None, 1,
        "Time that the evaluation of an expression took";
    ApiRequest = "api_request_duration_seconds", DURATION_BOUNDS, 1e6, Some("route"), 30,
        "Time from the head of a request of the API to its answer";
    ClusterConfirmation = "cluster_confirmation_duration_seconds", DURATION_BOUNDS, 1e6, None, 1,
        "Time from a message to the NATS server until its echo came back";
    ClusterLag = "cluster_lag_seconds", DURATION_BOUNDS, 1e6, None, 1,
        "Half of the round trip of a heartbeat to another host";
    ResourceEvent = "resource_event_duration_seconds", DURATION_BOUNDS, 1e6, Some("resource"), 11,
        "Time from an event of an HTTP resource to the answer of its backend";
}

/// Values of the labels of a row. Those that a family does not have are empty.
pub type LabelValues = [Cow<'static, str>; 3];

/// Rows of all families, of one process or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SerializedSeries", into = "SerializedSeries")]
pub struct LabelledSeries {
    rows: BTreeMap<SeriesFamily, BTreeMap<LabelValues, u64>>,
    histograms: BTreeMap<HistogramFamily, BTreeMap<Cow<'static, str>, Histogram>>,
}

/// The form of [`LabelledSeries`] in JSON, whose keys can only be texts.
#[derive(Serialize, Deserialize)]
struct SerializedSeries {
    rows: Vec<(SeriesFamily, LabelValues, u64)>,
    histograms: Vec<(HistogramFamily, Cow<'static, str>, Histogram)>,
}

impl From<LabelledSeries> for SerializedSeries {
    fn from(series: LabelledSeries) -> Self {
        let rows = series.rows.into_iter().flat_map(|(family, rows)| {
            rows.into_iter().map(move |(labels, value)| (family, labels, value))
        });
        let histograms = series.histograms.into_iter().flat_map(|(family, rows)| {
            rows.into_iter().map(move |(label, histogram)| (family, label, histogram))
        });
        Self { rows: rows.collect(), histograms: histograms.collect() }
    }
}

impl From<SerializedSeries> for LabelledSeries {
    fn from(serialized: SerializedSeries) -> Self {
        let mut series = Self::default();
        for (family, labels, value) in serialized.rows {
            series.insert(family, labels, value);
        }
        for (family, label, histogram) in serialized.histograms {
            series.record(family, label, &histogram);
        }
        series
    }
}

impl LabelledSeries {
    /// Adds a figure without labels.
    pub fn plain(&mut self, family: SeriesFamily, value: u64) {
        self.insert(family, LabelValues::default(), value);
    }

    /// Adds a figure with one label.
    pub fn one(&mut self, family: SeriesFamily, label: impl Into<Cow<'static, str>>, value: u64) {
        self.insert(family, [label.into(), Cow::default(), Cow::default()], value);
    }

    /// Adds a figure with two labels.
    pub fn two(
        &mut self,
        family: SeriesFamily,
        first: impl Into<Cow<'static, str>>,
        second: impl Into<Cow<'static, str>>,
        value: u64,
    ) {
        self.insert(family, [first.into(), second.into(), Cow::default()], value);
    }

    /// Adds a figure with three labels.
    pub fn three(&mut self, family: SeriesFamily, labels: [&'static str; 3], value: u64) {
        self.insert(family, labels.map(Cow::Borrowed), value);
    }

    /// Adds the values of a histogram. `label` is empty in families without a label.
    pub fn record(
        &mut self,
        family: HistogramFamily,
        label: impl Into<Cow<'static, str>>,
        histogram: &Histogram,
    ) {
        let (label, rows) = (label.into(), self.histograms.entry(family).or_default());
        let is_full = rows.len() + 1 >= family.rows_max().max(2) && !rows.contains_key(&label);
        let label = if is_full { Cow::Borrowed("") } else { label };
        rows.entry(label).or_default().add(histogram);
    }

    fn insert(&mut self, family: SeriesFamily, labels: LabelValues, value: u64) {
        let rows = self.rows.entry(family).or_default();
        let is_full = rows.len() + 1 >= family.rows_max().max(2) && !rows.contains_key(&labels);
        let labels = if is_full { Default::default() } else { labels };
        let row = rows.entry(labels).or_default();
        match family.kind() {
            SeriesKind::Counter | SeriesKind::Sum => *row += value,
            SeriesKind::Greatest => *row = value.max(*row),
        }
    }

    /// Adds all figures of another process.
    pub fn add(&mut self, other: &Self) {
        for (family, rows) in &other.rows {
            for (labels, value) in rows {
                self.insert(*family, labels.clone(), *value);
            }
        }
        for (family, rows) in &other.histograms {
            for (label, histogram) in rows {
                self.record(*family, label.clone(), histogram);
            }
        }
    }

    /// Adds the figures of a process that has ended: its gauges count no more.
    pub fn add_ended(&mut self, mut other: Self) {
        other.rows.retain(|family, _| family.kind() == SeriesKind::Counter);
        self.add(&other);
    }

    /// Returns the rows of a family with the values of its labels.
    pub fn rows(&self, family: SeriesFamily) -> impl Iterator<Item = (&LabelValues, u64)> {
        self.rows.get(&family).into_iter().flatten().map(|(labels, value)| (labels, *value))
    }

    /// Returns the histograms of a family with the value of its label.
    pub fn histograms(&self, family: HistogramFamily) -> impl Iterator<Item = (&str, &Histogram)> {
        self.histograms.get(&family).into_iter().flatten().map(|(label, it)| (&**label, it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn value(series: &LabelledSeries, family: SeriesFamily, first: &str) -> Option<u64> {
        series.rows(family).find(|(labels, _)| labels[0] == first).map(|(_, value)| value)
    }

    /// Returns how many rows the page of metrics names for a family, if it names all values of its labels.
    fn rows_on_the_page(family: SeriesFamily) -> Option<usize> {
        let page = include_str!("../../docs/metrics.md");
        let name = family.name();
        let is_its = |line: &&str| {
            let rest = line.strip_prefix("| `tagcast_").and_then(|line| line.strip_prefix(name));
            rest.is_some_and(|rest| rest.starts_with("` |") || rest.starts_with("_total` |"))
        };
        let mut lines = page.lines().filter(is_its);
        let labels = lines.next()?.split(" | ").nth(2)?;
        assert!(lines.next().is_none(), "{name} is on the page twice");
        let values = |label: &str| Some(label.split_once('=')?.1.matches('`').count() / 2);
        labels.split(';').map(values).product()
    }

    #[test]
    fn every_family_has_room_for_all_values_that_its_page_names() {
        let mut families = 0;
        for family in SeriesFamily::ALL {
            if let Some(rows) = rows_on_the_page(*family).filter(|_| !family.labels().is_empty()) {
                assert!(
                    rows < family.rows_max(),
                    "{}: {rows} rows and the empty one",
                    family.name()
                );
                families += 1;
            }
        }
        assert!(families > 10, "{families} families");
    }

    #[test]
    fn counters_outlive_a_process_and_gauges_do_not() {
        let mut one = LabelledSeries::default();
        one.one(SeriesFamily::Clients, "phpws", 3);
        one.one(SeriesFamily::ConnectionsClosed, "1000", 2);
        one.one(SeriesFamily::ResourceCircuitOpen, "/a", 1);
        one.plain(SeriesFamily::Outboxes, 4);
        let mut turns = Histogram::default();
        turns.record_time(Duration::from_millis(1));
        one.record(HistogramFamily::EventLoopTurn, "worker", &turns);
        let mut living = one.clone();
        living.add(&one);
        assert_eq!(value(&living, SeriesFamily::Clients, "phpws"), Some(6));
        assert_eq!(value(&living, SeriesFamily::ResourceCircuitOpen, "/a"), Some(1));
        let mut ended = LabelledSeries::default();
        ended.add_ended(one.clone());
        ended.add_ended(one);
        assert_eq!(value(&ended, SeriesFamily::ConnectionsClosed, "1000"), Some(4));
        assert_eq!(value(&ended, SeriesFamily::Clients, "phpws"), None);
        assert_eq!(value(&ended, SeriesFamily::Outboxes, ""), None);
        let [(role, turns)] =
            ended.histograms(HistogramFamily::EventLoopTurn).collect::<Vec<_>>()[..]
        else {
            panic!("one role");
        };
        assert_eq!((role, turns.count()), ("worker", 2));
        let json = serde_json::to_string(&ended).unwrap();
        assert_eq!(serde_json::from_str::<LabelledSeries>(&json).unwrap(), ended);
    }

    #[test]
    fn a_family_has_a_greatest_number_of_rows() {
        let mut series = LabelledSeries::default();
        for number in 0..1000 {
            let family = SeriesFamily::ApiRequests;
            series.two(family, "/v1/info", number.to_string(), 1);
            let histogram = HistogramFamily::ApiRequest;
            series.record(histogram, number.to_string(), &Histogram::default());
        }
        let rows: Vec<u64> =
            series.rows(SeriesFamily::ApiRequests).map(|(_, value)| value).collect();
        assert_eq!((rows.len(), rows.iter().sum::<u64>()), (138, 1000));
        assert_eq!(series.histograms(HistogramFamily::ApiRequest).count(), 30);
    }
}
