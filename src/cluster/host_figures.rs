//! What is shown of the other hosts: their clocks, how far behind this one is, and settings that differ.

use std::time::{Duration, Instant};

use super::hosts::{HostState, RemoteHost};
use super::news::{HostNews, ReturnedTime};
use super::round_trips::{RoundTrip, RoundTrips, TripTimes};
use crate::types::{
    AddressCount, HostId, HostProfile, OtherHost, SettingDifference, SharedSetting, ShownHostState,
};

/// What this host says about itself in its heartbeats.
#[derive(Debug, Default)]
pub(super) struct OwnNews {
    pub(super) profile: HostProfile,
    /// Connected clients.
    pub(super) clients: u64,
    /// Addresses with many of them, if there is a limit over all hosts.
    pub(super) addresses: Vec<AddressCount>,
    /// When the server was started, in seconds since 1970.
    pub(super) begun_s: u64,
    /// The present time, in microseconds since 1970.
    pub(super) unix_us: u64,
    /// The digest of the revoked tokens.
    pub(super) revocations: u64,
}

impl OwnNews {
    /// Returns the seconds since the start of the server.
    pub(super) fn uptime_s(&self) -> u64 {
        (self.unix_us / 1_000_000).saturating_sub(self.begun_s)
    }
}

/// What is known of another host in addition to its lanes.
#[derive(Debug, Default)]
pub(super) struct HostFigures {
    news: HostNews,
    /// When the last heartbeat has arrived.
    received: Option<Instant>,
    trips: RoundTrips,
    /// Items that are lost, as far as their number is known.
    lost: u64,
    /// How often an unknown number was lost.
    unknown_gaps: u64,
    /// Settings that differ, and since when.
    differs: Vec<(SharedSetting, Instant)>,
}

impl HostFigures {
    /// Takes the news of a heartbeat. Returns the round trip that it ends.
    pub(super) fn receive(
        &mut self,
        news: &HostNews,
        own: HostId,
        present: &OwnNews,
        now: Instant,
    ) -> Option<RoundTrip> {
        let is_new = news.sent_us > self.news.sent_us || self.received.is_none();
        self.news = HostNews { returned: Vec::new(), ..news.clone() };
        self.received = Some(now);
        self.compare(&present.profile, now);
        let returned = news.returned.iter().find(|it| it.host == own && it.sent_us > 0)?;
        let ReturnedTime { sent_us, held_us, .. } = *returned;
        let (returned, arrived) = (news.sent_us, present.unix_us);
        let times = TripTimes { sent: sent_us, held: held_us, returned, arrived };
        self.trips.add(times).filter(|_| is_new)
    }

    /// Notes which settings differ from those of this host.
    pub(super) fn compare(&mut self, own: &HostProfile, now: Instant) {
        let before = std::mem::take(&mut self.differs);
        for setting in SharedSetting::ALL {
            let of = |profile: &HostProfile| {
                let found = profile.settings.iter().find(|it| it.setting == *setting);
                found.map(|it| it.digest)
            };
            // A version that does not compare a setting says nothing about it.
            if let (Some(own), Some(other)) = (of(own), of(&self.news.profile))
                && own != other
            {
                let since = before.iter().find(|(it, _)| it == setting).map_or(now, |it| it.1);
                self.differs.push((*setting, since));
            }
        }
    }

    /// Returns the time of its last heartbeat, for the next own one.
    pub(super) fn returned(&self, host: HostId, now: Instant) -> Option<ReturnedTime> {
        let held = now.saturating_duration_since(self.received?);
        Some(ReturnedTime { host, sent_us: self.news.sent_us, held_us: micros(held) })
    }

    pub(super) fn note_gap(&mut self, items: Option<u64>) {
        match items {
            // The number comes from another host.
            Some(items) => self.lost = self.lost.saturating_add(items),
            None => self.unknown_gaps += 1,
        }
    }

    /// Returns the digest of the revoked tokens that it knows. `None` before the first heartbeat.
    pub(super) fn revocations(&self) -> Option<u64> {
        self.received.map(|_| self.news.revocations)
    }

    pub(super) fn clients(&self) -> u64 {
        self.news.clients
    }

    pub(super) fn addresses(&self) -> &[AddressCount] {
        &self.news.addresses
    }
}

/// Returns what is shown of a host.
pub(super) fn shown(id: HostId, host: &RemoteHost, now: Instant) -> OtherHost {
    let HostFigures { news, trips, lost, unknown_gaps, differs, .. } = &host.figures;
    let shortest = trips.shortest();
    let difference = |(setting, since): &(SharedSetting, Instant)| SettingDifference {
        setting: *setting,
        seconds: now.saturating_duration_since(*since).as_secs(),
    };
    OtherHost {
        name: news.profile.name.clone(),
        id: id.to_string(),
        state: match host.state {
            HostState::Live => ShownHostState::Live,
            HostState::Silent => ShownHostState::Silent,
            HostState::Gone | HostState::Forgotten => ShownHostState::Gone,
        },
        silent_ms: micros(host.silence(now)) / 1000,
        version: news.profile.version.clone(),
        uptime_s: news.uptime_s,
        clients: news.clients,
        lag_us: shortest.map(|trip| trip.micros / 2),
        clock_us: shortest.map(|trip| trip.ahead),
        behind: host.lanes.behind(),
        lost: *lost,
        unknown_gaps: *unknown_gaps,
        differs: differs.iter().map(difference).collect(),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::bridge_core::any_moment;
    use super::*;
    use crate::types::SettingDigest;

    const START: u64 = 1_764_345_600_000_000;

    fn profile(digests: &[(SharedSetting, u64)]) -> HostProfile {
        let settings = digests
            .iter()
            .map(|(setting, digest)| SettingDigest { setting: *setting, digest: *digest });
        HostProfile { settings: settings.collect(), ..HostProfile::default() }
    }

    fn own(digests: &[(SharedSetting, u64)], unix_us: u64) -> OwnNews {
        let profile = profile(digests);
        OwnNews { profile, unix_us, ..OwnNews::default() }
    }

    #[test]
    fn a_setting_differs_from_when_it_was_first_seen_until_it_is_the_same() {
        use SharedSetting::{Applications, Gomoob, MaxMessage};
        let (mut figures, now) = (HostFigures::default(), any_moment());
        let present = own(&[(Applications, 1), (MaxMessage, 2), (Gomoob, 3)], START);
        let mut receive = |digests: &[(SharedSetting, u64)], seconds| {
            let news = HostNews { profile: profile(digests), ..HostNews::default() };
            figures.receive(&news, HostId(1), &present, now + Duration::from_secs(seconds));
            let since = |it: &(SharedSetting, Instant)| (it.0, (it.1 - now).as_secs());
            figures.differs.iter().map(since).collect::<Vec<_>>()
        };
        assert_eq!(receive(&[(Applications, 1), (MaxMessage, 9)], 0), [(MaxMessage, 0)]);
        let both = receive(&[(Applications, 8), (MaxMessage, 7)], 5);
        assert_eq!(both, [(Applications, 5), (MaxMessage, 0)]);
        assert_eq!(receive(&[(Applications, 8), (MaxMessage, 2)], 6), [(Applications, 5)]);
        assert_eq!(receive(&[(Applications, 1), (MaxMessage, 2)], 7), []);
        assert_eq!(receive(&[], 8), [], "an older version");
    }

    #[test]
    fn heartbeats_of_both_sides_give_the_delay_and_the_error_of_a_clock() {
        let (mut here, mut there, now) =
            (HostFigures::default(), HostFigures::default(), any_moment());
        let milli = |count| Duration::from_millis(count);
        // The other clock is 3 s ahead, each way takes 1 ms, and the answer comes 100 ms later.
        let first = HostNews { sent_us: START, ..HostNews::default() };
        let ahead = own(&[], START + 3_001_000);
        assert_eq!(there.receive(&first, HostId(2), &ahead, now + milli(1)), None);
        let returned = there.returned(HostId(1), now + milli(101));
        let answer = HostNews {
            sent_us: START + 3_101_000,
            returned: returned.into_iter().collect(),
            ..HostNews::default()
        };
        let present = own(&[], START + 102_000);
        let trip = here.receive(&answer, HostId(1), &present, now + milli(102));
        assert_eq!(trip, Some(RoundTrip { micros: 2_000, ahead: 3_000_000 }));
    }
}
