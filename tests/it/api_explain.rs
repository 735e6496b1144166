//! Explanations of expressions by HTTP.

use serde_json::{Value, json};

use crate::harness::api::{Clients, SHOP, setup};
use crate::harness::{Open, Server};

const EXPLAIN: &str = "/v1/apps/shop/explain";
const EXPRESSION: &str = "role=admin & !(region=eu|region=us)";

fn explain(server: &Server, body: &Value) -> Value {
    let answer = server.post(EXPLAIN, SHOP, &body.to_string());
    assert_eq!(answer.status(), 200, "{body}: {}", answer.body);
    answer.json()
}

fn term(text: &str, actual: &str) -> Value {
    let matches = text.ends_with(&format!("={actual}"));
    json!({"op": "term", "text": text, "matches": matches, "actual": actual})
}

/// A176.
#[test]
fn an_explanation_names_the_part_that_decides() {
    let server = setup().start();
    let tags = r#"/web?key=shop&tags={"role":"admin","region":"us"}"#;
    let client = server.open(&Open::at(tags));
    let _admin = server.open(&Open::at(r#"/web?key=shop&tags={"role":"admin"}"#));
    let body = json!({"expr": EXPRESSION, "uuid": client.uuid});
    let regions = [term("region=eu", "us"), term("region=us", "us")];
    let either = json!({"op": "or", "matches": true, "operands": regions});
    let neither = json!({"op": "not", "matches": false, "operands": [either]});
    let operands = [neither, term("role=admin", "admin")];
    let right = json!({
        "canonical": "!(region=eu|region=us)&role=admin",
        "open": false,
        "matched": 1,
        "connection": {
            "uuid": client.uuid,
            "matches": false,
            "path": [
                "!(region=eu|region=us)&role=admin",
                "!(region=eu|region=us)",
                "region=eu|region=us",
                "region=us"
            ],
            "tree": {"op": "and", "matches": false, "operands": operands}
        }
    });
    assert_eq!(explain(&server, &body), right);
    let body = json!({"expr": EXPRESSION, "uuid": client.uuid, "counts": true});
    let tree = &explain(&server, &body)["connection"]["tree"];
    assert_eq!((&tree["matched"], &tree["operands"][1]["matched"]), (&json!(1), &json!(2)));
    let inner = &tree["operands"][0]["operands"][0];
    assert_eq!((&inner["matched"], &inner["operands"][0]["matched"]), (&json!(1), &json!(0)));
}

#[test]
fn an_expression_is_explained_without_a_client() {
    let server = setup().start();
    let clients = Clients::open(&server);
    let plain = explain(&server, &json!({"expr": {"not": {"tag": "room", "is": 1}}}));
    assert_eq!(plain, json!({"canonical": "!room=1", "open": true, "matched": 2}));
    let counted = explain(&server, &json!({"expr": "!room=1 | room=1", "counts": true}));
    let counts = [("!room=1|room=1", 3), ("!room=1", 2), ("room=1", 1), ("room=1", 1)];
    let counts = counts.map(|(text, matched)| json!({"text": text, "matched": matched}));
    assert_eq!(counted["parts"], json!(counts));
    let php = explain(&server, &json!({"expr": "!room=1", "uuid": clients.p.uuid}));
    let right = json!({"uuid": clients.p.uuid, "matches": false, "reachable": false});
    assert_eq!(php["connection"], right, "tags do not reach a PHP client");
}

/// A173, A177.
#[test]
fn a_client_of_another_space_and_a_wrong_body_are_refused() {
    let server = setup().ini("exprScanMax = 1").start();
    let clients = Clients::open(&server);
    let other = json!({"expr": "a=1", "uuid": clients.o.uuid}).to_string();
    server.post(EXPLAIN, SHOP, &other).is_error(404, "connection_not_found");
    for (body, status, code, at) in [
        (r#"{"uuid":"x"}"#, 400, "missing_member", "/expr"),
        (r#"{"expr":"a=1","uuid":"x"}"#, 400, "invalid_uuid", "/uuid"),
        (r#"{"expr":"a=1","count":true}"#, 400, "unknown_member", "/count"),
        (r#"{"expr":"a=1","counts":1}"#, 400, "wrong_type", "/counts"),
        (r#"{"expr":{"and":[]}}"#, 422, "invalid_expression", "/expr/and"),
        (r#"{"expr":"language=F*"}"#, 422, "expression_too_expensive", ""),
    ] {
        let answer = server.post(EXPLAIN, SHOP, body);
        assert_eq!(answer.error(), (status, code.to_owned(), at.to_owned()), "{body}");
    }
    let answer = server.post(EXPLAIN, SHOP, r#"{"expr":"role=admin region=eu"}"#);
    assert_eq!(answer.is_error(422, "invalid_expression").json()["error"]["at"], 11);
}
