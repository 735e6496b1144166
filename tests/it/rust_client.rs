//! The Rust client (`clients/rust`) with this build of the server: what its documentation promises.

use std::collections::{BTreeMap, BTreeSet};
use std::future::{IntoFuture, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tagcast_client::blocking::{Client, Events};
use tagcast_client::{
    Backoff, ConnectError, ErrorCode, Event, Message, Options, Recovery, To, blocking,
};

use crate::harness::api::{PUBLISH, SHOP, SHOP_SECRET, setup};
use crate::harness::processes::send_signal;
use crate::harness::tls::{ALL_VERSIONS, certificate_in, client_of};
use crate::harness::{DEADLINE, Folder, Open, Server, eventually};

fn url(server: &Server) -> String {
    format!("ws://127.0.0.1:{}/", server.port)
}

/// Options of `shop`, with pauses for tests.
fn options() -> Options {
    let (min, max) = (Duration::from_millis(10), Duration::from_millis(200));
    Options::new().key("shop").backoff(Backoff { min, max, ..Backoff::default() })
}

#[track_caller]
fn connect(server: &Server, options: Options) -> Client {
    Client::connect(&url(server), options).unwrap()
}

#[track_caller]
fn next(messages: &mut blocking::Messages) -> Message {
    let Poll::Ready(message) = messages.next_within(DEADLINE) else {
        panic!("no message within {DEADLINE:?}")
    };
    message.unwrap()
}

/// Waits for the next recovery.
#[track_caller]
fn recovery(events: &mut Events) -> Recovery {
    loop {
        match events.next_within(DEADLINE) {
            Poll::Ready(Some(Event::Recovery(recovery))) => return recovery,
            Poll::Ready(Some(_)) => {}
            other => panic!("no recovery: {other:?}"),
        }
    }
}

/// What the server says about the client with this UUID: here, away.
fn found(server: &Server, uuid: &str) -> (u64, u64) {
    let body = json!({"to": {"uuid": uuid}, "message": 1, "dry_run": true}).to_string();
    let report = server.post(PUBLISH, SHOP, &body).json();
    (report["matched"].as_u64().unwrap(), report["away"].as_u64().unwrap_or_default())
}

#[test]
fn the_rust_client_publishes_to_each_target() {
    let server = setup().start();
    let receiver = connect(&server, options().tag("room", 1).ident("anna"));
    let mut messages = receiver.messages();
    let publisher = connect(&server, options().secret(SHOP_SECRET));
    let uuid = receiver.uuid().unwrap();
    for (to, data) in [
        (To::all(), "all"),
        (To::tag("room", 1), "tag"),
        (To::expr("room=1 & !(level?)"), "expression"),
        (To::uuid(&uuid), "uuid"),
        (To::ident("anna"), "ident"),
    ] {
        let publication = publisher.publish(to, data).event("e").except_self().from_self().report();
        let ack = publication.start().wait().unwrap();
        assert_eq!((ack.matched, ack.workers), (Some(1), Some(1)), "{data}");
        let message = next(&mut messages);
        assert_eq!(message.data::<String>().unwrap(), data);
        assert_eq!((message.event(), message.from()), (Some("e"), publisher.uuid().as_deref()));
        assert_eq!(message.is_direct(), ["uuid", "ident"].contains(&data));
    }
    let mut page = server.open(&Open::at("/?key=shop"));
    publisher.publish(To::all(), &json!({"p": [1, 2]})).start().wait().unwrap();
    assert!(page.frame().as_text().contains(r#"{"p":[1,2]}"#));
}

#[test]
fn the_rust_client_changes_its_tags_and_reports_refusals() {
    let server = setup().start();
    let client = connect(&server, options().tag("room", 1));
    let mut messages = client.messages();
    client.retag().set("room", 2).set("level", 7).remove("room").start().wait().unwrap();
    assert_eq!(
        client.tags().into_iter().collect::<Vec<_>>(),
        [("level".to_owned(), "7".to_owned()), ("room".to_owned(), "2".to_owned())]
    );
    client.publish(To::tags([("room", 2), ("level", 7)]), &1).start().wait().unwrap();
    assert_eq!(next(&mut messages).json(), "1");
    let code = |error: tagcast_client::RequestError| error.code().clone();
    let refused = client.retag().set("@user", 1).start().wait().unwrap_err();
    assert_eq!(
        (code(refused.clone()), refused.is_retryable()),
        (ErrorCode::PermissionDenied, false)
    );
    let refused = client.publish(To::expr("a=1 &"), &1).start().wait();
    assert_eq!(code(refused.unwrap_err()), ErrorCode::InvalidExpression);
    let refused = client.request("nope", &json!({})).start().wait();
    assert_eq!(code(refused.unwrap_err()), ErrorCode::UnknownOp);
    let refused = client.publish(To::all(), &"x".repeat(6_000_000)).start().wait();
    assert_eq!(code(refused.unwrap_err()), ErrorCode::PayloadTooLarge);
    let pong = client.request("ping", &json!({})).start().wait().unwrap();
    assert!(pong["time"].as_u64().is_some(), "{pong:?}");
}

#[test]
fn the_rust_client_is_in_topics_and_stays_in_them() {
    let server = setup().start();
    let client = connect(&server, options().topic("news").topic("old"));
    assert_eq!(client.topics(), ["news", "old"].map(str::to_owned).into());
    let mut messages = client.messages();
    let mut events = client.events();
    client.retag().join("room-1").leave("old").set("level", 1).start().wait().unwrap();
    assert_eq!(client.topics(), ["news", "room-1"].map(str::to_owned).into());
    let publisher = connect(&server, options());
    for (topic, data) in [("old", 1), ("news", 2), ("room-1", 3)] {
        publisher.publish(To::topic(topic), &data).event("e").start().wait().unwrap();
        if topic != "old" {
            let message = next(&mut messages);
            assert_eq!((message.json(), message.topic()), (&*data.to_string(), Some(topic)));
        }
    }
    let refused = client.retag().join("private-x").start().wait().unwrap_err();
    assert_eq!(*refused.code(), ErrorCode::PermissionDenied);
    let uuid = client.uuid().unwrap();
    server.workers(2).into_iter().for_each(|worker| send_signal(worker, Signal::KILL));
    assert!(recovery(&mut events).is_resumed);
    assert_eq!(client.uuid().unwrap(), uuid);
    assert_eq!(client.topics(), ["news", "room-1"].map(str::to_owned).into());
    eventually("a publication to a topic of the resumed client", || {
        publisher.publish(To::topic("room-1"), &4).start().wait().ok().map(drop)
    });
    assert_eq!(next(&mut messages).topic(), Some("room-1"));
}

#[test]
fn the_rust_client_asks_and_answers() {
    let server = setup().workers(2).start();
    let answering = options()
        .ident("bot")
        .answer("double", |question| async move {
            question.data::<u64>().map(|number| 2 * number).map_err(|error| error.to_string())
        })
        .answer("message", |question| async move { Ok(question.json().to_owned()) })
        .answer("never", |_| std::future::pending::<Result<(), String>>());
    let bot = connect(&server, answering);
    let client = connect(&server, options());
    let uuid = bot.uuid().unwrap();
    let doubled: u64 = client.ask(To::uuid(&uuid), &21).event("double").start().wait().unwrap();
    assert_eq!(doubled, 42);
    let asks: Vec<_> = (0..50_u64)
        .map(|n| client.ask::<u64, _>(To::ident("bot"), &n).event("double").start())
        .collect();
    for (n, ask) in (0_u64..).zip(asks) {
        assert_eq!(ask.wait().unwrap(), 2 * n);
    }
    let echoed: String = client.ask(To::ident("bot"), &json!([1, 2])).start().wait().unwrap();
    assert_eq!(echoed, "[1,2]");
    let failure = |to: To, event: &str| {
        let ask = client.ask::<u64, _>(to, "x").event(event).timeout(Duration::from_millis(300));
        let error = ask.start().wait().unwrap_err();
        (error.code().clone(), error.is_retryable())
    };
    assert_eq!(failure(To::ident("bot"), "double"), (ErrorCode::Refused, false));
    assert_eq!(failure(To::ident("bot"), "other"), (ErrorCode::Unhandled, false));
    assert_eq!(failure(To::ident("bot"), "never"), (ErrorCode::Timeout, true));
    assert_eq!(failure(To::ident("none"), "double"), (ErrorCode::Gone, false));
    assert_eq!(failure(To::all(), "double"), (ErrorCode::InvalidTarget, false));
}

#[test]
fn the_rust_client_reports_why_it_cannot_connect() {
    let server = setup().start();
    let refused = |options| Client::connect(&url(&server), options).unwrap_err();
    let wrong = refused(options().key("unknown"));
    assert_eq!((wrong.code(), wrong.reason()), (4009, "unauthorized"));
    let failed = Client::connect("ws://127.0.0.1:9/", options()).unwrap_err();
    assert!(matches!(failed.error(), Some(ConnectError::Io(_))), "{failed:?}");
    let echo = setup().ini("[resource /echo]\nkind = echo").start();
    let failed = Client::connect(&format!("{}echo", url(&echo)), options()).unwrap_err();
    assert!(matches!(failed.error(), Some(ConnectError::Http(400, _))), "{failed:?}");
}

#[test]
fn a_rust_client_resumes_after_its_worker_was_killed() {
    let server = setup().start();
    let client = connect(&server, options().tag("room", 1));
    client.retag().set("room", 2).start().wait().unwrap();
    let (mut events, mut messages) = (client.events(), client.messages());
    let uuid = client.uuid().unwrap();
    assert!(recovery(&mut events).is_recovered, "the first connection has missed nothing");
    for _ in 0..2 {
        server.workers(2).into_iter().for_each(|worker| send_signal(worker, Signal::KILL));
        assert!(recovery(&mut events).is_resumed);
        assert_eq!(client.uuid().unwrap(), uuid);
        assert_eq!(client.tags()["room"], "2");
    }
    client.publish(To::tag("room", 2), "back").start().wait().unwrap();
    assert_eq!(next(&mut messages).json(), "\"back\"");
}

#[test]
fn a_rust_client_publishes_again_after_a_restart_of_the_server() {
    let key = format!("uuidKey = {}", "01".repeat(32));
    let server = setup().start();
    let client = connect(&server, options().tag("room", 1));
    let mut events = client.events();
    assert!(recovery(&mut events).is_recovered);
    let (uuid, port) = (client.uuid().unwrap(), server.port);
    server.term();
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    let waiting = client.publish(To::uuid(&uuid), "while it was down").start();
    let folder = Folder::new();
    folder.write("auth.yml", crate::harness::api::AUTH);
    let ini = format!("[websocketserver]\nadress = ws://127.0.0.1:{port}\nworkers = 1\n{key}\n");
    folder.write("websock.ini", &ini);
    let _server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let mut messages = client.messages();
    waiting.wait().unwrap();
    assert_eq!(next(&mut messages).json(), "\"while it was down\"");
    let missed = recovery(&mut events);
    assert_eq!((missed.is_resumed, missed.is_recovered), (true, false));
    assert_eq!(client.uuid().unwrap(), uuid);
}

#[test]
fn dropping_the_last_handle_of_a_rust_client_ends_it() {
    let server = setup().start();
    let client = connect(&server, options());
    let (uuid, other) = (client.uuid().unwrap(), client.clone());
    drop(client);
    assert_eq!(found(&server, &uuid), (1, 0));
    drop(other);
    eventually("the end of the client", || (found(&server, &uuid) == (0, 0)).then_some(()));
    let client = connect(&server, options());
    let mut messages = client.messages();
    let uuid = client.uuid().unwrap();
    client.close();
    assert!(messages.next().is_none(), "the stream ends");
    eventually("the end of the client", || (found(&server, &uuid) == (0, 0)).then_some(()));
}

#[test]
fn a_rust_client_gets_its_token_from_a_function() {
    let server = setup().start();
    let wanted = options().token_from(|_| async { Err("the backend is down".into()) });
    let failed = Client::connect(&url(&server), wanted).unwrap_err();
    assert_eq!(failed.to_string(), "there is no token: the backend is down");
}

#[test]
fn a_rust_client_connects_inside_tls() {
    let folder = Folder::new();
    certificate_in(&folder);
    let ini = "address = wss://127.0.0.1:0\nworkers = 1\ncertFile = cert.pem\npkFile = key.pem\n";
    folder.write("websock.ini", ini);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let url = format!("wss://localhost:{}/", server.port);
    let trusting = client_of(&server.folder, ALL_VERSIONS);
    let client = Client::connect(&url, Options::new().tls(trusting)).unwrap();
    client.publish(To::all(), &1).start().wait().unwrap();
    let failed = Client::connect(&url, Options::new()).unwrap_err();
    let failed = failed.error();
    assert!(
        matches!(failed, Some(ConnectError::Tls(_) | ConnectError::Trust(_))),
        "a certificate that no authority has signed: {failed:?}"
    );
}

/// Polls a future this number of times, then drops it.
async fn drop_after<F: Future>(polls: usize, future: F) {
    let mut future = pin!(future);
    for _ in 0..polls {
        let is_ready = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready()));
        if is_ready.await {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// V222.
#[test]
fn futures_of_a_rust_client_may_be_dropped_anywhere() {
    let server = setup().start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = url(&server);
        let connect = |options| tagcast_client::Client::connect(&url, options);
        let receiver = connect(options().tag("room", 1)).await.unwrap();
        let publisher = connect(options()).await.unwrap();
        let mut messages = receiver.messages();
        let room = || To::tag("room", 1);
        for polls in 0..30 {
            drop_after(polls, publisher.publish(room(), &polls).into_future()).await;
            drop_after(polls, publisher.retag().set("polls", polls).into_future()).await;
            drop_after(polls, publisher.ready()).await;
            // Each of these ends as soon as it is dropped.
            drop_after(polls, connect(options().tag("room", 1))).await;
        }
        drop(publisher.publish(room(), "never awaited"));
        publisher.publish(room(), "last").await.unwrap();
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| last != "\"last\"") {
            // Every future of `next` is dropped, most of them before there is a message.
            match tokio::time::timeout(Duration::from_micros(100), messages.next()).await {
                Ok(message) => seen.push(message.unwrap().json().to_owned()),
                Err(_) => tokio::task::yield_now().await,
            }
        }
        let expected = (0..30).map(|polls| polls.to_string()).chain(["\"last\"".to_owned()]);
        assert_eq!(seen, expected.collect::<Vec<_>>());
        assert_eq!(publisher.tags()["polls"], "29");
        drop_after(1, receiver.close()).await;
        assert!(messages.next().await.is_none());
    });
}

/// The packages of `Cargo.lock` with their versions, and what each needs, as the file writes it.
fn locked() -> BTreeMap<String, Vec<String>> {
    let lock = std::fs::read_to_string("Cargo.lock").unwrap();
    let packages = lock.split("[[package]]\n").skip(1).map(|package| {
        let member = |name| {
            let start = format!("{name} = \"");
            package.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix('"')).unwrap()
        };
        let needed = package.lines().filter_map(|line| line.strip_prefix(" \""));
        let needed = needed.map(|line| line.trim_end_matches("\",").to_owned()).collect();
        (format!("{} {}", member("name"), member("version")), needed)
    });
    packages.collect()
}

/// What a package needs, and what that needs. `without` is left out.
fn needed_by<'a>(
    locked: &'a BTreeMap<String, Vec<String>>,
    package: &str,
    without: &str,
) -> BTreeSet<&'a str> {
    let is_named = |known: &str, name: &str| known == name || known.split(' ').next() == Some(name);
    let (mut seen, mut open) = (BTreeSet::new(), vec![package.to_owned()]);
    while let Some(name) = open.pop() {
        let (known, needed) = locked.iter().find(|(known, _)| is_named(known, &name)).unwrap();
        if !is_named(known, without) && seen.insert(known.as_str()) {
            open.extend(needed.iter().cloned());
        }
    }
    seen
}

/// V224.
#[test]
fn the_rust_client_has_no_second_version_of_a_dependency() {
    let locked = locked();
    let server = needed_by(&locked, "tagcast", "tagcast-client");
    let client = needed_by(&locked, "tagcast-client", "");
    let own: Vec<&str> =
        client.difference(&server).map(|it| it.split(' ').next().unwrap()).collect();
    assert_eq!(own, ["tagcast-client", "tokio-tungstenite"]);
    assert!(client.len() > 40, "{client:?}");
}
