//! Clients that resume on another host than before: requests for their records in both directions, and where they are.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::lane_places::{EntryOrigin, FormerExtent};
use super::records::RecordKey;
use crate::link::moves::{HandedPublication, MoveNumber, RecordStage};
use crate::link::resume::ResumableJoin;
use crate::types::limits::{
    MOVED_CLIENTS_MAX, MOVED_CLIENTS_TIME, MOVES_ASKED_MAX, MOVES_REQUESTED_MAX,
    MOVES_WAITING_BYTES,
};
use crate::types::{
    ConnectionRef, HostId, Number, RecoveryReason, Slot, WorkerId, WorkerIncarnation,
};

/// Clients that move between hosts.
#[derive(Debug, Default)]
pub(super) struct ClientMoves {
    /// Items that this broker has made.
    items: u64,
    requests: u32,
    /// Joins that wait for records of other hosts, by the number of the request.
    asked: BTreeMap<u32, AskedMove>,
    by_key: HashMap<RecordKey, u32>,
    by_place: HashMap<ConnectionRef, u32>,
    /// When they wait no longer.
    due: BTreeSet<(Duration, u32)>,
    /// Bytes of what those have missed whose records have come.
    waiting_bytes: usize,
    /// Something was taken of a lane since these were compared with what was taken.
    has_taken: bool,
    /// Requests of other hosts that are not served.
    waiting: VecDeque<WaitingRequest>,
    /// Those that are served, by the slots that stand for them.
    served: BTreeMap<Slot, RequestingHost>,
    slots: u32,
    /// Records on their way to other hosts, by the number of forwards that must be carried for each, with their bytes.
    sent: VecDeque<(u64, usize)>,
    sent_bytes: usize,
    pub(super) moved: MovedClients,
    /// What arrivals are in the common lanes, by their numbers, until they are applied.
    arriving: VecDeque<(Number, EntryOrigin)>,
}

/// A join that waits for a record of another host.
#[derive(Debug)]
pub(super) struct AskedMove {
    pub(super) source: WorkerIncarnation,
    pub(super) join: ResumableJoin,
    pub(super) key: RecordKey,
    /// The host that was asked.
    pub(super) host: HostId,
    /// How many were asked.
    pub(super) hosts: u8,
    /// When it waits no longer.
    pub(super) until: Duration,
    /// What the client has missed, once its record is here.
    pub(super) handed: Option<Box<HandedMove>>,
}

/// What a client has missed that has moved here.
#[derive(Debug)]
pub(super) struct HandedMove {
    /// Why that is not known.
    pub(super) reason: Option<RecoveryReason>,
    pub(super) publications: Vec<HandedPublication>,
    /// What it has received, these included.
    pub(super) former: FormerExtent,
}

impl HandedMove {
    /// Returns the bytes of the publications.
    fn bytes(&self) -> usize {
        self.publications.iter().map(|one| one.content.payload.len()).sum()
    }
}

/// A host that has requested a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestingHost {
    pub(super) host: HostId,
    pub(super) number: MoveNumber,
}

/// A request of another host.
#[derive(Debug)]
pub(super) struct WaitingRequest {
    pub(super) from: RequestingHost,
    pub(super) join: ResumableJoin,
}

impl AskedMove {
    fn place(&self) -> ConnectionRef {
        ConnectionRef { worker: self.source.worker, slot: self.join.slot }
    }
}

impl ClientMoves {
    /// Returns the number of the next item.
    pub(super) fn next_item(&mut self) -> Number {
        self.items += 1;
        Number(self.items)
    }

    // --- Joins here that wait for a record ---

    /// Returns whether another join may wait.
    pub(super) fn has_room(&self) -> bool {
        self.asked.len() < MOVES_ASKED_MAX
    }

    /// Returns the number of the next request.
    pub(super) fn next_request(&mut self) -> u32 {
        self.requests = self.requests.wrapping_add(1);
        self.requests
    }

    /// Lets a join wait. No other one of the same client does.
    pub(super) fn put(&mut self, number: u32, asked: AskedMove) {
        self.by_key.insert(asked.key.clone(), number);
        self.by_place.insert(asked.place(), number);
        self.due.insert((asked.until, number));
        self.waiting_bytes += asked.handed.as_ref().map_or(0, |handed| handed.bytes());
        self.has_taken |= asked.handed.is_some();
        self.asked.insert(number, asked);
    }

    /// Returns the join that waits for a client.
    pub(super) fn of(&self, key: &RecordKey) -> Option<(u32, &AskedMove)> {
        let number = if self.by_key.is_empty() { None } else { self.by_key.get(key) }?;
        Some((*number, self.asked.get(number)?))
    }

    /// Removes a join that waits.
    pub(super) fn take(&mut self, number: u32) -> Option<AskedMove> {
        let asked = self.asked.remove(&number)?;
        self.by_key.remove(&asked.key);
        self.by_place.remove(&asked.place());
        self.due.remove(&(asked.until, number));
        self.waiting_bytes -= asked.handed.as_ref().map_or(0, |handed| handed.bytes());
        Some(asked)
    }

    /// Removes the join of a request that a host answers.
    pub(super) fn take_asked(&mut self, number: u32, host: HostId) -> Option<AskedMove> {
        let is_asked = |asked: &AskedMove| asked.host == host && asked.handed.is_none();
        self.asked.get(&number).filter(|asked| is_asked(asked))?;
        self.take(number)
    }

    /// Removes the next join that waits no longer.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<AskedMove> {
        let (_, number) = self.due.first().copied().filter(|(until, _)| *until <= now)?;
        self.take(number)
    }

    /// Returns when the next join waits no longer.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(until, _)| *until)
    }

    /// Removes the join of a connection that has ended.
    pub(super) fn withdraw(&mut self, place: ConnectionRef) {
        if let Some(number) = self.by_place.get(&place).copied() {
            self.take(number);
        }
    }

    /// Removes the joins of a worker that is gone.
    pub(super) fn withdraw_all(&mut self, worker: WorkerId) {
        let is_its = |(_, asked): &(&u32, &AskedMove)| asked.source.worker == worker;
        let numbers: Vec<u32> =
            self.asked.iter().filter(is_its).map(|(number, _)| *number).collect();
        numbers.into_iter().for_each(|number| drop(self.take(number)));
    }

    /// Returns whether there is room for what a client has missed.
    pub(super) fn has_room_for(&self, handed: &HandedMove) -> bool {
        self.waiting_bytes + handed.bytes() <= MOVES_WAITING_BYTES
    }

    /// Something was taken of a lane.
    pub(super) fn note_taken(&mut self) {
        self.has_taken = true;
    }

    /// Returns the joins whose records are here, if something was taken since the last call.
    pub(super) fn take_comparable(&mut self) -> Vec<u32> {
        if !std::mem::take(&mut self.has_taken) || self.asked.is_empty() {
            return Vec::new();
        }
        let handed = self.asked.iter().filter(|(_, asked)| asked.handed.is_some());
        handed.map(|(number, _)| *number).collect()
    }

    /// Compares those again in the next turn.
    pub(super) fn compare_again(&mut self) {
        self.has_taken = true;
    }

    pub(super) fn get(&self, number: u32) -> Option<&AskedMove> {
        self.asked.get(&number)
    }

    // --- Requests of other hosts ---

    /// Lets a request of another host wait. Returns false if there are too many.
    pub(super) fn push_request(&mut self, request: WaitingRequest) -> bool {
        let has_room = self.waiting.len() < MOVES_REQUESTED_MAX;
        if has_room {
            self.waiting.push_back(request);
        }
        has_room
    }

    /// Takes the next request, and gives it a slot.
    pub(super) fn begin_request(&mut self) -> Option<ResumableJoin> {
        let WaitingRequest { from, join } = self.waiting.pop_front()?;
        self.slots = self.slots.wrapping_add(1);
        let slot = Slot(self.slots);
        self.served.insert(slot, from);
        Some(ResumableJoin { slot, ..join })
    }

    /// Returns the host that a slot stands for.
    pub(super) fn requesting(&self, slot: Slot) -> Option<RequestingHost> {
        self.served.get(&slot).copied()
    }

    /// Ends a request.
    pub(super) fn end_request(&mut self, slot: Slot) -> Option<RequestingHost> {
        self.served.remove(&slot)
    }

    /// The bridge is gone. Requests that are not answered are not answered any more.
    pub(super) fn forget_requests(&mut self) {
        self.waiting.clear();
        self.served.clear();
        self.arriving.clear();
    }

    /// Notes a record on its way, and the number of forwards that must be carried before it has arrived.
    pub(super) fn note_sent(&mut self, forwards: u64, bytes: usize) {
        self.sent.push_back((forwards, bytes));
        self.sent_bytes += bytes;
    }

    /// Returns the bytes of records on their way. `is_carried` returns whether a number of forwards is carried.
    pub(super) fn sent_bytes(&mut self, is_carried: impl Fn(u64) -> bool) -> usize {
        while let Some((_, bytes)) = self.sent.pop_front_if(|(forwards, _)| is_carried(*forwards)) {
            self.sent_bytes -= bytes;
        }
        self.sent_bytes
    }

    // --- Arrivals ---

    /// Notes what an arrival is in the common lane of its host, until it is applied.
    pub(super) fn note_arriving(&mut self, number: Number, origin: EntryOrigin) {
        self.arriving.push_back((number, origin));
    }

    /// Takes what an arrival is.
    pub(super) fn take_arriving(&mut self, number: Number) -> Option<EntryOrigin> {
        while self.arriving.front().is_some_and(|(first, _)| *first < number) {
            self.arriving.pop_front();
        }
        let (_, origin) = self.arriving.pop_front_if(|(first, _)| *first == number)?;
        Some(origin)
    }
}

/// Clients that have moved to other hosts. The oldest are forgotten.
#[derive(Debug, Default)]
pub(super) struct MovedClients {
    hosts: HashMap<RecordKey, MovedClient>,
    order: VecDeque<(Duration, RecordKey)>,
}

/// Where a client has moved.
#[derive(Clone, Copy, Debug)]
struct MovedClient {
    /// `None`: the directory says it.
    host: Option<HostId>,
    /// The record that another host has begun again.
    begun: Option<RecordStage>,
    at: Duration,
}

impl MovedClients {
    /// A client has moved to a host.
    pub(super) fn insert(
        &mut self,
        key: RecordKey,
        host: HostId,
        begun: Option<RecordStage>,
        at: Duration,
    ) {
        self.hosts.insert(key.clone(), MovedClient { host: Some(host), begun, at });
        self.order.push_back((at, key));
        while self.order.front().is_some_and(|(oldest, _)| *oldest + MOVED_CLIENTS_TIME <= at)
            || self.order.len() > MOVED_CLIENTS_MAX
        {
            let Some((oldest, key)) = self.order.pop_front() else { break };
            if self.hosts.get(&key).is_some_and(|moved| moved.at == oldest) {
                self.hosts.remove(&key);
            }
        }
    }

    /// Another host has said that it has a client.
    pub(super) fn is_known(&mut self, key: &RecordKey) {
        if let Some(moved) = self.hosts.get_mut(key) {
            moved.host = None;
        }
    }

    /// A client is here again.
    pub(super) fn remove(&mut self, key: &RecordKey) {
        self.hosts.remove(key);
    }

    /// Returns where a client has moved.
    pub(super) fn get(&self, key: &RecordKey) -> Option<HostId> {
        if self.hosts.is_empty() { None } else { self.hosts.get(key)?.host }
    }

    /// Returns the record that another host has begun again.
    pub(super) fn begun(&self, key: &RecordKey) -> Option<RecordStage> {
        self.hosts.get(key)?.begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ClientUuid, Tenant};

    fn key(byte: u8) -> RecordKey {
        RecordKey { tenant: Tenant::shared(), uuid: ClientUuid([byte; 16]) }
    }

    #[test]
    fn clients_that_have_moved_are_remembered_for_a_limited_time() {
        let (mut moved, second) = (MovedClients::default(), Duration::from_secs(1));
        moved.insert(key(1), HostId(1), None, second);
        moved.insert(key(2), HostId(1), None, second * 2);
        moved.insert(key(1), HostId(2), None, second * 3);
        assert_eq!(moved.get(&key(1)), Some(HostId(2)));
        moved.insert(key(3), HostId(1), None, second * 2 + MOVED_CLIENTS_TIME);
        assert_eq!(moved.get(&key(2)), None);
        assert_eq!(moved.get(&key(1)), Some(HostId(2)), "it has moved again");
        moved.remove(&key(1));
        assert_eq!(moved.get(&key(1)), None);
    }
}
