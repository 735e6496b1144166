//! `tags: token`: clients have the tags of their token and no others, in the whole space.

use std::time::SystemTime;

use serde_json::{Value, json};
use tagcast::auth::{TokenAlgorithm, sign_token};
use tagcast::types::Secret;

use crate::harness::api::setup;
use crate::harness::{Finished, Folder, Open, Raw, Server, run_to_end};

const SECRET: &str = "lck-for-tests-only-0123456789abcdef";
const OTHER: &str = "oth-for-tests-only-0123456789abcdef";

/// The application `locked`, with these further members, and other applications.
fn auth(members: &str, others: &str) -> String {
    format!(
        "applications:
  - {{key: locked, tenant: locked, secret: {SECRET}, authorizeOpen: true, {members}tokens: [{{id: main, alg: HS256, secret: own}}]}}
{others}"
    )
}

fn token(claims: &Value) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut all = json!({"aud": "locked", "exp": now + 3600});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let key = Secret::new(SECRET.to_owned());
    sign_token(&all.to_string(), TokenAlgorithm::Hs256, &key, "main").unwrap()
}

fn open(more: &str) -> Open {
    Open::at(&format!("/web?key=locked{more}"))
}

#[track_caller]
fn tags(server: &Server, client: &Raw) -> Value {
    let target = format!("/v1/apps/locked/connections/{}", client.uuid);
    let bearer = format!("Bearer {SECRET}");
    let answer = server.call("GET", &target, &[("Authorization", bearer.as_str())]);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    answer.json()["tags"].clone()
}

#[track_caller]
fn expect_closed(server: &Server, more: &str, reason: &str) {
    let mut client = open(more).upgrade(server.port);
    let close = client.expect_close(1008);
    assert_eq!(std::str::from_utf8(&close.payload[2..]), Ok(reason));
}

/// `authorizeOpen = all` lets clients of no application into the shared space.
#[test]
fn a_client_that_needs_no_key_claims_no_tags_in_a_space_of_tokens() {
    let auth = format!(
        "applications:\n  - {{key: shared, secret: {SECRET}, authorizeOpen: true, tags: token, \
         tokens: [{{id: main, alg: HS256, secret: own}}]}}\n"
    );
    let server = setup().auth(&auth).ini("authorizeOpen = all").start();
    let mut client = Open::at(r#"/web?tags={"a":"1"}"#).upgrade(server.port);
    let close = client.expect_close(1008);
    assert_eq!(std::str::from_utf8(&close.payload[2..]), Ok("The tag 'a' is not in the token !"));
    server.open(&Open::at("/web?tags={}"));
}

/// A219.
#[test]
fn a_client_has_the_tags_of_its_token_and_no_others() {
    let server = setup().auth(&auth("tags: token, ", "")).start();
    let with_a = token(&json!({"sub": "7", "tags": {"a": 1}}));
    let not_in_it = "The tag 'a' is not in the token !";
    expect_closed(&server, r#"&tags={"a":"1"}"#, not_in_it);
    expect_closed(&server, &format!(r#"&tags={{"a":"2"}}&token={with_a}"#), not_in_it);
    let more = format!(r#"&tags={{"a":"1","b":"2"}}&token={with_a}"#);
    expect_closed(&server, &more, "The tag 'b' is not in the token !");
    for repeated in ["", "&tags={}", r#"&tags={"a":"1"}"#, r#"&tags={"a":1}"#] {
        let client = server.open(&open(&format!("{repeated}&token={with_a}")));
        assert_eq!(tags(&server, &client), json!({"a": "1", "@user": "7"}), "{repeated}");
    }
    for none in ["", "&tags={}"] {
        let client = server.open(&open(none));
        assert_eq!(tags(&server, &client), json!({}), "{none}");
    }
    // A client with the secret may publish to all tags, so it may have any.
    let client = server.open(&open(&format!(r#"&secret={SECRET}&tags={{"a":"3"}}"#)));
    assert_eq!(tags(&server, &client), json!({"a": "3"}));
}

#[track_caller]
fn check(members: &str, others: &str) -> Finished {
    let folder = Folder::new();
    folder.write("websock.ini", "address = ws://127.0.0.1:0\nworkers = 1\n");
    folder.write("auth.yml", &auth(members, others));
    run_to_end(&folder, &["check"])
}

/// A220.
#[test]
fn an_application_with_claimed_tags_in_the_same_space_is_an_error() {
    let other = |members: &str| format!("  - {{key: other, secret: {OTHER}, {members}}}\n");
    for others in [
        other("tenant: locked, authorizeOpen: true"),
        other("tenant: locked, authorizeOpen: false, tokens: [{id: a, alg: HS256, secret: own}]"),
        other(
            "tenant: x, authorizeOpen: false, tokenTenants: ['l*'], tokens: [{id: a, alg: HS256, secret: own}]",
        ),
    ] {
        let Finished { code, text } = check("tags: token, ", &others);
        assert_eq!(code, Some(78), "{others}: {text}");
        for words in [
            "auth.yml:3: application 2: lets clients with tags of their own choice into the space of the \
             application of line 2",
            "write `tags: token` here too",
        ] {
            assert!(text.contains(words), "{others}: no {words:?} in\n{text}");
        }
    }
    for others in [
        other("tenant: locked, authorizeOpen: false"),
        other("tenant: x, authorizeOpen: true"),
        other(
            "tenant: locked, authorizeOpen: true, tags: token, tokens: [{id: a, alg: HS256, secret: own}]",
        ),
    ] {
        let Finished { code, text } = check("tags: token, ", &others);
        assert_eq!(code, Some(0), "{others}: {text}");
    }
    let Finished { code, text } = check("tags: tokens, ", "");
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("tags: is not known; write client or token"), "{text}");
    let Finished { code, text } = check("", &other("authorizeOpen: true, tags: token"));
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("tags: has no effect without `tokens`"), "{text}");
}

#[test]
fn a_reload_that_protects_a_space_closes_clients_with_claimed_tags() {
    let server = setup().auth(&auth("", "")).start();
    let mut claimed = server.open(&open(r#"&tags={"role":"admin"}"#));
    let proven = server.open(&open(&format!(r#"&secret={SECRET}&tags={{"role":"admin"}}"#)));
    server.folder.write("auth.yml", &auth("tags: token, ", ""));
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("application `locked`: another tags"), "{text}");
    claimed.expect_close(1008);
    assert_eq!(tags(&server, &proven), json!({"role": "admin"}));
    let kept = server.open(&open(&format!("&token={}", token(&json!({"tags": {"role": "x"}})))));
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(tags(&server, &kept), json!({"role": "x"}), "it is closed once only");
}

/// A221.
#[test]
fn a_client_changes_none_of_its_tags() {
    let server = setup().auth(&auth("tags: token, ", "")).start();
    let with_a = token(&json!({"sub": "7", "tags": {"a": 1}}));
    let mut client = server.open(&open(&format!("&token={with_a}")));
    for packet in [
        r#"{"opcode":"tags","tags":{"a":"2"}}"#,
        r#"{"opcode":"token","token":"x","tags":{"a":"2"}}"#,
        r#"{"opcode":"echo","tags":{"a":"2"}}"#,
        r#"{"opcode":"uuid","message":"a","tags":{"a":"2"}}"#,
        r#"{"opcode":"broadcast","message":"1","tags":{"a":"2"},"set":{"a":"2"}}"#,
    ] {
        client.text(packet);
    }
    client.text(r#"{"opcode":"echo","last":1}"#);
    while client.frame().as_text() != r#"{"opcode":"echo","last":1}"# {}
    assert_eq!(tags(&server, &client), json!({"a": "1", "@user": "7"}));
}
