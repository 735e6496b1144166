//! What operators change: connections and publications of an application, and the server itself.

use crate::harness::api::{ApiAnswer, Clients, PUBLISH, SHOP, head};
use crate::harness::{DEADLINE, Raw, Server, eventually};
use crate::operators::{CI, bearer, operated};

const SHOP_APP: &str = "/v1/server/applications/shop";

/// Sends a request with a JSON body.
#[track_caller]
fn with_body(server: &Server, method: &str, target: &str, token: &str, body: &str) -> ApiAnswer {
    let (token, length) = (bearer(token), body.len().to_string());
    let headers = [
        ("Authorization", token.as_str()),
        ("Content-Type", "application/json"),
        ("Content-Length", &length),
    ];
    let mut request = head(method, target, &headers);
    request.extend_from_slice(body.as_bytes());
    Raw::connect(server.api_port("http")).request(request)
}

/// Case A248, and A249 for connections.
#[test]
fn a_viewer_reads_the_connections_of_its_applications_only() {
    let server = operated("");
    let clients = Clients::open(&server);
    let list =
        server.operate("GET", &format!("{SHOP_APP}/connections?expr=language%3F"), CI).json();
    assert_eq!(list["matched"], 2);
    let one = server.operate("GET", &format!("{SHOP_APP}/connections/{}", clients.f.uuid), CI);
    assert_eq!(one.json()["dialect"], "phpws");
    let tags = server.operate("GET", &format!("{SHOP_APP}/tags"), CI).json();
    assert_eq!(tags["names"].as_array().unwrap().len(), 2);
    let explain = format!(r#"{{"expr":"language=FR","uuid":"{}"}}"#, clients.f.uuid);
    let explained = server.operate_with(&format!("{SHOP_APP}/explain"), CI, &explain);
    assert_eq!(explained.status(), 200, "{}", explained.body);
    let other = server.operate("GET", "/v1/server/applications/other/connections", CI);
    other.is_error(404, "not_found");
    let close = format!("{SHOP_APP}/connections/{}?reason=x", clients.f.uuid);
    let refused = server.operate("DELETE", &close, CI);
    assert_eq!(refused.is_error(403, "permission_denied").json()["error"]["role"], "viewer");
    let publish = r#"{"to":"all","message":1,"reason":"x"}"#;
    server
        .operate_with(&format!("{SHOP_APP}/publish"), CI, publish)
        .is_error(403, "permission_denied");
    let batch = server.operate_with(&format!("{SHOP_APP}/publish:batch"), &server.log_in(), "{}");
    assert!(batch.status() >= 400);
}

#[test]
fn an_operator_changes_connections_with_a_reason_that_is_logged() {
    let server = operated("");
    let mut clients = Clients::open(&server);
    let anna = server.log_in();
    let publish = format!("{SHOP_APP}/publish");
    let to_f = format!(r#"{{"to":{{"uuid":"{}"}},"message":{{"private":1}}"#, clients.f.uuid);
    let without = server.operate_with(&publish, &anna, &format!("{to_f}}}"));
    assert_eq!(without.is_error(400, "missing_member").error().2, "/reason");
    let dry = server.operate_with(&publish, &anna, &format!(r#"{to_f},"dry_run":true}}"#));
    assert_eq!(dry.json()["matched"], 1, "{}", dry.body);
    let sent = server.operate_with(&publish, &anna, &format!(r#"{to_f},"reason":"a test"}}"#));
    assert_eq!(sent.json()["matched"], 1, "{}", sent.body);
    assert_eq!(clients.f.frame().as_text(), r#"{"opcode":"feedback","message":{"private":1}}"#);
    let path = format!("{SHOP_APP}/connections/{}", clients.f.uuid);
    let body = r#"{"set":{"room":"7"},"reason":"moved to room 7"}"#;
    let changed = with_body(&server, "PATCH", &format!("{path}/tags"), &anna, body);
    assert_eq!(changed.json()["tags"]["room"], "7", "{}", changed.body);
    server.operate("DELETE", &path, &anna).is_error(400, "invalid_parameter");
    let closed = server.operate("DELETE", &format!("{path}?code=4001&reason=bye"), &anna);
    assert_eq!(closed.json()["matched"], 1, "{}", closed.body);
    clients.f.expect_closed(4001);
    let body = r#"{"expr":"language?","reason":"cleaning"}"#;
    let closed = server.operate_with(&format!("{SHOP_APP}/connections:disconnect"), &anna, body);
    assert_eq!(closed.json()["matched"], 1, "{}", closed.body);
    server.wait_for_output("cleaning");
    let log = server.output();
    for words in ["a test", "moved to room 7", "DELETE connections/{uuid}", "operator=anna"] {
        assert!(log.contains(words), "{words} in\n{log}");
    }
    assert!(!log.contains("private") && !log.contains(&clients.f.uuid));
    eventually("one client is left", || {
        let last = server.post_own(PUBLISH, SHOP, r#"{"to":"all","message":"last"}"#);
        (last.json()["matched"] == 1).then_some(())
    });
}

#[test]
fn orders_about_the_server_are_for_operators_of_all_applications() {
    let server = operated("drainTime = 1s\n");
    let anna = server.log_in();
    for order in ["reload", "restart-workers", "drain"] {
        let path = format!("/v1/server/{order}");
        server.operate_with(&path, CI, r#"{"reason":"x"}"#).is_error(403, "permission_denied");
        server.operate_with(&path, &anna, "{}").is_error(400, "missing_member");
    }
    let reason = r#"{"reason":"new limits"}"#;
    let reloaded = server.operate_with("/v1/server/reload", &anna, reason);
    assert!(reloaded.json()["lines"][0].is_string(), "{}", reloaded.body);
    server.folder.write("auth.yml", "applications: 7\n");
    let failed = server.operate_with("/v1/server/reload", &anna, reason);
    failed.is_error(409, "not_possible");
    assert!(failed.body.contains("auth.yml"), "{}", failed.body);
    let before = server.workers(2);
    let restarted = server.operate_with("/v1/server/restart-workers", &anna, reason);
    assert!(matches!(restarted.status(), 200 | 202), "{}", restarted.body);
    eventually("other workers", || {
        let now = server.with_role("worker");
        (now.len() == 2 && now.iter().all(|worker| !before.contains(worker))).then_some(())
    });
    let drained = server.operate_with("/v1/server/drain", &anna, r#"{"reason":"the end"}"#);
    assert_eq!(drained.status(), 202, "{}", drained.body);
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    assert!(server.output().contains("new limits") && server.output().contains("the end"));
}

#[test]
fn the_console_is_served_where_it_is_on_and_may_load_nothing() {
    let server = operated("consolePage = on\n");
    let page = server.operate("GET", "/console", "none");
    assert_eq!(page.status(), 200);
    let policy = page.head.header("Content-Security-Policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.head.header("X-Frame-Options"), Some("DENY"));
    assert_eq!(page.head.header("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(page.body.contains("Tagcast console"));
    server.operate("GET", "/console?x=1", "none").is_error(400, "unknown_parameter");
    assert_ne!(Raw::connect(server.port).request(head("GET", "/console", &[])).status(), 200);
    operated("").operate("GET", "/console", CI).is_error(404, "not_found");
}

impl Server {
    /// Posts JSON with a secret to the API's own address.
    #[track_caller]
    fn post_own(&self, target: &str, header: (&str, &str), body: &str) -> ApiAnswer {
        let request = crate::harness::api::post(target, &[header], body);
        Raw::connect(self.api_port("http")).request(request)
    }
}
