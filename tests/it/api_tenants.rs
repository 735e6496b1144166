//! An application sees nothing of another tenant by the HTTP API: what exists there is answered as what does not.

use serde_json::json;

use crate::harness::api::{ApiAnswer, Clients, LIST, OTHER, SHOP, head, setup};
use crate::harness::tokens::{auth, token};
use crate::harness::{Open, Raw, Server, eventually};

const OWN: &str = "/v1/apps/other";

/// A request of an application, always with the same id, so that equal answers have equal bytes.
fn ask(server: &Server, secret: (&str, &str), line: &str, body: &str) -> ApiAnswer {
    let (method, target) = line.split_once(' ').unwrap();
    let length = body.len().to_string();
    let json = [("Content-Type", "application/json"), ("Content-Length", &*length)];
    let own = [secret, ("X-Request-Id", "same")];
    let headers = if body.is_empty() { own.to_vec() } else { [own, json].concat() };
    let mut bytes = head(method, target, &headers);
    bytes.extend_from_slice(body.as_bytes());
    Raw::connect(server.port).request(bytes)
}

/// A client of a tenant that has left. Returns its UUID.
fn left(server: &Server, open: &Open, list: &str, secret: (&str, &str)) -> String {
    let uuid = server.open(open).uuid.clone();
    eventually("the client has left", || {
        let answer = server.call("GET", &format!("{list}/{uuid}"), &[secret]);
        (answer.status() == 404).then_some(())
    });
    uuid
}

/// A262, and A81 for each endpoint about one client.
#[test]
fn a_client_of_another_tenant_is_answered_as_one_that_has_left() {
    let server = setup().auth(&auth("")).start();
    let mut clients = Clients::open(&server);
    let gone = left(&server, &Open::at("/web?key=other"), &format!("{OWN}/connections"), OTHER);
    let foreign = clients.f.uuid.clone();
    let refresh = json!({"token": token(&json!({}))}).to_string();
    let client = |uuid: &str, last: &str| format!("{OWN}/connections/{uuid}{last}");
    for (method, last, body) in [
        ("GET", "", ""),
        ("DELETE", "", ""),
        ("POST", "/feedback", r#"{"message":1}"#),
        ("POST", "/ask", r#"{"message":1}"#),
        ("PATCH", "/tags", r#"{"set":{"a":"1"}}"#),
        ("PUT", "/tags", r#"{"tags":{}}"#),
        ("PUT", "/token", &refresh),
    ] {
        let [one, other] = [&foreign, &gone]
            .map(|uuid| ask(&server, OTHER, &format!("{method} {}", client(uuid, last)), body));
        one.is_error(404, "connection_not_found");
        assert_eq!(one.body, other.body, "{method} {last}");
    }
    // The same the other way round.
    let gone = left(&server, &Open::at("/web?key=shop"), LIST, SHOP);
    let [one, other] = [&clients.o.uuid, &gone].map(|uuid| {
        ask(&server, SHOP, &format!("POST {LIST}/{uuid}/feedback"), r#"{"message":1}"#)
    });
    one.is_error(404, "connection_not_found");
    assert_eq!(one.body, other.body);
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
}

/// A262.
#[test]
fn names_tags_lists_and_tokens_of_another_tenant_do_not_exist() {
    let server = setup().auth(&auth("")).start();
    let mut clients = Clients::open(&server);
    let gone = left(&server, &Open::at("/web?key=other"), &format!("{OWN}/connections"), OTHER);
    let foreign = clients.f.uuid.clone();
    let publish = format!("POST {OWN}/publish");
    let explain = format!("POST {OWN}/explain");
    let to = |to: &str| format!(r#"{{"to":{to},"message":1}}"#);
    let but =
        |uuid: &str| format!(r#"{{"to":"all","except":["{uuid}"],"message":1,"dry_run":true}}"#);
    let why = |uuid: &str| format!(r#"{{"expr":"room=1","uuid":"{uuid}","counts":true}}"#);
    for (line, known, unknown) in [
        (
            &publish,
            to(&format!(r#"{{"uuid":"{foreign}"}}"#)),
            to(&format!(r#"{{"uuid":"{gone}"}}"#)),
        ),
        (&publish, to(r#"{"ident":"job"}"#), to(r#"{"ident":"nobody"}"#)),
        (&publish, to(r#"{"tags":{"room":"1"}}"#), to(r#"{"tags":{"room":"9"}}"#)),
        (&publish, to(r#"{"expr":"room=1"}"#), to(r#"{"expr":"room=9"}"#)),
        (&publish, but(&foreign), but(&gone)),
        (&explain, why(&foreign), why(&gone)),
    ] {
        let [one, other] = [&known, &unknown].map(|body| ask(&server, OTHER, line, body));
        assert_eq!((one.status(), &one.body), (other.status(), &other.body), "{known}");
    }
    for (known, unknown) in [
        ("connections?ident=job", "connections?ident=nobody"),
        ("connections?expr=room%3D1", "connections?expr=room%3D9"),
        ("tags?name=room", "tags?name=none"),
        ("tags?name=language&prefix=E", "tags?name=language&prefix=X"),
    ] {
        let [one, other] =
            [known, unknown].map(|it| ask(&server, OTHER, &format!("GET {OWN}/{it}"), ""));
        assert_eq!(one.body, other.body, "{known}");
        assert_eq!(one.status(), 200);
    }
    let page = server.call("GET", &format!("{LIST}?limit=1"), &[SHOP]).json();
    let cursor = page["cursor"].as_str().unwrap();
    let [one, other] = [cursor, "AAAA"]
        .map(|it| ask(&server, OTHER, &format!("GET {OWN}/connections?cursor={it}"), ""));
    one.is_error(400, "invalid_cursor");
    assert_eq!(one.body, other.body);
    let of_shop = token(&json!({"sub": "42"}));
    let (signed, _) = of_shop.rsplit_once('.').unwrap();
    let heads = [of_shop.clone(), format!("{signed}.AAAA")].map(|it| {
        Open::at(&format!("/web?key=other&token={it}")).ask(server.port).read_head().text
    });
    assert_eq!(heads[0], heads[1]);
    assert!(heads[0].contains(" 401 "), "{}", heads[0]);
    clients.expect_frames(&server, [&[], &[], &[], &[], &[]]);
}
