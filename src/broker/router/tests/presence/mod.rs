//! Watched queries, compared with a naive model that looks at all clients (V121).

mod hosts;
mod model;
mod trial;

use proptest::collection::vec;
use proptest::prelude::*;

use self::model::any_action;
use self::trial::Trial;
use super::*;
use crate::link::command::{ClientCommand, CommandKind, NumberedCommand};
use crate::link::presence::{AudienceNews, AudienceNumber, FromWatcher, ToWatcher};
use crate::link::resume::{RecordTerms, ResumableJoin, ResumeClaim, ToResumable};
use crate::types::{
    AllowedNames, ClientFilter, Expression, MemberTerms, PresenceCounts, PresenceNews,
    ResumeGeneration, TagChange, TagEdit, Topics, WatchMode, WatchRefusal, WatchScope, WatchTerms,
};

proptest! {
    /// V121, V126, V127, V130.
    #[test]
    fn watchers_know_what_a_model_finds(actions in vec(any_action(), 1..80)) {
        let mut trial = Trial::new();
        for action in &actions {
            trial.act(action);
            trial.turn();
        }
        trial.compare();
        prop_assert!(trial.router.is_consistent().is_ok());
    }
}

fn watch(router: &mut Router, slot: u32, id: u64, terms: WatchTerms) -> ToWatcher {
    let message = FromWatcher::Watch { slot: Slot(slot), id, terms: Box::new(terms) };
    say(router, 0, ToBroker::Presence(message));
    let answers = told(router, 0).into_iter().filter_map(|message| match message {
        ToWorker::Presence(answer) => Some(answer),
        _ => None,
    });
    answers.last().unwrap()
}

fn terms(query: ClientFilter, scope: WatchScope) -> WatchTerms {
    WatchTerms { query, mode: WatchMode::Count, is_once: false, scope }
}

fn numbered(number: u32) -> ClientFilter {
    ClientFilter::Tags(Tags::new([Tag::new("n", &number.to_string()).unwrap()]).unwrap())
}

/// V133: a thousand different queries; equal ones count once, and one without a watch makes room.
#[test]
fn a_space_has_a_thousand_different_watched_queries() {
    let mut router = router(1);
    (0..100).for_each(|slot| join(&mut router, 0, slot, u8::try_from(slot).unwrap()));
    let watch_number = |router: &mut Router, number: u32| {
        watch(router, number % 100, number.into(), terms(numbered(number), WatchScope::Any))
    };
    for number in 0..1000 {
        assert!(matches!(watch_number(&mut router, number), ToWatcher::Began { .. }));
    }
    let (slot, id, refusal) = (Slot(0), 1000, WatchRefusal::TooMany);
    assert_eq!(watch_number(&mut router, 1000), ToWatcher::Refused { slot, id, refusal });
    let equal = watch(&mut router, 5, 7000, terms(numbered(7), WatchScope::Any));
    assert!(matches!(equal, ToWatcher::Began { .. }));
    let unwatch = FromWatcher::Unwatch { slot: Slot(9), id: 9 };
    say(&mut router, 0, ToBroker::Presence(unwatch));
    assert!(matches!(watch_number(&mut router, 1000), ToWatcher::Began { .. }));
}

/// A prefix that would scan too many values is refused, as for a publication.
#[test]
fn an_expression_that_is_too_expensive_is_not_watched() {
    let mut router = router(1);
    (0..20).for_each(|slot| join(&mut router, 0, slot, u8::try_from(slot).unwrap()));
    router.limit_scan(10);
    let expression = ClientFilter::Expression(Expression::parse("n=1*").unwrap());
    let (slot, id, refusal) = (Slot(0), 1, WatchRefusal::TooExpensive(20));
    let answer = watch(&mut router, 0, 1, terms(expression, WatchScope::Any));
    assert_eq!(answer, ToWatcher::Refused { slot, id, refusal });
    assert!(router.presence.is_idle(), "nothing is left of it");
}

/// V129.
#[test]
fn a_watch_of_an_own_tag_ends_with_the_tag() {
    let mut router = router(1);
    join(&mut router, 0, 0, 1);
    let (slot, id, refusal) = (Slot(0), 1, WatchRefusal::NotOwn);
    let other = watch(&mut router, 0, 1, terms(numbered(2), WatchScope::Own));
    assert_eq!(other, ToWatcher::Refused { slot, id, refusal });
    let own = watch(&mut router, 0, 1, terms(numbered(1), WatchScope::Own));
    assert!(matches!(own, ToWatcher::Began { .. }));
    let change = TagChange { edit: TagEdit::Replace(Tags::default()), if_version: None };
    let kind = CommandKind::ChangeTags { uuid: ClientUuid([1; 16]), change };
    let command = ClientCommand { tenant: Tenant::shared(), kind };
    let command = NumberedCommand { number: Number(1), is_answered: false, command };
    say(&mut router, 0, ToBroker::Command(Box::new(command)));
    let ended = ToWorker::Presence(ToWatcher::Ended { slot, id });
    assert!(told(&mut router, 0).contains(&ended));
    assert!(router.presence.is_idle());
}

/// Watchers whose link is full get their news later, and then all of them.
#[test]
fn news_wait_for_a_link_with_room() {
    let mut router = router(2);
    join(&mut router, 0, 0, 1);
    watch(&mut router, 0, 1, terms(ClientFilter::Tags(Tags::default()), WatchScope::Any));
    let big = Bytes::from(vec![b'1'; crate::types::limits::PRESENCE_LINK_BYTES]);
    let content = Content { form: PayloadForm::Message, payload: big };
    let publication =
        Publication { tenant: Tenant::shared(), address: Address::everyone(), content };
    say(&mut router, 1, ToBroker::Publish { number: Number(1), publication });
    let serve = |router: &mut Router, millis| {
        timers::begin_turn(router, Duration::from_millis(millis));
        timers::end_due(router, &mut || false);
    };
    serve(&mut router, 100);
    let is_news = |it: &ToWorker| matches!(it, ToWorker::Presence(ToWatcher::News(_)));
    assert!(!told(&mut router, 0).iter().any(is_news));
    serve(&mut router, 700);
    assert!(told(&mut router, 0).iter().any(is_news));
}

/// Members of queries that are dropped one after the other, with the space of the tenant in the end, are forgotten with
/// it: their numbers are used again.
#[test]
fn a_dropped_query_is_forgotten_with_its_space() {
    let mut router = router(1);
    (0..40).for_each(|slot| join(&mut router, 0, slot, u8::try_from(slot).unwrap()));
    let everything = || ClientFilter::Tags(Tags::default());
    let serve = |router: &mut Router, millis| {
        let mut pieces = 0;
        timers::begin_turn(router, Duration::from_millis(millis));
        timers::end_due(router, &mut || {
            pieces += 1;
            pieces > 100
        });
    };
    watch(&mut router, 0, 1, terms(everything(), WatchScope::Any));
    watch(&mut router, 0, 2, terms(numbered(7), WatchScope::Any));
    serve(&mut router, 100);
    for id in [1, 2] {
        say(&mut router, 0, ToBroker::Presence(FromWatcher::Unwatch { slot: Slot(0), id }));
    }
    watch(&mut router, 0, 3, terms(numbered(8), WatchScope::Any));
    told(&mut router, 0);
    (2..5).for_each(|moment| serve(&mut router, moment * 1000));
    let is_news = |it: &ToWorker| matches!(it, ToWorker::Presence(ToWatcher::News(_)));
    assert!(told(&mut router, 0).iter().any(is_news));
}
