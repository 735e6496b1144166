//! The figures in the text format of OpenMetrics 1.0. `docs/metrics.md` lists them.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode as encode_registry;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::applications::ApplicationMetrics;
use super::{hosts, labelled};
use crate::types::{
    ApiCounts, BrokerCounts, CountDetail, ExitCount, MetricsSnapshot, Pressure, ProcessCounts,
    ProcessFigures, WorkerCounts,
};

/// Prefix of all names.
const PREFIX: &str = "tagcast";
/// The states of a server, as the label `state` has them.
const STATES: [&str; 4] = ["starting", "serving", "restarting", "draining"];

/// Returns the text.
pub(super) fn encode(
    snapshot: Arc<MetricsSnapshot>,
    page: CountDetail,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(match page.has_applications() {
        false => Box::new(ServerMetrics(snapshot)),
        true => Box::new(ApplicationMetrics(snapshot.applications.clone().unwrap_or_default())),
    });
    let mut text = String::new();
    encode_registry(&mut text, &registry)?;
    Ok(text)
}

/// The figures of one moment.
#[derive(Debug)]
struct ServerMetrics(Arc<MetricsSnapshot>);

/// A figure without labels.
pub(super) struct Series<T> {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) of: fn(&T) -> u64,
}

pub(super) const fn series<T>(
    name: &'static str,
    help: &'static str,
    of: fn(&T) -> u64,
) -> Series<T> {
    Series { name, help, of }
}

/// Values of a family: those of its labels, and the figure.
type LabelledValues<const N: usize> = Vec<([(&'static str, String); N], f64)>;

/// Counters of all workers, living and ended.
const WORKER_COUNTERS: [Series<WorkerCounts>; 7] = [
    series("connections_accepted", "Accepted sockets", |it| it.accepted),
    series("connections_handed_over", "Sockets handed over to the API process", |it| {
        it.handed_over
    }),
    series("slow_clients_closed", "Clients closed because they did not read", |it| it.slow),
    series("clients_shed", "Clients closed because memory was scarce", |it| it.shed),
    series("ping_timeouts", "Clients closed because they sent nothing for too long", |it| {
        it.silent
    }),
    series("resource_events_failed", "Webhook events without a valid response", |it| {
        it.events_failed
    }),
    series("deliveries_matched", "Deliveries that the broker ordered, one per client", |it| {
        it.matched
    }),
];

/// Gauges of all living workers.
const WORKER_GAUGES: [Series<WorkerCounts>; 2] = [
    series("deliveries_waiting", "Deliveries that wait in an outbox", |it| it.waiting),
    series(
        "connection_memory_bytes",
        "Bytes that connections hold: unfinished messages, outboxes, queues",
        |it| it.held,
    ),
];

const BROKER_GAUGES: [Series<BrokerCounts>; 3] = [
    series("index_clients", "Clients in the index of the broker", |it| it.clients),
    series("index_tag_values", "Distinct tags of all clients", |it| it.rows),
    series("broker_workers", "Workers and API processes that are linked to the broker", |it| {
        it.workers
    }),
];

const API_COUNTERS: [Series<ApiCounts>; 2] = [
    series(
        "api_connections_accepted",
        "Connections of the API that were accepted or handed over",
        |it| it.accepted,
    ),
    series("api_requests_refused", "Requests that the API answered with 400 and above", |it| {
        it.refused
    }),
];

impl Collector for ServerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.server(encoder)?;
        self.memory(encoder)?;
        self.processes(encoder)?;
        self.workers(encoder)?;
        self.broker(encoder)?;
        self.api(encoder)?;
        hosts::encode(&self.0, encoder)?;
        labelled::encode(&self.0, encoder)
    }
}

impl ServerMetrics {
    fn server(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Self(it) = self;
        let version = vec![([("version", it.version.clone())], 1.0)];
        family(encoder, Gauge("build_info", "Version of the program"), version)?;
        gauge(encoder, "start_time_seconds", "Start of the server, Unix seconds", it.started_at)?;
        let help = "Number of the active configuration, counted from 1 at the start";
        gauge(encoder, "config_generation", help, u64::from(it.configuration))?;
        let is_applied = it.last_reload.is_none_or(|last| last.is_applied);
        let help = "0 if the last reload failed, otherwise 1";
        gauge(encoder, "config_last_reload_successful", help, u64::from(is_applied))?;
        let applied_at = it.last_reload.and_then(|last| last.applied_at).unwrap_or(it.started_at);
        let help = "Time at which the active configuration was applied, Unix seconds";
        gauge(encoder, "config_last_reload_success_timestamp_seconds", help, applied_at)?;
        let states = STATES
            .map(|state| ([("state", state.to_owned())], f64::from(u8::from(state == it.state))));
        family(encoder, Gauge("server_state", "1 for the state of the server"), states.into())
    }

    /// Nothing without a limit.
    fn memory(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(memory) = self.0.memory else { return Ok(()) };
        gauge(encoder, "memory_used_bytes", "Memory of all processes", memory.used)?;
        gauge(encoder, "memory_limit_bytes", "Limit of that memory", memory.limit)?;
        let level = match memory.pressure {
            Pressure::None => 0,
            Pressure::Full => 1,
            Pressure::Shedding => 2,
            Pressure::Busy => 3,
        };
        let help = "0: sufficient, 1: no connection is accepted, 2: clients are closed, 3: publications are denied";
        gauge(encoder, "memory_pressure_level", help, level)
    }

    fn processes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Self(it) = self;
        let of = |figure: fn(&ProcessFigures) -> Option<f64>| {
            let row = |one| Some((process_labels(one), figure(one)?));
            it.processes.iter().filter_map(row).collect::<LabelledValues<2>>()
        };
        let resident = of(|one| one.resident_bytes.map(float));
        family(encoder, Gauge("process_resident_memory_bytes", "Resident memory"), resident)?;
        let descriptors = of(|one| one.descriptors.map(float));
        family(encoder, Gauge("process_open_fds", "Open file descriptors"), descriptors)?;
        let most = of(|one| one.descriptors_max.map(float));
        family(encoder, Gauge("process_max_fds", "Maximum of open file descriptors"), most)?;
        let cpu = of(|one| Some(float(one.cpu_ms?) / 1000.0));
        let help = "Processor time of all processes that had this role and number";
        family(encoder, Counter("process_cpu_seconds", help), cpu)?;
        let stale = of(|one| Some(f64::from(u8::from(one.is_stale))));
        let help = "1 if the process did not answer, so its figures are older";
        family(encoder, Gauge("scrape_stale", help), stale)?;
        let exit = |one: &ExitCount| {
            let labels =
                [("role", one.role.word().to_owned()), ("reason", one.cause.word().to_owned())];
            (labels, float(one.count))
        };
        let exits = it.exits.iter().map(exit).collect();
        family(encoder, Counter("process_exits", "Unplanned ends of processes"), exits)
    }

    fn workers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let living = || self.0.processes.iter().filter_map(|one| Some((one, worker(one)?)));
        let mut sum = self.0.ended.worker;
        living().for_each(|(_, counts)| sum.add_counters(&counts));
        for Series { name, help, of } in WORKER_COUNTERS {
            counter(encoder, name, help, of(&sum))?;
        }
        let mut open = WorkerCounts::default();
        for (_, counts) in living() {
            open.waiting += counts.waiting;
            open.held += counts.held;
        }
        for Series { name, help, of } in WORKER_GAUGES {
            gauge(encoder, name, help, of(&open))?;
        }
        let connections = living().map(|(one, counts)| ([worker_label(one)], float(counts.open)));
        family(encoder, Gauge("connections", "Open sockets"), connections.collect())?;
        let reason = |name: &str| [("reason", name.to_owned())];
        let help = "Times that a publisher had to wait";
        let waits = vec![
            (reason("rate_limit"), float(sum.throttled)),
            (reason("fair_share"), float(sum.fair_share_throttled)),
        ];
        family(encoder, Counter("throttles", help), waits)?;
        let waited = vec![
            (reason("rate_limit"), float(sum.throttled_ms) / 1000.0),
            (reason("fair_share"), float(sum.fair_share_throttled_ms) / 1000.0),
        ];
        let help = "Time that publishers had to wait, all together";
        family(encoder, Counter("throttled_seconds", help), waited)?;
        let outcome = |name: &str| [("outcome", name.to_owned())];
        let deliveries = vec![
            (outcome("delivered"), float(sum.delivered)),
            (outcome("missed"), float(sum.missed)),
        ];
        let help = "Deliveries that the kernel took, and those to clients that were closed before";
        family(encoder, Counter("deliveries", help), deliveries)
    }

    fn broker(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut resolved = self.0.ended.broker.publications;
        for one in &self.0.processes {
            let Some(ProcessCounts::Broker(counts)) = &one.counts else { continue };
            resolved += counts.publications;
            for Series { name, help, of } in BROKER_GAUGES {
                gauge(encoder, name, help, of(counts))?;
            }
        }
        counter(encoder, "publications_resolved", "Publications that the broker resolved", resolved)
    }

    fn api(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut sum = self.0.ended.api;
        let mut open = 0;
        let mut unacknowledged = Vec::new();
        for one in &self.0.processes {
            match &one.counts {
                Some(ProcessCounts::Api(counts)) => {
                    sum.add_counters(counts);
                    open += counts.open;
                    unacknowledged.push((process_labels(one), float(counts.unacknowledged)));
                }
                Some(ProcessCounts::Worker(counts)) => {
                    unacknowledged.push((process_labels(one), float(counts.unacknowledged)));
                }
                _ => {}
            }
        }
        for Series { name, help, of } in API_COUNTERS {
            counter(encoder, name, help, of(&sum))?;
        }
        let limited = sum.rate_limited;
        let limit = |name: &str, count| ([("limit", name.to_owned())], float(count));
        let limited = vec![
            limit("requests", limited.requests),
            limit("requests_per_ip", limited.requests_per_ip),
            limit("publications", limited.publications),
            limit("bytes", limited.bytes),
            limit("fair_share", limited.fair_share),
        ];
        let help = "Requests and publications that the API answered with 429 because of a limit";
        family(encoder, Counter("rate_limited", help), limited)?;
        gauge(encoder, "api_connections", "Open connections of the API", open)?;
        let help = "Publications that the broker has not acknowledged";
        family(encoder, Gauge("unacknowledged_publications", help), unacknowledged)
    }
}

/// Type, name and help of a family.
#[derive(Clone, Copy)]
pub(super) enum FamilyHead {
    Counter(&'static str, &'static str),
    Gauge(&'static str, &'static str),
}
use FamilyHead::{Counter, Gauge};

pub(super) fn family<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    head: FamilyHead,
    values: LabelledValues<N>,
) -> fmt::Result {
    let (name, help, kind) = match head {
        Counter(name, help) => (name, help, MetricType::Counter),
        Gauge(name, help) => (name, help, MetricType::Gauge),
    };
    if values.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in values {
        let metric = metric.encode_family(&labels)?;
        match head {
            Counter(..) => ConstCounter::new(value).encode(metric)?,
            Gauge(..) => ConstGauge::new(value).encode(metric)?,
        }
    }
    Ok(())
}

pub(super) fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &'static str,
    value: u64,
) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value.cast_signed()).encode(metric)
}

pub(super) fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &'static str,
    value: u64,
) -> fmt::Result {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(metric)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of OpenMetrics with labels are doubles")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

fn worker(one: &ProcessFigures) -> Option<WorkerCounts> {
    match one.counts {
        Some(ProcessCounts::Worker(counts)) => Some(counts),
        _ => None,
    }
}

/// The label `worker` is empty for other roles.
fn worker_label(one: &ProcessFigures) -> (&'static str, String) {
    ("worker", one.worker.map(|worker| worker.to_string()).unwrap_or_default())
}

fn process_labels(one: &ProcessFigures) -> [(&'static str, String); 2] {
    [("role", one.role.word().to_owned()), worker_label(one)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{
        EndedCounts, ExitCause, Histogram, HistogramFamily, LabelledSeries, MemoryFigures,
        ProcessRole, SeriesFamily, WorkerId,
    };

    fn process(role: ProcessRole, worker: Option<u16>) -> ProcessFigures {
        ProcessFigures {
            role,
            worker: worker.map(WorkerId),
            resident_bytes: Some(1),
            descriptors: Some(1),
            descriptors_max: Some(1),
            cpu_ms: Some(1),
            counts: Some(match role {
                ProcessRole::Broker => ProcessCounts::Broker(BrokerCounts::default()),
                ProcessRole::Api => ProcessCounts::Api(ApiCounts::default()),
                _ => ProcessCounts::Worker(WorkerCounts::default()),
            }),
            is_stale: false,
            turns: None,
        }
    }

    fn snapshot(series: LabelledSeries) -> MetricsSnapshot {
        let others = [ProcessRole::Supervisor, ProcessRole::Broker, ProcessRole::Api];
        let exits = [ExitCause::Killed, ExitCause::Panicked, ExitCause::Failed, ExitCause::Hung]
            .map(|cause| ExitCount { role: ProcessRole::Worker, cause, count: 1 });
        MetricsSnapshot {
            version: "1".to_owned(),
            started_at: 1,
            state: "serving".to_owned(),
            configuration: 1,
            last_reload: None,
            memory: Some(MemoryFigures { used: 1, limit: 2, pressure: Pressure::None }),
            processes: (0..64)
                .map(|worker| process(ProcessRole::Worker, Some(worker)))
                .chain(others.map(|role| process(role, None)))
                .collect(),
            ended: EndedCounts::default(),
            exits: exits.into(),
            series,
            cluster: None,
            applications: None,
        }
    }

    #[test]
    fn with_64_workers_and_every_row_there_are_at_most_2000_lines() {
        let mut series = LabelledSeries::default();
        for number in 0..1000 {
            let value = format!("value {number}");
            for family in SeriesFamily::ALL {
                match family.labels().len() {
                    0 => series.plain(*family, 1),
                    1 => series.one(*family, value.clone(), 1),
                    2 => series.two(*family, value.clone(), "x", 1),
                    // Its labels have few values.
                    _ => series.three(*family, ["x"; 3], 1),
                }
            }
            for family in HistogramFamily::ALL {
                let label = if family.label().is_some() { value.clone() } else { String::new() };
                series.record(*family, label, &Histogram::default());
            }
        }
        let text = encode(Arc::new(snapshot(series)), CountDetail::Process).unwrap();
        // A host of a cluster has more: some for itself, and one for each other host.
        let lines = text.lines().filter(|line| !line.contains("tagcast_cluster_")).count();
        assert!((1000..=2000).contains(&lines), "{lines} lines");
    }

    #[test]
    fn labels_are_escaped() {
        let mut series = LabelledSeries::default();
        series.two(SeriesFamily::ResourceEvents, "a\"b\nc\\", "done", 7);
        let text = encode(Arc::new(snapshot(series)), CountDetail::Process).unwrap();
        let line = r#"tagcast_resource_events_total{resource="a\"b\nc\\",outcome="done"} 7"#;
        assert!(text.lines().any(|shown| shown == line), "{text}");
    }
}
