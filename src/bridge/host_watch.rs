//! Warnings about other hosts: their clocks, and settings that differ for longer than a reload takes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::types::limits::{CLUSTER_CLOCK_WARN, CLUSTER_DIFFERENCE_WARN};
use crate::types::{OtherHost, SettingDifference, SharedSetting, ShownHostState};

/// How often other hosts are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What was warned of, until it is over.
#[derive(Debug, Default)]
pub(super) struct HostWatch {
    next: Option<Instant>,
    clocks: BTreeSet<String>,
    settings: BTreeSet<(String, SharedSetting)>,
}

impl HostWatch {
    /// Returns whether it is time to look.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.next.is_none_or(|next| next <= now);
        if is_due {
            self.next = Some(now + EVERY);
        }
        is_due
    }

    /// Looks at the other hosts. Returns what is new, and forgets what is over.
    pub(super) fn look(&mut self, hosts: &[OtherHost]) -> Vec<HostWarning> {
        let mut warnings = Vec::new();
        let live = || hosts.iter().filter(|host| host.state == ShownHostState::Live);
        let (before, mut clocks) = (std::mem::take(&mut self.clocks), BTreeSet::new());
        for host in live() {
            let ahead_us = host
                .clock_us
                .filter(|us| u128::from(us.unsigned_abs()) > CLUSTER_CLOCK_WARN.as_micros());
            let Some(ahead_us) = ahead_us else { continue };
            if !before.contains(&host.id) {
                let (host, ahead_ms) = (host.id.clone(), ahead_us / 1000);
                warnings.push(HostWarning::Clock { host, ahead_ms });
            }
            clocks.insert(host.id.clone());
        }
        let (before, mut settings) = (std::mem::take(&mut self.settings), BTreeSet::new());
        for host in live() {
            let is_old = |it: &&SettingDifference| it.seconds >= CLUSTER_DIFFERENCE_WARN.as_secs();
            for difference in host.differs.iter().filter(is_old) {
                let one = (host.id.clone(), difference.setting);
                if !before.contains(&one) {
                    let (host, setting) = one.clone();
                    warnings.push(HostWarning::Setting { host, setting });
                }
                settings.insert(one);
            }
        }
        (self.clocks, self.settings) = (clocks, settings);
        warnings
    }
}

/// Something that an operator should know about another host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HostWarning {
    /// Its clock is ahead by so many milliseconds, or behind.
    Clock { host: String, ahead_ms: i64 },
    /// It has had another value of a setting for some minutes.
    Setting { host: String, setting: SharedSetting },
}

impl HostWarning {
    pub(super) fn log(&self) {
        match self {
            Self::Clock { host, ahead_ms } => tracing::warn!(
                event = "cluster_clock_differs",
                host,
                ahead_ms,
                "the clock of another host differs from that of this one"
            ),
            Self::Setting { host, setting } => tracing::warn!(
                event = "cluster_configuration_differs",
                host,
                setting = setting.text(),
                "another host has had another value of a setting for five minutes"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(clock_us: i64, differs_s: u64) -> OtherHost {
        let setting = SharedSetting::MaxMessage;
        OtherHost {
            name: "web-2".to_owned(),
            id: "00000002".to_owned(),
            state: ShownHostState::Live,
            silent_ms: 0,
            version: "1".to_owned(),
            uptime_s: 0,
            clients: 0,
            lag_us: Some(0),
            clock_us: Some(clock_us),
            behind: 0,
            lost: 0,
            unknown_gaps: 0,
            differs: vec![SettingDifference { setting, seconds: differs_s }],
        }
    }

    #[test]
    fn a_difference_is_reported_once_until_it_is_over() {
        let mut watch = HostWatch::default();
        let id = || "00000002".to_owned();
        assert_eq!(watch.look(&[host(1_900_000, 299)]), []);
        let clock = HostWarning::Clock { host: id(), ahead_ms: -2_001 };
        assert_eq!(watch.look(&[host(-2_001_000, 299)]), [clock]);
        let setting = HostWarning::Setting { host: id(), setting: SharedSetting::MaxMessage };
        assert_eq!(watch.look(&[host(-2_001_000, 300)]), [setting]);
        assert_eq!(watch.look(&[host(-2_001_000, 301)]), []);
        assert_eq!(watch.look(&[host(0, 0)]), []);
        assert_eq!(watch.look(&[host(3_000_000, 300)]).len(), 2, "it has begun again");
    }
}
