//! Numbers of an application, and what the server is, by HTTP.

use serde_json::{Value, json};

use crate::harness::api::{AUTH, Clients, OTHER, PUBLISH, SHOP, SHOP_SECRET, setup};
use crate::harness::{Open, Server, Setup, eventually};

const STATS: &str = "/v1/apps/shop/stats";

#[track_caller]
fn stats(server: &Server) -> Value {
    let answer = server.call("GET", STATS, &[SHOP]);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    answer.json()
}

fn counters(server: &Server) -> [u64; 4] {
    let counters = stats(server)["counters"].clone();
    ["publications", "deliveries", "denied", "rate_limited"]
        .map(|name| counters[name].as_u64().unwrap())
}

/// A120.
#[test]
fn publications_and_their_recipients_are_counted_for_each_tenant() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let before = counters(&server);
    for _ in 0..10 {
        let answer = server.post(PUBLISH, SHOP, r#"{"to":"all","message":1}"#);
        assert_eq!(answer.json()["matched"], 3);
    }
    let [publications, deliveries, ..] = counters(&server);
    assert_eq!((publications, deliveries), (before[0] + 10, before[1] + 30));
    // A page does not receive its own broadcast, and one that the tags leave out is not subtracted.
    clients.f.text(r#"{"opcode":"broadcast","message":"2"}"#);
    let uuid = &clients.f.uuid;
    let tags =
        format!(r#"{{"to":{{"tags":{{"language":"EN"}}}},"message":1,"except":["{uuid}"]}}"#);
    assert_eq!(server.post(PUBLISH, SHOP, &tags).json()["matched"], 1);
    let one = format!(r#"{{"to":{{"uuid":"{}"}},"message":1}}"#, clients.p.uuid);
    assert_eq!(server.post(PUBLISH, SHOP, &one).json()["matched"], 1);
    let none = r#"{"to":{"ident":"nobody"},"message":1,"dry_run":true}"#;
    assert_eq!(server.post(PUBLISH, SHOP, none).json()["matched"], 0);
    let right = [before[0] + 13, before[1] + 30 + 2 + 1 + 1, 0, 0];
    eventually("all are counted", || (counters(&server) == right).then_some(()));
    let other = server.call("GET", "/v1/apps/other/stats", &[OTHER]).json();
    assert_eq!(other["counters"]["publications"], 0);
}

#[test]
fn clients_and_tags_are_those_of_the_space() {
    let server = setup().ini("[resource /echo]\nkind = echo").start();
    let _clients = Clients::open(&server);
    let _echo = Open::at("/echo?key=shop").upgrade(server.port);
    let shown = stats(&server);
    assert_eq!((&shown["application"], &shown["tenant"]), (&json!("shop"), &json!("shop")));
    assert_eq!(shown["clients"], json!({"web": 3, "php": 1, "send_only": 1}));
    assert_eq!((&shown["tag_names"], &shown["tag_values"]), (&json!(2), &json!(3)));
    let other = server.call("GET", "/v1/apps/other/stats", &[OTHER]).json();
    assert_eq!(other["clients"], json!({"web": 1, "php": 0, "send_only": 0}));
    server.call("GET", STATS, &[OTHER]).is_error(401, "invalid_credentials");
}

#[test]
fn secrets_show_when_they_were_used_last() {
    let auth = format!(
        "applications:
  - key: shop
    tenant: shop
    authorizeOpen: true
    secret: {SHOP_SECRET}
    secrets:
      - {{ id: next, value: nxt-for-tests-only-0123456789abcdef }}
"
    );
    let server = setup().auth(&auth).start();
    let shown = stats(&server)["secrets"].clone();
    assert!(shown[0]["last_used"].as_u64().unwrap() > 1_700_000_000, "{shown}");
    let next = json!({"id": "next", "last_used": null, "expired": false});
    assert_eq!((&shown[0]["id"], &shown[1]), (&json!("own"), &next));
    assert!(!shown.to_string().contains(SHOP_SECRET));
}

#[test]
fn refused_requests_are_counted_for_their_application() {
    let auth = AUTH.replace("clientPublish: true", "permissions: [publish, list]");
    let server = setup().auth(&auth).start();
    let all = r#"{"to":"all","message":1}"#;
    server.post(PUBLISH, SHOP, all).is_error(403, "permission_denied");
    let batch = format!(r#"{{"publications":[{all},{all}]}}"#);
    let results = server.post("/v1/apps/shop/publish:batch", SHOP, &batch).json();
    assert_eq!(results["results"][1]["status"], 403);
    server.post(PUBLISH, SHOP, "{}").is_error(400, "missing_member");
    let [_, _, denied, rate_limited] = counters(&server);
    assert_eq!((denied, rate_limited), (3, 0));
}

/// A121.
#[test]
fn the_version_and_the_limits_are_for_those_that_show_a_secret() {
    let server = setup().ini("maxMessage = 70000").start();
    let info = |headers: &[(&str, &str)]| server.call("GET", "/v1/info", headers);
    let short = info(&[]).json();
    assert_eq!(short.as_object().unwrap().len(), 3, "{short}");
    let long = info(&[OTHER]).json();
    assert_eq!((&long["service"], &long["api"]), (&json!("tagcast"), &json!(1)));
    assert_eq!(long["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(long["limits"]["message_bytes"], 70_000);
    assert!(long["dialects"].as_array().unwrap().contains(&json!("phpws")), "{long}");
    info(&[("X-API-Key", "wrong")]).is_error(401, "invalid_credentials");
    info(&[SHOP, OTHER]).is_error(400, "multiple_credentials");
    let signed_only = AUTH.replace("clientPublish: true", "authMethods: [signed]");
    let server = setup().auth(&signed_only).start();
    server.call("GET", "/v1/info", &[OTHER]).json()["version"].as_str().unwrap();
    let open = Setup::new().start();
    assert_eq!(open.call("GET", "/v1/info", &[]).json()["version"], env!("CARGO_PKG_VERSION"));
}
