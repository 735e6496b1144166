//! Changes of tags, in the order of publications (rule L12).

use std::time::Duration;

use super::*;
use crate::link::command::{
    AnnouncedVersion, BulkChange, ClientCommand, CommandKind, CommandOutcome, MatchedClients,
    NumberedCommand, RetaggedClient,
};
use crate::types::{
    ClientFilter, CloseCode, CloseReason, Expression, TagChange, TagEdit, VersionedTags,
};

fn tags(list: &[(&str, &str)]) -> Tags {
    Tags::new(list.iter().map(|(name, value)| Tag::new(name, value).unwrap())).unwrap()
}

fn change(number: u64, byte: u8, edit: TagEdit, if_version: Option<u64>) -> ToBroker {
    let if_version = if_version.map(TagVersion);
    let change = TagChange { edit, if_version };
    let kind = CommandKind::ChangeTags { uuid: ClientUuid([byte; 16]), change };
    let command = ClientCommand { tenant: Tenant::shared(), kind };
    let (number, is_answered) = (Number(number), true);
    ToBroker::Command(Box::new(NumberedCommand { number, is_answered, command }))
}

fn setting(name: &str, value: &str) -> TagEdit {
    TagEdit::setting(Tag::new(name, value).unwrap())
}

fn outcomes(told: &[ToWorker]) -> Vec<CommandOutcome> {
    let outcome = |message: &ToWorker| match message {
        ToWorker::Outcome { outcome, .. } => Some((**outcome).clone()),
        _ => None,
    };
    told.iter().filter_map(outcome).collect()
}

fn retagged(told: &[ToWorker]) -> Vec<RetaggedClient> {
    let retagged = |message: &ToWorker| match message {
        ToWorker::Retagged(retagged) => Some((**retagged).clone()),
        _ => None,
    };
    told.iter().filter_map(retagged).collect()
}

#[test]
fn the_outcome_of_a_change_waits_for_the_link_of_the_client() {
    let mut router = router(2);
    join(&mut router, 1, 4, 7);
    told(&mut router, 1);
    say(&mut router, 0, publish(1, Address::matching(tags(&[("a", "1")]))));
    say(&mut router, 0, change(2, 7, setting("a", "1"), None));
    say(&mut router, 0, publish(3, Address::matching(tags(&[("a", "1")]))));
    router.end_turn();
    assert_eq!(told(&mut router, 0), [], "worker 1 has not taken its messages");
    let of_client = told(&mut router, 1);
    router.acknowledge();
    let now = VersionedTags { version: TagVersion(2), tags: tags(&[("a", "1"), ("n", "7")]) };
    let (source, number, slot) = (source(0), Number(2), Slot(4));
    assert_eq!(retagged(&of_client), [RetaggedClient { source, number, slot, tags: now.clone() }]);
    assert_eq!(deliveries(&of_client).iter().map(|it| it.0).collect::<Vec<_>>(), [3]);
    let of_source = told(&mut router, 0);
    assert_eq!(outcomes(&of_source), [CommandOutcome::Tagged(now)]);
    assert_eq!(of_source.last(), Some(&ToWorker::Acknowledged { up_to: Number(3) }));
}

#[test]
fn a_change_that_cannot_be_made_changes_nothing() {
    let mut router = router(1);
    join(&mut router, 0, 0, 1);
    let php = Client { class: ClientClass::Php, ..client(2) };
    say(&mut router, 0, ToBroker::Join { slot: Slot(1), client: php });
    let many = (0..128).map(|n| Tag::new(&format!("m{n}"), "x").unwrap());
    let many = TagEdit::Update {
        set: Tags::new(many).unwrap(),
        remove: Default::default(),
        leave: Default::default(),
    };
    for (number, (byte, edit, version)) in (1..).zip([
        (1, setting("a", "1"), Some(9)),
        (1, many, None),
        (1, setting("n", "1"), Some(1)),
        (2, setting("a", "1"), None),
        (3, setting("a", "1"), None),
    ]) {
        say(&mut router, 0, change(number, byte, edit, version));
    }
    router.end_turn();
    let told = told(&mut router, 0);
    let present = VersionedTags { version: TagVersion(1), tags: tags(&[("n", "1")]) };
    assert_eq!(
        outcomes(&told),
        [
            CommandOutcome::Conflict(present.clone()),
            CommandOutcome::TooManyTags,
            CommandOutcome::Tagged(present),
            CommandOutcome::NotReached,
            CommandOutcome::Unknown,
        ]
    );
    assert_eq!(retagged(&told), []);
}

#[test]
fn a_repeated_change_that_was_made_has_no_second_effect() {
    let mut router = Router::awaiting([source(0), source(1)]);
    let announced = |version: u64, router: &mut Router| {
        let (slot, number) = (Slot(0), JoinNumber(1));
        say(router, 0, ToBroker::Announce { slot, number, client: client(1) });
        let version = TagVersion(version);
        say(router, 0, ToBroker::Version(AnnouncedVersion { slot, version }));
    };
    greet(&mut router, 0);
    greet(&mut router, 1);
    announced(20, &mut router);
    say(&mut router, 0, ToBroker::Seen { source: source(1), numbers: vec![Number(5)] });
    for worker in [0, 1] {
        say(&mut router, worker, ToBroker::Announced { sequence: Sequence(0) });
    }
    say(&mut router, 1, change(5, 1, setting("n", "old"), Some(19)));
    say(&mut router, 1, change(6, 1, setting("n", "new"), Some(20)));
    router.end_turn();
    let of_client = retagged(&told(&mut router, 0));
    router.acknowledge();
    let present = VersionedTags { version: TagVersion(20), tags: tags(&[("n", "1")]) };
    let version = TagVersion(20 + TagVersion::STEP + 1);
    let now = VersionedTags { version, tags: tags(&[("n", "new")]) };
    assert_eq!(of_client.iter().map(|it| &it.tags).collect::<Vec<_>>(), [&now]);
    let outcomes = outcomes(&told(&mut router, 1));
    assert_eq!(outcomes, [CommandOutcome::Tagged(present), CommandOutcome::Tagged(now)]);
}

fn expression(text: &str) -> ClientFilter {
    Expression::parse(text).unwrap().into()
}

fn command(number: u64, kind: CommandKind) -> ToBroker {
    let (number, is_answered) = (Number(number), true);
    let command = ClientCommand { tenant: Tenant::shared(), kind };
    ToBroker::Command(Box::new(NumberedCommand { number, is_answered, command }))
}

fn bulk(number: u64, clients: &str, edit: TagEdit) -> ToBroker {
    let clients = expression(clients);
    command(number, CommandKind::ChangeTagsMatching { clients, clients_max: None, edit })
}

/// The slots of a change of many clients, for one worker.
fn retagged_slots(told: &[ToWorker]) -> Vec<Vec<u32>> {
    let slots = |message: &ToWorker| match message {
        ToWorker::RetaggedMatching(it) => Some(it.slots.iter().map(|slot| slot.0).collect()),
        _ => None,
    };
    told.iter().filter_map(slots).collect()
}

fn matched(clients: u64, workers: u32) -> CommandOutcome {
    CommandOutcome::Matched(MatchedClients { clients, workers })
}

#[test]
fn a_change_of_many_clients_is_complete_before_anything_else_is_applied() {
    let mut router = router(2);
    let tagged = |slot: u32| Client {
        tags: tags(&[("wave", "0"), ("n", &slot.to_string())]),
        ..client(u8::try_from(slot).unwrap())
    };
    for slot in 0..200 {
        let worker = u16::try_from(slot % 2).unwrap();
        say(&mut router, worker, ToBroker::Join { slot: Slot(slot), client: tagged(slot) });
    }
    router.on_message(source(0), bulk(1, "wave?", setting("wave", "1"))).unwrap();
    let mut pieces = 0;
    while router.continue_bulk(&mut |_| true).is_break() {
        pieces += 1;
        router.end_turn();
        assert!(!is_acknowledged(&told(&mut router, 0), 1), "it is not complete");
        assert!(retagged_slots(&told(&mut router, 1)).is_empty());
    }
    assert_eq!(pieces, 6, "200 clients are checked and changed, 64 at a time");
    assert!(!router.is_changing_many());
    router.end_turn();
    let of_other = told(&mut router, 1);
    assert_eq!(retagged_slots(&of_other)[0].len(), 100);
    router.acknowledge();
    let own = told(&mut router, 0);
    assert_eq!((outcomes(&own), is_acknowledged(&own, 1)), (vec![matched(200, 2)], true));
    say(&mut router, 0, publish(2, Address::matching(tags(&[("wave", "1")]))));
    assert_eq!(deliveries(&told(&mut router, 1)).len(), 1);
    assert_eq!(router.is_consistent(), Ok(()));
}

#[test]
fn of_many_clients_none_is_changed_if_one_would_have_too_many_tags() {
    let mut router = router(1);
    let many = (0..128).map(|n| Tag::new(&format!("m{n}"), "x").unwrap());
    let full = Client { tags: Tags::new(many).unwrap(), ..client(1) };
    say(&mut router, 0, ToBroker::Join { slot: Slot(0), client: full });
    let other = Client { tags: tags(&[("m1", "x")]), ..client(2) };
    say(&mut router, 0, ToBroker::Join { slot: Slot(1), client: other });
    told(&mut router, 0);
    for (number, edit) in [(1, setting("a", "1")), (2, setting("m1", "y"))] {
        router.on_message(source(0), bulk(number, "m1?", edit)).unwrap();
        assert!(router.continue_bulk(&mut |_| false).is_continue());
    }
    router.end_turn();
    let told = told(&mut router, 0);
    assert_eq!(outcomes(&told), [CommandOutcome::TooManyTags, matched(2, 1)]);
    assert_eq!(retagged_slots(&told), [[0, 1]]);
}

#[test]
fn a_new_broker_completes_a_change_that_some_workers_have_received() {
    let mut router = Router::awaiting([source(0), source(1)]);
    let change = BulkChange {
        source: source(1),
        number: Number(7),
        tenant: Tenant::shared(),
        clients: expression("wave=0"),
        edit: setting("wave", "1"),
        version: TagVersion(30),
        matched: MatchedClients { clients: 2, workers: 2 },
    };
    let announce = |worker: u16, slot: u32, number: u64, wave: &str| {
        let client = Client {
            tags: tags(&[("wave", wave)]),
            ..client(u8::try_from(10 * slot + u32::from(worker)).unwrap())
        };
        (worker, ToBroker::Announce { slot: Slot(slot), number: JoinNumber(number), client })
    };
    greet(&mut router, 0);
    greet(&mut router, 1);
    // Worker 0 has received the change; its second client has joined after it.
    for (worker, message) in [
        announce(0, 0, 3, "1"),
        announce(0, 1, 31, "0"),
        announce(1, 0, 4, "0"),
        announce(1, 1, 32, "0"),
    ] {
        say(&mut router, worker, message);
    }
    let version = AnnouncedVersion { slot: Slot(0), version: TagVersion(30) };
    say(&mut router, 0, ToBroker::Version(version));
    say(&mut router, 0, ToBroker::LastBulkChange(Box::new(change)));
    for worker in [0, 1] {
        say(&mut router, worker, ToBroker::Announced { sequence: Sequence(0) });
    }
    assert!(router.is_changing_many());
    assert!(router.continue_bulk(&mut |_| false).is_continue());
    router.end_turn();
    assert_eq!(retagged_slots(&told(&mut router, 0)), [Vec::<u32>::new()]);
    assert_eq!(retagged_slots(&told(&mut router, 1)), [[0]]);
    say(&mut router, 1, bulk(7, "wave=0", setting("wave", "1")));
    assert!(!router.is_changing_many(), "its repetition has no second effect");
    router.end_turn();
    told(&mut router, 0);
    router.acknowledge();
    assert_eq!(outcomes(&told(&mut router, 1)), [matched(2, 2)]);
}

#[test]
fn a_close_names_slots_of_every_worker_and_is_counted() {
    let mut router = router(3);
    join(&mut router, 0, 5, 1);
    join(&mut router, 1, 6, 2);
    let reason = CloseReason::new(CloseCode(4000), "bye");
    let close = |number, clients: &str, clients_max| {
        let (clients, reason, spread) = (expression(clients), reason.clone(), Duration::ZERO);
        command(number, CommandKind::CloseMatching { clients, clients_max, reason, spread })
    };
    say(&mut router, 0, close(1, "n?", Some(1)));
    say(&mut router, 0, close(2, "n=2", None));
    let one = CommandKind::Close { uuid: ClientUuid([1; 16]), reason: reason.clone() };
    say(&mut router, 0, command(3, one.clone()));
    say(&mut router, 0, ToBroker::Leave { slot: Slot(5) });
    say(&mut router, 0, command(4, one));
    router.end_turn();
    let closed = |told: &[ToWorker]| -> Vec<Vec<u32>> {
        let slots = |message: &ToWorker| match message {
            ToWorker::Close(order) => {
                Some(order.connections.clone().slots().iter().map(|slot| slot.0).collect())
            }
            _ => None,
        };
        told.iter().filter_map(slots).collect()
    };
    assert_eq!(closed(&told(&mut router, 1)), [[6]]);
    assert_eq!(closed(&told(&mut router, 2)), [Vec::<u32>::new()]);
    router.acknowledge();
    let own = told(&mut router, 0);
    assert_eq!(closed(&own), [vec![], vec![5]]);
    let expected = [matched(2, 2), matched(1, 1), matched(1, 1), CommandOutcome::Unknown];
    assert_eq!(outcomes(&own), expected);
}
