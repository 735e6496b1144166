//! Messages of a link: any bytes are a message or an error, independent of the segmentation.
//! Written messages are read back unchanged, and read messages are written back unchanged.

use std::fmt::Debug;

use tagcast::link::codec::{Malformed, MessageDecoder, WireMessage, encode_publish};
use tagcast::link::message::{FromBroker, FromWorker, NewPublication, ToBroker, ToWorker};
use tagcast::link::query::{QueryKind, QueryResult};
use tagcast::types::{ClientFilter, ClientTags, Content, ListFilter, Publication, Recipients};

use super::choices::{Choices, pieces};

/// The first byte selects the direction, and whether the rest is a stream or the body of one
/// message.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    match choices.below(4) {
        0 => stream::<ToBroker>(choices.0),
        1 => stream::<ToWorker>(choices.0),
        2 => {
            if let Some(ToBroker::Publish { number, publication }) = body(choices.0) {
                borrowed_publish(choices.0, &publication);
                let (mut short, mut long) = (Vec::new(), Vec::new());
                let borrowed = NewPublication {
                    tenant: &publication.tenant,
                    address: &publication.address,
                    form: publication.content.form,
                    payload: &publication.content.payload,
                };
                encode_publish(&mut short, number, borrowed);
                let publication = publication.clone();
                ToBroker::Publish { number, publication }.encode(&mut long);
                assert_eq!(short, long);
            }
        }
        _ => {
            let owned = body::<ToWorker>(choices.0);
            match FromBroker::decode(choices.0) {
                Ok(FromBroker::Other(message)) => assert_eq!(owned, Some(message)),
                Ok(FromBroker::Deliver(seen)) => {
                    let Some(ToWorker::Deliver(owned)) = owned else { panic!("{seen:?}") };
                    assert_eq!((owned.number, owned.sequence), (seen.number, seen.sequence));
                    assert_eq!((owned.source, owned.target), (seen.source, seen.target));
                    assert_eq!(owned.content.as_ref().map(Content::borrowed), seen.content);
                }
                Err(_) => assert_eq!(owned, None),
            }
        }
    }
}

/// Compares a publication that was decoded without a copy with the whole message.
fn borrowed_publish(bytes: &[u8], publication: &Publication) {
    let Ok(FromWorker::Publish(seen)) = FromWorker::decode(bytes) else { panic!("a publication") };
    assert_eq!(seen.content, publication.content.borrowed());
    let route = (publication.tenant.clone(), publication.address.clone());
    assert_eq!(seen.route(), Ok(route));
}

/// Message whose encoding is unique unless it contains a set or tags.
trait Canonical {
    /// Returns true if the encoding is unique.
    fn is_canonical(&self) -> bool;
}

impl Canonical for ToWorker {
    fn is_canonical(&self) -> bool {
        match self {
            // Tags have one order, which their sender may not have kept.
            Self::Set { .. }
            | Self::Outcome { .. }
            | Self::Retagged(_)
            | Self::RetaggedMatching(_)
            | Self::Resumable(_)
            | Self::Presence(_)
            // Its tables have one order too.
            | Self::Bridge(_)
            | Self::Close(_)
            | Self::Answer { result: QueryResult::Hosts(_) | QueryResult::Commanded(_) | QueryResult::Asked(_), .. } => false,
            Self::Answer { result: QueryResult::Clients(page), .. } => {
                page.clients.iter().all(|client| client.tags.is_empty())
            }
            Self::Answer { result: QueryResult::ClientTags(ClientTags::Reached(tags)), .. } => {
                tags.is_empty()
            }
            Self::Answer { result: QueryResult::Described(Some(client)), .. } => {
                client.tags.is_empty()
            }
            _ => true,
        }
    }
}

impl Canonical for ToBroker {
    fn is_canonical(&self) -> bool {
        match self {
            Self::Announce { client, .. } | Self::Join { client, .. } => client.tags.is_empty(),
            // The tags of an edit have one order, which their sender may not have kept.
            Self::Command(_)
            | Self::LastBulkChange(_)
            | Self::Resumable(_)
            | Self::Presence(_)
            | Self::Bridge(_) => false,
            Self::Ask { query, .. } => match &query.kind {
                QueryKind::Presence(query) => {
                    matches!(&query.filter, ClientFilter::Tags(query) if query.is_empty())
                }
                QueryKind::Clients(query) => !matches!(query.filter, ListFilter::Expression(_)),
                // Postfix code can also say what its canonical form says.
                QueryKind::Tail(query) => query.expression.is_none(),
                QueryKind::Count(_) | QueryKind::Hosts(_) => false,
                QueryKind::Directed(_)
                | QueryKind::UsedId(_)
                | QueryKind::Tags(_)
                | QueryKind::ClientTags(_)
                | QueryKind::Describe(_)
                | QueryKind::RefreshToken { .. }
                | QueryKind::Statistics { .. } => true,
            },
            Self::Described(answer) => match &answer.result {
                QueryResult::Described(client) => {
                    client.as_ref().is_none_or(|client| client.tags.is_empty())
                }
                _ => false,
            },
            Self::Publish { publication, .. } => match &publication.address.recipients {
                Recipients::Matching(query) => query.is_empty(),
                // Postfix code can also say what its canonical form says.
                Recipients::Expression(_) | Recipients::Without(_) | Recipients::Among(_) => false,
                Recipients::First { .. } | Recipients::Named(_) | Recipients::TagSequence(_) => {
                    true
                }
            },
            Self::Count { .. }
            | Self::Version(_)
            | Self::Hello { .. }
            | Self::Seen { .. }
            | Self::Announced { .. }
            | Self::Alias { .. }
            | Self::Holds { .. }
            | Self::Sync { .. }
            | Self::Reserve { .. }
            | Self::Tracked { .. }
            | Self::Remember(_)
            | Self::Identify(_)
            | Self::Work(_)
            | Self::Charged(_)
            | Self::WindowRepeated
            | Self::Leave { .. } => true,
        }
    }
}

fn stream<M: WireMessage + PartialEq + Debug>(bytes: &[u8]) {
    let at_once = read::<M>(&[bytes]);
    assert_eq!(read::<M>(&pieces(bytes)), at_once);
    let mut again = Vec::new();
    at_once.0.iter().for_each(|message| message.encode(&mut again));
    assert_eq!(read::<M>(&[&again]), (at_once.0, Ok(())));
}

/// Returns the messages of a stream up to the first invalid one.
fn read<M: WireMessage>(segments: &[&[u8]]) -> (Vec<M>, Result<(), Malformed>) {
    let mut inbox = MessageDecoder::default();
    let mut messages = Vec::new();
    for segment in segments {
        inbox.extend(segment);
        loop {
            match inbox.take() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(malformed) => return (messages, Err(malformed)),
            }
        }
    }
    (messages, Ok(()))
}

fn body<M: WireMessage + Canonical + PartialEq + Debug>(bytes: &[u8]) -> Option<M> {
    let message = match M::decode(bytes) {
        Ok(message) => message,
        Err(malformed) => {
            assert!(!malformed.to_string().is_empty());
            return None;
        }
    };
    let mut written = Vec::new();
    message.encode(&mut written);
    assert_eq!(written[..4], (written.len() as u32 - 4).to_le_bytes());
    assert!(!message.is_canonical() || written[4..] == *bytes, "{message:?}");
    assert_eq!(M::decode(&written[4..]).as_ref(), Ok(&message));
    Some(message)
}
