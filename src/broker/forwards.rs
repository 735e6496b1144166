//! Publications for other hosts that the bridge has not carried yet.
//!
//! The broker keeps each until the bridge says that it is carried, and gives it to the next bridge if this one dies. The
//! windows of the workers limit them (rule L4), as their publications are not acknowledged before. Without a bridge for
//! longer than a moment publications are acknowledged nevertheless. The oldest are then dropped above a limit, and a
//! number takes their place.

use std::collections::VecDeque;
use std::time::Duration;

use super::worker_state::LinkOutbox;
use crate::cluster::{Forward, LostItems};
use crate::link::bridge::ToBridge;
use crate::link::codec::{encode_forward, mark_repeated};
use crate::link::message::ToWorker;
use crate::types::limits::{
    BRIDGE_ABSENT_WAIT, BRIDGE_KEPT_BYTES, BRIDGE_LINK_BYTES, BRIDGE_WAIT,
    CLUSTER_DIRECTORY_KEPT_BYTES,
};

/// Memory of a forward in addition to its message, in bytes.
const FORWARD_BYTES: usize = 2 * size_of::<KeptForward>();

/// What the bridge gets as one message.
#[derive(Debug)]
enum KeptForward {
    /// A publication.
    Forward(KeptMessage),
    /// These items were dropped here.
    Dropped(LostItems),
}

/// A publication, as it is sent.
#[derive(Debug)]
struct KeptMessage {
    message: Vec<u8>,
    /// A client misses something if it is lost.
    is_for_clients: bool,
}

impl KeptForward {
    fn publications(&self) -> u64 {
        match self {
            Self::Forward(_) => 1,
            Self::Dropped(items) => items.all,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Forward(kept) => kept.message.len() + FORWARD_BYTES,
            Self::Dropped(_) => 0,
        }
    }
}

/// Whether a bridge takes forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BridgeState {
    /// There is none, or it has not begun.
    Absent,
    /// It has begun, and has reported this number of forwards as carried.
    Linked { carried: u64 },
}

/// Publications for other hosts, in the order in which they were resolved.
#[derive(Debug)]
pub(super) struct KeptForwards {
    /// Those that are not carried.
    kept: VecDeque<KeptForward>,
    /// How many of them, from the front on, the present bridge was given.
    given: usize,
    /// Bytes of those that it was not given.
    bytes: usize,
    /// Bytes of changes of the directory, and of clients that move, in the time without a bridge. No window limits them.
    directory_bytes: usize,
    /// Publications that were ever added.
    added: u64,
    /// Publications at the beginning of these that are carried, or were dropped.
    carried: u64,
    bridge: BridgeState,
    /// Publications are acknowledged without the bridge, until it says again that some are carried.
    is_stalled: bool,
}

impl Default for KeptForwards {
    fn default() -> Self {
        Self {
            kept: VecDeque::new(),
            given: 0,
            bytes: 0,
            directory_bytes: 0,
            added: 0,
            carried: 0,
            bridge: BridgeState::Absent,
            is_stalled: false,
        }
    }
}

impl KeptForwards {
    /// Adds a publication.
    pub(super) fn push<B: AsRef<[u8]>>(&mut self, forward: &Forward<B>) {
        let publication = &forward.publication;
        let is_internal = publication.is_of_directory() || publication.is_about_move();
        let is_for_clients = publication.item_kind().is_for_clients();
        let message = encode_forward(forward);
        let forward = KeptForward::Forward(KeptMessage { message, is_for_clients });
        self.bytes += forward.bytes();
        self.added += 1;
        if is_internal && self.bridge == BridgeState::Absent {
            self.directory_bytes += forward.bytes();
            self.is_stalled |= self.directory_bytes > CLUSTER_DIRECTORY_KEPT_BYTES;
        }
        self.kept.push_back(forward);
        while self.is_stalled && self.bytes > BRIDGE_KEPT_BYTES {
            self.drop_oldest();
        }
    }

    /// Drops the oldest forward that the bridge was not given.
    fn drop_oldest(&mut self) {
        let mut dropped = LostItems::default();
        if let Some(KeptForward::Dropped(before)) = self.kept.get(self.given) {
            dropped = *before;
            self.kept.remove(self.given);
        }
        let Some(oldest) = self.kept.get_mut(self.given) else { return };
        self.bytes -= oldest.bytes();
        if let KeptForward::Forward(forward) = oldest {
            dropped = dropped.and(match forward.is_for_clients {
                true => LostItems::FOR_CLIENTS,
                false => LostItems::OTHER,
            });
        }
        *oldest = KeptForward::Dropped(dropped);
    }

    /// Returns how many publications were ever added. All of these must be [carried](Self::waits_for), before what
    /// was published until now is acknowledged.
    pub(super) fn added(&self) -> u64 {
        self.added
    }

    /// Returns whether this number of publications, from the first on, is carried.
    pub(super) fn is_carried(&self, added: u64) -> bool {
        self.carried >= added
    }

    /// A bridge takes forwards from now on. It gets all that are kept.
    pub(super) fn linked(&mut self) {
        self.directory_bytes = 0;
        self.bridge = BridgeState::Linked { carried: 0 };
    }

    /// The bridge is gone. The next one gets everything again that is not carried.
    pub(super) fn unlinked(&mut self) {
        self.bridge = BridgeState::Absent;
        for given in self.kept.iter_mut().take(self.given) {
            self.bytes += given.bytes();
            if let KeptForward::Forward(kept) = given {
                mark_repeated(&mut kept.message);
            }
        }
        self.given = 0;
    }

    /// Gives forwards to the bridge while its link has room.
    pub(super) fn give(&mut self, out: &mut LinkOutbox) {
        while self.may_give(out)
            && let Some(next) = self.kept.get(self.given)
        {
            match next {
                KeptForward::Forward(kept) => out.send_encoded(&kept.message),
                KeptForward::Dropped(items) => {
                    out.send(&ToWorker::Bridge(ToBridge::Missing(*items)));
                }
            }
            self.bytes -= next.bytes();
            self.given += 1;
        }
    }

    /// Returns whether [`KeptForwards::give`] has something to do.
    pub(super) fn may_give(&self, out: &LinkOutbox) -> bool {
        let is_linked = self.bridge != BridgeState::Absent;
        is_linked && self.given < self.kept.len() && out.pending().len() < BRIDGE_LINK_BYTES
    }

    /// Returns whether the bridge was given everything.
    pub(super) fn are_given(&self) -> bool {
        self.bridge != BridgeState::Absent && self.given == self.kept.len()
    }

    /// The bridge has reported this number of its forwards as carried.
    pub(super) fn carry(&mut self, forwards: u64) {
        let BridgeState::Linked { carried } = &mut self.bridge else { return };
        while *carried < forwards
            && self.given > 0
            && let Some(first) = self.kept.pop_front()
        {
            *carried += 1;
            self.given -= 1;
            self.carried += first.publications();
            self.is_stalled = false;
        }
    }

    /// Returns whether publications wait for the bridge: up to `added`, since a turn that ended so long ago.
    pub(super) fn waits_for(&mut self, added: u64, since: Duration) -> bool {
        if self.carried >= added || self.is_stalled {
            return false;
        }
        if since < self.longest_wait() {
            return true;
        }
        self.is_stalled = true;
        tracing::warn!(
            event = "bridge_not_awaited",
            kept = self.kept.len(),
            "publications are acknowledged although the bridge has not sent them"
        );
        false
    }

    /// Returns how long publications wait for the bridge at most.
    pub(super) fn longest_wait(&self) -> Duration {
        match self.bridge {
            BridgeState::Absent => BRIDGE_ABSENT_WAIT,
            BridgeState::Linked { .. } => BRIDGE_WAIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cluster::{CarriedPublication, CarriedReplay, ForwardReach};
    use crate::types::{Generation, Number, PayloadForm, Sequence, WorkerId, WorkerIncarnation};

    fn forward(number: u64, bytes: usize) -> Forward {
        let publication = CarriedPublication {
            source: WorkerIncarnation { worker: WorkerId(0), generation: Generation(0) },
            number: Number(number),
            generation: Generation(0),
            sequence: Sequence(number),
            route: Bytes::from_static(b"route"),
            form: PayloadForm::Message,
            payload: vec![0; bytes].into(),
            is_repeated: false,
            directive: None,
            question: None,
            report_ms: None,
            replay: CarriedReplay::None,
        };
        Forward { reach: ForwardReach::All, publication }
    }

    /// Returns what the bridge is given: numbers, and whether each is repeated. What was dropped has no number.
    fn given(forwards: &mut KeptForwards) -> Vec<(u64, bool)> {
        let mut out = LinkOutbox::default();
        forwards.give(&mut out);
        let mut decoder = crate::link::codec::MessageDecoder::default();
        decoder.extend(out.pending());
        let mut all = Vec::new();
        while let Ok(Some(body)) = decoder.take_body() {
            match crate::link::codec::WireMessage::decode(body).unwrap() {
                ToWorker::Bridge(ToBridge::Forward(it)) => {
                    all.push((it.publication.number.0, it.publication.is_repeated));
                }
                ToWorker::Bridge(ToBridge::Missing(items)) => all.push((items.all, true)),
                other => panic!("{other:?}"),
            }
        }
        all
    }

    const SHORT: Duration = Duration::from_millis(10);

    #[test]
    fn what_is_not_carried_is_given_to_the_next_bridge() {
        let mut forwards = KeptForwards::default();
        forwards.push(&forward(1, 10));
        assert_eq!(given(&mut forwards), [], "there is no bridge");
        forwards.linked();
        forwards.push(&forward(2, 10));
        assert_eq!(given(&mut forwards), [(1, false), (2, false)]);
        forwards.push(&forward(3, 10));
        assert!(forwards.waits_for(1, SHORT));
        forwards.carry(1);
        assert!(!forwards.waits_for(1, SHORT) && forwards.waits_for(2, SHORT));
        forwards.unlinked();
        forwards.carry(9);
        forwards.linked();
        assert_eq!(given(&mut forwards), [(2, true), (3, false)]);
        forwards.carry(2);
        assert!(!forwards.waits_for(3, SHORT));
        assert_eq!(forwards.bytes, 0);
    }

    #[test]
    fn publishers_wait_for_a_bridge_for_a_limited_time() {
        let mut forwards = KeptForwards::default();
        forwards.push(&forward(1, 10));
        assert!(forwards.waits_for(1, BRIDGE_ABSENT_WAIT / 2));
        assert!(!forwards.waits_for(1, BRIDGE_ABSENT_WAIT));
        forwards.push(&forward(2, 10));
        assert!(!forwards.waits_for(2, Duration::ZERO), "until it is back");
        forwards.linked();
        assert_eq!(given(&mut forwards).len(), 2);
        forwards.carry(1);
        assert!(forwards.waits_for(2, SHORT));
    }

    #[test]
    fn the_oldest_are_dropped_and_counted_while_the_bridge_is_missing() {
        let mut forwards = KeptForwards::default();
        let size = BRIDGE_KEPT_BYTES / 4;
        for number in 1..=9 {
            forwards.push(&forward(number, size));
        }
        assert_eq!(forwards.kept.len(), 9, "the windows of the workers limit them");
        assert!(!forwards.waits_for(9, BRIDGE_ABSENT_WAIT));
        forwards.push(&forward(10, size));
        assert_eq!(forwards.kept.len(), 4, "three, and the number of the others");
        forwards.push(&forward(11, size));
        assert_eq!(forwards.kept.len(), 4);
        forwards.linked();
        assert_eq!(given(&mut forwards), [(8, true), (9, false)]);
        assert_eq!(given(&mut forwards), [(10, false)], "when the link has room");
        assert_eq!(given(&mut forwards), [(11, false)]);
        forwards.carry(1);
        assert!(!forwards.waits_for(8, SHORT) && forwards.waits_for(9, SHORT));
        forwards.carry(4);
        assert!(!forwards.waits_for(11, SHORT));
    }
}
