//! Names of tags that mean something elsewhere: members of objects in JavaScript, and tags of the server.

use serde_json::{Map, Value, json};

use crate::backend::{Act, Backend};
use crate::harness::api::{Clients, LIST, PUBLISH, SHOP, setup};
use crate::harness::tokens::{auth, show, token};
use crate::harness::{Open, Server};

const NAMES: [&str; 4] = ["__proto__", "constructor", "toString", "hasOwnProperty"];

fn values(value: &str) -> Value {
    Value::Object(
        NAMES.iter().map(|name| ((*name).to_owned(), json!(value))).collect::<Map<_, _>>(),
    )
}

fn matched(server: &Server, to: &Value) -> Value {
    let body = json!({"to": to, "message": 1}).to_string();
    let answer = server.post(PUBLISH, SHOP, &body);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    answer.json()["matched"].clone()
}

/// A267. `src/auth/token/tests.rs` has the same for claims, `clients/js/test` for the client.
#[test]
fn names_of_javascript_are_tags_like_any_other_and_no_members() {
    let server = setup().start();
    let _clients = Clients::open(&server);
    let mut client = server.open(&Open::at(&format!("/web?key=shop&tags={}", values("1"))));
    assert_eq!(show(&server, &client)["tags"], values("1"));
    for name in NAMES {
        let mut tags = Map::new();
        tags.insert(name.to_owned(), json!("1"));
        for to in [
            json!({"tags": tags}),
            json!({"expr": format!("{name}=1")}),
            json!({"expr": format!("{name}?")}),
        ] {
            assert_eq!(matched(&server, &to), 1, "{to}");
            client.expect_text(r#"{"opcode":"broadcast","message":1}"#);
        }
        let body = json!({"expr": format!("{name}=2"), "uuid": client.uuid}).to_string();
        let why = server.post("/v1/apps/shop/explain", SHOP, &body).json();
        assert_eq!(why["connection"]["tree"]["actual"], "1", "{why}");
        let listed = server.call("GET", &format!("/v1/apps/shop/tags?name={name}"), &[SHOP]).json();
        assert_eq!(listed["values"], json!([{"value": "1", "clients": 1}]));
        let member =
            server.post(PUBLISH, SHOP, &format!(r#"{{"to":"all","message":1,"{name}":1}}"#));
        assert_eq!(member.error(), (400, "unknown_member".into(), format!("/{name}")));
        let parameter = server.call("GET", &format!("{LIST}?{name}=1"), &[SHOP]);
        parameter.is_error(400, "unknown_parameter");
    }
    let names = server.call("GET", "/v1/apps/shop/tags", &[SHOP]).json();
    for name in NAMES {
        assert!(names["names"].as_array().unwrap().contains(&json!({"name": name, "values": 1})));
    }
    let target = format!("{LIST}/{}/tags", client.uuid);
    let changed = server.send_json("PATCH", &target, &json!({"set": values("2")}).to_string());
    assert_eq!(changed.json()["tags"], values("2"), "{}", changed.body);
    let changed = server.send_json("PATCH", &target, &json!({"remove": NAMES}).to_string());
    assert_eq!(changed.json()["tags"], json!({}), "{}", changed.body);
}

/// A273. A token with such a tag: `token_openings`.
#[test]
fn only_the_server_gives_tags_that_begin_with_its_sign() {
    let backend = Backend::start(|event| match event["text"].as_str() {
        Some(commands) => Act::Answer(200, commands.to_owned()),
        None => Act::Commands(""),
    });
    let bound =
        format!("[resource /chat]\nkind = http\nurl = {}\napplication = shop", backend.url());
    let server = setup().ini(&bound).auth(&auth("")).start();
    let mut user = server.open(&Open::at(&format!("/web?token={}", token(&json!({"sub": "1"})))));
    let mut page = server.open(&Open::at("/web?key=shop"));
    let mut chat = Open::at("/chat?key=shop").upgrade(server.port);
    let taken = [json!({"@user": "1"}), json!({"@resource": "/chat"})];
    for tags in &taken {
        for path in ["/web", "/"] {
            let mut client = Open::at(&format!("{path}?key=shop&tags={tags}")).upgrade(server.port);
            client.expect_closed(1008);
        }
        let target = format!("{LIST}/{}/tags", page.uuid);
        let patch = server.send_json("PATCH", &target, &json!({"set": tags}).to_string());
        patch.is_error(422, "invalid_tags");
        let put = server.send_json("PUT", &target, &json!({"tags": tags}).to_string());
        put.is_error(422, "invalid_tags");
        let all = json!({"expr": "!a=1", "set": tags}).to_string();
        server.post(&format!("{LIST}:retag"), SHOP, &all).is_error(422, "invalid_tags");
        // A packet of a page is a message and changes no tag.
        page.text(json!({"opcode": "tag", "tags": tags, "set": tags}).to_string());
        page.expect_next();
        // The answer of the backend is refused as a whole.
        chat.text(
            json!([{"command": "tag", "set": tags}, {"command": "reply", "text": "done"}])
                .to_string(),
        );
        server.wait_for_output("server's to give");
    }
    chat.text(json!([{"command": "reply", "text": "still here"}]).to_string());
    while chat.frame().as_text() != "still here" {}
    assert_eq!(show(&server, &page)["tags"], json!({}));
    assert_eq!(matched(&server, &json!({"tags": {"@user": "1"}})), 1);
    user.expect_text(r#"{"opcode":"broadcast","message":1}"#);
    assert_eq!(matched(&server, &json!({"tags": {"@resource": "/chat"}})), 1);
    assert_eq!(chat.frame().as_text(), "1");
    page.expect_silence();
}
