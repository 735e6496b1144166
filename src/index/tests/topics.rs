//! Topics in the index, compared with a naive list of clients and their tags.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::Index;
use super::super::tag_changes::{edit_tags, set_tags, versioned_tags};
use super::{assert_empty, place, places, reached, tags, web};
use crate::types::{
    Address, Client, ClientClass, ClientUuid, ConnectionRef, Expression, JoinNumber, Tag, TagEdit,
    TagNames, TagVersion, Tags, Tenant, Topics, WorkerId,
};

const POOL: [&str; 7] = ["a", "b", "c", "d", "e", "private-a", "presence-b"];

const OWN_TAGS: [&str; 5] =
    ["", "channel=a", "channel=c", "channel=z room=1", "@channel=private-a room=1"];

fn topics(text: &str) -> Topics {
    Topics::new(text.split_whitespace().map(Into::into)).unwrap()
}

fn any_topics() -> impl Strategy<Value = Topics> {
    subsequence(POOL.to_vec(), 0..=POOL.len())
        .prop_map(|names| Topics::new(names.into_iter().map(Into::into)).unwrap())
}

/// A client may have the tag of a topic too.
fn any_tags() -> impl Strategy<Value = Tags> {
    (select(&OWN_TAGS[..]), any_topics()).prop_map(|(own, topics)| tags(own).with_topics(topics))
}

#[derive(Clone, Debug)]
enum Step {
    Join(ConnectionRef, ClientClass, Tags),
    Leave(ConnectionRef),
    Set(ConnectionRef, Tags),
    /// Other tags, as an embedding program replaces them.
    Retag(ConnectionRef, Tags),
    Edit(ConnectionRef, TagEdit),
    RemoveWorker(u16),
}

fn any_step() -> impl Strategy<Value = Step> {
    let any_place = || (0..2_u16, 0..6_u32).prop_map(|(worker, slot)| place(worker, slot));
    let class =
        select(&[ClientClass::Web, ClientClass::Web, ClientClass::Web, ClientClass::Php][..]);
    let names = subsequence(vec!["channel", "room"], 0..=2)
        .prop_map(|names| TagNames::new(names.into_iter().map(Into::into)).unwrap());
    let edit = (any_tags(), names, any_topics()).prop_map(|(set, remove, leave)| TagEdit::Update {
        set,
        remove,
        leave,
    });
    prop_oneof![
        8 => (any_place(), class, any_tags()).prop_map(|(at, class, own)| Step::Join(at, class, own)),
        3 => any_place().prop_map(Step::Leave),
        6 => (any_place(), any_tags()).prop_map(|(at, own)| Step::Set(at, own)),
        3 => (any_place(), any_tags()).prop_map(|(at, own)| Step::Retag(at, own)),
        6 => (any_place(), edit).prop_map(|(at, edit)| Step::Edit(at, edit)),
        1 => (0..2_u16).prop_map(Step::RemoveWorker),
    ]
}

/// The clients that tags reach.
type Model = BTreeMap<ConnectionRef, Tags>;

fn take(step: Step, index: &mut Index, model: &mut Model, uuid: u32) {
    let version = TagVersion(u64::from(uuid) + 1000);
    match step {
        Step::Join(at, class, own) => {
            let uuid = ClientUuid(u128::from(uuid).to_le_bytes());
            let client = Client { uuid, class, tags: own.clone(), ..web(0, "") };
            let joined = index.join(at, JoinNumber(1), &client).is_ok();
            if joined && class == ClientClass::Web {
                model.insert(at, own);
            }
        }
        Step::Leave(at) => {
            index.leave(at);
            model.remove(&at);
        }
        Step::Set(at, own) => {
            set_tags(index, at, &own, version);
            if let Some(known) = model.get_mut(&at) {
                *known = own;
            }
        }
        Step::Retag(at, own) => {
            index.retag(at, &own);
            if let Some(known) = model.get_mut(&at) {
                let topics = known.topics().clone();
                *known = own.with_topics(topics);
            }
        }
        Step::Edit(at, edit) => {
            let has_changed = edit_tags(index, at, &edit, version);
            let Some(known) = model.get_mut(&at) else { return assert!(!has_changed) };
            let after = edit.apply(known).unwrap();
            assert_eq!(has_changed, after != *known);
            *known = after;
        }
        Step::RemoveWorker(worker) => {
            index.remove_worker(WorkerId(worker));
            model.retain(|at, _| at.worker != WorkerId(worker));
        }
    }
}

/// Returns every tag that a client matches.
fn all_tags(own: &Tags) -> Vec<(&str, &str)> {
    let topics = own.topics().iter().map(|topic| {
        let is_guarded = topic.starts_with("private-") || topic.starts_with("presence-");
        (if is_guarded { "@channel" } else { "channel" }, topic)
    });
    own.iter().map(|tag| (tag.name(), tag.value())).chain(topics).collect()
}

/// Decides by all tags of a client.
type Test<'t> = dyn Fn(&[(&str, &str)]) -> bool + 't;

fn compare(index: &Index, model: &Model) {
    index.is_consistent().unwrap();
    let expected = |matches: &Test<'_>| -> Vec<ConnectionRef> {
        let found = model.iter().filter(|(_, own)| matches(&all_tags(own)));
        found.map(|(at, _)| *at).collect()
    };
    for (name, value) in POOL.iter().map(|topic| ("channel", *topic)).chain([
        ("@channel", "private-a"),
        ("@channel", "presence-b"),
        ("@channel", "a"),
        ("channel", "z"),
    ]) {
        let one = Address::matching(Tags::new([Tag::new(name, value).unwrap()]).unwrap());
        assert_eq!(reached(index, &one), expected(&|own| own.contains(&(name, value))));
        let both = tags(&format!("room=1 {name}={value}"));
        let found = expected(&|own| own.contains(&(name, value)) && own.contains(&("room", "1")));
        assert_eq!(reached(index, &Address::matching(both)), found);
    }
    let tests: [(&str, &Test<'_>); 5] = [
        ("channel?", &|own| own.iter().any(|(name, _)| *name == "channel")),
        ("@channel?", &|own| own.iter().any(|(name, _)| *name == "@channel")),
        ("@channel=private-*", &|own| own.contains(&("@channel", "private-a"))),
        ("channel=a & channel=b", &|own| {
            own.contains(&("channel", "a")) && own.contains(&("channel", "b"))
        }),
        ("channel in (a,z) & !channel=c", &|own| {
            (own.contains(&("channel", "a")) || own.contains(&("channel", "z")))
                && !own.contains(&("channel", "c"))
        }),
    ];
    for (text, matches) in tests {
        let expression = Expression::parse(text).unwrap();
        for own in model.values() {
            assert_eq!(expression.matches(own), matches(&all_tags(own)), "{text}: {own:?}");
        }
        let found = places(&index.resolve(&Tenant::shared(), &Address::expr(expression)));
        assert_eq!(found, expected(matches), "{text}");
    }
    for (at, own) in model {
        assert_eq!(versioned_tags(index, *at).map(|known| known.tags).as_ref(), Some(own));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn topics_in_the_index_agree_with_a_plain_list(steps in vec(any_step(), 1..60)) {
        let (mut index, mut model) = (Index::default(), Model::new());
        for (number, step) in (0..).zip(steps) {
            take(step, &mut index, &mut model, number);
            compare(&index, &model);
        }
        for worker in 0..2 {
            index.remove_worker(WorkerId(worker));
        }
        assert_empty(&index);
    }
}

/// Its own tag and its topic are one row. Each keeps the client in it.
#[test]
fn a_client_with_the_tag_of_its_topic_is_in_one_row() {
    let mut index = Index::default();
    let own = tags("channel=news").with_topics(topics("news private-x"));
    index.join(place(0, 1), JoinNumber(1), &Client { tags: own, ..web(1, "") }).unwrap();
    let news = || Address::matching(tags("channel=news"));
    assert_eq!((index.rows(), reached(&index, &news())), (2, vec![place(0, 1)]));
    assert!(index.retag(place(0, 1), &Tags::default()));
    assert_eq!(reached(&index, &news()), [place(0, 1)]);
    set_tags(&mut index, place(0, 1), &tags("channel=news"), TagVersion(9));
    assert_eq!((index.rows(), reached(&index, &news())), (1, vec![place(0, 1)]));
    let values = index.values(&Tenant::shared(), &Tags::default(), "channel", 9);
    assert_eq!((values.clients, values.values), (1, vec!["news".into()]));
    set_tags(&mut index, place(0, 1), &Tags::default(), TagVersion(10));
    assert_eq!((index.rows(), reached(&index, &news())), (0, vec![]));
    index.is_consistent().unwrap();
}

#[test]
fn a_question_about_topics_gets_one_value_of_each_client() {
    let mut index = Index::default();
    for (number, own) in [(1, "b a"), (2, "private-x"), (3, "")] {
        let client = Client { tags: tags("room=1").with_topics(topics(own)), ..web(number, "") };
        index.join(place(0, number.into()), JoinNumber(1), &client).unwrap();
    }
    let values = |tag| index.values(&Tenant::shared(), &tags("room=1"), tag, 9);
    assert_eq!(values("channel").values, [Box::from("a")]);
    assert_eq!(values("@channel").values, [Box::from("private-x")]);
    assert_eq!(values("channel").clients, 3);
}
