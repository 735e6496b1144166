//! The hosts of a cluster as a table for people.

use std::fmt;

use super::status::{Span, cluster_state};
use crate::types::{ClusterReport, OtherHost, SettingDifference, ShownHostState};

/// Displays a line about the cluster, followed by a table of its hosts. The first is this one.
#[derive(Debug)]
pub struct ClusterTable<'a>(pub &'a ClusterReport);

const TITLES: [&str; 10] =
    ["host", "id", "state", "version", "up", "clients", "lag", "behind", "lost", "clock"];

impl fmt::Display for ClusterTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let ClusterReport { cluster, format, nats, nats_version, .. } = report;
        let state = cluster_state(report.state, report.state_s, report.fault);
        write!(f, "cluster {cluster}, format {format}: {state}")?;
        if let (Some(nats), Some(version)) = (nats, nats_version) {
            write!(f, "; server {nats} (NATS {version})")?;
        }
        match report.echo_us {
            Some(micros) => writeln!(f, ", echo {}", Millis(micros))?,
            None => writeln!(f)?,
        }
        let mut rows = vec![(TITLES.map(str::to_owned), "configuration".to_owned())];
        rows.push((own_cells(report), "-".to_owned()));
        rows.extend(report.others.iter().map(|host| (cells(host), differences(&host.differs))));
        let mut widths = [0; 10];
        for (cells, _) in &rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.chars().count().max(*width);
            }
        }
        for (cells, last) in rows {
            for (place, (cell, width)) in cells.iter().zip(widths).enumerate() {
                // Words begin at the left, and numbers end at the right.
                match place {
                    0..=3 => write!(f, "{cell:<width$}  ")?,
                    _ => write!(f, "{cell:>width$}  ")?,
                }
            }
            writeln!(f, "{last}")?;
        }
        Ok(())
    }
}

fn own_cells(report: &ClusterReport) -> [String; 10] {
    let none = || "-".to_owned();
    [
        format!("{} *", report.name),
        report.id.clone(),
        ShownHostState::Live.word().to_owned(),
        report.version.clone(),
        Span(report.uptime_s).to_string(),
        report.clients.to_string(),
        none(),
        none(),
        none(),
        none(),
    ]
}

fn cells(host: &OtherHost) -> [String; 10] {
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "?".to_owned());
    let is_live = host.state == ShownHostState::Live;
    let state = match host.state {
        ShownHostState::Live => host.state.word().to_owned(),
        state => format!("{} {}", state.word(), Millis(host.silent_ms.saturating_mul(1000))),
    };
    let lost = match host.unknown_gaps {
        0 => host.lost.to_string(),
        _ => format!("{} + ?", host.lost),
    };
    [
        host.name.clone(),
        host.id.clone(),
        state,
        host.version.clone(),
        Span(host.uptime_s).to_string(),
        or_unknown(is_live.then(|| host.clients.to_string())),
        or_unknown(host.lag_us.filter(|_| is_live).map(|micros| Millis(micros).to_string())),
        host.behind.to_string(),
        lost,
        or_unknown(host.clock_us.filter(|_| is_live).map(clock)),
    ]
}

fn clock(ahead: i64) -> String {
    let sign = if ahead < 0 { '-' } else { '+' };
    format!("{sign}{}", Millis(ahead.unsigned_abs()))
}

fn differences(differs: &[SettingDifference]) -> String {
    if differs.is_empty() {
        return "-".to_owned();
    }
    let one =
        |it: &SettingDifference| format!("{} differs for {}", it.setting.text(), Span(it.seconds));
    differs.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Microseconds, displayed as milliseconds, or as seconds from one second on.
#[derive(Clone, Copy, Debug)]
pub struct Millis(pub u64);

impl fmt::Display for Millis {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..10_000 => write!(f, "{:.1} ms", self.0 as f64 / 1e3),
            10_000..1_000_000 => write!(f, "{} ms", self.0 / 1000),
            _ => write!(f, "{:.1} s", self.0 as f64 / 1e6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ClusterState, SharedSetting};

    fn other(name: &str, state: ShownHostState) -> OtherHost {
        OtherHost {
            name: name.to_owned(),
            id: "88d01b7e".to_owned(),
            state,
            silent_ms: 1_400,
            version: "0.2.0".to_owned(),
            uptime_s: 270_000,
            clients: 40_876,
            lag_us: Some(400),
            clock_us: Some(-3_000_000),
            behind: 12,
            lost: 3,
            unknown_gaps: 0,
            differs: vec![SettingDifference { setting: SharedSetting::Applications, seconds: 120 }],
        }
    }

    #[test]
    fn the_table_shows_what_is_known_of_each_host() {
        let silent = OtherHost {
            unknown_gaps: 1,
            differs: Vec::new(),
            ..other("web-3", ShownHostState::Silent)
        };
        let report = ClusterReport {
            cluster: "shop".to_owned(),
            format: 1,
            state: ClusterState::Connected,
            state_s: 5,
            fault: None,
            nats: Some("10.0.0.5:4222".to_owned()),
            nats_version: Some("2.15.1".to_owned()),
            echo_us: Some(120),
            name: "web-1".to_owned(),
            id: "3f2a91c0".to_owned(),
            version: "0.2.0".to_owned(),
            uptime_s: 61,
            clients: 41_022,
            unconfirmed_items: 0,
            replay_buffer_bytes: 0,
            buffered_items: 0,
            others: vec![other("web-2", ShownHostState::Live), silent],
        };
        let shown = ClusterTable(&report).to_string();
        let expected = "\
cluster shop, format 1: connected to NATS; server 10.0.0.5:4222 (NATS 2.15.1), echo 0.1 ms
host     id        state         version      up  clients     lag  behind   lost   clock  configuration
web-1 *  3f2a91c0  live          0.2.0     1m 1s    41022       -       -      -       -  -
web-2    88d01b7e  live          0.2.0    3d 3h    40876  0.4 ms      12      3  -3.0 s  auth.yml differs for 2m 0s
web-3    88d01b7e  silent 1.4 s  0.2.0    3d 3h        ?       ?      12  3 + ?       ?  -
";
        let words = |text: &str| -> Vec<Vec<String>> {
            let line = |line: &str| line.split_whitespace().map(str::to_owned).collect();
            text.lines().map(line).collect()
        };
        assert_eq!(words(&shown), words(expected), "{shown}");
        let places: Vec<_> = shown.lines().skip(1).filter_map(|line| line.find("0.2.0")).collect();
        assert!(places.windows(2).all(|two| two[0] == two[1]), "{shown}");
    }
}
