//! `tagcast cluster ping`: the time through the lanes to other hosts and back.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::super::admin::{Which, folder_of};
use super::super::failure::Failure;
use super::super::{print_error, print_line};
use crate::admin::{AdminError, AdminRequest, AdminResponse, Millis, ask};
use crate::types::PingedHost;

/// Pause between two pings of a host: they measure lanes, and do not fill them.
const PAUSE: Duration = Duration::from_millis(10);
/// Pings that a host may leave unanswered. Each takes a second.
const UNANSWERED_MAX: u64 = 3;

#[derive(Debug, Args)]
pub(super) struct ClusterPingArguments {
    /// Name or id of a host [default: all other hosts]
    #[arg(value_name = "HOST")]
    host: Option<String>,
    /// Pings of each host, one after the other: 1 to 10000
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// The pings of one host.
#[derive(Debug, Serialize)]
struct HostPings {
    name: String,
    id: String,
    sent: u64,
    answered: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    #[serde(skip)]
    trips: Vec<u64>,
}

/// Pings hosts. The exit code is 1 if one has not answered.
pub(super) fn run(arguments: &ClusterPingArguments) -> ExitCode {
    let folder = match folder_of(&arguments.which) {
        Ok(folder) => folder,
        Err(code) => return code,
    };
    let hosts = match measure(&folder, arguments) {
        Ok(hosts) => hosts,
        Err(failure) => return failure.end(""),
    };
    if hosts.is_empty() {
        print_error(&match &arguments.host {
            Some(host) => format!("tagcast: this host knows no other host {host}"),
            None => "tagcast: this host knows no other host".to_owned(),
        });
        return ExitCode::FAILURE;
    }
    if arguments.json {
        // All map keys are strings, so this cannot fail.
        print_line(&serde_json::to_string_pretty(&hosts).unwrap_or_default());
    } else {
        print_line(table(&hosts).trim_end());
    }
    let is_whole = hosts.iter().all(|host| host.sent == host.answered);
    if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure(folder: &Path, arguments: &ClusterPingArguments) -> Result<Vec<HostPings>, Failure> {
    let mut hosts: BTreeMap<String, HostPings> = BTreeMap::new();
    for round in 0..arguments.count {
        if round > 0 {
            pause();
        }
        for PingedHost { name, id, trip_us } in ping(folder, arguments.host.as_deref())? {
            let host = hosts.entry(id.clone()).or_insert_with(|| HostPings::new(id));
            // A host that has just joined has none yet.
            host.name = name;
            host.sent += 1;
            host.trips.extend(trip_us);
        }
        let has_failed = |host: &HostPings| host.sent - host.trips.len() as u64 >= UNANSWERED_MAX;
        if hosts.is_empty() || hosts.values().any(has_failed) {
            break;
        }
    }
    Ok(hosts.into_values().map(HostPings::finished).collect())
}

#[expect(clippy::disallowed_methods, reason = "the command has nothing else to do")]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// Has the server ping hosts once.
fn ping(folder: &Path, host: Option<&str>) -> Result<Vec<PingedHost>, Failure> {
    let request = AdminRequest::Ping { host: host.map(Into::into) };
    match ask(folder, &request)?.next_answer()? {
        Some(AdminResponse::Pinged(hosts)) => Ok(hosts),
        Some(AdminResponse::Failed(reasons)) => Err(Failure::unavailable(reasons.join("; "))),
        _ => Err(AdminError::NoAnswer(std::io::ErrorKind::UnexpectedEof.into()).into()),
    }
}

impl HostPings {
    fn new(id: String) -> Self {
        Self {
            name: String::new(),
            id,
            sent: 0,
            answered: 0,
            p50_us: None,
            p99_us: None,
            trips: Vec::new(),
        }
    }

    fn finished(mut self) -> Self {
        self.trips.sort_unstable();
        self.answered = self.trips.len() as u64;
        self.p50_us = percentile(&self.trips, 50);
        self.p99_us = percentile(&self.trips, 99);
        self
    }
}

/// Returns a percentile of sorted values (nearest rank).
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

fn table(hosts: &[HostPings]) -> String {
    let titles = ["host", "id", "answered", "p50", "p99"].map(str::to_owned);
    let millis =
        |micros: Option<u64>| micros.map_or_else(|| "-".to_owned(), |it| Millis(it).to_string());
    let mut rows = vec![titles];
    rows.extend(hosts.iter().map(|host| {
        let answered = format!("{}/{}", host.answered, host.sent);
        [host.name.clone(), host.id.clone(), answered, millis(host.p50_us), millis(host.p99_us)]
    }));
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        for (place, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Words begin at the left, and numbers end at the right.
            text += &match place {
                0 => format!("{cell:<width$}"),
                1 => format!("  {cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            };
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!((percentile(&hundred, 50), percentile(&hundred, 99)), (Some(50), Some(99)));
        assert_eq!((percentile(&[7], 50), percentile(&[7], 99)), (Some(7), Some(7)));
        assert_eq!(percentile(&[1, 2, 3], 50), Some(2));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn the_table_shows_hosts_that_do_not_answer() {
        let host = |name: &str, sent, trips: &[u64]| {
            let host = HostPings::new("88d01b7e".to_owned());
            HostPings { name: name.to_owned(), sent, trips: trips.to_vec(), ..host }.finished()
        };
        let shown = table(&[host("web-2", 2, &[900, 300]), host("web-3", 3, &[])]);
        assert_eq!(
            shown,
            "host   id        answered     p50     p99\n\
             web-2  88d01b7e       2/2  0.3 ms  0.9 ms\n\
             web-3  88d01b7e       0/3       -       -\n"
        );
    }
}
