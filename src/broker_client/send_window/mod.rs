//! The publications that the broker has not acknowledged yet (rule L4).

mod shares;

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use self::shares::WindowShares;
pub(crate) use self::shares::WindowUse;
use crate::types::limits::{WINDOW_BYTES, WINDOW_PUBLICATIONS};
use crate::types::{Content, FramedPayload, Number, Tenant};

/// Unacknowledged publications, as the bytes that were sent on the link.
#[derive(Debug)]
pub(crate) struct SendWindow {
    /// The most that it holds.
    limit: WindowUse,
    /// The publications of earlier turns. All publications of a turn share one owner of their bytes, because an
    /// owner for each publication would cost more than writing it.
    kept: VecDeque<KeptTurn>,
    /// Byte ranges of this turn's publications within the output of the turn.
    fresh: Vec<Range<usize>>,
    /// Number of publications in `kept`.
    count: u64,
    bytes: usize,
    shares: WindowShares,
    /// Every number up to this one is acknowledged.
    acknowledged: u64,
}

impl Default for SendWindow {
    fn default() -> Self {
        Self {
            limit: WindowUse { count: WINDOW_PUBLICATIONS, bytes: WINDOW_BYTES },
            kept: VecDeque::new(),
            fresh: Vec::new(),
            count: 0,
            bytes: 0,
            shares: WindowShares::default(),
            acknowledged: 0,
        }
    }
}

/// The publications of one turn.
#[derive(Debug)]
struct KeptTurn {
    /// The output of the turn.
    said: Bytes,
    /// The number of the first publication.
    first: u64,
    places: Vec<Range<usize>>,
    /// The number of acknowledged publications.
    acknowledged: usize,
    /// Payload of the last publication if it is large. It was sent after `said`.
    large: Option<Content<FramedPayload>>,
}

/// A publication that was sent and is not acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeptPublication<'a> {
    /// The output that contains it.
    Small(&'a [u8]),
    /// The content of a large one.
    Large(&'a Content<FramedPayload>),
}

impl KeptTurn {
    /// Returns the ranges of unacknowledged publications.
    fn open(&self) -> &[Range<usize>] {
        self.places.get(self.acknowledged..).unwrap_or_default()
    }

    /// Acknowledges up to `most` more publications. Returns what they used.
    fn acknowledge(&mut self, most: u64) -> WindowUse {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let open = self.open();
        let done = open.get(..most).unwrap_or(open);
        let (count, mut bytes) = (done.len(), done.iter().map(Range::len).sum());
        self.acknowledged += count;
        if self.open().is_empty() {
            bytes += self.large_bytes();
        }
        WindowUse { count: count as u64, bytes }
    }

    fn large_bytes(&self) -> usize {
        self.large.as_ref().map_or(0, |content| content.payload.payload().len())
    }
}

impl SendWindow {
    /// Sets the most that the window holds.
    pub(crate) fn limit(&mut self, limit: WindowUse) {
        self.limit = limit;
    }

    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let count = self.len();
        count == 0 || (count < self.limit.count && self.bytes + bytes <= self.limit.bytes)
    }

    /// Returns whether a tenant has at most half of the window with one more publication. It may always have
    /// one.
    pub(crate) fn is_within_half(&self, tenant: &Tenant, bytes: usize) -> bool {
        let used = self.shares.of(tenant);
        used.count == 0
            || (used.count < self.limit.count / 2 && used.bytes + bytes <= self.limit.bytes / 2)
    }

    /// Returns what a tenant has in the window.
    pub(crate) fn used_by(&self, tenant: &Tenant) -> WindowUse {
        self.shares.of(tenant)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of unacknowledged publications.
    pub(crate) fn len(&self) -> u64 {
        self.count + self.fresh.len() as u64
    }

    /// Returns the number of the next publication.
    pub(crate) fn next_number(&self) -> Number {
        Number(self.acknowledged + self.len() + 1)
    }

    /// Adds a publication in a tenant, given its byte range within the output of this turn.
    pub(crate) fn push(&mut self, tenant: &Tenant, place: Range<usize>) {
        self.bytes += place.len();
        self.shares.push(tenant, place.len());
        self.fresh.push(place);
    }

    /// Keeps the publications of this turn so far. The last of them is large, and its payload follows.
    pub(crate) fn keep_large(&mut self, said: &Bytes, content: Content<FramedPayload>) {
        self.keep(said);
        if let Some(turn) = self.kept.back_mut() {
            let bytes = content.payload.payload().len();
            self.bytes += bytes;
            self.shares.add_to_last(bytes);
            turn.large = Some(content);
        }
    }

    /// Keeps this turn's publications. They share the bytes of the output, without a copy.
    pub(crate) fn keep(&mut self, said: &Bytes) {
        if self.fresh.is_empty() {
            return;
        }
        let places = std::mem::take(&mut self.fresh);
        let first = self.next_number().0;
        self.count += places.len() as u64;
        let (said, large) = (said.clone(), None);
        self.kept.push_back(KeptTurn { said, first, places, acknowledged: 0, large });
    }

    /// Returns the output of the publication with this number, if it was sent and is not acknowledged.
    pub(crate) fn get(&self, number: Number) -> Option<KeptPublication<'_>> {
        let turn = self.kept.partition_point(|turn| turn.first <= number.0).checked_sub(1)?;
        let turn = self.kept.get(turn)?;
        let place = usize::try_from(number.0 - turn.first).ok()?;
        if let Some(large) = turn.large.as_ref().filter(|_| place + 1 == turn.places.len()) {
            return Some(KeptPublication::Large(large));
        }
        turn.said.get(turn.places.get(place)?.clone()).map(KeptPublication::Small)
    }

    pub(crate) fn acknowledge(&mut self, up_to: Number) {
        while self.acknowledged < up_to.0
            && let Some(turn) = self.kept.front_mut()
        {
            let most = (up_to.0 - self.acknowledged).min(self.shares.first_run());
            let done = turn.acknowledge(most);
            if turn.open().is_empty() {
                self.kept.pop_front();
            }
            self.shares.acknowledge(done);
            self.acknowledged += done.count;
            self.count -= done.count;
            self.bytes -= done.bytes;
        }
    }

    /// Appends all unacknowledged publications again, in order.
    pub(crate) fn repeat(&self, out: &mut Vec<u8>) {
        for turn in &self.kept {
            let open = turn.open().iter().filter_map(|place| turn.said.get(place.clone()));
            open.for_each(|publication| out.extend_from_slice(publication));
            // Publications are acknowledged in order, so the last one is open.
            if let Some(large) = &turn.large {
                out.extend_from_slice(large.payload.payload());
            }
        }
    }
}

#[cfg(test)]
mod tests;
