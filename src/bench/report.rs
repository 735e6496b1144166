//! Results of a run as text and as JSON.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::delivery_tracker::DeliveryTracker;
use super::latency::Percentiles;
use super::load::LoadSnapshot;
use super::plan::{Audience, Load, PublishPace};

/// The result of a run with publications.
#[derive(Clone, Debug, Serialize)]
pub struct LoadReport {
    /// Connections that received publications.
    pub clients: usize,
    /// Tags per client that no other client has.
    pub tags: usize,
    /// Groups that publications went to in turn; 1 if they went to all clients.
    pub groups: usize,
    /// Publications in flight, if the plan fixed them.
    pub in_flight: Option<usize>,
    /// Publications per second, if the plan fixed them.
    pub rate: Option<f64>,
    /// Bytes of a message.
    pub payload: usize,
    /// Length of the counted part in seconds.
    pub seconds: f64,
    /// Publications in the counted part.
    pub publications: u64,
    /// Deliveries in the counted part.
    pub deliveries: u64,
    /// Deliveries per second.
    pub deliveries_per_second: f64,
    /// Processor time of all server processes in seconds. None if the process id of the server is
    /// unknown.
    pub server_cpu_seconds: Option<f64>,
    /// Deliveries per second of that processor time.
    pub deliveries_per_cpu_second: Option<f64>,
    /// Processor time of the load generator in seconds.
    pub generator_cpu_seconds: f64,
    /// Microseconds from the time at which a publication was due until it was read.
    pub latency_us: Percentiles,
    /// Deliveries of the whole run, including those outside the counted part.
    pub deliveries_in_all: u64,
    /// Deliveries that never arrived.
    pub lost: u64,
    /// Deliveries that arrived twice, or after a later one of the same publisher.
    pub out_of_order: u64,
    /// Messages that do not match any publication.
    pub foreign: u64,
    /// Resident bytes of the server per connection, before the load. None if unknown.
    pub bytes_per_connection: Option<u64>,
}

impl LoadReport {
    pub(super) fn new(
        load: &Load,
        [begin, end]: &[LoadSnapshot; 2],
        tracker: &DeliveryTracker,
        bytes_per_connection: Option<u64>,
    ) -> Self {
        let seconds = (end.at - begin.at) as f64 / 1e9;
        let deliveries = end.counts.delivered - begin.counts.delivered;
        let cpu = (end.server - begin.server).as_secs_f64();
        let is_known = bytes_per_connection.is_some();
        let (in_flight, rate) = match load.pace {
            PublishPace::InFlight(count) => (Some(count), None),
            PublishPace::PerSecond(rate) => (None, Some(rate)),
        };
        Self {
            clients: load.clients,
            tags: load.tags,
            groups: if let Audience::Groups(groups) = load.audience { groups } else { 1 },
            in_flight,
            rate,
            payload: load.payload,
            seconds,
            publications: end.counts.published - begin.counts.published,
            deliveries,
            deliveries_per_second: deliveries as f64 / seconds,
            server_cpu_seconds: is_known.then_some(cpu),
            deliveries_per_cpu_second: is_known.then(|| deliveries as f64 / cpu),
            // The time of a thread that ended during this run is no longer in it.
            generator_cpu_seconds: end.generator.saturating_sub(begin.generator).as_secs_f64(),
            latency_us: tracker.latencies.percentiles(),
            deliveries_in_all: tracker.counts.delivered,
            lost: tracker.lost(),
            out_of_order: tracker.counts.disordered,
            foreign: tracker.counts.foreign,
            bytes_per_connection,
        }
    }

    /// Returns true if every delivery arrived once and in order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.out_of_order == 0 && self.foreign == 0
    }
}

/// The result of a run with idle connections.
#[derive(Clone, Debug, Serialize)]
pub struct IdleReport {
    /// Connections open at the same time.
    pub clients: usize,
    /// Tags per client.
    pub tags: usize,
    /// Seconds from the first to the last handshake.
    pub seconds: f64,
    /// Handshakes per second of processor time of all server processes. None if unknown.
    pub handshakes_per_cpu_second: Option<f64>,
    /// Handshake latency in microseconds.
    pub opening_us: Percentiles,
    /// Resident bytes of all server processes per connection. None if unknown.
    pub bytes_per_connection: Option<u64>,
    /// Resident bytes of all server processes before the first connection. None if unknown.
    pub bytes_before: Option<u64>,
}

/// A report with its scenario and server.
#[derive(Clone, Debug, Serialize)]
pub struct NamedReport<R> {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the server.
    pub server: String,
    /// The result.
    #[serde(flatten)]
    pub report: R,
}

impl<R: Display> Display for NamedReport<R> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} · {}\n{}", self.scenario, self.server, self.report)
    }
}

/// Writes one line of a report.
pub(super) fn row(f: &mut Formatter<'_>, name: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "  {name:<28}{value}")
}

impl Display for LoadReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let held = match (self.in_flight, self.rate) {
            (Some(count), _) => format!("{count} in flight"),
            (_, Some(rate)) => format!("{rate} publications a second"),
            _ => String::new(),
        };
        row(f, "load", format_args!("{} clients, {held}, {} bytes", self.clients, self.payload))?;
        row(f, "deliveries a second", grouped(self.deliveries_per_second))?;
        if let (Some(per), Some(cpu)) = (self.deliveries_per_cpu_second, self.server_cpu_seconds) {
            row(f, "deliveries a CPU second", grouped(per))?;
            row(f, "CPU of the server", format_args!("{cpu:.2} of {:.2} s", self.seconds))?;
        }
        row(f, "CPU of the generator", format_args!("{:.2} s", self.generator_cpu_seconds))?;
        row(f, "latency", self.latency_us)?;
        if let Some(bytes) = self.bytes_per_connection {
            row(f, "memory of a connection", format_args!("{bytes} bytes"))?;
        }
        row(f, "publications", self.publications)?;
        let lost = match self.is_clean() {
            true => "nothing lost, doubled or out of order".to_owned(),
            false => format!(
                "{} LOST, {} OUT OF ORDER OR TWICE, {} FOREIGN",
                self.lost, self.out_of_order, self.foreign
            ),
        };
        row(f, "deliveries", format_args!("{}: {lost}", self.deliveries_in_all))
    }
}

impl Display for IdleReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        row(f, "load", format_args!("{} clients with {} tags", self.clients, self.tags))?;
        row(f, "openings", format_args!("{:.2} s in all, each {}", self.seconds, self.opening_us))?;
        if let Some(per) = self.handshakes_per_cpu_second {
            row(f, "handshakes a CPU second", grouped(per))?;
        }
        if let (Some(each), Some(before)) = (self.bytes_per_connection, self.bytes_before) {
            row(f, "memory of a connection", format_args!("{each} bytes"))?;
            row(f, "memory without any", format_args!("{:.1} MiB", before as f64 / 1_048_576.0))?;
        }
        Ok(())
    }
}

impl Display for Percentiles {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, p999, max } = *self;
        let (p50, p99, p999, max) = (time(p50), time(p99), time(p999), time(max));
        write!(f, "p50 {p50}, p99 {p99}, p99.9 {p999}, max {max}")
    }
}

/// Formats microseconds.
pub(super) fn time(micros: f64) -> String {
    match micros {
        micros if micros >= 1e6 => format!("{:.2} s", micros / 1e6),
        micros if micros >= 1e4 => format!("{:.0} ms", micros / 1e3),
        micros if micros >= 1e3 => format!("{:.1} ms", micros / 1e3),
        micros => format!("{micros:.0} µs"),
    }
}

/// Formats a number with thousands separators.
#[must_use]
pub(super) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_readable() {
        let all = [7.0, 999.4, 1000.0, 1_234_567.0].map(grouped);
        assert_eq!(all, ["7", "999", "1,000", "1,234,567"]);
        let all = [41.2, 1500.0, 33_000.0, 2_500_000.0].map(time);
        assert_eq!(all, ["41 µs", "1.5 ms", "33 ms", "2.50 s"]);
    }
}
