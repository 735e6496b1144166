//! What a client with a token may do: to whom its publications go, and its limits.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::api::{PUBLISH, SHOP, SHOP_SECRET, setup};
use crate::harness::tokens::{auth, token, with_token};
use crate::harness::{Open, Raw, Server, broadcast, feedback_to, frames};

fn server() -> Server {
    setup().auth(&auth("    clientPublish: true")).start()
}

fn page(server: &Server, tags: &str) -> Raw {
    server.open(&Open::at(&format!("/web?key=shop&tags={tags}")))
}

fn refresh(client: &mut Raw, claims: &Value) {
    client.text(json!({"opcode": "token", "token": token(claims)}).to_string());
    client.expect_next();
    assert!(client.frame().as_text().starts_with(r#"{"opcode":"token","exp":"#));
}

/// Shows that clients have received nothing more: the next thing is this publication to all.
#[track_caller]
fn expect_nothing_more(server: &Server, clients: [&mut Raw; 2]) {
    let answer = server.post(PUBLISH, SHOP, r#"{"to":"all","message":"last"}"#);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    for client in clients {
        client.expect_text(&broadcast("last"));
    }
}

/// A216, A217.
#[test]
fn a_token_narrows_whom_a_publication_reaches() {
    let server = server();
    for expression in [json!("room=1"), json!({"tag": "room", "is": "1"})] {
        let mut e = page(&server, r#"{"language":"EN","room":"1"}"#);
        let mut f = page(&server, r#"{"language":"FR"}"#);
        let claims = json!({"tags": {"room": "1"}, "caps": {"publish": expression}});
        let mut client = server.open(&with_token(&claims));
        client.text(broadcast("a"));
        client.expect_next();
        e.expect_text(&broadcast("a"));
        // The publisher gets the same answers whether it reaches the client or not.
        client.text(feedback_to(&f.uuid, "b"));
        client.expect_next();
        client.text(feedback_to(&e.uuid, "c"));
        client.expect_next();
        e.expect_text(&feedback_to(&e.uuid, "c"));
        expect_nothing_more(&server, [&mut e, &mut f]);
        client.expect_text(&broadcast("last"));
        // With a secret the message speaks for the application.
        let with_secret = format!(
            r#"{{"opcode":"broadcast","message":"d","key":"shop","secret":"{SHOP_SECRET}"}}"#
        );
        client.text(with_secret);
        client.expect_next();
        for page in [&mut e, &mut f] {
            page.expect_text(&broadcast("d"));
        }
        // A new token widens it from the next message on.
        refresh(&mut client, &json!({}));
        client.text(broadcast("e"));
        client.expect_next();
        for page in [&mut e, &mut f] {
            page.expect_text(&broadcast("e"));
        }
    }
}

#[test]
fn a_token_narrows_requests_of_gomoob_and_broadcast_resources() {
    let server = setup().ini("[resource /all]\nkind = broadcast").auth(&auth("")).start();
    let narrowed = token(&json!({"caps": {"publish": "room=1"}}));
    let open = |path: &str, tags: &str| {
        Open::at(&format!("{path}?key=shop&tags={tags}")).upgrade(server.port)
    };
    let (mut e, mut f) =
        (open("/", r#"{"language":"EN","room":"1"}"#), open("/", r#"{"room":"2"}"#));
    let mut client = Open::at(&format!("/?tags={{}}&token={narrowed}")).upgrade(server.port);
    for tags in [json!({"room": "2"}), json!({"language": "EN"}), json!({})] {
        client.text(json!({"message": tags.to_string(), "tags": tags}).to_string());
    }
    e.expect_text(&json!(r#"{"language":"EN"}"#).to_string());
    e.expect_text(&json!("{}").to_string());
    let (mut in_room, mut outside) = (open("/all", r#"{"room":"1"}"#), open("/all", "{}"));
    let mut client = Open::at(&format!("/all?token={narrowed}")).upgrade(server.port);
    client.text("hello");
    in_room.expect_text("hello");
    assert_eq!(server.post(PUBLISH, SHOP, r#"{"to":"all","message":"last"}"#).status(), 200);
    f.expect_text("\"last\"");
    outside.expect_text("last");
}

#[test]
fn a_token_lowers_the_limits_of_its_connection() {
    let limits = "    clientPublish: true\n    limits: { message: 1000, perConnection: { publications: 1000/s } }";
    let server = setup().auth(&auth(limits)).workers(1).start();
    let mut receiver = page(&server, "{}");
    let lim = json!({"lim": {"publications": "10/s burst 2", "message": 400}});
    let mut client = server.open(&with_token(&lim));
    let packets: Vec<String> = (0..12).map(|n| broadcast(&n.to_string())).collect();
    let begun = Instant::now();
    client.send(packets.iter().flat_map(frames::text).collect::<Vec<_>>());
    packets.iter().for_each(|packet| drop(receiver.expect_text(packet)));
    packets.iter().for_each(|_| drop(client.expect_next()));
    // Ten of them at 10/s. The clock of the server may have begun its turn earlier.
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    // A token without limits: those of the application apply from the next message on.
    refresh(&mut client, &json!({}));
    let begun = Instant::now();
    client.send(packets.iter().flat_map(frames::text).collect::<Vec<_>>());
    packets.iter().for_each(|packet| drop(receiver.expect_text(packet)));
    packets.iter().for_each(|_| drop(client.expect_next()));
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    refresh(&mut client, &lim);
    client.text(broadcast(&"x".repeat(500)));
    client.expect_close(1009);
    let mut other = server.open(&with_token(&json!({"lim": {"message": 100_000}})));
    other.text(broadcast(&"x".repeat(500)));
    other.expect_next();
    receiver.expect_text(&broadcast(&"x".repeat(500)));
    other.text(broadcast(&"x".repeat(1500)));
    other.expect_close(1009);
}

/// A limit of a token also holds where the application has none.
#[test]
fn a_token_limits_a_connection_of_an_application_without_limits() {
    let server = server();
    let mut receiver = page(&server, "{}");
    let mut client = server.open(&with_token(&json!({"lim": {"bytes": "1K/s"}})));
    let packet = broadcast(&"x".repeat(1000));
    let begun = Instant::now();
    for _ in 0..3 {
        client.text(&packet);
    }
    for _ in 0..3 {
        receiver.expect_text(&packet);
    }
    assert!(begun.elapsed() >= Duration::from_millis(800), "{:?}", begun.elapsed());
}
