//! Every command is read as it was written.

use proptest::prelude::*;

use super::*;
use crate::link::codec::WireMessage;
use crate::link::message::{ToBroker, ToWorker};
use crate::types::{
    ClientFilter, Expression, Generation, Slot, Tag, Tags, Tenant, Topics, WorkerId,
    WorkerIncarnation,
};

fn tags() -> impl Strategy<Value = Tags> {
    prop::collection::vec(("[a-z]{1,9}", ".{0,9}"), 0..4)
        .prop_map(|all| Tags::new(all.iter().map(|(n, v)| Tag::new(n, v).unwrap())).unwrap())
}

fn topics() -> impl Strategy<Value = Topics> {
    prop::collection::vec("(private-)?[a-z0-9_=@,.;-]{1,9}".prop_map(Into::into), 0..4)
        .prop_map(|names| Topics::new(names).unwrap())
}

fn edit() -> impl Strategy<Value = TagEdit> {
    let names = prop::collection::vec("[a-zé]{1,9}".prop_map(Into::into), 0..4)
        .prop_map(|names| TagNames::new(names).unwrap());
    prop_oneof![
        (tags(), topics(), names, topics()).prop_map(|(set, join, remove, leave)| {
            TagEdit::Update { set: set.with_topics(join), remove, leave }
        }),
        tags().prop_map(TagEdit::Replace),
    ]
}

fn versioned() -> impl Strategy<Value = VersionedTags> {
    (any::<u64>(), tags(), topics()).prop_map(|(version, tags, topics)| VersionedTags {
        version: TagVersion(version),
        tags: tags.with_topics(topics),
    })
}

fn reason() -> impl Strategy<Value = CloseReason> {
    (any::<u16>(), ".{0,9}")
        .prop_map(|(code, text)| CloseReason { code: CloseCode(code), text: Cow::Owned(text) })
}

fn clients() -> impl Strategy<Value = ClientFilter> {
    prop_oneof![
        Just(ClientFilter::Tags(Tags::default())),
        Just(ClientFilter::Expression(Expression::parse("a=1 & !b?").unwrap())),
    ]
}

fn kind() -> impl Strategy<Value = CommandKind> {
    let change = (any::<([u8; 16], Option<u64>)>(), edit()).prop_map(|((uuid, version), edit)| {
        CommandKind::ChangeTags {
            uuid: ClientUuid(uuid),
            change: TagChange { edit, if_version: version.map(TagVersion) },
        }
    });
    let close = (any::<[u8; 16]>(), reason())
        .prop_map(|(uuid, reason)| CommandKind::Close { uuid: ClientUuid(uuid), reason });
    let matching = (clients(), any::<(Option<u32>, u32)>(), reason()).prop_map(
        |(clients, (max, millis), reason)| CommandKind::CloseMatching {
            clients,
            clients_max: max.map(u64::from),
            reason,
            spread: Duration::from_millis(millis.into()),
        },
    );
    let bulk = (clients(), any::<Option<u32>>(), edit()).prop_map(|(clients, max, edit)| {
        CommandKind::ChangeTagsMatching { clients, clients_max: max.map(u64::from), edit }
    });
    prop_oneof![change, close, matching, bulk, Just(CommandKind::Barrier)]
}

fn bulk() -> impl Strategy<Value = BulkChange> {
    (retagged(), clients(), edit(), any::<(u64, u32)>()).prop_map(
        |(RetaggedClient { source, number, tags, .. }, clients, edit, matched)| BulkChange {
            source,
            number,
            tenant: Tenant("t".into()),
            clients,
            edit,
            version: tags.version,
            matched: MatchedClients { clients: matched.0, workers: matched.1 },
        },
    )
}

fn order() -> impl Strategy<Value = CloseOrder> {
    let slots = any::<Vec<u32>>().prop_map(|slots| slots.into_iter().map(Slot).collect());
    let connections = prop_oneof![
        any::<u32>().prop_map(|slot| ClosedConnections::One(Slot(slot))),
        slots.prop_map(ClosedConnections::Set),
    ];
    (retagged(), connections, reason(), any::<u32>()).prop_map(
        |(RetaggedClient { source, number, .. }, connections, reason, millis)| CloseOrder {
            source,
            number,
            connections,
            reason,
            spread: Duration::from_millis(millis.into()),
        },
    )
}

fn command() -> impl Strategy<Value = NumberedCommand> {
    (any::<(u64, bool)>(), "[a-z]{0,5}", kind()).prop_map(
        |((number, is_answered), tenant, kind)| NumberedCommand {
            number: Number(number),
            is_answered,
            command: ClientCommand { tenant: Tenant(tenant.as_str().into()), kind },
        },
    )
}

fn outcome() -> impl Strategy<Value = CommandOutcome> {
    prop_oneof![
        Just(CommandOutcome::Unknown),
        Just(CommandOutcome::NotReached),
        Just(CommandOutcome::EndedAway),
        versioned().prop_map(CommandOutcome::Conflict),
        Just(CommandOutcome::TooManyTags),
        versioned().prop_map(CommandOutcome::Tagged),
        any::<(u64, u32)>().prop_map(|(clients, workers)| {
            CommandOutcome::Matched(MatchedClients { clients, workers })
        }),
        any::<(u64, u64)>().prop_map(|(values, limit)| {
            CommandOutcome::TooExpensive(TooExpensive { values, limit })
        }),
        versioned()
            .prop_map(|tags| { CommandOutcome::Forwarded(Box::new(CommandOutcome::Tagged(tags))) }),
    ]
}

#[test]
fn a_command_of_another_host_is_read_as_it_was_written() {
    let clients = ClientFilter::Expression(Expression::parse("a=1 & !b?").unwrap());
    let reason = CloseReason { code: CloseCode(4001), text: "bye".into() };
    let spread = Duration::from_millis(9);
    let kind = CommandKind::CloseMatching { clients, clients_max: Some(7), reason, spread };
    let command = ClientCommand { tenant: Tenant("shop".into()), kind };
    let bytes = encode_command(&command);
    assert_eq!(decode_command(&bytes), Ok(command));
    for length in 0..bytes.len() {
        assert!(decode_command(&bytes[..length]).is_err(), "{length}");
    }
    let mut newer = bytes;
    newer[0] += 1;
    assert_eq!(decode_command(&newer), Err(Malformed::Unknown("format", FORMAT + 1)));
    let barrier = ClientCommand { tenant: Tenant::shared(), kind: CommandKind::Barrier };
    assert!(decode_command(&encode_command(&barrier)).is_err());
}

fn retagged() -> impl Strategy<Value = RetaggedClient> {
    (any::<(u16, u32, u64, u32)>(), versioned()).prop_map(
        |((worker, generation, number, slot), tags)| RetaggedClient {
            source: WorkerIncarnation {
                worker: WorkerId(worker),
                generation: Generation(generation),
            },
            number: Number(number),
            slot: Slot(slot),
            tags,
        },
    )
}

fn is_read_as_written<M: WireMessage + PartialEq + std::fmt::Debug>(message: &M) {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    let body = &bytes[4..];
    assert_eq!(M::decode(body).as_ref(), Ok(message));
    (0..body.len()).for_each(|short| assert!(M::decode(&body[..short]).is_err()));
}

proptest! {
    #[test]
    fn commands_and_outcomes_are_read_as_they_were_written(
        command in command(),
        outcome in outcome(),
        retagged in retagged(),
        order in order(),
        bulk in bulk(),
        (number, slot, version) in any::<(u64, u32, u64)>(),
    ) {
        is_read_as_written(&ToBroker::Command(Box::new(command)));
        let version = AnnouncedVersion { slot: Slot(slot), version: TagVersion(version) };
        is_read_as_written(&ToBroker::Version(version));
        let outcome = Box::new(outcome);
        is_read_as_written(&ToWorker::Outcome { number: Number(number), outcome });
        is_read_as_written(&ToWorker::Retagged(Box::new(retagged)));
        is_read_as_written(&ToWorker::Close(Box::new(order)));
        is_read_as_written(&ToBroker::LastBulkChange(Box::new(bulk.clone())));
        let slots = [slot].into_iter().map(Slot).collect();
        let retagged = RetaggedClients { change: bulk, slots };
        is_read_as_written(&ToWorker::RetaggedMatching(Box::new(retagged)));
    }
}
