//! Encodes and decodes messages between the broker and the bridge.

use bytes::{BufMut, Bytes};

use super::Malformed;
use super::carried::{ARRIVE, FORWARD, put_arrival, put_forward, read_arrival, read_forward};
use super::decode::FieldReader;
use super::encode::{put_ip, put_length, put_source};
use super::hosts_query::{
    put_answered, put_query_of_process, read_answered, read_query_of_process,
};
use crate::cluster::{
    AnnouncedNames, BridgeEpoch, ClusterEffect, DegradedReason, DirectoryItem, GapReason, HostRun,
    KeptForBridge, LaneGap, LaneKey, LanePoint, LostItems, SentToOne, TakenLanes,
};
use crate::link::bridge::{FromBridge, HostsNotice, ToBridge};
use crate::types::{AddressCount, ConnectionCounts, HostId, Number};

/// Kind of a message of the bridge, and of one for it.
pub(super) const BRIDGE: u8 = 60;

/// Kind of a message about other hosts.
pub(super) const HOSTS: u8 = 61;

/// Bytes of a [`SentToOne`].
const SENT_BYTES: usize = 18;

const DEGRADED: [DegradedReason; 3] =
    [DegradedReason::Disconnected, DegradedReason::CannotReceive, DegradedReason::CannotSend];
const REASONS: [GapReason; 6] = GapReason::ALL;

pub(super) fn put_hosts_notice(out: &mut Vec<u8>, notice: HostsNotice) {
    out.put_u8(HOSTS);
    match notice {
        HostsNotice::Joined => out.put_u8(1),
        HostsNotice::Cut => out.put_u8(2),
        HostsNotice::Live { hosts } => {
            out.put_u8(54);
            out.put_u32_le(hosts);
        }
        HostsNotice::Missed { items } => {
            out.put_u8(3);
            out.put_u64_le(items.unwrap_or(u64::MAX));
        }
    }
}

pub(super) fn read_hosts_notice(body: &mut FieldReader<'_>) -> Result<HostsNotice, Malformed> {
    Ok(match body.u8()? {
        1 => HostsNotice::Joined,
        2 => HostsNotice::Cut,
        54 => HostsNotice::Live { hosts: body.u32()? },
        3 => HostsNotice::Missed { items: Some(body.u64()?).filter(|items| *items != u64::MAX) },
        _ => return Err(Malformed::Invalid("notice of other hosts")),
    })
}

pub(super) fn put_from_bridge(out: &mut Vec<u8>, message: &FromBridge) {
    out.put_u8(BRIDGE);
    match message {
        FromBridge::Start => out.put_u8(1),
        FromBridge::Kept(kept) => {
            out.put_u8(2);
            kept.encode(out);
        }
        FromBridge::Effect(effect) => put_effect(out, effect),
        FromBridge::Answered(answered) => {
            out.put_u8(12);
            put_answered(out, answered);
        }
        FromBridge::Elsewhere(counts) => {
            out.put_u8(52);
            put_counts(out, counts);
        }
        FromBridge::Names(names) => {
            out.put_u8(60);
            let AnnouncedNames { host, range } = &**names;
            out.put_u32_le(host.0);
            out.put_slice(&DirectoryItem::Range(range.clone()).encode());
        }
        FromBridge::Sent(sent) => {
            out.put_u8(61);
            put_length(out, sent.len());
            for SentToOne { source, number, host } in sent {
                put_source(out, *source);
                out.put_u64_le(number.0);
                out.put_u32_le(host.0);
            }
        }
    }
}

fn put_counts(out: &mut Vec<u8>, ConnectionCounts { clients, addresses }: &ConnectionCounts) {
    out.put_u64_le(*clients);
    put_length(out, addresses.len());
    for AddressCount { address, connections } in addresses {
        put_ip(out, *address);
        out.put_u32_le(*connections);
    }
}

fn read_counts(body: &mut FieldReader<'_>) -> Result<ConnectionCounts, Malformed> {
    let clients = body.u64()?;
    // A count that is too large ends with the message.
    let count = body.u32()?;
    let one = |_| Ok(AddressCount { address: body.ip()?, connections: body.u32()? });
    let addresses = (0..count).map(one).collect::<Result<Vec<_>, Malformed>>()?;
    Ok(ConnectionCounts { clients, addresses })
}

fn read_sent(body: &mut FieldReader<'_>) -> Result<Vec<SentToOne>, Malformed> {
    let count = body.count_of(SENT_BYTES)?;
    let one = |_| {
        let (source, number) = (body.source()?, Number(body.u64()?));
        Ok(SentToOne { source, number, host: HostId(body.u32()?) })
    };
    (0..count).map(one).collect()
}

fn read_names(body: &mut FieldReader<'_>) -> Result<AnnouncedNames, Malformed> {
    let host = HostId(body.u32()?);
    let bytes = Bytes::copy_from_slice(body.take_rest());
    match DirectoryItem::decode(bytes) {
        Ok(DirectoryItem::Range(range)) => Ok(AnnouncedNames { host, range }),
        _ => Err(Malformed::Invalid("names")),
    }
}

fn put_effect(out: &mut Vec<u8>, effect: &ClusterEffect) {
    match effect {
        ClusterEffect::HostLive { host, taken } => {
            out.put_u8(3);
            out.put_u32_le(host.0);
            taken.encode(out);
        }
        ClusterEffect::HostGone(host) => {
            out.put_u8(4);
            out.put_u32_le(host.0);
        }
        ClusterEffect::HostForgotten(host) => {
            out.put_u8(5);
            out.put_u32_le(host.0);
        }
        ClusterEffect::Arrive(arrival) => {
            out.put_u8(ARRIVE);
            put_arrival(out, arrival);
        }
        ClusterEffect::Carried { forwards, epoch, points } => {
            out.put_u8(7);
            out.put_u64_le(*forwards);
            out.put_u32_le(epoch.0);
            put_length(out, points.len());
            points.iter().for_each(|point| put_point(out, *point));
        }
        ClusterEffect::LaneClosed(lane) => {
            out.put_u8(8);
            out.put_u32_le(lane.0);
        }
        ClusterEffect::Gap { number, gap: LaneGap { host, run, lost, reason } } => {
            out.put_u8(9);
            out.put_u64_le(*number);
            out.put_u32_le(host.0);
            out.put_u64_le(run.0);
            out.put_u8(u8::from(lost.is_some()));
            lost.iter().for_each(|lost| put_lost(out, *lost));
            out.put_u8(place_in(&REASONS, reason));
        }
        ClusterEffect::Degraded(reason) => {
            out.put_u8(10);
            out.put_u8(reason.map_or(u8::MAX, |reason| place_in(&DEGRADED, &reason)));
        }
        ClusterEffect::DuplicateHost => out.put_u8(11),
    }
}

fn place_in<T: PartialEq>(all: &[T], one: &T) -> u8 {
    let place = all.iter().position(|it| it == one);
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or_default()
}

fn put_lost(out: &mut Vec<u8>, LostItems { all, for_clients }: LostItems) {
    out.put_u64_le(all);
    out.put_u64_le(for_clients);
}

fn read_lost(body: &mut FieldReader<'_>) -> Result<LostItems, Malformed> {
    Ok(LostItems { all: body.u64()?, for_clients: body.u64()? })
}

pub(super) fn put_point(out: &mut Vec<u8>, point: LanePoint) {
    out.put_u32_le(point.lane.0);
    out.put_u64_le(point.number);
}

pub(super) fn read_from_bridge(body: &mut FieldReader<'_>) -> Result<FromBridge, Malformed> {
    Ok(match body.u8()? {
        1 => FromBridge::Start,
        2 => FromBridge::Kept(Box::new(read_kept(body)?)),
        12 => FromBridge::Answered(Box::new(read_answered(body)?)),
        61 => FromBridge::Sent(read_sent(body)?),
        52 => FromBridge::Elsewhere(Box::new(read_counts(body)?)),
        60 => FromBridge::Names(Box::new(read_names(body)?)),
        kind => FromBridge::Effect(Box::new(read_effect(kind, body)?)),
    })
}

fn read_effect(kind: u8, body: &mut FieldReader<'_>) -> Result<ClusterEffect, Malformed> {
    Ok(match kind {
        3 => {
            let host = HostId(body.u32()?);
            let taken = TakenLanes::decode(Bytes::copy_from_slice(body.take_rest()));
            ClusterEffect::HostLive { host, taken: taken.map_err(|_| Malformed::Invalid("lanes"))? }
        }
        4 => ClusterEffect::HostGone(HostId(body.u32()?)),
        5 => ClusterEffect::HostForgotten(HostId(body.u32()?)),
        ARRIVE => ClusterEffect::Arrive(read_arrival(body)?.copied()),
        7 => {
            let (forwards, epoch) = (body.u64()?, BridgeEpoch(body.u32()?));
            let points = (0..body.count_of(12)?).map(|_| read_point(body));
            let points = points.collect::<Result<Vec<_>, Malformed>>()?;
            ClusterEffect::Carried { forwards, epoch, points }
        }
        8 => ClusterEffect::LaneClosed(LaneKey(body.u32()?)),
        9 => {
            let number = body.u64()?;
            let (host, run) = (HostId(body.u32()?), HostRun(body.u64()?));
            let lost = if body.flag()? { Some(read_lost(body)?) } else { None };
            let reason = body.u8()?;
            let known = REASONS.get(usize::from(reason)).copied();
            let reason = known.ok_or(Malformed::Unknown("reason", reason))?;
            ClusterEffect::Gap { number, gap: LaneGap { host, run, lost, reason } }
        }
        10 => match body.u8()? {
            u8::MAX => ClusterEffect::Degraded(None),
            reason => {
                let known = DEGRADED.get(usize::from(reason)).copied();
                let known = known.ok_or(Malformed::Unknown("reason", reason))?;
                ClusterEffect::Degraded(Some(known))
            }
        },
        11 => ClusterEffect::DuplicateHost,
        kind => return Err(Malformed::Unknown("kind", kind)),
    })
}

fn read_kept(body: &mut FieldReader<'_>) -> Result<KeptForBridge, Malformed> {
    let kept = KeptForBridge::decode(Bytes::copy_from_slice(body.take_rest()));
    kept.map_err(|_| Malformed::Invalid("what is kept"))
}

pub(super) fn read_point(body: &mut FieldReader<'_>) -> Result<LanePoint, Malformed> {
    Ok(LanePoint { lane: LaneKey(body.u32()?), number: body.u64()? })
}

pub(super) fn put_to_bridge(out: &mut Vec<u8>, message: &ToBridge) {
    out.put_u8(BRIDGE);
    match message {
        ToBridge::Kept(kept) => {
            out.put_u8(1);
            kept.encode(out);
        }
        ToBridge::Forward(forward) => put_forward(out, forward),
        ToBridge::Missing(items) => {
            out.put_u8(3);
            put_lost(out, *items);
        }
        ToBridge::Query(query) => {
            out.put_u8(4);
            put_query_of_process(out, query);
        }
        ToBridge::Clients(counts) => {
            out.put_u8(50);
            put_counts(out, counts);
        }
    }
}

pub(super) fn read_to_bridge(body: &mut FieldReader<'_>) -> Result<ToBridge, Malformed> {
    match body.u8()? {
        1 => Ok(ToBridge::Kept(Box::new(read_kept(body)?))),
        FORWARD => Ok(ToBridge::Forward(Box::new(read_forward(body)?.copied()))),
        3 => Ok(ToBridge::Missing(read_lost(body)?)),
        4 => Ok(ToBridge::Query(Box::new(read_query_of_process(body)?))),
        50 => Ok(ToBridge::Clients(Box::new(read_counts(body)?))),
        kind => Err(Malformed::Unknown("kind", kind)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::{
        Arrival, CarriedId, CarriedPublication, CarriedQuestion, CarriedReplay, Forward,
        ForwardReach, PassedPublication,
    };
    use crate::link::codec::{WireMessage, encode_arrival, encode_forward, mark_repeated};
    use crate::link::in_place::{ForBridge, FromWorker};
    use crate::link::message::{ToBroker, ToWorker};
    use crate::types::{
        AskToken, Generation, PayloadForm, ReplayDigest, Sequence, WorkerId, WorkerIncarnation,
    };

    fn passes<M: WireMessage + PartialEq + std::fmt::Debug>(message: &M) {
        let mut out = Vec::new();
        message.encode(&mut out);
        assert_eq!(M::decode(&out[4..]).as_ref(), Ok(message));
        assert_ne!(M::decode(&out[4..out.len() - 1]).as_ref(), Ok(message));
    }

    fn publication(seed: u64, payload: &[u8]) -> CarriedPublication {
        CarriedPublication {
            source: WorkerIncarnation { worker: WorkerId(3), generation: Generation(9) },
            number: Number(seed),
            generation: Generation(2),
            sequence: Sequence(seed / 2),
            route: Bytes::from_static(b"route"),
            form: PayloadForm::Text,
            payload: Bytes::copy_from_slice(payload),
            is_repeated: seed % 2 == 1,
            directive: Some(seed / 3).filter(|_| seed % 3 == 1),
            question: (seed % 6 == 1)
                .then_some(CarriedQuestion { token: AskToken([8; 16]), within_ms: 7 }),
            report_ms: (seed % 6 == 4).then_some(9),
            replay: match seed % 5 {
                0 => CarriedReplay::None,
                1 => CarriedReplay::Records,
                _ => CarriedReplay::Id(Box::new(CarriedId {
                    id: ReplayDigest([1; 16]),
                    content: ReplayDigest([2; 16]),
                    at: seed,
                    until: seed / 2,
                    recipients_min: seed % 2,
                })),
            },
        }
    }

    proptest! {
        #[test]
        fn messages_of_the_bridge_pass(seed: u64, payload: Vec<u8>, at in 0..6_usize) {
            let publication = publication(seed, &payload);
            let (host, run, epoch) = (HostId(7), HostRun(seed), BridgeEpoch(5));
            let (lane, source, number) = (LaneKey(9), publication.source, publication.number);
            let point = LanePoint { lane, number: seed };
            let taken = PassedPublication { host, epoch, point, source, number };
            let items = LostItems { all: seed, for_clients: seed / 2 };
            let lost = Some(items).filter(|_| at > 1);
            let gap = LaneGap { host, run, lost, reason: REASONS[at] };
            let begun = TakenLanes::begin(run, epoch, crate::cluster::LaneStart::default());
            let forward = |reach| Forward { reach, publication: publication.clone() };
            for effect in [
                ClusterEffect::HostLive { host, taken: begun },
                ClusterEffect::HostGone(host),
                ClusterEffect::HostForgotten(host),
                ClusterEffect::Carried { forwards: seed, epoch, points: vec![point; at] },
                ClusterEffect::LaneClosed(lane),
                ClusterEffect::Gap { number: seed, gap },
                ClusterEffect::Degraded(DEGRADED.get(at).copied()),
                ClusterEffect::DuplicateHost,
            ] {
                passes(&ToBroker::Bridge(FromBridge::Effect(Box::new(effect))));
            }
            let arrival = Arrival { number: seed, taken, publication: publication.clone() };
            let mut encoded = Vec::new();
            encode_arrival(&mut encoded, &arrival);
            match FromWorker::decode(&encoded[4..]).unwrap() {
                FromWorker::Arrive(read) => prop_assert_eq!(read.copied(), arrival.clone()),
                other => panic!("{other:?}"),
            }
            let arrive = FromBridge::Effect(Box::new(ClusterEffect::Arrive(arrival)));
            passes(&ToBroker::Bridge(arrive));
            passes(&ToBroker::Bridge(FromBridge::Start));
            let sent = SentToOne { source, number, host };
            passes(&ToBroker::Bridge(FromBridge::Sent(vec![sent; at])));
            let names = AnnouncedNames { host, range: crate::cluster::NameRange::default() };
            passes(&ToBroker::Bridge(FromBridge::Names(Box::new(names))));
            passes(&ToBroker::Bridge(FromBridge::Kept(Box::default())));
            passes(&ToWorker::Bridge(ToBridge::Kept(Box::default())));
            passes(&ToWorker::Bridge(ToBridge::Missing(items)));
            for address in ["192.0.2.1", "2001:db8::"] {
                let address = address.parse().unwrap();
                let one = AddressCount { address, connections: u32::try_from(at).unwrap() };
                let counts = ConnectionCounts { clients: seed, addresses: vec![one; at] };
                passes(&ToWorker::Bridge(ToBridge::Clients(Box::new(counts.clone()))));
                passes(&ToBroker::Bridge(FromBridge::Elsewhere(Box::new(counts))));
            }
            for reach in [ForwardReach::All, ForwardReach::One(host)] {
                let mut encoded = encode_forward(&forward(reach));
                let frame = |encoded: &[u8]| match ForBridge::decode(&encoded[4..]).unwrap() {
                    ForBridge::Forward(forward) => forward.copied(),
                    ForBridge::Other(other) => panic!("{other:?}"),
                };
                prop_assert_eq!(frame(&encoded), forward(reach));
                mark_repeated(&mut encoded);
                let mut repeated = forward(reach);
                repeated.publication.is_repeated = true;
                prop_assert_eq!(frame(&encoded), repeated);
                passes(&ToWorker::Bridge(ToBridge::Forward(Box::new(forward(reach)))));
            }
        }
    }
}
