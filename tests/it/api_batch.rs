//! Batches, and long rows of requests on one connection.

use serde_json::json;

use crate::harness::Raw;
use crate::harness::api::{Clients, PUBLISH, SHOP, head, post, setup};

const BATCH: &str = "/v1/apps/shop/publish:batch";

/// A70.
#[test]
fn a_thousand_requests_of_one_connection_arrive_once_and_in_order() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let mut backend = Raw::connect(server.port);
    for number in 0..1000 {
        let body = format!(r#"{{"to":"all","message":{number}}}"#);
        assert_eq!(backend.request(post(PUBLISH, &[SHOP], &body)).status(), 200);
    }
    for number in 0..1000 {
        assert_eq!(clients.e.frame().as_text(), number.to_string());
        let broadcast = format!(r#"{{"opcode":"broadcast","message":{number}}}"#);
        clients.f.expect_text(&broadcast);
        clients.n.expect_text(&broadcast);
    }
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
}

/// A75.
#[test]
fn a_wrong_expression_in_a_batch_stops_its_own_item_alone() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let item = |to, message| json!({"to": to, "message": message});
    let right = json!({"expr": "room=1"});
    let items = [item(right.clone(), 1), item(json!({"expr": "room!=1"}), 2), item(right, 3)];
    let answer = server.post(BATCH, SHOP, &json!({"publications": items}).to_string());
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let results = &answer.json()["results"];
    let statuses = [0, 1, 2].map(|at| results[at]["status"].as_u64());
    assert_eq!(statuses, [Some(200), Some(422), Some(200)], "{results}");
    assert_eq!(results[1]["error"]["code"], "invalid_expression");
    clients.expect_frames(&server, [&[], &["1", "3"], &[], &[], &[]]);
}

/// A79. The length of the body is enough to refuse it.
#[test]
fn a_batch_above_the_largest_body_is_refused() {
    let server = setup().start();
    let length = (100 * 1024 * 1024).to_string();
    let json = ("Content-Type", "application/json");
    let request = head("POST", BATCH, &[SHOP, json, ("Content-Length", &length)]);
    let answer = Raw::connect(server.port).request(request);
    let error = answer.is_error(413, "payload_too_large").json();
    assert_eq!(error["error"]["setting"], "apiMaxBody");
}
