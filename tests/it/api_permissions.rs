//! What an application of the HTTP API may reach: permissions about expressions, and the number of recipients.

use serde_json::json;

use crate::harness::api::{AUTH, ApiAnswer, Clients, setup};
use crate::harness::{Open, Server};

const CI: (&str, &str) = ("Authorization", "Bearer ci--for-tests-only-0123456789abcdef");

fn start() -> Server {
    let ci = "  - { key: ci, tenant: shop, secret: ci--for-tests-only-0123456789abcdef, authorizeOpen: false, \
              permissions: [publish], maxRecipients: 2 }\n";
    setup().auth(&format!("{AUTH}{ci}")).start()
}

fn publish(server: &Server, more: &str) -> ApiAnswer {
    server.post("/v1/apps/ci/publish", CI, &format!(r#"{{{more},"message":1}}"#))
}

/// A68.
#[test]
fn a_request_cannot_raise_the_number_of_recipients_of_its_application() {
    let server = start();
    let mut clients = Clients::open(&server);
    let mut third = server.open(&Open::at(r#"/web?key=shop&tags={"language":"DE"}"#));
    for more in
        [r#""to":{"expr":"language?"},"max_recipients":100"#, r#""to":{"expr":"language?"}"#]
    {
        let answer = publish(&server, more);
        let error = answer.is_error(409, "too_many_recipients").json()["error"].clone();
        assert_eq!((&error["matched"], &error["max_recipients"]), (&json!(3), &json!(2)));
    }
    assert_eq!(publish(&server, r#""to":{"expr":"language in (FR,DE)"}"#).json()["matched"], 2);
    let one = r#"{"opcode":"broadcast","message":1}"#;
    third.expect_text(one);
    clients.expect_frames(&server, [&[one], &[], &[], &[], &[]]);
}

/// A178.
#[test]
fn an_expression_that_reaches_clients_without_tags_needs_broadcast() {
    let server = start();
    let mut clients = Clients::open(&server);
    for open in ["!room=1", "language? | !room=1"] {
        let answer = publish(&server, &format!(r#""to":{{"expr":"{open}"}}"#));
        let error = answer.is_error(403, "permission_denied").json();
        assert_eq!(error["error"]["permission"], "broadcast", "{open}");
    }
    let answer = publish(&server, r#""to":{"expr":"language? & !room=1"}"#);
    assert_eq!((answer.status(), &answer.json()["matched"]), (200, &json!(1)));
    let one = r#"{"opcode":"broadcast","message":1}"#;
    clients.expect_frames(&server, [&[one], &[], &[], &[], &[]]);
}
