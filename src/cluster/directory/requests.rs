//! The hosts that are to be asked for their names, one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::types::HostId;
use crate::types::limits::{CLUSTER_DIRECTORY_PAUSE, CLUSTER_DIRECTORY_WAIT};

/// A snapshot that was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OpenSnapshot {
    host: HostId,
    snapshot: u64,
    /// When the last part of it has arrived.
    since: Duration,
}

/// Requests for snapshots. Times are those since any fixed moment.
#[derive(Debug, Default)]
pub(super) struct SnapshotRequests {
    /// The hosts that are to be asked, and when at the earliest.
    wanted: BTreeMap<HostId, Duration>,
    open: Option<OpenSnapshot>,
    last: u64,
}

impl SnapshotRequests {
    /// Wants all names of a host. An open request for them is void.
    pub(super) fn want(&mut self, host: HostId, now: Duration) {
        self.wanted.entry(host).or_insert(now);
        self.open.take_if(|open| open.host == host);
    }

    /// Wants all names of a host after a gap.
    pub(super) fn want_soon(&mut self, host: HostId, now: Duration) {
        self.want(host, now + CLUSTER_DIRECTORY_PAUSE);
    }

    /// A host is gone.
    pub(super) fn forget(&mut self, host: HostId) {
        self.wanted.remove(&host);
        self.open.take_if(|open| open.host == host);
    }

    /// A part of a snapshot has arrived.
    pub(super) fn note_part(&mut self, host: HostId, snapshot: u64, now: Duration) {
        if let Some(open) = &mut self.open
            && (open.host, open.snapshot) == (host, snapshot)
        {
            open.since = now;
        }
    }

    /// All names of a host have arrived with a snapshot.
    pub(super) fn note_complete(&mut self, host: HostId, snapshot: u64) {
        self.open.take_if(|open| (open.host, open.snapshot) == (host, snapshot));
    }

    /// Returns the host to ask now, and the number of the snapshot.
    pub(super) fn next(&mut self, now: Duration) -> Option<(HostId, u64)> {
        if let Some(open) = self.open {
            if now.saturating_sub(open.since) < CLUSTER_DIRECTORY_WAIT {
                return None;
            }
            // It may have lost the request, which only its own gap shows.
            self.open = None;
            self.wanted.insert(open.host, now + CLUSTER_DIRECTORY_WAIT);
        }
        let due = self.wanted.iter().filter(|(_, at)| **at <= now).min_by_key(|(_, at)| **at);
        let host = *due?.0;
        self.wanted.remove(&host);
        self.last += 1;
        self.open = Some(OpenSnapshot { host, snapshot: self.last, since: now });
        Some((host, self.last))
    }

    /// Returns when [`SnapshotRequests::next`] may have a host.
    pub(super) fn due(&self) -> Option<Duration> {
        match self.open {
            Some(open) => Some(open.since + CLUSTER_DIRECTORY_WAIT),
            None => self.wanted.values().min().copied(),
        }
    }

    /// Returns whether all names that were wanted have arrived.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_none() && self.wanted.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HostId = HostId(1);
    const B: HostId = HostId(2);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn hosts_are_asked_one_after_the_other() {
        let mut requests = SnapshotRequests::default();
        requests.want(A, MS);
        requests.want(B, 2 * MS);
        assert_eq!(requests.next(3 * MS), Some((A, 1)));
        assert_eq!(requests.next(4 * MS), None, "one at a time");
        requests.note_complete(A, 9);
        assert_eq!(requests.next(4 * MS), None, "another snapshot");
        requests.note_complete(A, 1);
        assert_eq!(requests.next(4 * MS), Some((B, 2)));
        requests.forget(B);
        assert!(requests.is_idle());
    }

    #[test]
    fn a_host_that_does_not_answer_is_asked_again_after_the_others() {
        let mut requests = SnapshotRequests::default();
        requests.want(A, MS);
        requests.want(B, 2 * MS);
        assert_eq!(requests.next(2 * MS), Some((A, 1)));
        let late = requests.due().unwrap();
        requests.note_part(A, 1, 10 * MS);
        assert_eq!(requests.next(late), None, "a part has arrived");
        let late = requests.due().unwrap();
        assert_eq!(requests.next(late), Some((B, 2)));
        requests.note_complete(B, 2);
        assert_eq!(requests.next(late), None);
        let again = requests.due().unwrap();
        assert_eq!(requests.next(again), Some((A, 3)));
    }

    #[test]
    fn a_gap_makes_the_open_request_void() {
        let mut requests = SnapshotRequests::default();
        requests.want(A, MS);
        assert_eq!(requests.next(MS), Some((A, 1)));
        requests.want_soon(A, MS);
        requests.want_soon(A, 5 * MS);
        assert_eq!(requests.next(MS), None, "more gaps may follow");
        assert_eq!(requests.next(MS + CLUSTER_DIRECTORY_PAUSE), Some((A, 2)));
    }
}
