//! Tests with round trips, truncated messages and random bytes.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::tracking::strategies::{outcome, tracking};
use super::*;
use crate::link::message::{CountedPublication, Deliver, DeliverTo, Full, NewPublication, SetName};
use crate::link::query::{BrokerQuery, PresenceQuery, PresenceResult, QueryKind, QueryResult};
use crate::types::{
    Address, AddressLimit, Alias, Claim, Client, ClientClass, ClientFilter, ClientUuid, Content,
    Exclusivity, Expression, Generation, GrantNumber, Ident, JoinNumber, LimitedApplication,
    MatchOptions, NamedClient, Number, PayloadForm, Publication, Recipients, Sequence, Slot,
    SlotSet, Tag, TagCondition, TagQuery, TagTerm, Tags, Tenant, TrackedOutcome, ValueTest,
    WorkerId, WorkerIncarnation,
};

fn source() -> impl Strategy<Value = WorkerIncarnation> {
    (any::<u16>(), any::<u32>())
        .prop_map(|(w, g)| WorkerIncarnation { worker: WorkerId(w), generation: Generation(g) })
}

fn tags() -> impl Strategy<Value = Tags> {
    prop::collection::vec(("[a-zé]{1,9}", ".{0,9}"), 0..5)
        .prop_map(|all| Tags::new(all.iter().map(|(n, v)| Tag::new(n, v).unwrap())).unwrap())
}

fn uuid() -> impl Strategy<Value = ClientUuid> {
    any::<[u8; 16]>().prop_map(ClientUuid)
}

fn ident() -> impl Strategy<Value = Option<Ident>> {
    prop::option::of("[a-z]{1,9}".prop_map(|text| Ident::new(&text).unwrap()))
}

fn tenant() -> impl Strategy<Value = Tenant> {
    "[a-z]{0,5}".prop_map(|text| Tenant(text.into()))
}

fn client() -> impl Strategy<Value = Client> {
    (tenant(), uuid(), ident(), tags(), any::<(bool, bool, std::net::IpAddr)>()).prop_map(
        |(tenant, uuid, ident, tags, (php, takes_publications, ip))| Client {
            tenant,
            uuid,
            ident,
            tags,
            class: if php { ClientClass::Php } else { ClientClass::Web },
            takes_publications,
            counted: if php { AddressLimit::InAll } else { AddressLimit::ByAddress },
            application: php.then(|| Arc::new(LimitedApplication("shop".into()))),
            ip,
        },
    )
}

fn alias() -> impl Strategy<Value = Alias> {
    ".{1,9}".prop_map(|text| Alias::new(&text).unwrap())
}

fn claim() -> impl Strategy<Value = Claim> {
    (alias(), any::<bool>()).prop_map(|(alias, alone)| Claim {
        alias,
        keeping: if alone { Exclusivity::Alone } else { Exclusivity::Shared },
    })
}

fn content() -> impl Strategy<Value = Content> {
    (any::<bool>(), any::<Vec<u8>>()).prop_map(|(packet, payload)| Content {
        form: if packet { PayloadForm::Packet } else { PayloadForm::Text },
        payload: Bytes::from(payload),
    })
}

fn expression() -> impl Strategy<Value = Recipients> {
    let term = ("[a-zé]{1,3}", prop::collection::vec(".{1,9}", 0..3), any::<bool>()).prop_map(
        |(name, values, is_prefix)| {
            let mut values: Vec<Box<str>> = values.into_iter().map(Into::into).collect();
            let test = match values.len() {
                0 => ValueTest::Exists,
                1 if is_prefix => ValueTest::Prefix(values.remove(0)),
                1 => ValueTest::Is(values.remove(0)),
                _ => ValueTest::In(values.into()),
            };
            TagCondition::Term(TagTerm::new(&name, test).unwrap())
        },
    );
    let condition = term.prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|it| TagCondition::Not(Box::new(it))),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|it| TagCondition::All(it.into())),
            prop::collection::vec(inner, 1..4).prop_map(|it| TagCondition::Any(it.into())),
        ]
    });
    condition.prop_map(|it| Recipients::Expression(Expression::new(it).unwrap()))
}

fn filter() -> impl Strategy<Value = ClientFilter> {
    prop_oneof![
        tags().prop_map(ClientFilter::Tags),
        expression().prop_map(|it| match it {
            Recipients::Expression(expression) => expression.into(),
            _ => TagQuery::default().into(),
        }),
    ]
}

fn address() -> impl Strategy<Value = Address> {
    let first = (prop::option::of(uuid()), ident())
        .prop_map(|(uuid, ident)| Recipients::First { uuid, ident });
    let named = (prop::option::of(uuid()), prop::option::of(alias()), ident(), 0..16_u8).prop_map(
        |(uuid, alias, ident, bits)| {
            let options = MatchOptions::from_bits(bits).unwrap();
            Recipients::Named(Box::new(NamedClient { uuid, alias, ident, options }))
        },
    );
    let tag = ("[a-zé]{1,9}", ".{0,9}").prop_map(|(n, v)| Tag::new(&n, &v).unwrap());
    let sequence =
        prop::collection::vec(tag, 0..5).prop_map(|all| Recipients::TagSequence(all.into()));
    let matching = tags().prop_map(Recipients::Matching);
    let recipients = prop_oneof![first, matching, named, sequence, expression()];
    let several = prop::collection::vec(uuid(), 0..4);
    let parts = (recipients, prop::option::of(uuid()), several, prop::option::of(expression()));
    parts.prop_map(|(recipients, except, several, among)| {
        let address = match several.len() {
            0 | 1 => Address { recipients, except },
            _ => Address { recipients, except }.without(&several),
        };
        match among {
            Some(Recipients::Expression(expression)) => address.among(expression),
            _ => address,
        }
    })
}

fn to_broker() -> impl Strategy<Value = ToBroker> {
    prop_oneof![
        (any::<u16>(), source()).prop_map(|(version, source)| ToBroker::Hello { version, source }),
        (any::<u32>(), any::<u64>(), client()).prop_map(|(slot, number, client)| {
            ToBroker::Announce { slot: Slot(slot), number: JoinNumber(number), client }
        }),
        (source(), any::<Vec<u64>>()).prop_map(|(source, numbers)| ToBroker::Seen {
            source,
            numbers: numbers.into_iter().map(Number).collect()
        }),
        any::<u64>().prop_map(|n| ToBroker::Announced { sequence: Sequence(n) }),
        (any::<Option<u32>>(), prop::option::of(tracking())).prop_map(|(max, tracking)| {
            ToBroker::Count { clients_max: max.map(u64::from), tracking }
        }),
        (source(), any::<u64>(), outcome()).prop_map(|(publisher, number, outcome)| {
            ToBroker::Tracked { publisher, number: Number(number), outcome }
        }),
        (any::<u32>(), client())
            .prop_map(|(slot, client)| ToBroker::Join { slot: Slot(slot), client }),
        any::<u32>().prop_map(|slot| ToBroker::Leave { slot: Slot(slot) }),
        (any::<u64>(), tenant(), address(), content()).prop_map(
            |(number, tenant, address, content)| ToBroker::Publish {
                number: Number(number),
                publication: Publication { tenant, address, content }
            }
        ),
        (any::<u32>(), claim())
            .prop_map(|(slot, claim)| ToBroker::Alias { slot: Slot(slot), claim }),
        (any::<(u32, u64)>(), claim()).prop_map(|((slot, grant), claim)| ToBroker::Holds {
            slot: Slot(slot),
            claim,
            grant: GrantNumber(grant)
        }),
        (any::<(u32, u32)>(), tenant(), filter(), "[a-z]{0,5}").prop_map(
            |((slot, number), tenant, filter, tag)| ToBroker::Ask {
                slot: Slot(slot),
                query: BrokerQuery {
                    number,
                    tenant,
                    kind: QueryKind::Presence(PresenceQuery { filter, tag: tag.into() })
                }
            }
        ),
    ]
}

fn target() -> impl Strategy<Value = DeliverTo> {
    prop_oneof![
        any::<u32>().prop_map(|slot| DeliverTo::One(Slot(slot))),
        (any::<u32>(), any::<Option<u32>>()).prop_map(|(name, except)| DeliverTo::Set {
            name: SetName(name),
            except: except.map(Slot)
        }),
    ]
}

fn counted() -> impl Strategy<Value = CountedPublication> {
    any::<(u64, u64, u32, Option<bool>)>().prop_map(|(number, clients, workers, away)| {
        let (number, is_forwarded) = (Number(number), number % 2 == 1);
        CountedPublication { number, clients, workers, scan_values: 3, away, is_forwarded }
    })
}

fn to_worker() -> impl Strategy<Value = ToWorker> {
    prop_oneof![
        Just(ToWorker::Batch),
        tracking().prop_map(ToWorker::Track),
        (any::<u64>(), outcome())
            .prop_map(|(number, outcome)| ToWorker::Tracked { number: Number(number), outcome }),
        counted().prop_map(ToWorker::Reached),
        any::<(u32, Option<u64>)>().prop_map(|(slot, granted)| ToWorker::Aliased {
            slot: Slot(slot),
            granted: granted.map(GrantNumber)
        }),
        (any::<u32>(), any::<Vec<u32>>()).prop_map(|(name, slots)| ToWorker::Set {
            name: SetName(name),
            slots: slots.into_iter().map(Slot).collect::<SlotSet>()
        }),
        (source(), any::<(u64, u64)>(), target(), prop::option::of(content())).prop_map(
            |(source, (number, sequence), target, content)| ToWorker::Deliver(Deliver {
                source,
                number: Number(number),
                sequence: Sequence(sequence),
                target,
                content
            })
        ),
        any::<(u32, u64, u32, u32)>().prop_map(|(slot, number, own, smallest)| ToWorker::Joined {
            slot: Slot(slot),
            number: JoinNumber(number),
            own,
            smallest
        }),
        any::<u32>().prop_map(|slot| ToWorker::Left { slot: Slot(slot) }),
        any::<u64>().prop_map(|n| ToWorker::Acknowledged { up_to: Number(n) }),
        (any::<u32>(), any::<bool>()).prop_map(|(slot, clients)| ToWorker::Refused {
            slot: Slot(slot),
            full: if clients { Full::Clients } else { Full::Application }
        }),
        (any::<(u32, u32, u64)>(), prop::collection::vec("[a-zé]{0,5}", 0..4)).prop_map(
            |((slot, number, clients), values)| ToWorker::Answer {
                slot: Slot(slot),
                number,
                result: QueryResult::Presence(PresenceResult {
                    clients,
                    values: values.into_iter().map(Into::into).collect()
                })
            }
        ),
    ]
}

/// Encodes all messages, feeds the bytes to a decoder in pieces of the given size, and returns the decoded
/// messages.
fn through_the_wire<M: WireMessage>(messages: &[M], piece: usize) -> Result<Vec<M>, Malformed> {
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| message.encode(&mut bytes));
    let mut inbox = MessageDecoder::default();
    let mut taken = Vec::new();
    for part in bytes.chunks(piece) {
        inbox.extend(part);
        while let Some(message) = inbox.take()? {
            taken.push(message);
        }
    }
    Ok(taken)
}

proptest! {
    #[test]
    fn messages_of_a_worker_arrive_however_they_are_split(
        messages in prop::collection::vec(to_broker(), 0..8), piece in 1_usize..300,
    ) {
        prop_assert_eq!(through_the_wire(&messages, piece).unwrap(), messages);
    }

    #[test]
    fn messages_of_the_broker_arrive_however_they_are_split(
        messages in prop::collection::vec(to_worker(), 0..8), piece in 1_usize..300,
    ) {
        prop_assert_eq!(through_the_wire(&messages, piece).unwrap(), messages);
    }

    #[test]
    fn arbitrary_bytes_are_refused_and_never_panic(body in any::<Vec<u8>>()) {
        drop(ToBroker::decode(&body));
        drop(ToWorker::decode(&body));
        drop(FromBroker::decode(&body));
        if let Ok(FromWorker::Publish(publish)) = FromWorker::decode(&body) {
            drop(publish.route());
        }
    }

    #[test]
    fn a_truncated_message_is_invalid(message in to_broker(), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let cut = 4 + cut.index(bytes.len() - 4);
        let is_payload = matches!(
            message,
            ToBroker::Publish { .. } | ToBroker::Tracked {
                outcome: TrackedOutcome::Answer(_) | TrackedOutcome::Refused(_), ..
            }
        );
        prop_assert!(is_payload || ToBroker::decode(&bytes[4..cut]).is_err());
    }
}

proptest! {
    #[test]
    fn a_publication_is_the_same_whether_or_not_it_is_copied(
        number in any::<u64>(), tenant in tenant(), address in address(), content in content(),
    ) {
        let publication = Publication { tenant, address, content };
        let message = ToBroker::Publish { number: Number(number), publication };
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let Ok(FromWorker::Publish(publish)) = FromWorker::decode(&bytes[4..]) else { panic!() };
        let ToBroker::Publish { publication, .. } = &message else { panic!() };
        prop_assert_eq!(publish.number, Number(number));
        prop_assert_eq!(publish.content, publication.content.borrowed());
        let route = (publication.tenant.clone(), publication.address.clone());
        let is_costly =
            matches!(route.1.recipients, Recipients::Expression(_) | Recipients::Without(_) | Recipients::Among(_));
        prop_assert_eq!(publish.is_costly(), is_costly);
        prop_assert_eq!(publish.route(), Ok(route));
        let mut bytes = publish.route.to_vec();
        bytes.push(0);
        let longer = PublishFrame { route: &bytes, ..publish };
        prop_assert!(longer.route().is_err(), "bytes after the address");
    }

    #[test]
    fn a_delivery_is_the_same_whether_or_not_it_is_copied(message in to_worker()) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        match (FromBroker::decode(&bytes[4..]), message) {
            (Ok(FromBroker::Deliver(seen)), ToWorker::Deliver(sent)) => {
                prop_assert_eq!(owned(seen), sent);
            }
            (Ok(FromBroker::Other(seen)), sent) => prop_assert_eq!(seen, sent),
            (seen, _) => panic!("{seen:?}"),
        }
    }
}

#[test]
fn a_length_above_the_limit_is_refused_at_once() {
    let mut inbox = MessageDecoder::default();
    inbox.extend(&[0xff; 4]);
    assert_eq!(inbox.take::<ToBroker>(), Err(Malformed::Oversized(0xffff_ffff)));
}

#[test]
fn messages_before_an_oversized_length_in_the_same_read_count() {
    let mut bytes = Vec::new();
    let left = ToWorker::Left { slot: Slot(3) };
    left.encode(&mut bytes);
    bytes.extend_from_slice(&[0xff; 4]);
    let mut inbox = MessageDecoder::default();
    inbox.extend(&bytes);
    assert_eq!(inbox.take(), Ok(Some(left)));
    assert_eq!(inbox.take::<ToWorker>(), Err(Malformed::Oversized(0xffff_ffff)));
}

#[test]
fn the_short_encoding_of_a_publication_is_equivalent() {
    let publication = Publication {
        tenant: Tenant::shared(),
        address: Address::everyone_but(ClientUuid([7; 16])),
        content: Content { form: PayloadForm::Packet, payload: Bytes::from_static(b"{}") },
    };
    let (mut long, mut short) = (Vec::new(), Vec::new());
    let number = Number(9);
    encode_publish(
        &mut short,
        number,
        NewPublication {
            tenant: &publication.tenant,
            address: &publication.address,
            form: PayloadForm::Packet,
            payload: b"{}",
        },
    );
    ToBroker::Publish { number, publication }.encode(&mut long);
    assert_eq!(long, short);
}
