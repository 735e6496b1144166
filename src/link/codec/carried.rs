//! Encodes and decodes publications on their way between the broker and the bridge, which stay in the bytes of the link.

use bytes::BufMut;

use super::Malformed;
use super::bridge::{BRIDGE, put_point, read_point};
use super::decode::FieldReader;
use super::encode::{form_byte, put_length, put_source, with_length};
use crate::cluster::{
    Arrival, BridgeEpoch, CarriedId, CarriedPublication, CarriedQuestion, CarriedReplay, Forward,
    ForwardReach, PassedPublication,
};
use crate::types::{AskToken, Generation, HostId, Number, ReplayDigest, Sequence};

/// Kind of a [`ToBridge::Forward`](crate::link::bridge::ToBridge::Forward) among messages for the bridge.
pub(super) const FORWARD: u8 = 2;

/// Kind of a [`ClusterEffect::Arrive`](crate::cluster::ClusterEffect::Arrive) among messages of the bridge.
pub(super) const ARRIVE: u8 = 6;

/// Usual size of a forward without its route and payload, rounded up.
const FORWARD_FIELDS_BYTES: usize = 64;

/// Place of the mark of a repeated publication in a forward: after its length, two kinds, its reach, its source and three
/// numbers.
const REPEATED_AT: usize = 4 + 2 + 5 + 6 + 8 + 4 + 8;

pub(super) fn put_arrival<B: AsRef<[u8]>>(out: &mut Vec<u8>, arrival: &Arrival<B>) {
    let Arrival { number, taken, publication } = arrival;
    out.put_u64_le(*number);
    out.put_u32_le(taken.host.0);
    out.put_u32_le(taken.epoch.0);
    put_point(out, taken.point);
    put_publication(out, publication);
}

fn put_publication<B: AsRef<[u8]>>(out: &mut Vec<u8>, publication: &CarriedPublication<B>) {
    let CarriedPublication { source, number, generation, sequence, .. } = publication;
    put_source(out, *source);
    out.put_u64_le(number.0);
    out.put_u32_le(generation.0);
    out.put_u64_le(sequence.0);
    out.put_u8(u8::from(publication.is_repeated));
    out.put_u8(u8::from(publication.directive.is_some()));
    publication.directive.iter().for_each(|awaited| out.put_u64_le(*awaited));
    out.put_u8(u8::from(publication.question.is_some()));
    if let Some(CarriedQuestion { token, within_ms }) = publication.question {
        out.put_slice(&token.0);
        out.put_u32_le(within_ms);
    }
    out.put_u8(u8::from(publication.report_ms.is_some()));
    publication.report_ms.iter().for_each(|within| out.put_u32_le(*within));
    put_replay(out, &publication.replay);
    out.put_u8(form_byte(publication.form));
    let (route, payload) = (publication.route.as_ref(), publication.payload.as_ref());
    put_length(out, route.len());
    out.put_slice(route);
    out.put_slice(payload);
}

/// Appends a [`ClusterEffect::Arrive`](crate::cluster::ClusterEffect::Arrive) without building a message value.
pub fn encode_arrival<B: AsRef<[u8]>>(out: &mut Vec<u8>, arrival: &Arrival<B>) {
    with_length(out, |out| {
        out.put_slice(&[BRIDGE, ARRIVE]);
        put_arrival(out, arrival);
    });
}

fn put_replay(out: &mut Vec<u8>, replay: &CarriedReplay) {
    match replay {
        CarriedReplay::None => out.put_u8(0),
        CarriedReplay::Records => out.put_u8(1),
        CarriedReplay::Id(carried) => {
            let CarriedId { id, content, at, until, recipients_min } = &**carried;
            out.put_u8(2);
            out.put_slice(&id.0);
            out.put_slice(&content.0);
            [*at, *until, *recipients_min].into_iter().for_each(|it| out.put_u64_le(it));
        }
    }
}

fn read_replay(body: &mut FieldReader<'_>) -> Result<CarriedReplay, Malformed> {
    Ok(match body.u8()? {
        0 => CarriedReplay::None,
        1 => CarriedReplay::Records,
        2 => CarriedReplay::Id(Box::new(CarriedId {
            id: ReplayDigest(body.array()?),
            content: ReplayDigest(body.array()?),
            at: body.u64()?,
            until: body.u64()?,
            recipients_min: body.u64()?,
        })),
        kind => return Err(Malformed::Unknown("replay", kind)),
    })
}

pub(super) fn read_arrival<'b>(body: &mut FieldReader<'b>) -> Result<Arrival<&'b [u8]>, Malformed> {
    let number = body.u64()?;
    let (host, epoch) = (HostId(body.u32()?), BridgeEpoch(body.u32()?));
    let point = read_point(body)?;
    let publication = read_publication(body)?;
    let (source, of_source) = (publication.source, publication.number);
    let taken = PassedPublication { host, epoch, point, source, number: of_source };
    Ok(Arrival { number, taken, publication })
}

fn read_publication<'b>(
    body: &mut FieldReader<'b>,
) -> Result<CarriedPublication<&'b [u8]>, Malformed> {
    Ok(CarriedPublication {
        source: body.source()?,
        number: Number(body.u64()?),
        generation: Generation(body.u32()?),
        sequence: Sequence(body.u64()?),
        is_repeated: body.flag()?,
        directive: if body.flag()? { Some(body.u64()?) } else { None },
        question: match body.flag()? {
            true => {
                Some(CarriedQuestion { token: AskToken(body.array()?), within_ms: body.u32()? })
            }
            false => None,
        },
        report_ms: if body.flag()? { Some(body.u32()?) } else { None },
        replay: read_replay(body)?,
        form: body.form()?,
        route: body.prefixed()?,
        payload: body.take_rest(),
    })
}

pub(super) fn put_forward<B: AsRef<[u8]>>(out: &mut Vec<u8>, forward: &Forward<B>) {
    out.put_u8(FORWARD);
    let host = match forward.reach {
        ForwardReach::All => None,
        ForwardReach::One(host) => Some(host),
    };
    out.put_u8(u8::from(host.is_some()));
    out.put_u32_le(host.map_or(0, |host| host.0));
    put_publication(out, &forward.publication);
}

pub(super) fn read_forward<'b>(body: &mut FieldReader<'b>) -> Result<Forward<&'b [u8]>, Malformed> {
    let (is_one, host) = (body.flag()?, HostId(body.u32()?));
    let reach = if is_one { ForwardReach::One(host) } else { ForwardReach::All };
    Ok(Forward { reach, publication: read_publication(body)? })
}

/// Returns a [`ToBridge::Forward`](crate::link::bridge::ToBridge::Forward), as it is sent.
pub fn encode_forward<B: AsRef<[u8]>>(forward: &Forward<B>) -> Vec<u8> {
    let publication = &forward.publication;
    let bytes = publication.route.as_ref().len() + publication.payload.as_ref().len();
    let mut out = Vec::with_capacity(bytes + FORWARD_FIELDS_BYTES);
    with_length(&mut out, |out| {
        out.put_u8(BRIDGE);
        put_forward(out, forward);
    });
    out
}

/// Marks the output of [`encode_forward`] as given to an earlier bridge, too.
pub fn mark_repeated(forward: &mut [u8]) {
    if let Some(mark) = forward.get_mut(REPEATED_AT) {
        *mark = 1;
    }
}
