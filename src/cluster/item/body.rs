//! The content of an item: its kind, then fields with tags.

use bytes::{BufMut, Bytes};

use crate::cluster::carried::{CarriedId, CarriedPublication, CarriedQuestion, CarriedReplay};
use crate::cluster::hello::EpochEnds;
use crate::cluster::lost_items::{LostItems, Tombstone, put_before};
use crate::cluster::traffic::ItemKind;
use crate::cluster::wire::{BodyReader, InvalidMessage, put_length, put_varint};
use crate::types::{
    AskToken, Generation, Number, PayloadForm, Sequence, WorkerId, WorkerIncarnation,
};

/// Kind of a hello.
const HELLO: u8 = 1;
/// Kind of a publication.
const PUBLICATION: u8 = 2;
/// Kind of a number of publications that were not kept.
const MISSING: u8 = 3 | REQUIRED;
/// Kind of a number of items that were not kept, some of which were not for clients.
const MISSING_COUNTED: u8 = 72 | REQUIRED;
/// Kind of a tombstone. A host that does not know it reports a gap.
pub(in crate::cluster) const TOMBSTONE: u8 = 71 | REQUIRED;
/// Kind of a command. A host that does not know it reports a gap.
const DIRECTIVE: u8 = 4 | REQUIRED;
/// Kind of a publication to one client whose answer is awaited. A host that does not know it reports a gap.
const QUESTION: u8 = 5 | REQUIRED;
/// Kind of records of requests that must not take effect twice.
const RECORDS: u8 = 50;
/// Kind of a ping. A host that does not know it does not answer.
pub(in crate::cluster) const PING: u8 = 51;
/// Kind of the answer to a ping.
pub(in crate::cluster) const PONG: u8 = 52;
/// Kind of a change of the directory of names. A host that does not know it reports a gap.
const NAMES: u8 = 60 | REQUIRED;
/// Kind of an item about watched queries. A host that does not know it has no part in them.
const WATCHES: u8 = 70;
/// Kind of a message about a client that moves between hosts. A host that does not know it hands no client over.
const MOVE: u8 = 61;
/// Set in kinds and in tags of fields that a receiver must understand. Others are skipped.
const REQUIRED: u8 = 0x80;

/// Tag of the worker that accepted the publication, and its number there.
const SOURCE: u8 = 1 | REQUIRED;
/// Tag of the publication's place in the order of its broker.
const SEQUENCE: u8 = 2;
/// Tag of a publication that is sent again by the next bridge.
const REPEATED: u8 = 3 | REQUIRED;
/// Tag of the route.
const ROUTE: u8 = 4 | REQUIRED;
/// Tag of the content.
const CONTENT: u8 = 5 | REQUIRED;
/// Tag of the number by which the outcome of a command is awaited.
const AWAITED: u8 = 6 | REQUIRED;
/// Tag of what the client of a question gets besides it.
const ASKED: u8 = 7 | REQUIRED;

/// Tag of the id of a publication.
const IDENTIFIED: u8 = 50;
/// Tag of the number by which a report on a publication is awaited, and of its time. A host that does not know it
/// reports nothing.
const REPORTED: u8 = 71;
/// Tag of [what an item says](crate::cluster::lost_items) about those before it.
pub(in crate::cluster) const BEFORE: u8 = 72;

/// Returns whether an item of a kind may be for clients; `None` if the kind is not known.
pub(in crate::cluster) fn is_for_clients(kind: u8) -> Option<bool> {
    match kind {
        PUBLICATION | DIRECTIVE | QUESTION => Some(true),
        // What missing items were is counted by itself.
        RECORDS | NAMES | WATCHES | MOVE | HELLO | PING | PONG | MISSING | MISSING_COUNTED => {
            Some(false)
        }
        _ => None,
    }
}

impl<B> CarriedPublication<B> {
    fn kind(&self) -> u8 {
        match self.item_kind() {
            ItemKind::Records => RECORDS,
            ItemKind::Directory => NAMES,
            ItemKind::Presence => WATCHES,
            ItemKind::Move => MOVE,
            ItemKind::Publication => PUBLICATION,
            ItemKind::Directive => DIRECTIVE,
            ItemKind::Question => QUESTION,
            ItemKind::Ping => PING,
        }
    }
}

/// The content of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemBody {
    /// Begins the common lane of an epoch.
    Hello(EpochEnds),
    /// A publication, or a command.
    Publication(CarriedPublication),
    /// These items were not kept while their host had no bridge. They may have been for other hosts.
    Missing(LostItems),
    /// An item that its host no longer has.
    Lost(Tombstone),
    /// A ping with its number, which the host answers.
    Ping(u64),
    /// The answer to the ping with this number.
    Pong(u64),
    /// Not known to this version, and not required.
    Skipped,
}

/// Error: what was read is not an item of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemFault {
    /// A kind or field that must be understood, and is not known to this version.
    Unknown(u8),
    /// The bytes are not an item.
    Invalid(InvalidMessage),
}

impl From<InvalidMessage> for ItemFault {
    fn from(fault: InvalidMessage) -> Self {
        Self::Invalid(fault)
    }
}

impl ItemBody {
    /// Returns the encoding of a hello.
    #[must_use]
    pub fn hello(ends: &EpochEnds) -> Bytes {
        let mut out = vec![HELLO];
        ends.encode(&mut out);
        out.into()
    }

    /// Returns the encoding of a publication. `before` is how many numbers before it in its lane were of items for clients.
    #[must_use]
    pub fn publication<B: AsRef<[u8]>>(publication: &CarriedPublication<B>, before: u64) -> Bytes {
        let mut out = Vec::new();
        Self::put_head(&mut out, publication, before);
        out.put_slice(publication.payload.as_ref());
        out.into()
    }

    /// Appends the encoding of a publication up to its payload, which is the end.
    pub(in crate::cluster) fn put_head<B: AsRef<[u8]>>(
        out: &mut Vec<u8>,
        publication: &CarriedPublication<B>,
        before: u64,
    ) {
        let CarriedPublication { source, number, generation, sequence, .. } = publication;
        let CarriedPublication { form, is_repeated, directive, .. } = publication;
        let (route, payload) = (publication.route.as_ref(), publication.payload.as_ref());
        out.put_u8(publication.kind());
        put_before(out, before);
        out.put_slice(&[SOURCE, 14]);
        out.put_u16_le(source.worker.0);
        out.put_u32_le(source.generation.0);
        out.put_u64_le(number.0);
        out.put_slice(&[SEQUENCE, 12]);
        out.put_u32_le(generation.0);
        out.put_u64_le(sequence.0);
        if *is_repeated {
            out.put_slice(&[REPEATED, 0]);
        }
        match (directive, publication.report_ms) {
            (Some(awaited), Some(within_ms)) => {
                out.put_slice(&[REPORTED, 12]);
                out.put_u64_le(*awaited);
                out.put_u32_le(within_ms);
            }
            (Some(awaited), None) => {
                out.put_slice(&[AWAITED, 8]);
                out.put_u64_le(*awaited);
            }
            (None, _) => {}
        }
        if let Some(CarriedQuestion { token, within_ms }) = publication.question {
            out.put_slice(&[ASKED, 20]);
            out.put_slice(&token.0);
            out.put_u32_le(within_ms);
        }
        if let CarriedReplay::Id(id) = &publication.replay {
            out.put_u8(IDENTIFIED);
            id.encode(out);
        }
        out.put_u8(ROUTE);
        put_length(out, route.len());
        out.put_slice(route);
        out.put_u8(CONTENT);
        put_length(out, 1 + payload.len());
        out.put_u8(match form {
            PayloadForm::Packet => 1,
            PayloadForm::Message => 2,
            PayloadForm::Text => 3,
            PayloadForm::WithHeaders => 4,
        });
    }

    /// Returns the encoding of a number of items that were not kept.
    #[must_use]
    pub fn missing(LostItems { all, for_clients }: LostItems) -> Bytes {
        let is_counted = all != for_clients;
        let mut out = vec![if is_counted { MISSING_COUNTED } else { MISSING }];
        put_varint(&mut out, all);
        if is_counted {
            put_varint(&mut out, for_clients);
        }
        out.into()
    }

    /// Reads an item. Payload and route share its memory.
    ///
    /// # Errors
    ///
    /// If the bytes are not an item, or one that this version must know and does not.
    pub fn decode(bytes: Bytes) -> Result<Self, ItemFault> {
        let mut fields = BodyReader(bytes);
        match fields.u8()? {
            HELLO => Ok(Self::Hello(EpochEnds::decode(&mut fields)?)),
            kind @ (PUBLICATION | DIRECTIVE | QUESTION | RECORDS | NAMES | WATCHES | MOVE) => {
                let mut publication = decode_publication(&fields.0)?;
                if kind == RECORDS {
                    publication.replay = CarriedReplay::Records;
                }
                // An outcome that this version would not send must not be left out.
                let is_awaited = publication.directive.is_some() && publication.report_ms.is_none();
                let is_plain = !is_awaited && publication.question.is_none();
                let may_ask = kind == DIRECTIVE || kind == QUESTION;
                let may_report = kind == PUBLICATION || publication.report_ms.is_none();
                match publication.kind() == kind && (may_ask || is_plain) && may_report {
                    true => Ok(Self::Publication(publication)),
                    false => Err(InvalidMessage::Field("kind of item").into()),
                }
            }
            kind @ (MISSING | PING | PONG) => {
                let number = fields.varint()?;
                fields.end()?;
                Ok(match kind {
                    MISSING => Self::Missing(LostItems::unknown(number)),
                    PING => Self::Ping(number),
                    _ => Self::Pong(number),
                })
            }
            MISSING_COUNTED => {
                let (all, for_clients) = (fields.varint()?, fields.varint()?);
                fields.end()?;
                let is_shortest = for_clients < all;
                let missing = Self::Missing(LostItems { all, for_clients });
                let is_longer = || InvalidMessage::Field("count").into();
                is_shortest.then_some(missing).ok_or_else(is_longer)
            }
            TOMBSTONE => Ok(Self::Lost(Tombstone::decode(&mut fields)?)),
            kind if kind & REQUIRED != 0 => Err(ItemFault::Unknown(kind)),
            _ => Ok(Self::Skipped),
        }
    }
}

fn decode_publication(bytes: &Bytes) -> Result<CarriedPublication, ItemFault> {
    let mut fields = BodyReader(&bytes[..]);
    let missing = |field| move || ItemFault::Invalid(InvalidMessage::Field(field));
    let (mut source, mut order, mut route, mut content) = (None, None, None, None);
    let (mut is_repeated, mut directive, mut question) = (false, None, None);
    let mut report_ms = None;
    let mut replay = CarriedReplay::None;
    while !fields.is_empty() {
        let tag = fields.u8()?;
        let mut value = BodyReader(fields.slice()?);
        match tag {
            SOURCE => source = Some((source_of(&mut value)?, Number(value.u64()?))),
            SEQUENCE => order = Some((Generation(value.u32()?), Sequence(value.u64()?))),
            REPEATED => is_repeated = true,
            AWAITED => directive = Some(value.u64()?),
            REPORTED => (directive, report_ms) = (Some(value.u64()?), Some(value.u32()?)),
            ASKED => {
                let (token, within_ms) = (AskToken(value.array()?), value.u32()?);
                question = Some(CarriedQuestion { token, within_ms });
            }
            IDENTIFIED => replay = CarriedReplay::Id(Box::new(CarriedId::decode(&mut value)?)),
            ROUTE => route = Some(std::mem::take(&mut value.0)),
            CONTENT => content = Some((form(value.u8()?)?, std::mem::take(&mut value.0))),
            tag if tag & REQUIRED != 0 => return Err(ItemFault::Unknown(tag)),
            _ => value.0 = &[],
        }
        value.end()?;
    }
    let (source, number) = source.ok_or_else(missing("source"))?;
    let (generation, sequence) = order.ok_or_else(missing("sequence"))?;
    let route = bytes.slice_ref(route.ok_or_else(missing("route"))?);
    let (form, payload) = content.ok_or_else(missing("content"))?;
    let payload = bytes.slice_ref(payload);
    Ok(CarriedPublication {
        source,
        number,
        generation,
        sequence,
        route,
        form,
        payload,
        is_repeated,
        directive,
        question,
        report_ms,
        replay,
    })
}

fn source_of(fields: &mut BodyReader<&[u8]>) -> Result<WorkerIncarnation, InvalidMessage> {
    Ok(WorkerIncarnation { worker: WorkerId(fields.u16()?), generation: Generation(fields.u32()?) })
}

fn form(byte: u8) -> Result<PayloadForm, InvalidMessage> {
    match byte {
        1 => Ok(PayloadForm::Packet),
        2 => Ok(PayloadForm::Message),
        3 => Ok(PayloadForm::Text),
        4 => Ok(PayloadForm::WithHeaders),
        _ => Err(InvalidMessage::Field("form")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(payload: usize) -> CarriedPublication {
        CarriedPublication {
            source: WorkerIncarnation { worker: WorkerId(3), generation: Generation(9) },
            number: Number(77),
            generation: Generation(2),
            sequence: Sequence(1 << 40),
            route: Bytes::from_static(b"route"),
            form: PayloadForm::Text,
            payload: vec![7; payload].into(),
            is_repeated: false,
            directive: None,
            question: None,
            report_ms: None,
            replay: CarriedReplay::None,
        }
    }

    #[test]
    fn a_publication_is_read_as_it_is_written() {
        for payload in [0, 1, 200, 1 << 20] {
            for is_repeated in [false, true] {
                let publication = CarriedPublication { is_repeated, ..publication(payload) };
                let bytes = ItemBody::publication(&publication, 0);
                let read = ItemBody::decode(bytes);
                assert_eq!(read, Ok(ItemBody::Publication(publication)));
            }
        }
    }

    #[test]
    fn a_publication_with_a_report_is_a_publication_for_every_host() {
        let reported =
            CarriedPublication { directive: Some(9), report_ms: Some(500), ..publication(5) };
        let bytes = ItemBody::publication(&reported, 0);
        assert_eq!(bytes[0], PUBLICATION);
        assert_eq!(ItemBody::decode(bytes.clone()), Ok(ItemBody::Publication(reported)));
        for kind in [DIRECTIVE, NAMES, RECORDS] {
            assert!(ItemBody::decode([&[kind], &bytes[1..]].concat().into()).is_err());
        }
        // A host that does not know the field takes the rest.
        let place = bytes.windows(2).position(|two| two == [REPORTED, 12]).unwrap();
        let mut unknown = bytes.to_vec();
        unknown[place] = 79;
        assert_eq!(ItemBody::decode(unknown.into()), Ok(ItemBody::Publication(publication(5))));
    }

    #[test]
    fn lost_items_are_read_as_they_are_written() {
        for (all, for_clients) in [(0, 0), (7, 7), (9, 4), (u64::MAX, 0)] {
            let lost = LostItems { all, for_clients };
            assert_eq!(ItemBody::decode(ItemBody::missing(lost)), Ok(ItemBody::Missing(lost)));
        }
        for is_for_clients in [false, true] {
            let tombstone = Tombstone { is_for_clients, before: 300 };
            assert_eq!(ItemBody::decode(tombstone.encode()), Ok(ItemBody::Lost(tombstone)));
        }
        assert!(ItemBody::decode(vec![MISSING_COUNTED, 3, 3].into()).is_err(), "a longer form");
        assert!(ItemBody::decode(vec![TOMBSTONE, 2, 0].into()).is_err());
    }

    #[test]
    fn a_change_of_names_is_an_item_that_every_host_must_know() {
        let source = WorkerIncarnation { worker: WorkerId::DIRECTORY, generation: Generation(4) };
        let names = CarriedPublication { source, ..publication(30) };
        let bytes = ItemBody::publication(&names, 0);
        assert_eq!(bytes[0], NAMES);
        assert_eq!(ItemBody::decode(bytes.clone()), Ok(ItemBody::Publication(names)));
        assert!(ItemBody::decode([&[PUBLICATION], &bytes[1..]].concat().into()).is_err());
        let other = ItemBody::publication(&publication(30), 0);
        assert!(ItemBody::decode([&[NAMES], &other[1..]].concat().into()).is_err());
    }

    #[test]
    fn a_command_is_an_item_that_every_host_must_know() {
        let directive = CarriedPublication { directive: Some(u64::MAX), ..publication(0) };
        let bytes = ItemBody::publication(&directive, 0);
        assert_eq!(bytes[0] & REQUIRED, REQUIRED);
        assert_eq!(ItemBody::decode(bytes.clone()), Ok(ItemBody::Publication(directive)));
        let as_publication = [&[PUBLICATION], &bytes[1..]].concat();
        assert!(ItemBody::decode(as_publication.into()).is_err());
        let without = ItemBody::publication(&publication(0), 0);
        assert!(ItemBody::decode([&[DIRECTIVE], &without[1..]].concat().into()).is_err());
        let question = CarriedQuestion { token: AskToken([3; 16]), within_ms: 900 };
        let question = Some(question);
        let asked = CarriedPublication { directive: Some(4), question, ..publication(5) };
        let bytes = ItemBody::publication(&asked, 0);
        assert_eq!(ItemBody::decode(bytes.clone()), Ok(ItemBody::Publication(asked)));
        assert!(ItemBody::decode([&[DIRECTIVE], &bytes[1..]].concat().into()).is_err());
    }

    #[test]
    fn a_small_publication_takes_few_bytes_more_than_its_payload() {
        let bytes = ItemBody::publication(&publication(100), 0);
        assert!(bytes.len() <= 100 + 5 + 40, "{}", bytes.len());
    }

    #[test]
    fn an_unknown_item_or_field_is_skipped_unless_it_is_required() {
        let decode = |bytes: &[u8]| ItemBody::decode(Bytes::copy_from_slice(bytes));
        assert_eq!(decode(&[0x20, 1, 2, 3]), Ok(ItemBody::Skipped));
        assert_eq!(decode(&[0xa0, 1, 2, 3]), Err(ItemFault::Unknown(0xa0)));
        let known = ItemBody::publication(&publication(1), 0);
        let with_field = |tag: u8| decode(&[&known[..], &[tag, 2, 0, 0]].concat());
        assert_eq!(with_field(0x21), decode(&known));
        assert_eq!(with_field(0xa1), Err(ItemFault::Unknown(0xa1)));
    }

    #[test]
    fn a_ping_is_an_item_that_no_host_must_know() {
        for (bytes, body) in [
            (ItemBody::ping(1 << 40), ItemBody::Ping(1 << 40)),
            (ItemBody::pong(7), ItemBody::Pong(7)),
        ] {
            assert_eq!(bytes[0] & REQUIRED, 0);
            assert_eq!(ItemBody::decode(bytes.clone()), Ok(body));
            assert!(ItemBody::decode([&bytes[..], &[0]].concat().into()).is_err());
        }
    }

    #[test]
    fn an_item_without_a_field_is_invalid() {
        let invalid = |field| Err(ItemFault::Invalid(InvalidMessage::Field(field)));
        assert_eq!(ItemBody::decode(Bytes::from_static(&[PUBLICATION])), invalid("source"));
        let bytes = ItemBody::publication(&publication(0), 0);
        for length in 0..bytes.len() {
            assert!(ItemBody::decode(bytes.slice(..length)).is_err(), "{length} bytes");
        }
    }
}
