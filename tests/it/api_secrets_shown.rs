//! Secrets that requests to the HTTP API show are in no answer, log, metric, trace, command line or environment.

use serde_json::json;
use tagcast::auth::{TokenAlgorithm, sign_token};
use tagcast::types::Secret;

use crate::api_signed::{Signed, signed};
use crate::harness::api::{PUBLISH, head, post};
use crate::harness::tokens::now;
use crate::harness::{Open, Raw, Server, Setup, processes};
use crate::traces::Collector;

const OWN: &str = "0wn-for-tests-only-0123456789abcdef";
const ENV: &str = "3nv-for-tests-only-0123456789abcdef";
const GUESS: &str = "gu3ss-for-tests-only-0123456789abcdef";
const UUID_KEY: &str = "00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee";
const BODY: &str = r#"{"to":{"tags":{"room":"1"}},"message":"hello"}"#;
const TRACE: (&str, &str) =
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");

fn start(collector: &Collector) -> Server {
    let auth = format!(
        "applications:\n  - key: shop\n    tenant: shop\n    secret: {OWN}\n    authorizeOpen: true\n    \
         secrets: [{{id: env, env: SHOP_SECRET}}]\n    tokens: [{{id: main, alg: HS256, secret: own}}]\n"
    );
    let ini = format!(
        "logLevel = trace\nlogfile = all.log\nuuidKey = {UUID_KEY}\nuuidKeyFile = none\n\
         apiAddress = http://127.0.0.1:0\notlpEndpoint = {}\n",
        collector.endpoint()
    );
    Setup::new().variable("SHOP_SECRET", ENV).ini(&ini).auth(&auth).start()
}

/// Shows secrets in every place of a request. Returns what is answered.
fn use_secrets(server: &Server, token: &str) -> String {
    let port = server.api_port("http");
    let mut shown = String::new();
    let mut ask = |bytes: Vec<u8>| {
        let answer = Raw::connect(port).request(bytes);
        shown.push_str(&answer.head.text);
        shown.push_str(&answer.body);
        answer.status()
    };
    let bearer = |secret: &str| format!("Bearer {secret}");
    let (own, env, guess) = (bearer(OWN), bearer(ENV), bearer(GUESS));
    for (authorization, status) in [(&own, 200), (&env, 200), (&guess, 401)] {
        let headers = [("Authorization", authorization.as_str()), TRACE];
        assert_eq!(ask(post(PUBLISH, &headers, BODY)), status);
    }
    let own = [("Authorization", own.as_str()), TRACE];
    assert_eq!(ask(post(PUBLISH, &[("X-API-Key", GUESS)], BODY)), 401);
    let basic = [("Authorization", "Basic MHduLWZvci10ZXN0cy1vbmx5")];
    assert_eq!(ask(post(PUBLISH, &basic, BODY)), 401);
    for secret in [OWN, GUESS] {
        for target in [
            format!("{PUBLISH}?secret={secret}"),
            format!("/v1/apps/{secret}/publish"),
            format!("/v1/apps/shop/{secret}"),
            format!("/v1/apps/shop/connections?{secret}=1"),
        ] {
            assert!(ask(post(&target, &own, BODY)) >= 400, "{target}");
        }
        let body = format!(r#"{{"to":"all","message":1,"{secret}":1}}"#);
        assert_eq!(ask(post(PUBLISH, &own, &body)), 400);
        let by_it = Signed { secret, ..signed("nonce-0001") };
        ask(by_it.bytes(BODY));
    }
    let refresh = json!({"token": token}).to_string();
    ask(post("/v1/apps/shop/connections/x/token", &own, &refresh));
    for target in [
        "/v1/apps/shop/stats",
        "/v1/apps/shop/connections",
        "/v1/apps/shop/tags",
        "/v1/info",
        "/v1/openapi.json",
        "/metrics",
        "/metrics/applications",
        "/readyz?verbose",
    ] {
        assert_eq!(ask(head("GET", target, &own)), 200, "{target}");
    }
    shown
}

/// A274. `secrets_in_memory` has the memory of broker and workers.
#[test]
fn p9_secrets_shown_to_the_api_appear_nowhere() {
    let collector = Collector::start();
    let server = start(&collector);
    let claims = json!({"aud": "shop", "exp": now() + 600, "sub": "42"}).to_string();
    let key = Secret::new(OWN.to_owned());
    let token = sign_token(&claims, TokenAlgorithm::Hs256, &key, "main").unwrap();
    let _page = server.open(&Open::at(&format!("/web?token={token}&tags={{\"room\":\"1\"}}")));
    let answers = use_secrets(&server, &token);
    let traces = collector.text_until("tagcast.fanout");
    let status = server.command(&["status"]);
    assert_eq!(status.code, Some(0), "{}", status.text);
    let log = std::fs::read_to_string(server.folder.root().join("all.log")).unwrap();
    assert!(log.len() > 5_000, "the log is as detailed as it can be");
    let mut places = vec![
        ("answers", answers),
        ("traces", traces),
        ("status", status.text),
        ("log", log),
        ("console", server.output()),
    ];
    for (pid, line) in server.children() {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        places.push(("environment", String::from_utf8_lossy(&environment).into_owned()));
        places.push(("arguments", line));
    }
    places.push(("arguments", processes::command_line(server.pid())));
    let environment = std::fs::read(format!("/proc/{}/environ", server.pid())).unwrap();
    // The one that was given there is there, and no other.
    let environment = String::from_utf8_lossy(&environment).replace(ENV, "");
    places.push(("environment of the supervisor", environment));
    for (place, text) in &places {
        for secret in [OWN, ENV, GUESS, UUID_KEY, &token] {
            assert!(!text.contains(secret), "{secret} in {place}:\n{text}");
        }
    }
}
