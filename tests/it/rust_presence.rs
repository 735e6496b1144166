//! Presence, and stored publications, with the Rust client (`clients/rust`) and this build of the server.

use std::task::Poll;
use std::time::Duration;

use rustix::process::Signal;
use tagcast_client::blocking::{Client, Watch};
use tagcast_client::{
    Backoff, ErrorCode, Event, Member, Options, Presence, To, WatchMode, WatchQuery,
};

use crate::harness::processes::send_signal;
use crate::harness::{DEADLINE, Server};
use crate::v1_history::storing;
use crate::v1_presence::watched;

/// Connects a client that makes short pauses.
#[track_caller]
fn connect(server: &Server, options: Options) -> Client {
    let (min, max) = (Duration::from_millis(10), Duration::from_millis(200));
    let options = options.key("shop").backoff(Backoff { min, max, ..Backoff::default() });
    Client::connect(&format!("ws://127.0.0.1:{}/", server.port), options).unwrap()
}

fn member(server: &Server, name: &str) -> Client {
    connect(server, Options::new().tag("room", 1).tag("name", name).topic("news"))
}

/// Waits until a watch knows this.
#[track_caller]
fn until(watch: &mut Watch, what: impl Fn(&Presence) -> bool) -> Presence {
    loop {
        match watch.changed_within(DEADLINE) {
            Poll::Ready(Some(presence)) if what(&presence) => return presence,
            Poll::Ready(Some(_)) => {}
            other => panic!("{other:?}, and before that {:?}", watch.presence()),
        }
    }
}

fn names<'a>(members: impl Iterator<Item = &'a Member>) -> Vec<&'a str> {
    let mut names: Vec<&str> = members.map(|member| &*member.tags()["name"]).collect();
    names.sort_unstable();
    names
}

/// V121, V125, V126.
#[test]
fn a_rust_client_watches_joins_and_leaves() {
    let server = watched("presenceTags: [name]").workers(2).start();
    let ada = member(&server, "Ada");
    let client = connect(&server, Options::new());
    let queries =
        [WatchQuery::tag("room", 1), WatchQuery::topic("news"), WatchQuery::expr("room=1 & name?")];
    let mut watches = queries.map(|query| client.watch(&query, WatchMode::Members));
    let mut count = client.watch(&WatchQuery::tag("room", 1), WatchMode::Count);
    let alone: Vec<Presence> =
        watches.iter_mut().map(|watch| until(watch, |presence| presence.count == 1)).collect();
    for first in &alone {
        assert_eq!(names(first.members()), ["Ada"]);
        assert_eq!((first.users, first.is_long, &first.ended), (1, false, &None));
    }
    let ben = member(&server, "Ben");
    for (watch, before) in watches.iter_mut().zip(&alone) {
        let now = until(watch, |presence| presence.count == 2);
        assert_eq!(names(now.members()), ["Ada", "Ben"]);
        assert_eq!(names(now.joined_since(before)), ["Ben"]);
    }
    let both = watches[0].presence();
    let counted = until(&mut count, |presence| presence.count == 2);
    assert_eq!((counted.users, counted.members().len()), (2, 0));
    let mut once = client.watch(&WatchQuery::topic("news"), WatchMode::Once);
    assert_eq!(names(until(&mut once, |_| true).members()), ["Ada", "Ben"]);
    assert!(once.changed().is_none());
    ada.retag().set("room", 2).leave("news").start().wait().unwrap();
    ben.close();
    for watch in &mut watches {
        let now = until(watch, |presence| presence.count == 0);
        assert_eq!(names(now.left_since(&both)), ["Ada", "Ben"]);
    }
    client.close();
    assert!(count.changed_within(DEADLINE).is_ready());
}

/// A client may have 16 watches: one that is dropped is none of them.
#[test]
fn a_watch_of_a_rust_client_ends_when_it_is_dropped() {
    let server = watched("presenceTags: [name]").start();
    let client = member(&server, "Ada");
    for number in 0..40 {
        let mode = if number % 2 == 0 { WatchMode::Once } else { WatchMode::Count };
        let mut watch = client.watch(&WatchQuery::tag("room", 1), mode);
        assert_eq!(until(&mut watch, |_| true).count, 1, "{number}");
    }
    let room = |_| client.watch(&WatchQuery::tag("room", 1), WatchMode::Count);
    let mut watches: Vec<Watch> = (0..17).map(room).collect();
    let (last, first) = watches.split_last_mut().unwrap();
    let refused = until(last, |presence| presence.ended.is_some());
    assert_eq!(refused.ended, Some(ErrorCode::LimitExceeded));
    for watch in first {
        until(watch, |presence| presence.count == 1);
    }
}

/// V129.
#[test]
fn a_rust_client_learns_that_it_may_watch_no_longer() {
    let server = storing("presence: own").start();
    let client = connect(&server, Options::new().tag("room", 1));
    let mut other = client.watch(&WatchQuery::tag("room", 2), WatchMode::Members);
    let refused = until(&mut other, |presence| presence.ended.is_some());
    assert_eq!(refused.ended, Some(ErrorCode::PermissionDenied));
    let mut own = client.watch(&WatchQuery::tag("room", 1), WatchMode::Members);
    until(&mut own, |presence| presence.count == 1);
    client.retag().remove("room").start().wait().unwrap();
    let ended = until(&mut own, |presence| presence.ended.is_some());
    assert_eq!(ended.ended, Some(ErrorCode::PermissionDenied));
    // The tag is back, and the next connection watches it again.
    client.retag().set("room", 1).start().wait().unwrap();
    server.workers(2).into_iter().for_each(|worker| send_signal(worker, Signal::KILL));
    until(&mut own, |presence| presence.ended.is_none() && presence.count == 1);
    until(&mut other, |presence| presence.ended == Some(ErrorCode::PermissionDenied));
}

/// V123 for a client that watches again by itself: what its first list after the death of all workers shows is what it
/// knew, although every member was cut as well.
#[test]
fn a_rust_client_watches_again_after_its_worker_was_killed() {
    let server = watched("presenceTags: [name], presenceLinger: 30s").workers(2).start();
    let _members = ["Ada", "Ben", "Cid"].map(|name| member(&server, name));
    let client = connect(&server, Options::new());
    let mut watch = client.watch(&WatchQuery::tag("room", 1), WatchMode::Members);
    let before = until(&mut watch, |presence| presence.count == 3);
    server.workers(2).into_iter().for_each(|worker| send_signal(worker, Signal::KILL));
    let sync = until(&mut watch, |_| true);
    assert_eq!((sync.count, names(sync.members())), (3, vec!["Ada", "Ben", "Cid"]));
    let changed = (sync.joined_since(&before).count(), sync.left_since(&before).count());
    assert_eq!(changed, (0, 0));
    let _dora = member(&server, "Dora");
    let joined = until(&mut watch, |presence| presence.count == 4);
    assert_eq!(names(joined.joined_since(&before)), ["Dora"]);
}

/// V97: each publication is received once and in order while all workers die, and a later client gets the latest ones.
#[test]
fn a_rust_client_misses_nothing_where_publications_are_stored() {
    const EACH: u64 = 40;
    let server = storing("history: 1000, rewind: 10").workers(2).start();
    let reader = connect(&server, Options::new().tag("room", 1));
    let mut events = reader.events();
    let writer = connect(&server, Options::new());
    let publish = |number: u64| writer.publish(To::tag("room", 1), &number).start();
    let mut last = 0;
    for _ in 0..3 {
        let before: Vec<_> = (last + 1..=last + EACH).map(publish).collect();
        server.workers(2).into_iter().for_each(|worker| send_signal(worker, Signal::KILL));
        let after: Vec<_> = (last + EACH + 1..=last + 2 * EACH).map(publish).collect();
        before.into_iter().chain(after).for_each(|answered| {
            answered.wait().unwrap();
        });
        let mut has_recovered = false;
        let mut expected = last + 1..=last + 2 * EACH;
        last += 2 * EACH;
        while !has_recovered || !expected.is_empty() {
            match events.next_within(DEADLINE) {
                Poll::Ready(Some(Event::Message(message))) => {
                    assert_eq!(message.data::<u64>().ok(), expected.next());
                }
                Poll::Ready(Some(Event::Recovery(recovery))) => {
                    assert!(recovery.is_recovered, "{recovery:?}");
                    has_recovered |= recovery.is_resumed;
                }
                Poll::Ready(Some(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    let late = connect(&server, Options::new().tag("room", 1).rewind(10));
    let latest: Vec<u64> =
        late.messages().take(10).map(|message| message.data().unwrap()).collect();
    assert_eq!(latest, (last - 9..=last).collect::<Vec<_>>());
}
