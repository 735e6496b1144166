//! Requests of clients that may resume: which were accepted, on this connection of a client or on an earlier one.
//!
//! A client has one place, and before it gets another one its former worker has sent everything that it has read. So
//! the worker of a client alone decides whether a request is repeated.

use std::collections::{HashMap, VecDeque};

use crate::types::{AcceptedIds, IdNovelty, Number, Slot};

/// Requests of all clients of this worker that may resume. Most workers have none.
#[derive(Debug, Default)]
pub(crate) struct SentRequests {
    clients: HashMap<Slot, InstanceRequests>,
    /// Requests that the broker has not acknowledged, in the order of their numbers. The window limits them (rule L4).
    in_flight: VecDeque<RequestInFlight>,
    /// Clients that have come back, each with the last number of the worker before that. They wait for the
    /// acknowledgement of a later one.
    returned: VecDeque<(Number, Slot)>,
}

/// A request that the broker has not acknowledged.
#[derive(Clone, Copy, Debug)]
struct RequestInFlight {
    number: Number,
    slot: Slot,
    id: u64,
}

/// Requests of one instance.
#[derive(Debug)]
struct InstanceRequests {
    /// The last number of the worker before the first of them. Those up to it are of an earlier client of the slot.
    begun: Number,
    /// Requests that the broker has acknowledged.
    accepted: AcceptedIds,
    /// The same, and those that it has not acknowledged yet.
    sent: AcceptedIds,
    /// Requests of earlier connections that some link may not have taken yet.
    former: AcceptedIds,
    /// The broker has died before all links had taken those, so it is not known whether they were delivered.
    is_doubtful: bool,
}

/// Requests of a client for the next broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AnnouncedIds {
    /// Those that the broker has acknowledged. `None`: others may have been accepted.
    pub(crate) accepted: Option<AcceptedIds>,
    /// Whether no others are sent to it again.
    pub(crate) is_complete: bool,
}

/// Whether a request is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestVerdict {
    /// It is.
    New,
    /// It was accepted before, and all links have taken it, or will before the acknowledgement of everything sent so
    /// far.
    Repeated,
    /// It was accepted before, and all links have taken it when a [barrier](super::uplink::Uplink::barrier) is
    /// acknowledged, if its fate is known then.
    RepeatedBehindBarrier,
    /// It was accepted before, and its fate is not known.
    Doubtful,
    /// It is so old that nothing is known about it.
    TooOld,
}

impl SentRequests {
    /// Takes the requests of a client that has come back, given the last number of the worker.
    pub(crate) fn come_back(&mut self, slot: Slot, ids: AcceptedIds, begun: Number) {
        if ids.is_empty() {
            return;
        }
        let known =
            InstanceRequests { begun, accepted: ids, sent: ids, former: ids, is_doubtful: false };
        self.clients.insert(slot, known);
        self.returned.push_back((begun, slot));
    }

    /// Decides about a request.
    pub(crate) fn judge(&self, slot: Slot, id: u64) -> RequestVerdict {
        let Some(client) = self.clients.get(&slot) else { return RequestVerdict::New };
        match client.sent.judge(id) {
            IdNovelty::New => RequestVerdict::New,
            IdNovelty::TooOld => RequestVerdict::TooOld,
            IdNovelty::Repeated if client.former.judge(id) != IdNovelty::Repeated => {
                RequestVerdict::Repeated
            }
            IdNovelty::Repeated if client.is_doubtful => RequestVerdict::Doubtful,
            IdNovelty::Repeated => RequestVerdict::RepeatedBehindBarrier,
        }
    }

    /// Adds a request that is sent with this number.
    pub(crate) fn send(&mut self, slot: Slot, id: u64, number: Number) {
        let none = AcceptedIds::default();
        let client = self.clients.entry(slot).or_insert_with(|| InstanceRequests {
            begun: Number(number.0 - 1),
            accepted: none,
            sent: none,
            former: none,
            is_doubtful: false,
        });
        client.sent.insert(id);
        self.in_flight.push_back(RequestInFlight { number, slot, id });
    }

    /// Records that the broker has not accepted the request with this number.
    pub(crate) fn refused(&mut self, number: Number) {
        let Self { clients, in_flight, .. } = self;
        let place = in_flight.partition_point(|request| request.number < number);
        let Some(request) = in_flight.get(place).copied().filter(|it| it.number == number) else {
            return;
        };
        in_flight.remove(place);
        if let Some(client) = clients.get_mut(&request.slot).filter(|it| it.begun < number) {
            client.sent.remove(request.id);
        }
    }

    /// Records that the broker has acknowledged everything up to this number.
    pub(crate) fn acknowledged(&mut self, up_to: Number) {
        let Self { clients, in_flight, returned } = self;
        while let Some(request) = in_flight.pop_front_if(|request| request.number <= up_to) {
            let client = clients.get_mut(&request.slot).filter(|it| it.begun < request.number);
            if let Some(client) = client {
                client.accepted.insert(request.id);
            }
        }
        // The turns of the broker are acknowledged in their order.
        while let Some((begun, slot)) = returned.pop_front_if(|(begun, _)| *begun < up_to) {
            if let Some(client) = clients.get_mut(&slot).filter(|it| it.begun == begun) {
                client.former = AcceptedIds::default();
            }
        }
    }

    /// The broker is dead. What earlier connections have sent may have been lost with it and with their workers.
    pub(crate) fn on_broker_lost(&mut self) {
        for (begun, slot) in self.returned.drain(..) {
            if let Some(client) = self.clients.get_mut(&slot).filter(|it| it.begun == begun) {
                client.is_doubtful = true;
            }
        }
    }

    /// Returns the requests of a client for the next broker, without those that are sent to it again.
    pub(crate) fn announced(&self, slot: Slot) -> AnnouncedIds {
        match self.clients.get(&slot) {
            None => AnnouncedIds { accepted: Some(AcceptedIds::default()), is_complete: true },
            Some(client) => AnnouncedIds {
                accepted: (!client.is_doubtful).then_some(client.accepted),
                is_complete: client.accepted.has_same(&client.sent),
            },
        }
    }

    /// Returns the clients of requests that are sent to the next broker again, without those that are doubtful.
    pub(crate) fn repeated(&self) -> impl Iterator<Item = Slot> + '_ {
        let clients = self.clients.iter();
        let is_repeated = |client: &InstanceRequests| {
            !client.is_doubtful && !client.accepted.has_same(&client.sent)
        };
        clients.filter(move |(_, client)| is_repeated(client)).map(|(slot, _)| *slot)
    }

    /// Forgets a client.
    pub(crate) fn forget(&mut self, slot: Slot) {
        if !self.clients.is_empty() {
            self.clients.remove(&slot);
        }
    }

    /// Returns the memory for a client in bytes.
    pub(crate) fn held(&self, slot: Slot) -> usize {
        match !self.clients.is_empty() && self.clients.contains_key(&slot) {
            true => size_of::<(Slot, InstanceRequests)>(),
            false => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Slot = Slot(3);

    fn ids(all: &[u64]) -> AcceptedIds {
        let mut ids = AcceptedIds::default();
        all.iter().for_each(|id| ids.insert(*id));
        ids
    }

    #[test]
    fn a_request_is_announced_once_the_broker_has_acknowledged_it() {
        let mut requests = SentRequests::default();
        assert_eq!(requests.judge(SLOT, 1), RequestVerdict::New);
        requests.send(SLOT, 1, Number(5));
        requests.send(SLOT, 2, Number(7));
        assert_eq!(requests.judge(SLOT, 1), RequestVerdict::Repeated);
        assert_eq!(requests.announced(SLOT).accepted, Some(ids(&[])));
        requests.acknowledged(Number(6));
        assert_eq!(requests.announced(SLOT).accepted, Some(ids(&[1])));
        assert!(!requests.announced(SLOT).is_complete && requests.repeated().eq([SLOT]));
        requests.refused(Number(7));
        assert_eq!(requests.judge(SLOT, 2), RequestVerdict::New);
        requests.acknowledged(Number(7));
        assert_eq!(requests.announced(SLOT).accepted, Some(ids(&[1])));
        assert!(requests.announced(SLOT).is_complete && requests.repeated().next().is_none());
    }

    #[test]
    fn requests_of_an_earlier_client_of_the_slot_do_not_count() {
        let mut requests = SentRequests::default();
        requests.send(SLOT, 1, Number(5));
        requests.forget(SLOT);
        requests.send(SLOT, 9, Number(6));
        requests.acknowledged(Number(5));
        assert_eq!(requests.announced(SLOT).accepted, Some(ids(&[])));
        requests.acknowledged(Number(6));
        assert_eq!(requests.announced(SLOT).accepted, Some(ids(&[9])));
        assert_eq!(requests.held(Slot(4)), 0);
        assert!(requests.held(SLOT) < 160);
    }

    #[test]
    fn requests_of_earlier_connections_are_certain_after_an_acknowledgement() {
        let mut requests = SentRequests::default();
        requests.come_back(SLOT, ids(&[4]), Number(10));
        assert_eq!(requests.judge(SLOT, 4), RequestVerdict::RepeatedBehindBarrier);
        requests.acknowledged(Number(10));
        assert_eq!(requests.judge(SLOT, 4), RequestVerdict::RepeatedBehindBarrier);
        requests.acknowledged(Number(11));
        assert_eq!(requests.judge(SLOT, 4), RequestVerdict::Repeated);
        requests.on_broker_lost();
        assert_eq!(requests.announced(SLOT).accepted, Some(ids(&[4])));
    }

    #[test]
    fn the_fate_of_such_a_request_is_unknown_if_the_broker_dies_before() {
        let mut requests = SentRequests::default();
        requests.come_back(SLOT, ids(&[4]), Number(10));
        requests.send(SLOT, 5, Number(11));
        requests.on_broker_lost();
        let verdicts = [4, 5, 6].map(|id| requests.judge(SLOT, id));
        let (repeated, new) = (RequestVerdict::Repeated, RequestVerdict::New);
        assert_eq!(verdicts, [RequestVerdict::Doubtful, repeated, new]);
        assert_eq!(requests.announced(SLOT).accepted, None);
    }
}
