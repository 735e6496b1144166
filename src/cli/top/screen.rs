//! What the screen shows: the difference between two reports, as text.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::numbers;
use crate::admin::ServerReport;
use crate::types::{
    ApplicationFigures, DURATION_BOUNDS, Histogram, MetricsSnapshot, OutboxFigures, ProcessCounts,
    ProcessFigures, ProcessRole, WorkerCounts, WorkerId,
};

/// The order of processes and applications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum SortOrder {
    /// The busiest first: by processor time, and by messages and deliveries a second.
    #[default]
    Load,
    /// The largest first: by memory, and by clients.
    Size,
    /// By name.
    Name,
}

impl SortOrder {
    /// Returns the order that follows.
    pub(super) fn next(self) -> Self {
        match self {
            Self::Load => Self::Size,
            Self::Size => Self::Name,
            Self::Name => Self::Load,
        }
    }

    /// Returns its name.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Size => "size",
            Self::Name => "name",
        }
    }
}

/// A line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScreenRow {
    pub(super) cells: Vec<String>,
    /// An operator should see it.
    pub(super) is_warning: bool,
}

/// All lines.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    pub(super) server: [String; 2],
    pub(super) processes: Vec<ScreenRow>,
    pub(super) applications: Vec<ScreenRow>,
    pub(super) outboxes: Vec<ScreenRow>,
    pub(super) events: Vec<String>,
    pub(super) order: SortOrder,
    /// Why the figures are old.
    pub(super) problem: Option<String>,
}

/// Two reports and the time between them.
#[derive(Clone, Copy)]
struct ReportPair<'a> {
    before: Option<&'a ServerReport>,
    now: &'a ServerReport,
}

impl Screen {
    /// Creates the lines. Without an earlier report there are no rates.
    pub(super) fn new(before: Option<&ServerReport>, now: &ServerReport, order: SortOrder) -> Self {
        let reports = ReportPair { before, now };
        let outbox = |it: &OutboxFigures| ScreenRow {
            cells: vec![
                it.client.clone(),
                numbers::bytes(float(it.bytes)),
                numbers::time(it.age_ms.saturating_mul(1000)),
            ],
            is_warning: false,
        };
        Self {
            server: reports.server(),
            processes: reports.processes(order),
            applications: reports.applications(order),
            outboxes: now.outboxes.iter().map(outbox).collect(),
            events: now.events.iter().rev().map(|it| event(it.at, &it.text)).collect(),
            order,
            problem: None,
        }
    }
}

impl ReportPair<'_> {
    /// Returns the rate of a counter, if there is an earlier report.
    fn rate(&self, of: impl Fn(&MetricsSnapshot) -> u64) -> Option<f64> {
        let before = self.before?;
        Some(self.per_second(of(&before.figures), of(&self.now.figures)))
    }

    fn per_second(&self, before: u64, now: u64) -> f64 {
        let since = self.before.map_or(0, |before| before.at_ms);
        let elapsed = float(self.now.at_ms.saturating_sub(since).max(1)) / 1000.0;
        float(now.saturating_sub(before)) / elapsed
    }

    fn server(&self) -> [String; 2] {
        let it = &self.now.figures;
        let up = (self.now.at_ms / 1000).saturating_sub(it.started_at);
        let memory = match it.memory {
            Some(memory) => {
                let [used, limit] = [memory.used, memory.limit].map(float).map(numbers::bytes);
                format!("{used} of {limit}")
            }
            None => {
                let resident = it.processes.iter().filter_map(|one| one.resident_bytes).sum();
                numbers::bytes(float(resident))
            }
        };
        let first = format!(
            "tagcast {}: {}, up {}, configuration {}, memory {memory}",
            it.version,
            it.state,
            numbers::time(up.saturating_mul(1_000_000)),
            it.configuration,
        );
        let open = workers(it).map(|counts| counts.open).sum();
        let waiting = workers(it).map(|counts| counts.waiting).sum();
        let second = format!(
            "connections {}, in {}/s, out {}/s, missed {}/s, waiting {}",
            numbers::count(float(open)),
            numbers::rate(self.rate(|it| sum(it, |counts| counts.messages))),
            numbers::rate(self.rate(|it| sum(it, |counts| counts.delivered))),
            numbers::rate(self.rate(|it| sum(it, |counts| counts.missed))),
            numbers::count(float(waiting)),
        );
        [first, second]
    }

    fn processes(&self, order: SortOrder) -> Vec<ScreenRow> {
        let before = |key| {
            let before = &self.before?.figures.processes;
            before.iter().find(|one| (one.role, one.worker) == key)
        };
        let mut all: Vec<_> = self.now.figures.processes.iter().collect();
        let cpu = |one: &ProcessFigures| {
            let before = before((one.role, one.worker))?.cpu_ms?;
            Some(self.per_second(before, one.cpu_ms?) / 10.0)
        };
        match order {
            SortOrder::Load => all.sort_by(|one, other| {
                let [one, other] = [one, other].map(|it| cpu(it).unwrap_or_default());
                other.total_cmp(&one)
            }),
            SortOrder::Size => all.sort_by_key(|one| Reverse(one.resident_bytes)),
            SortOrder::Name => all.sort_by_key(|one| (one.role, one.worker)),
        }
        let row = |one: &ProcessFigures| {
            let turns = one.turns.map(|now| {
                let earlier = before((one.role, one.worker)).and_then(|before| before.turns);
                earlier.map_or(now, |earlier: Histogram| now.since(&earlier))
            });
            let turn = turns.and_then(|turns| turns.quantile(&DURATION_BOUNDS, 0.99));
            let dash = || "-".to_owned();
            let clients = match one.counts {
                Some(ProcessCounts::Worker(counts)) => numbers::count(float(counts.open)),
                Some(ProcessCounts::Api(counts)) => numbers::count(float(counts.open)),
                Some(ProcessCounts::Broker(counts)) => numbers::count(float(counts.clients)),
                Some(ProcessCounts::Bridge(_)) | None => dash(),
            };
            let cells = vec![
                process_name(one.role, one.worker),
                cpu(one).map_or_else(dash, |percent| format!("{percent:.1} %")),
                one.resident_bytes.map_or_else(dash, |it| numbers::bytes(float(it))),
                turn.map_or_else(dash, |it| format!("≤ {}", numbers::time(it))),
                clients,
                if one.is_stale { "no answer".to_owned() } else { String::new() },
            ];
            ScreenRow { cells, is_warning: one.is_stale }
        };
        all.into_iter().map(row).collect()
    }

    fn applications(&self, order: SortOrder) -> Vec<ScreenRow> {
        let table = |report: &ServerReport| {
            let table = report.figures.applications.clone().unwrap_or_default();
            table.rows().map(|(key, it)| (key.to_owned(), *it)).collect::<BTreeMap<_, _>>()
        };
        let before = self.before.map(table);
        let mut all: Vec<(String, ApplicationFigures)> = table(self.now).into_iter().collect();
        let rate = |key: &str, of: fn(&ApplicationFigures) -> u64, now: &ApplicationFigures| {
            let before = before.as_ref()?.get(key).copied().unwrap_or_default();
            Some(self.per_second(of(&before), of(now)))
        };
        let load = |it: &ApplicationFigures| it.messages + it.deliveries + it.publications;
        match order {
            SortOrder::Load => all.sort_by(|(one, first), (other, second)| {
                let first = rate(one, load, first).unwrap_or_default();
                rate(other, load, second).unwrap_or_default().total_cmp(&first)
            }),
            SortOrder::Size => all.sort_by_key(|(_, it)| Reverse(it.clients)),
            SortOrder::Name => {}
        }
        let row = |(key, it): (String, ApplicationFigures)| {
            let waits = rate(&key, |it| it.throttled_ms, &it);
            let throttled = waits.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0} ms/s"));
            let cells = vec![
                if key.is_empty() { "(others)".to_owned() } else { key.clone() },
                numbers::count(float(it.clients)),
                numbers::rate(rate(&key, |it| it.messages, &it)),
                numbers::rate(rate(&key, |it| it.deliveries, &it)),
                throttled,
            ];
            ScreenRow { cells, is_warning: waits.is_some_and(|ms| ms > 0.0) }
        };
        all.into_iter().map(row).collect()
    }
}

fn process_name(role: ProcessRole, worker: Option<WorkerId>) -> String {
    match worker {
        Some(worker) => format!("{} {worker}", role.word()),
        None => role.word().to_owned(),
    }
}

/// An event with its time of day in UTC.
fn event(at: u64, text: &str) -> String {
    let (hours, minutes, seconds) = (at / 3600 % 24, at / 60 % 60, at % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02} {text}")
}

fn workers(snapshot: &MetricsSnapshot) -> impl Iterator<Item = WorkerCounts> {
    snapshot.processes.iter().filter_map(|one| match one.counts {
        Some(ProcessCounts::Worker(counts)) => Some(counts),
        _ => None,
    })
}

/// The sum over living and ended workers.
fn sum(snapshot: &MetricsSnapshot, of: fn(&WorkerCounts) -> u64) -> u64 {
    of(&snapshot.ended.worker) + workers(snapshot).map(|counts| of(&counts)).sum::<u64>()
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::admin::{ServerEvent, ServerEventKind};
    use crate::types::{ApplicationTable, EndedCounts, LabelledSeries};

    fn process(worker: u16, cpu_ms: u64, resident: u64) -> ProcessFigures {
        let mut turns = Histogram::default();
        turns.record_time(Duration::from_micros(200));
        let counts = WorkerCounts { open: 2, messages: cpu_ms, ..WorkerCounts::default() };
        ProcessFigures {
            role: ProcessRole::Worker,
            worker: Some(WorkerId(worker)),
            resident_bytes: Some(resident),
            descriptors: Some(10),
            descriptors_max: Some(100),
            cpu_ms: Some(cpu_ms),
            counts: Some(ProcessCounts::Worker(counts)),
            is_stale: worker == 1,
            turns: Some(turns),
        }
    }

    /// A report of this second, with this number of applications.
    pub(in crate::cli::top) fn report(second: u64, applications: u64) -> ServerReport {
        let mut table = ApplicationTable::default();
        for number in 0..applications {
            let figures = ApplicationFigures {
                clients: number,
                messages: second * (100 - number),
                throttled_ms: if number == 0 { second * 50 } else { 0 },
                ..ApplicationFigures::default()
            };
            table.add(&format!("app{number:02}"), &figures);
        }
        let outbox = |number: u64| OutboxFigures {
            client: format!("1234abc{number}"),
            bytes: 5_000_000 - number,
            age_ms: 1500,
        };
        let event = |id: u64| {
            let kind = ServerEventKind::Ready;
            ServerEvent { id, at: 3600 + id, kind, application: None, text: format!("event {id}") }
        };
        ServerReport {
            at_ms: 1_000_000 + second * 1000,
            figures: MetricsSnapshot {
                version: "1.2.3".to_owned(),
                started_at: 400,
                state: "serving".to_owned(),
                configuration: 1,
                last_reload: None,
                memory: None,
                processes: vec![
                    process(0, second * 100, 9_000_000),
                    process(1, second * 500, 8_000_000),
                ],
                ended: EndedCounts::default(),
                exits: Vec::new(),
                series: LabelledSeries::default(),
                cluster: None,
                applications: Some(table),
            },
            outboxes: (0..10).map(outbox).collect(),
            events: (0..10).map(event).collect(),
        }
    }

    fn first_cells(rows: &[ScreenRow]) -> Vec<&str> {
        rows.iter().map(|row| &*row.cells[0]).collect()
    }

    #[test]
    fn rates_are_differences_and_the_order_can_change() {
        let (before, now) = (report(1, 3), report(3, 3));
        let screen = Screen::new(Some(&before), &now, SortOrder::Load);
        assert_eq!(screen.server[1], "connections 4, in 600/s, out 0/s, missed 0/s, waiting 0");
        assert_eq!(first_cells(&screen.processes), ["worker 1", "worker 0"]);
        assert_eq!(screen.processes[0].cells[1], "50.0 %");
        assert!(screen.processes[0].is_warning && !screen.processes[1].is_warning);
        let shop = &screen.applications[0];
        assert_eq!(shop.cells, ["app00", "0", "100", "0", "50 ms/s"]);
        assert!(shop.is_warning);
        assert_eq!(screen.events[0], "01:00:09 event 9");
        let by_size = Screen::new(Some(&before), &now, SortOrder::Load.next());
        assert_eq!(first_cells(&by_size.processes), ["worker 0", "worker 1"]);
        assert_eq!(first_cells(&by_size.applications), ["app02", "app01", "app00"]);
        let by_name = Screen::new(Some(&before), &now, by_size.order.next());
        assert_eq!(first_cells(&by_name.applications), ["app00", "app01", "app02"]);
        assert_eq!(by_name.order.next(), SortOrder::Load);
    }

    #[test]
    fn one_report_has_no_rates() {
        let screen = Screen::new(None, &report(3, 1), SortOrder::Load);
        assert_eq!(screen.processes[0].cells[1], "-");
        assert_eq!(screen.applications[0].cells[2..], ["-", "-", "-"]);
        assert_eq!(screen.processes[0].cells[3], "≤ 250 µs", "turns since the start");
    }
}
