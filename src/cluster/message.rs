//! The sealed bodies of messages between hosts.

use bytes::{BufMut, Bytes};

use super::envelope::{BridgeEpoch, HostRun};
use super::item::{LaneItem, LaneKey};
use super::news::HostNews;
use super::wire::{BodyReader, InvalidMessage, put_length, put_varint};
use crate::types::HostId;
use crate::types::limits::{
    CLUSTER_ANSWER_BYTES_MAX, CLUSTER_BODY_BYTES_MAX, CLUSTER_HOSTS_MAX, CLUSTER_PART_BYTES_MAX,
};

const BATCH: u8 = 1;
const LOST: u8 = 2;
const REQUEST: u8 = 3;
const CHALLENGE: u8 = 4;
const PROOF: u8 = 5;
const HEARTBEAT: u8 = 6;
const ECHO: u8 = 7;
const QUERY: u8 = 8;
const ANSWER: u8 = 9;

/// Bytes of a batch before its items.
pub(super) const BATCH_HEAD_BYTES: usize = 1 + 4 + 10;

/// Items of one lane with consecutive numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneBatch {
    /// The lane.
    pub lane: LaneKey,
    /// The number of the first item.
    pub first: u64,
    /// The items.
    pub items: Vec<LaneItem>,
}

/// Requests items that another host lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepairRequest {
    /// The run of the sender of the items.
    pub run: HostRun,
    /// The life of its bridge.
    pub epoch: BridgeEpoch,
    /// The lane.
    pub lane: LaneKey,
    /// The first number that is missing.
    pub first: u64,
    /// The last number that is missing.
    pub last: u64,
}

/// A host to which the sender of a heartbeat sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedHost {
    /// The host.
    pub host: HostId,
    /// Its run.
    pub run: HostRun,
    /// How often the sender has forgotten the run. What it published meanwhile has no number.
    pub forgotten: u64,
    /// The last number of the private lane to it that the NATS server has taken.
    pub number: u64,
}

/// Shows that a host lives, and how far its lanes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostHeartbeat {
    /// Counts the heartbeats of a bridge, from 1. A receiver ignores earlier ones.
    pub number: u64,
    /// Number of the interval in which it was sent, from 1. Heartbeats after a burst have the number of the last
    /// one that was due.
    pub beat: u64,
    /// The host stops, and sends nothing after this.
    pub is_last: bool,
    /// The last number of the common lane that the NATS server has taken.
    pub common: u64,
    /// The hosts to which this one sends, and whose publications it takes.
    pub hosts: Vec<ListedHost>,
    /// What the host says about itself.
    pub news: HostNews,
}

/// A question to one host, which takes it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostQuestion {
    /// The run of the host that is asked.
    pub run: HostRun,
    /// The life of its bridge.
    pub epoch: BridgeEpoch,
    /// The number of the question, by which it is answered. A sender counts its questions.
    pub id: u64,
    /// The question.
    pub question: Bytes,
}

/// A part of the answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryAnswer {
    /// The number that the asking host has given to the question.
    pub id: u64,
    /// The place of this part, from 0.
    pub part: u16,
    /// How many parts the answer has. None if there is no answer, for one because the question is of a newer version.
    pub parts: u16,
    /// The bytes of this part.
    pub bytes: Bytes,
}

/// The body of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterMessage {
    /// Items of a lane.
    Batch(LaneBatch),
    /// The sender no longer has items of a lane.
    Lost {
        /// The lane.
        lane: LaneKey,
        /// The last number that is lost, if the receiver has not received it.
        up_to: u64,
    },
    /// Requests items.
    Request(RepairRequest),
    /// Requests a proof that a run lives now.
    Challenge([u8; 16]),
    /// The bytes of a challenge, which no host could know before.
    Proof([u8; 16]),
    /// A heartbeat.
    Heartbeat(HostHeartbeat),
    /// A question to one host.
    Query(HostQuestion),
    /// A part of an answer.
    Answer(QueryAnswer),
    /// Comes back to its sender.
    Echo {
        /// Number of the connection on which it was sent.
        connection: u64,
        /// Number of the echo.
        number: u64,
    },
}

impl ClusterMessage {
    /// Returns the encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Batch(batch) => {
                out = batch_head(batch.lane, batch.first);
                batch.items.iter().for_each(|item| item.encode(batch.lane, &mut out));
            }
            Self::Lost { lane, up_to } => {
                out.put_u8(LOST);
                out.put_u32_le(lane.0);
                put_varint(&mut out, *up_to);
            }
            Self::Request(request) => put_request(&mut out, request),
            Self::Challenge(bytes) => {
                out.put_u8(CHALLENGE);
                out.put_slice(bytes);
            }
            Self::Proof(bytes) => {
                out.put_u8(PROOF);
                out.put_slice(bytes);
            }
            Self::Heartbeat(heartbeat) => put_heartbeat(&mut out, heartbeat),
            Self::Query(HostQuestion { run, epoch, id, question }) => {
                out.put_u8(QUERY);
                out.put_u64_le(run.0);
                out.put_u32_le(epoch.0);
                out.put_u64_le(*id);
                out.put_slice(question);
            }
            Self::Answer(QueryAnswer { id, part, parts, bytes }) => {
                out.put_u8(ANSWER);
                out.put_u64_le(*id);
                out.put_u16_le(*part);
                out.put_u16_le(*parts);
                out.put_slice(bytes);
            }
            Self::Echo { connection, number } => {
                out.put_u8(ECHO);
                out.put_u64_le(*connection);
                out.put_u64_le(*number);
            }
        }
        out
    }

    /// Reads a body. Items share its memory. Only a heartbeat may have more bytes than this version knows.
    ///
    /// # Errors
    ///
    /// If the bytes are not a body.
    pub fn decode(bytes: Bytes) -> Result<Self, InvalidMessage> {
        if bytes.len() > CLUSTER_BODY_BYTES_MAX {
            return Err(InvalidMessage::Oversized(bytes.len()));
        }
        let mut fields = BodyReader(bytes);
        let message = match fields.u8()? {
            BATCH => Self::Batch(batch(&mut fields)?),
            LOST => Self::Lost { lane: LaneKey(fields.u32()?), up_to: fields.varint()? },
            REQUEST => Self::Request(request(&mut fields)?),
            CHALLENGE => Self::Challenge(fields.array()?),
            PROOF => Self::Proof(fields.array()?),
            HEARTBEAT => return heartbeat(&mut fields).map(Self::Heartbeat),
            QUERY => return question(fields).map(Self::Query),
            ANSWER => return answer(&mut fields).map(Self::Answer),
            ECHO => Self::Echo { connection: fields.u64()?, number: fields.u64()? },
            _ => return Err(InvalidMessage::Field("kind of message")),
        };
        fields.end()?;
        Ok(message)
    }
}

/// Returns the beginning of a batch, to which items are appended.
pub(super) fn batch_head(lane: LaneKey, first: u64) -> Vec<u8> {
    let mut out = vec![BATCH];
    out.put_u32_le(lane.0);
    put_varint(&mut out, first);
    out
}

fn batch(fields: &mut BodyReader) -> Result<LaneBatch, InvalidMessage> {
    let lane = LaneKey(fields.u32()?);
    let first = fields.varint()?;
    let mut items = Vec::new();
    while !fields.is_empty() {
        items.push(LaneItem::decode(lane, fields.bytes()?)?);
    }
    let last = first.checked_add(items.len() as u64);
    if first == 0 || last.is_none() {
        return Err(InvalidMessage::Field("number"));
    }
    Ok(LaneBatch { lane, first, items })
}

fn put_request(out: &mut Vec<u8>, request: &RepairRequest) {
    out.put_u8(REQUEST);
    out.put_u64_le(request.run.0);
    out.put_u32_le(request.epoch.0);
    out.put_u32_le(request.lane.0);
    put_varint(out, request.first);
    put_varint(out, request.last);
}

fn request(fields: &mut BodyReader) -> Result<RepairRequest, InvalidMessage> {
    let request = RepairRequest {
        run: HostRun(fields.u64()?),
        epoch: BridgeEpoch(fields.u32()?),
        lane: LaneKey(fields.u32()?),
        first: fields.varint()?,
        last: fields.varint()?,
    };
    let is_range = 0 < request.first && request.first <= request.last;
    if is_range { Ok(request) } else { Err(InvalidMessage::Field("range")) }
}

fn question(mut fields: BodyReader) -> Result<HostQuestion, InvalidMessage> {
    let (run, epoch) = (HostRun(fields.u64()?), BridgeEpoch(fields.u32()?));
    Ok(HostQuestion { run, epoch, id: fields.u64()?, question: fields.0 })
}

fn answer(fields: &mut BodyReader) -> Result<QueryAnswer, InvalidMessage> {
    let (id, part, parts) = (fields.u64()?, fields.u16()?, fields.u16()?);
    let most = CLUSTER_ANSWER_BYTES_MAX.div_ceil(CLUSTER_PART_BYTES_MAX);
    if usize::from(parts) > most || part >= parts.max(1) {
        return Err(InvalidMessage::Field("part"));
    }
    Ok(QueryAnswer { id, part, parts, bytes: std::mem::take(&mut fields.0) })
}

fn put_heartbeat(out: &mut Vec<u8>, heartbeat: &HostHeartbeat) {
    out.put_u8(HEARTBEAT);
    put_varint(out, heartbeat.number);
    put_varint(out, heartbeat.beat);
    out.put_u8(u8::from(heartbeat.is_last));
    put_varint(out, heartbeat.common);
    put_length(out, heartbeat.hosts.len());
    for listed in &heartbeat.hosts {
        out.put_u32_le(listed.host.0);
        out.put_u64_le(listed.run.0);
        put_varint(out, listed.forgotten);
        put_varint(out, listed.number);
    }
    heartbeat.news.encode(out);
}

fn heartbeat(fields: &mut BodyReader) -> Result<HostHeartbeat, InvalidMessage> {
    let (number, beat) = (fields.varint()?, fields.varint()?);
    let is_last = match fields.u8()? {
        0 => false,
        1 => true,
        _ => return Err(InvalidMessage::Field("flag")),
    };
    let common = fields.varint()?;
    let mut hosts = Vec::new();
    for _ in 0..fields.count(CLUSTER_HOSTS_MAX)? {
        let (host, run) = (HostId(fields.u32()?), HostRun(fields.u64()?));
        let (forgotten, number) = (fields.varint()?, fields.varint()?);
        hosts.push(ListedHost { host, run, forgotten, number });
    }
    let news = HostNews::decode(fields)?;
    Ok(HostHeartbeat { number, beat, is_last, common, hosts, news })
}

#[cfg(test)]
mod tests {
    use super::super::item::{Fence, ItemPart, LanePoint};
    use super::*;

    fn item(fence: &[LanePoint], body: &'static [u8]) -> LaneItem {
        let fence = Fence(fence.iter().copied().collect());
        LaneItem { fence, part: ItemPart::Whole, body: Bytes::from_static(body) }
    }

    fn point(lane: u32, number: u64) -> LanePoint {
        LanePoint { lane: LaneKey(lane), number }
    }

    fn messages() -> Vec<ClusterMessage> {
        let common = vec![item(&[], b"abc"), item(&[point(9, 300), point(8, 1)], b"")];
        let private = vec![item(&[point(0, 70_000)], b"abc")];
        let (run, epoch) = (HostRun(u64::MAX), BridgeEpoch(3));
        let request = RepairRequest { run, epoch, lane: LaneKey(5), first: 1, last: u64::MAX };
        let listed = ListedHost { host: HostId(1), run, forgotten: 2, number: 7 };
        let news = HostNews { sent_us: 7, clients: 8, ..HostNews::default() };
        let hosts = vec![listed; 2];
        let heartbeat = HostHeartbeat { number: 5, beat: 4, is_last: true, common: 9, hosts, news };
        vec![
            ClusterMessage::Batch(LaneBatch { lane: LaneKey::COMMON, first: 1, items: common }),
            ClusterMessage::Batch(LaneBatch { lane: LaneKey(5), first: 400, items: private }),
            ClusterMessage::Lost { lane: LaneKey(5), up_to: 9 },
            ClusterMessage::Request(request),
            ClusterMessage::Challenge([1; 16]),
            ClusterMessage::Proof([2; 16]),
            ClusterMessage::Heartbeat(heartbeat),
            ClusterMessage::Echo { connection: 1, number: 2 },
            ClusterMessage::Query(HostQuestion {
                run,
                epoch: BridgeEpoch(3),
                id: u64::MAX,
                question: Bytes::from_static(b"who?"),
            }),
            ClusterMessage::Answer(QueryAnswer {
                id: 1,
                part: 2,
                parts: 3,
                bytes: Bytes::from_static(b"me"),
            }),
        ]
    }

    #[test]
    fn a_message_is_read_as_it_is_written_and_never_a_part_of_one() {
        for message in messages() {
            let bytes = Bytes::from(message.encode());
            assert_eq!(ClusterMessage::decode(bytes.clone()), Ok(message.clone()));
            for length in 0..bytes.len() {
                let part = ClusterMessage::decode(bytes.slice(..length));
                // A batch may end after any of its items, and the rest of others is any bytes.
                use ClusterMessage::{Answer, Batch, Query};
                let is_open = matches!(part, Ok(Batch(_) | Query(_) | Answer(_)));
                assert!(part.is_err() || is_open, "{length} bytes of {message:?}");
            }
        }
    }

    #[test]
    fn a_heartbeat_may_have_more_fields_than_this_version_knows() {
        let heartbeat = ClusterMessage::Heartbeat(HostHeartbeat::default());
        let longer = [heartbeat.encode(), vec![1, 2, 3]].concat();
        assert_eq!(ClusterMessage::decode(longer.into()), Ok(heartbeat));
        let echo = ClusterMessage::Echo { connection: 1, number: 2 };
        let longer = [echo.encode(), vec![1]].concat();
        assert_eq!(ClusterMessage::decode(longer.into()), Err(InvalidMessage::Long));
    }

    #[test]
    fn a_private_item_of_the_usual_kind_takes_few_bytes_for_its_fence() {
        let batch = |number| {
            let items = vec![item(&[point(0, number)], b"abc")];
            let batch = LaneBatch { lane: LaneKey(5), first: 1, items };
            ClusterMessage::Batch(batch).encode().len()
        };
        let head = 1 + 4 + 1;
        // Length, part, and the number of a common item.
        assert_eq!(batch(100), head + 1 + 1 + 1 + 3);
        assert_eq!(batch(2_000_000), head + 1 + 1 + 3 + 3);
    }
}
