//! Connection tokens when a client opens: where a token may be, what it grants, refusals, and its end.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tagcast::auth::{TokenAlgorithm, sign_token};
use tagcast::types::Secret;

use crate::harness::api::{PUBLISH, SHOP, SHOP_SECRET, setup};
use crate::harness::{Finished, Open, Raw, Server, run_to_end};

const DENIED: &str = r#"{"opcode":"error","error":"Message sending is not authorized !"}"#;
const OTHER_SECRET: &str = "oth-for-tests-only-0123456789abcdef";
/// The private key of RFC 8037 §A.1 in PKCS#8, and its public key.
const ED_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";

fn auth(keys: &str) -> String {
    format!(
        "applications:
  - key: shop
    tenant: shop
    secret: {SHOP_SECRET}
    authorizeOpen: false
    tokenTenants: [guests]
    tokens: [{{id: main, alg: HS256, secret: own}}{keys}]
  - {{key: other, tenant: other, secret: {OTHER_SECRET}, authorizeOpen: true}}
"
    )
}

fn server() -> Server {
    setup().auth(&auth("")).start()
}

#[track_caller]
fn reload(server: &Server, keys: &str) {
    server.folder.write("auth.yml", &auth(keys));
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Signs claims of `shop`, some of which these are.
fn token(claims: &Value) -> String {
    signed(claims, TokenAlgorithm::Hs256, SHOP_SECRET, "main")
}

fn signed(claims: &Value, algorithm: TokenAlgorithm, key: &str, id: &str) -> String {
    let mut all = json!({"aud": "shop", "exp": now() + 3600});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    sign_token(&all.to_string(), algorithm, &Secret::new(key.to_owned()), id).unwrap()
}

#[track_caller]
fn expect_close(client: &mut Raw, reason: &str) {
    let close = client.expect_close(1008);
    assert_eq!(&close.payload[2..], reason.as_bytes());
}

fn in_query(token: &str) -> Open {
    Open::at(&format!("/web?token={token}"))
}

/// Shows a client through the HTTP API.
#[track_caller]
fn show(server: &Server, client: &Raw) -> Value {
    let target = format!("/v1/apps/shop/connections/{}", client.uuid);
    let answer = server.call("GET", &target, &[SHOP]);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    answer.json()
}

/// Expects that an opening is refused with 401 and this code, and that the log has the exact one.
#[track_caller]
fn expect_refused(server: &Server, open: &Open, code: &str, exact: &str) {
    let mut client = open.ask(server.port);
    let head = client.read_head();
    assert_eq!(head.status(), 401, "{exact}: {}", head.text);
    let length = head.header("Content-Length").unwrap().parse().unwrap();
    let body: Value = serde_json::from_slice(&client.read_exactly(length)).unwrap();
    let right = json!({"error": "Connection opening is not authorized !", "code": code});
    assert_eq!(body, right, "{exact}");
    server.wait_for_output(&format!("{exact}: "));
}

/// A203.
#[test]
fn a_token_gives_tags_user_and_ident() {
    let server = server();
    let user = json!({"name": "Zoé"});
    let claims = json!({"sub": "42", "jti": "t-1", "ident": "zoe", "user": user,
        "tags": {"role": "admin", "level": 12}});
    let exp = now() + 600;
    let mut client = server.open(&in_query(&token(&json!({"exp": exp, "sub": "0"}))));
    assert_eq!(show(&server, &client)["token"], json!({"sub": "0", "exp": exp, "kid": "main"}));
    let named = server.open(&in_query(&token(&claims)));
    let shown = show(&server, &named);
    assert_eq!(shown["tags"], json!({"@user": "42", "role": "admin", "level": "12"}));
    assert_eq!((&shown["ident"], &shown["user"]), (&json!("zoe"), &user));
    assert_eq!(shown["application"], "shop");
    let to = r#"{"to":{"tags":{"@user":"0"}},"message":"only you"}"#;
    assert_eq!(server.post(PUBLISH, SHOP, to).json()["matched"], 1);
    assert_eq!(client.frame().as_text(), r#"{"opcode":"broadcast","message":"only you"}"#);
    server.wait_for_output("user=42 token=t-1");
}

/// A tag of the token wins over the same one that the client claims.
#[test]
fn no_client_replaces_a_tag_of_its_token() {
    let server = server();
    let token = token(&json!({"sub": "1", "tags": {"role": "guest"}}));
    let claimed = r#"{"role":"admin","mood":"good"}"#;
    let client = server.open(&Open::at(&format!("/web?token={token}&tags={claimed}")));
    let tags = json!({"role": "guest", "mood": "good", "@user": "1"});
    assert_eq!(show(&server, &client)["tags"], tags);
}

/// A204, A205, A206.
#[test]
fn a_token_may_be_in_one_of_several_places() {
    let server = server();
    let (one, two) = (token(&json!({"sub": "1"})), token(&json!({"sub": "2"})));
    let protocol = |text: &str| Open::web().header("Sec-WebSocket-Protocol", text);
    let mut with_name = protocol(&format!("tagcast, tagcast-token.{one}")).ask(server.port);
    let head = with_name.expect_upgrade();
    assert_eq!(head.header("Sec-WebSocket-Protocol"), Some("tagcast"));
    let bearer = format!("Bearer {one}");
    let only_token = format!("tagcast-token.{one}");
    for open in [
        protocol(&only_token),
        Open::web().header("Authorization", &bearer),
        Open::web().header("Authorization", &format!("bearer {one}")),
        in_query(&one).header("Authorization", &bearer),
        in_query(&one).header("Sec-WebSocket-Protocol", &only_token),
        in_query(&one).target(&format!("/web?key=shop&token={one}")),
    ] {
        let mut client = open.ask(server.port);
        assert_eq!(client.expect_upgrade().header("Sec-WebSocket-Protocol"), None);
        client.expect_ready();
        assert_eq!(show(&server, &client)["token"]["sub"], "1");
    }
    let other = format!("tagcast-token.{two}");
    for open in [
        in_query(&two).header("Authorization", &bearer),
        in_query(&one).header("Sec-WebSocket-Protocol", &other),
        protocol(&format!("{only_token}, {other}")),
    ] {
        expect_refused(&server, &open, "token_invalid", "multiple_tokens");
    }
}

/// A207, A208, A209, A210, A211, A258, A259, A273.
#[test]
fn a_wrong_token_opens_nothing_and_the_log_has_the_reason() {
    let server = server();
    let invalid = "token_invalid";
    let expired = token(&json!({"exp": now() - 31}));
    expect_refused(&server, &in_query(&expired), "token_expired", "token_expired");
    for (claims, exact) in [
        (json!({"aud": "other"}), "tokens_disabled"),
        (json!({"aud": "nobody"}), "token_audience"),
        (json!({"exp": "1"}), "token_claims"),
        (json!({"exp": now() + 25 * 3600}), "token_too_long"),
        (json!({"nbf": now() + 60}), "token_not_yet_valid"),
        (json!({"tags": {"@user": "1"}}), "token_claims"),
        (json!({"tenant": "other"}), "token_tenant"),
    ] {
        expect_refused(&server, &in_query(&token(&claims)), invalid, exact);
    }
    let good = token(&json!({}));
    let (head, _) = good.rsplit_once('.').unwrap();
    let (_, claims) = head.split_once('.').unwrap();
    for (token, exact) in [
        // {"alg":"none"}, {"alg":"None"}, {"alg":"HS256","kid":"x"}
        (format!("eyJhbGciOiJub25lIn0.{claims}."), "token_algorithm"),
        (format!("eyJhbGciOiJOb25lIn0.{claims}."), "token_algorithm"),
        (format!("eyJhbGciOiJIUzI1NiIsImtpZCI6IngifQ.{claims}.AAAA"), "token_unknown_key"),
        (format!("{head}."), "token_signature"),
        (signed(&json!({}), TokenAlgorithm::Hs256, OTHER_SECRET, "main"), "token_signature"),
        (String::new(), "token_malformed"),
        ("x".repeat(5000), "token_malformed"),
    ] {
        expect_refused(&server, &in_query(&token), invalid, exact);
    }
    let elsewhere = Open::at(&format!("/web?key=other&token={good}"));
    expect_refused(&server, &elsewhere, invalid, "token_audience");
    // Without a token, and with the key alone, `authorizeOpen: false` refuses as before.
    for open in [Open::web(), Open::at("/web?key=shop")] {
        open.ask(server.port).expect_refusal(401);
    }
    // A226.
    let output = server.output();
    for secret in [claims, SHOP_SECRET, OTHER_SECRET] {
        assert!(!output.contains(secret), "{output}");
    }
}

/// A207, A208, A209, for claims that only their text shows.
#[test]
fn claims_are_read_as_they_are_written() {
    let server = server();
    let key = Secret::new(SHOP_SECRET.to_owned());
    let with = |claims: String| {
        in_query(&sign_token(&claims, TokenAlgorithm::Hs256, &key, "main").unwrap())
    };
    let exp = now() + 600;
    let user = "u".repeat(256);
    for (claims, exact) in [
        (format!(r#"{{"exp":{exp}}}"#), "token_audience"),
        (format!(r#"{{"aud":["x","y"],"exp":{exp}}}"#), "token_audience"),
        (r#"{"aud":"shop"}"#.to_owned(), "token_claims"),
        (format!(r#"{{"aud":"shop","exp":{exp},"exp":{exp}}}"#), "token_claims"),
        (format!(r#"{{"aud":"shop","exp":{exp},"sub":"{user}"}}"#), "token_claims"),
        (format!(r#"{{"aud":"shop","exp":{exp},"sub":""}}"#), "token_claims"),
    ] {
        expect_refused(&server, &with(claims), "token_invalid", exact);
    }
    let longest = &user[1..];
    for claims in [
        format!(r#"{{"aud":["x","shop"],"exp":{exp}}}"#),
        format!(r#"{{"aud":"shop","exp":{exp}.9}}"#),
        format!(r#"{{"aud":"shop","exp":{exp},"sub":"{longest}"}}"#),
    ] {
        let client = server.open(&with(claims));
        assert_eq!(show(&server, &client)["token"]["exp"], exp);
    }
}

#[test]
fn a_refusal_after_the_upgrade_has_the_reason_in_its_close_frame() {
    let server = setup().ini("refuse = afterUpgrade").auth(&auth("")).start();
    for (claims, reason) in
        [(json!({"exp": now() - 31}), "token expired"), (json!({"aud": "x"}), "invalid token")]
    {
        let mut client = in_query(&token(&claims)).upgrade(server.port);
        expect_close(&mut client, reason);
    }
    server.wait_for_output("token_audience: ");
}

#[test]
fn capabilities_decide_about_publishing_and_receiving() {
    let server = server();
    let with = |caps: Value| in_query(&token(&json!({"caps": caps})));
    let mut mute = server.open(&with(json!({"publish": false})));
    let mut deaf = server.open(&with(json!({"publish": true, "receive": false})));
    let mut plain = server.open(&in_query(&token(&json!({}))));
    deaf.text(r#"{"opcode":"broadcast","message":"1"}"#);
    deaf.expect_next();
    for client in [&mut mute, &mut plain] {
        assert_eq!(client.frame().as_text(), r#"{"opcode":"broadcast","message":"1"}"#);
    }
    // A218.
    let all = server.post(PUBLISH, SHOP, r#"{"to":"all","message":"2"}"#).json();
    assert_eq!(all["matched"], 2);
    for client in [&mut mute, &mut plain] {
        assert_eq!(client.frame().as_text(), r#"{"opcode":"broadcast","message":"2"}"#);
    }
    // `shop` has no clientPublish, so a token that says nothing gives no right.
    for client in [&mut mute, &mut plain] {
        client.text(r#"{"opcode":"broadcast","message":"3"}"#);
        client.expect_next();
        client.expect_text(DENIED);
    }
}

/// A222.
#[test]
fn a_token_may_name_a_tenant_that_the_file_allows() {
    let server = server();
    let client = server.open(&in_query(&token(&json!({"tenant": "guests", "sub": "1"}))));
    let all = server.post(PUBLISH, SHOP, r#"{"to":"all","message":"1"}"#).json();
    assert_eq!(all["matched"], 0, "it is in another space");
    let target = format!("/v1/apps/shop/connections/{}", client.uuid);
    assert_eq!(server.call("GET", &target, &[SHOP]).status(), 404);
}

/// A212. The leeway of 30 seconds has passed for nearly all of the time that the token has left.
#[test]
fn a_connection_ends_when_its_token_expires() {
    let server = server();
    let exp = now() - 28;
    let mut client = server.open(&in_query(&token(&json!({"exp": exp}))));
    let mut stays = server.open(&in_query(&token(&json!({}))));
    expect_close(&mut client, "token expired");
    let late = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let end = Duration::from_secs(exp + 30);
    assert!(late + Duration::from_millis(50) >= end, "{late:?} {end:?}");
    assert!(late < end + Duration::from_secs(3), "{late:?} {end:?}");
    assert_eq!(server.post(PUBLISH, SHOP, r#"{"to":"all","message":"1"}"#).status(), 200);
    assert_eq!(stays.frame().as_text(), r#"{"opcode":"broadcast","message":"1"}"#);
}

/// A224.
#[test]
fn a_reload_without_a_key_closes_the_connections_of_its_tokens() {
    let keys = ", {id: ed1, alg: EdDSA, publicKeyFile: ed1.pem}";
    let server = server();
    server.folder.write("ed1.pem", ED_PUBLIC);
    reload(&server, keys);
    let by_ed = signed(&json!({"sub": "2"}), TokenAlgorithm::EdDsa, ED_PRIVATE, "ed1");
    let mut gone = server.open(&in_query(&by_ed));
    let stays = server.open(&in_query(&token(&json!({"sub": "1"}))));
    reload(&server, keys);
    assert_eq!(show(&server, &gone)["token"]["kid"], "ed1");
    reload(&server, "");
    expect_close(&mut gone, "the application was removed or changed");
    assert_eq!(show(&server, &stays)["token"]["kid"], "main");
    expect_refused(&server, &in_query(&by_ed), "token_invalid", "token_unknown_key");
}

/// Where no application accepts tokens, a parameter or header of that name is the client's own business.
#[test]
fn without_keys_a_token_is_not_looked_for() {
    let server = setup().start();
    let open = Open::at("/web?key=shop&token=mine").header("Authorization", "Bearer mine");
    let client = server.open(&open);
    assert_eq!(show(&server, &client)["token"], Value::Null);
}

/// A205, A206: the cookie that the application names, and no other.
#[test]
fn a_cookie_may_carry_a_token() {
    let auth = auth("").replace("    tokenTenants", "    tokenCookie: pass\n    tokenTenants");
    let server = setup().auth(&auth).start();
    let (one, two) = (token(&json!({"sub": "1"})), token(&json!({"sub": "2"})));
    let with = |cookies: &str| Open::web().header("Cookie", cookies);
    for cookies in [format!("pass={one}"), format!("a=b; pass={one};c")] {
        let client = server.open(&with(&cookies));
        assert_eq!(show(&server, &client)["token"]["sub"], "1", "{cookies}");
    }
    let both = with(&format!("pass={one}")).header("Authorization", &format!("Bearer {one}"));
    server.open(&both);
    let differ = with(&format!("pass={one}")).header("Authorization", &format!("Bearer {two}"));
    expect_refused(&server, &differ, "token_invalid", "multiple_tokens");
    with(&format!("other={one}")).ask(server.port).expect_refusal(401);
    let Finished { code, text } = run_to_end(&server.folder, &["check"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("with the token in the visitor's cookie"), "{text}");
}

#[test]
fn a_token_in_the_query_is_warned_of_once() {
    let server = setup().auth(&auth("")).workers(1).start();
    for _ in 0..3 {
        server.open(&in_query(&token(&json!({}))));
    }
    let output = server.wait_for_output("event=token_in_query");
    assert_eq!(output.matches("event=token_in_query").count(), 1, "{output}");
}
