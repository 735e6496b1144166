//! A new token for an open connection.

use serde_json::{Value, json};

use crate::harness::api::{ApiAnswer, PUBLISH, SHOP, head, setup};
use crate::harness::tokens::{auth, now, show, token, with_token};
use crate::harness::{Open, Raw, Server};

const DENIED: &str = r#"{"opcode":"error","error":"Message sending is not authorized !"}"#;

fn server() -> Server {
    setup().auth(&auth("    clientPublish: true")).start()
}

fn packet(token: &str) -> String {
    json!({"opcode": "token", "token": token}).to_string()
}

/// Shows a token in a packet, and expects it to be accepted.
#[track_caller]
fn refresh(client: &mut Raw, claims: &Value) {
    let exp = now() + 600;
    let mut all = claims.clone();
    all["exp"] = exp.into();
    client.text(packet(&token(&all)));
    client.expect_next();
    client.expect_text(&format!(r#"{{"opcode":"token","exp":{exp}}}"#));
}

#[track_caller]
fn expect_refused(client: &mut Raw, token: &str, why: &str) {
    client.text(packet(token));
    client.expect_next();
    client.expect_text(&format!(r#"{{"opcode":"error","error":"{why}"}}"#));
}

/// Sends a new token over the HTTP API.
fn put(server: &Server, application: &str, client: &Raw, body: &str) -> ApiAnswer {
    let target = format!("/v1/apps/{application}/connections/{}/token", client.uuid);
    server.send_json("PUT", &target, body)
}

#[track_caller]
fn matched(server: &Server, tags: &str) -> Value {
    let body = format!(r#"{{"to":{{"tags":{tags}}},"message":"m"}}"#);
    let answer = server.post(PUBLISH, SHOP, &body);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    answer.json()["matched"].clone()
}

/// A213.
#[test]
fn a_new_token_changes_tags_and_rights_at_once() {
    let server = server();
    let mut client = server.open(&with_token(&json!({"sub": "1", "tags": {"a": "1"}})));
    refresh(&mut client, &json!({"sub": "1", "tags": {"a": "1", "role": "admin"}}));
    assert_eq!(matched(&server, r#"{"role":"admin"}"#), 1);
    client.expect_text(r#"{"opcode":"broadcast","message":"m"}"#);
    client.text(r#"{"opcode":"broadcast","message":"x"}"#);
    client.expect_next();
    let fewer = json!({"sub": "1", "tags": {"b": "2"}, "caps": {"publish": false}});
    refresh(&mut client, &fewer);
    assert_eq!(show(&server, &client)["tags"], json!({"@user": "1", "b": "2"}));
    assert_eq!(matched(&server, r#"{"role":"admin"}"#), 0);
    client.text(r#"{"opcode":"broadcast","message":"x"}"#);
    client.expect_next();
    client.expect_text(DENIED);
    refresh(&mut client, &json!({"sub": "1"}));
    client.text(r#"{"opcode":"broadcast","message":"x"}"#);
    client.expect_next();
    client.expect_silence();
}

/// Tags that the client chose, and those that its backend has set, stay. Its own are set again.
#[test]
fn only_tags_of_tokens_are_removed() {
    let server = server();
    let first = token(&json!({"tags": {"a": "1", "b": "1"}}));
    let open = Open::at(&format!(r#"/web?tags={{"own":"1"}}&token={first}"#));
    let mut client = server.open(&open);
    let target = format!("/v1/apps/shop/connections/{}/tags", client.uuid);
    assert_eq!(server.send_json("PATCH", &target, r#"{"set":{"a":"9","c":"9"}}"#).status(), 200);
    refresh(&mut client, &json!({"tags": {"a": "1"}}));
    let tags = json!({"own": "1", "a": "1", "c": "9"});
    assert_eq!(show(&server, &client)["tags"], tags);
}

/// A214.
#[test]
fn a_token_for_something_else_changes_nothing() {
    let server = server();
    let mut client = server.open(&with_token(&json!({"sub": "1", "tags": {"a": "1"}})));
    let before = show(&server, &client);
    let foreign = server.open(&Open::at("/web?key=shop")).uuid;
    let many: Value =
        (0..128).map(|n| (format!("n{n}"), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    for claims in [
        json!({"sub": "2"}),
        json!({}),
        json!({"sub": "1", "aud": "other"}),
        json!({"sub": "1", "tenant": "other"}),
        json!({"sub": "1", "uuid": foreign}),
        json!({"sub": "1", "ident": "x"}),
        json!({"sub": "1", "caps": {"receive": false}}),
        json!({"sub": "1", "tags": many}),
        json!({"sub": "1", "nbf": now() + 60}),
    ] {
        expect_refused(&mut client, &token(&claims), "invalid token");
    }
    expect_refused(&mut client, &token(&json!({"sub": "1", "exp": now() - 31})), "token expired");
    expect_refused(&mut client, "x.y.z", "invalid token");
    client.text(r#"{"opcode":"token"}"#);
    client.expect_next();
    client.expect_text(r#"{"opcode":"error","error":"invalid token"}"#);
    assert_eq!(show(&server, &client), before);
    let own = json!({"sub": "1", "uuid": client.uuid});
    refresh(&mut client, &own);
}

#[test]
fn a_connection_without_a_token_may_get_one_and_ends_with_it() {
    let server = server();
    let mut client = server.open(&Open::at("/web?key=shop"));
    refresh(&mut client, &json!({"sub": "7"}));
    assert_eq!(show(&server, &client)["token"]["sub"], "7");
    assert_eq!(matched(&server, r#"{"@user":"7"}"#), 1);
    client.expect_text(r#"{"opcode":"broadcast","message":"m"}"#);
    let exp = now() - 28;
    client.text(packet(&token(&json!({"sub": "7", "exp": exp}))));
    client.expect_next();
    client.expect_text(&format!(r#"{{"opcode":"token","exp":{exp}}}"#));
    let close = client.expect_close(1008);
    assert_eq!(&close.payload[2..], b"token expired");
}

#[test]
fn a_script_gets_next_and_a_close_for_a_wrong_token() {
    let server = server();
    let mut script = server.open(&Open::php().target("/php?key=shop"));
    script.text(packet(&token(&json!({"sub": "1"}))));
    script.expect_next();
    assert_eq!(show(&server, &script)["token"]["sub"], "1");
    script.text(packet(&token(&json!({"sub": "2"}))));
    script.expect_next();
    let close = script.expect_close(1008);
    assert_eq!(&close.payload[2..], b"invalid token");
}

/// Where the application has no keys, the opcode and the member are the client's own.
#[test]
fn without_keys_a_token_means_nothing() {
    let server = server();
    let mut client = server.open(&Open::at("/web?key=other"));
    client.text(packet(&token(&json!({}))));
    client.expect_next();
    client.text(r#"{"opcode":"echo"}"#);
    client.expect_next();
    client.expect_text(r#"{"opcode":"echo"}"#);
}

#[test]
fn gomoob_shows_a_token_in_its_metadata() {
    let server = server();
    let open =
        Open::at(&format!("/?tags={{}}&token={}", token(&json!({"caps": {"publish": false}}))));
    let mut client = open.upgrade(server.port);
    let with = |claims: &Value| {
        json!({"message": "hi", "tags": {"a": "1"}, "metadata": {"token": token(claims)}})
            .to_string()
    };
    // The message is judged by the new token, and reaches the tags that it gives.
    client.text(with(&json!({"tags": {"a": "1"}})));
    client.expect_text("\"hi\"");
    client.text(with(&json!({"tags": {"a": "1"}, "caps": {"publish": false}})));
    let close = client.expect_close(1008);
    assert_eq!(&close.payload[2..], b"Message sending is not authorized !");
    let mut client = Open::at("/?key=shop&tags={}").upgrade(server.port);
    client.text(with(&json!({"exp": now() - 31})));
    let close = client.expect_close(1008);
    assert_eq!(&close.payload[2..], b"token expired");
}

#[test]
fn a_backend_gives_a_connection_a_token_of_any_dialect() {
    let server = server();
    let body = |claims: &Value| json!({"token": token(claims)}).to_string();
    let mut web = server.open(&with_token(&json!({"sub": "1"})));
    let exp = now() + 60;
    let new = json!({"sub": "1", "exp": exp, "tags": {"a": "1"}, "caps": {"publish": false}});
    let answer = put(&server, "shop", &web, &body(&new));
    assert_eq!(answer.status(), 200, "{}", answer.body);
    assert_eq!(answer.json(), json!({"sub": "1", "exp": exp, "kid": "main"}));
    assert_eq!(matched(&server, r#"{"a":"1"}"#), 1);
    web.expect_text(r#"{"opcode":"broadcast","message":"m"}"#);
    web.text(r#"{"opcode":"broadcast","message":"x"}"#);
    web.expect_next();
    web.expect_text(DENIED);
    for (claims, reason) in [
        (json!({"sub": "2"}), "token_claims"),
        (json!({"sub": "1", "exp": now() - 31}), "token_expired"),
        (json!({"sub": "1", "aud": "other"}), "token_audience"),
    ] {
        let answer = put(&server, "shop", &web, &body(&claims));
        assert_eq!(answer.is_error(422, "invalid_token").json()["error"]["reason"], reason);
    }
    let long = json!({"token": "x".repeat(5000)}).to_string();
    put(&server, "shop", &web, &long).is_error(422, "invalid_token");
    put(&server, "shop", &web, "{}").is_error(400, "missing_member");
    put(&server, "shop", &web, r#"{"token":1}"#).is_error(400, "wrong_type");
    assert_eq!(show(&server, &web)["token"]["exp"], exp);
    // Nothing of another tenant, and nothing of a client that has gone.
    let stranger = server.open(&Open::at("/web?key=other"));
    put(&server, "shop", &stranger, &body(&json!({}))).is_error(404, "connection_not_found");
    let output = server.output();
    assert!(!output.contains(&token(&new)), "{output}");
}

/// Reads broadcasts until the client has the answer to its new token.
fn broadcasts_until_answered(client: &mut Raw) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let packet: Value = serde_json::from_str(client.frame().as_text()).unwrap();
        match packet["opcode"].as_str().unwrap() {
            "broadcast" => seen.push(packet["message"].as_str().unwrap().to_owned()),
            "token" => return seen,
            "next" => {}
            _ => panic!("{packet}"),
        }
    }
}

/// Reads one frame. Returns its message if it is a broadcast.
fn next_broadcast(client: &mut Raw) -> Option<String> {
    let packet: Value = serde_json::from_str(client.frame().as_text()).unwrap();
    (packet["opcode"] == "broadcast").then(|| packet["message"].as_str().unwrap().to_owned())
}

/// A215. A publication reaches a connection by the tags that it has at that point of the order: until its
/// refresh those of the first token, after it those of the second, and nothing is lost between them.
#[test]
fn a_refresh_is_one_point_in_the_order_of_publications() {
    const CLIENTS: usize = 1000;
    const ROUNDS: usize = 50;
    const ROOMS: usize = 100;
    let server = server();
    let claims = |room: usize, phase: &str| json!({"tags": {"room": room, "phase": phase}});
    let open = |n: usize| server.open(&with_token(&claims(n % ROOMS, "a")));
    let mut clients: Vec<Raw> = (0..CLIENTS).map(open).collect();
    let mut publisher = Open::at("/?key=shop&tags={}").upgrade(server.port);
    let packets: Vec<String> = (0..ROOMS).map(|room| packet(&token(&claims(room, "b")))).collect();
    let mut publish = |round: usize| {
        for room in 0..ROOMS {
            for phase in ["a", "b"] {
                let tags = json!({"room": room, "phase": phase});
                let message = format!("{phase}{round}");
                publisher.text(json!({"message": message, "tags": tags}).to_string());
            }
        }
    };
    for round in 0..ROUNDS - 1 {
        publish(round);
        // The refreshes are spread over the publications.
        for (n, client) in clients.iter_mut().enumerate().filter(|(n, _)| n % (ROUNDS - 1) == round)
        {
            client.text(&packets[n % ROOMS]);
        }
    }
    // What was resolved before a change may come after its answer.
    let mut all: Vec<Vec<String>> = clients.iter_mut().map(broadcasts_until_answered).collect();
    publish(ROUNDS - 1);
    for (n, (client, seen)) in clients.iter_mut().zip(&mut all).enumerate() {
        while seen.last().is_none_or(|last| last != &format!("b{}", ROUNDS - 1)) {
            seen.extend(next_broadcast(client));
            assert!(seen.len() <= ROUNDS + 1, "{n}: {seen:?}");
        }
        let of_a = seen.iter().take_while(|message| message.starts_with('a')).count();
        let first_of_b: usize = seen[of_a][1..].parse().unwrap();
        // The change is before or after the publication to the other tag of the same round.
        assert!(first_of_b == of_a || first_of_b + 1 == of_a, "{n}: {seen:?}");
        let right = (0..of_a).map(|n| format!("a{n}"));
        let right: Vec<_> = right.chain((first_of_b..ROUNDS).map(|n| format!("b{n}"))).collect();
        assert_eq!(*seen, right, "{n}");
    }
}
