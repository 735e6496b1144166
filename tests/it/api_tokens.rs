//! `POST …/tokens`: the server signs tokens for backends without a library.

use serde_json::{Value, json};

use crate::harness::api::{ApiAnswer, OTHER, PUBLISH, SHOP, SHOP_SECRET, setup};
use crate::harness::tokens::{auth, now, show};
use crate::harness::{Open, Server};

const TOKENS: &str = "/v1/apps/shop/tokens";
/// Of RFC 8037 A.2.
const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";

fn sign(server: &Server, body: &Value) -> ApiAnswer {
    server.post(TOKENS, SHOP, &body.to_string())
}

#[track_caller]
fn signed(server: &Server, body: &Value) -> (String, u64) {
    let answer = sign(server, body);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let json = answer.json();
    (json["token"].as_str().unwrap().to_owned(), json["exp"].as_u64().unwrap())
}

/// A118.
#[test]
fn a_client_opens_with_a_token_that_the_server_has_signed() {
    let server = setup().auth(&auth("")).start();
    let begun = now();
    let (token, exp) = signed(&server, &json!({"sub": "42", "lifetime_s": 60}));
    assert!((begun + 60..=now() + 60).contains(&exp), "{exp}");
    let mut client = server.open(&Open::at(&format!("/web?token={token}")));
    let shown = show(&server, &client);
    assert_eq!(shown["token"], json!({"sub": "42", "exp": exp, "kid": "main"}));
    assert_eq!(shown["tags"], json!({"@user": "42"}));
    let to_user = r#"{"to":{"tags":{"@user":"42"}},"message":"yours"}"#;
    assert_eq!(server.post(PUBLISH, SHOP, to_user).json()["matched"], 1);
    client.expect_text(r#"{"opcode":"broadcast","message":"yours"}"#);
    let claims = json!({
        "sub": "7", "jti": "t-1", "tags": {"role": "admin", "level": 12}, "ident": "zoe",
        "user": {"name": "Zoë"}, "info": [1], "caps": {"publish": true}, "kid": "main"
    });
    let (token, exp) = signed(&server, &claims);
    assert!((begun + 3600..=now() + 3600).contains(&exp), "{exp}");
    let client = server.open(&Open::at(&format!("/web?token={token}")));
    let shown = show(&server, &client);
    assert_eq!(shown["tags"], json!({"@user": "7", "role": "admin", "level": "12"}));
    assert_eq!((&shown["ident"], &shown["user"]), (&json!("zoe"), &json!({"name": "Zoë"})));
    let log = server.output();
    assert!(!log.contains(&token) && !log.contains(SHOP_SECRET), "{log}");
}

/// A119, and other tokens that the server would refuse.
#[test]
fn a_token_that_would_be_refused_is_not_signed() {
    let server =
        setup().auth(&auth("    tokenMaxAge: 1h\n    issuer: https://shop.example")).start();
    for (body, status, code, at) in [
        (json!({"lifetime_s": 3601}), 400, "invalid_value", "/lifetime_s"),
        (json!({"lifetime_s": 0}), 400, "invalid_value", "/lifetime_s"),
        (json!({"lifetime_s": "60"}), 400, "wrong_type", "/lifetime_s"),
        (json!({"tags": {"@user": "1"}}), 422, "invalid_tags", "/tags"),
        (json!({"kid": "none"}), 400, "invalid_value", "/kid"),
        (json!({"exp": 1}), 400, "unknown_member", "/exp"),
        (json!({"aud": "other"}), 400, "unknown_member", "/aud"),
    ] {
        assert_eq!(sign(&server, &body).error(), (status, code.into(), at.into()), "{body}");
    }
    for (body, reason) in [
        (json!({"sub": 42}), "token_claims"),
        (json!({"caps": {"publish": "room="}}), "token_claims"),
        (json!({"tenant": "other"}), "token_tenant"),
        (json!({"user": "x".repeat(5000)}), "token_malformed"),
    ] {
        let answer = sign(&server, &body);
        let error = answer.is_error(422, "invalid_token").json();
        assert_eq!(error["error"]["reason"], reason, "{body}: {error}");
    }
    let twice = server.post(TOKENS, SHOP, r#"{"tags":{"a":"1","a":"2"}}"#);
    assert_eq!(twice.error(), (400, "duplicate_member".into(), "/tags/a".into()));
    // It has the issuer that the application requires.
    let (token, _) = signed(&server, &json!({"lifetime_s": 3600}));
    server.open(&Open::at(&format!("/web?token={token}")));
}

#[test]
fn an_application_without_a_secret_key_signs_nothing() {
    let public = auth("").replace(
        "{id: main, alg: HS256, secret: own}",
        "{id: ed1, alg: EdDSA, publicKeyFile: ed1.pem}",
    );
    let folder = crate::harness::Folder::new();
    let file = folder.write("ed1.pem", ED_PUBLIC);
    let public = public.replace("ed1.pem", file.to_str().unwrap());
    let server = setup().auth(&public).start();
    sign(&server, &json!({"sub": "42"})).is_error(409, "no_signing_key");
    sign(&server, &json!({"kid": "ed1"})).is_error(409, "no_signing_key");
    let other = server.post("/v1/apps/other/tokens", OTHER, "{}");
    other.is_error(409, "no_signing_key");
    let denied = auth("    permissions: [publish, list]");
    let server = setup().auth(&denied).start();
    let answer = sign(&server, &json!({"sub": "42"}));
    assert_eq!(answer.is_error(403, "permission_denied").json()["error"]["permission"], "tokens");
}
