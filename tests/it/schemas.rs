//! Message schemas: a message that does not fit the schema of its application is denied, and the denial names
//! the place.

use crate::harness::{Folder, Open, Server, Setup, broadcast, run_to_end};

const SCHEMA: &str = r#"{"type":"object","required":["price"],
    "properties":{"price":{"type":"number"},"note":{"type":"string","maxLength":5}}}"#;
const BAD: &str = r#"{"price":"abc"}"#;
const WHY: &str = r#"the message does not fit its schema at /price: "abc" is not of type "number""#;

/// Returns two applications: `shop` has a schema and is used for connections without a key, `desk` has no
/// schema.
fn auth(schema: &str) -> String {
    format!(
        "anonymous: shop\napplications:\n  - key: shop\n    secret: shop-secret-1\n    \
         authorizeOpen: true\n    clientPublish: true\n    schema: {schema}\n  - key: desk\n    \
         secret: desk-secret-1\n    authorizeOpen: true\n    clientPublish: true\n"
    )
}

/// The schema is in a separate folder, because the server creates its own folder.
fn server(ini: &str) -> (Server, Folder) {
    let schemas = Folder::new();
    let file = schemas.write("shop.json", SCHEMA);
    (Setup::new().ini(ini).auth(&auth(&file.display().to_string())).start(), schemas)
}

fn packet(message: &str) -> String {
    format!(r#"{{"opcode":"broadcast","message":{message}}}"#)
}

fn error(why: &str) -> String {
    format!(r#"{{"opcode":"error","error":{}}}"#, serde_json::Value::from(why))
}

#[test]
fn a_packet_against_the_schema_is_denied_with_the_place() {
    let (server, _schemas) = server("");
    let (mut web, mut other) = server.open_apart(&Open::web(), &Open::web());
    for (message, why) in [
        (BAD, WHY),
        ("{}", r#"the message does not fit its schema: "price" is a required property"#),
        ("5", r#"the message does not fit its schema: 5 is not of type "object""#),
        (
            r#"{"price":1,"note":"much too long for it and never repeated"}"#,
            "the message does not fit its schema at /note: the value is longer than 5 characters",
        ),
    ] {
        web.text(packet(message));
        web.expect_next();
        web.expect_text(&error(why));
    }
    // A packet without a message counts as `null`.
    web.text(r#"{"opcode":"broadcast"}"#);
    web.expect_next();
    web.expect_text(&error(r#"the message does not fit its schema: null is not of type "object""#));
    // Echo publishes nothing.
    let echo = r#"{"opcode":"echo","message":5}"#;
    web.text(echo);
    web.expect_next();
    web.expect_text(echo);
    let good = packet(r#"{"price":1.5}"#);
    web.text(&good);
    web.expect_next();
    other.expect_text(&good);
}

#[test]
fn feedback_is_checked_for_every_recipient_and_closes_a_script() {
    let (server, _schemas) = server("");
    let mut other = server.open(&Open::web());
    let mut script = server.open(&Open::php());
    script.text(format!(r#"{{"opcode":"feedback","uuid":"{}","message":{BAD}}}"#, other.uuid));
    script.expect_next();
    let close = script.expect_closed(1008);
    assert_eq!(&close.payload[2..], WHY.as_bytes());
    other.text(r#"{"opcode":"feedback","uuid":"nobody","message":5}"#);
    other.expect_next();
    other.expect_text(&error(r#"the message does not fit its schema: 5 is not of type "object""#));
}

#[test]
fn a_gomoob_request_against_the_schema_closes_only_its_sender() {
    let (server, _schemas) = server("");
    let mut all = Open::tags("{}").upgrade(server.port);
    let mut bad = Open::tags("{}").upgrade(server.port);
    bad.text(format!(r#"{{"message":{BAD},"tags":{{}}}}"#));
    let close = bad.expect_closed(1008);
    assert_eq!(&close.payload[2..], WHY.as_bytes());
    all.text(r#"{"message":{"price":2},"tags":{}}"#);
    all.expect_text(r#"{"price":2}"#);
}

#[test]
fn a_raw_text_is_checked_as_the_json_string_that_others_get() {
    let (server, _schemas) = server("[resource /room]\nkind = broadcast");
    let mut room = Open::at("/room").upgrade(server.port);
    room.text(r#"{"price":1}"#);
    let close = room.expect_closed(1008);
    let text = String::from_utf8_lossy(&close.payload[2..]).into_owned();
    assert!(text.starts_with("the message does not fit its schema: "), "{text}");
    let mut desk = Open::at("/room?key=desk").upgrade(server.port);
    desk.text("anything");
    desk.expect_text("anything");
}

#[test]
fn credentials_on_a_message_select_its_schema() {
    let (server, _schemas) = server("");
    let mut web = server.open(&Open::web());
    let mut desk = server.open(&Open::at("/web?key=desk"));
    let with = |key: &str| {
        format!(r#"{{"opcode":"broadcast","message":5,"key":"{key}","secret":"{key}-secret-1"}}"#)
    };
    desk.text(with("shop"));
    desk.expect_next();
    desk.expect_text(&error(r#"the message does not fit its schema: 5 is not of type "object""#));
    web.text(with("desk"));
    web.expect_next();
    desk.expect_text(r#"{"opcode":"broadcast","message":5}"#);
}

#[test]
fn what_the_command_publishes_is_checked_too() {
    let (server, _schemas) = server("");
    let mut web = server.open(&Open::web());
    let url = format!("ws://127.0.0.1:{}", server.port);
    let publish = |message: &str| {
        let arguments = ["publish", "--all", "--json", "--url", &url, "--key", "shop", message];
        crate::harness::run_to_end_with(
            &server.folder,
            &arguments,
            &[("TAGCAST_SECRET", "shop-secret-1")],
        )
    };
    let denied = publish(BAD);
    assert_eq!(denied.code, Some(65), "{}", denied.text);
    assert!(denied.text.contains("does not fit its schema at /price"), "{}", denied.text);
    let published = publish(r#"{"price":3}"#);
    assert_eq!(published.code, Some(0), "{}", published.text);
    web.expect_text(r#"{"message":{"price":3},"opcode":"broadcast"}"#);
}

#[test]
fn a_reload_applies_a_new_schema_to_the_next_message() {
    let (server, schemas) = server("");
    let mut web = server.open(&Open::web());
    web.text(packet(BAD));
    web.expect_next();
    web.expect_text(&error(WHY));
    schemas.write("shop.json", r#"{"type":"object","properties":{"price":{"type":"string"}}}"#);
    let output = server.command(&["reload"]);
    assert_eq!(output.code, Some(0), "{}", output.text);
    assert!(output.text.contains("application `shop`: another schema"), "{}", output.text);
    web.text(packet(BAD));
    web.expect_next();
    web.text(packet(r#"{"price":1}"#));
    web.expect_next();
    web.expect_text(&error(
        r#"the message does not fit its schema at /price: 1 is not of type "string""#,
    ));
    // An invalid schema changes nothing.
    schemas.write("shop.json", r#"{"type":"nubmer"}"#);
    let output = server.command(&["reload"]);
    assert_eq!(output.code, Some(1), "{}", output.text);
    assert!(output.text.contains("shop.json` is wrong at /type"), "{}", output.text);
    web.text(packet(BAD));
    web.expect_next();
    web.text(broadcast("x"));
    web.expect_next();
    web.expect_text(&error(r#"the message does not fit its schema: "x" is not of type "object""#));
}

#[test]
fn a_schema_that_cannot_be_used_is_a_finding_with_its_place() {
    let folder = Folder::new();
    folder.write("websock.ini", "authFile = conf/auth.yml\n");
    folder.write("conf/auth.yml", &auth("schemas/shop.json"));
    let check = || run_to_end(&folder, &["check"]);
    let missing = check();
    assert_eq!(missing.code, Some(78), "{}", missing.text);
    for part in ["auth.yml:7: application 1: schema", "schemas/shop.json` does not exist"] {
        assert!(missing.text.contains(part), "{part}: {}", missing.text);
    }
    for (schema, expected) in [
        ("{", "shop.json` is not valid JSON"),
        (r#"{"properties":{"a":{"minimum":"x"}}}"#, "is wrong at /properties/a/minimum"),
        (r#"{"$ref":"https://a.example/schema"}"#, "must point into the same file"),
        (r##"{"properties":{"a":{"$ref":"#"}}}"##, "it refers to a schema that contains it"),
        (&" ".repeat(1024 * 1024 + 1), "larger than 1 MiB"),
    ] {
        folder.write("conf/schemas/shop.json", schema);
        let checked = check();
        assert_eq!(checked.code, Some(78), "{}", checked.text);
        assert!(checked.text.contains(expected), "{expected}: {}", checked.text);
    }
    folder.write("conf/schemas/shop.json", SCHEMA);
    let checked = check();
    assert_eq!(checked.code, Some(0), "{}", checked.text);
}

#[test]
fn deep_messages_and_costly_patterns_delay_no_client() {
    let schemas = Folder::new();
    let file = schemas.write("shop.json", r#"{"type":"string","pattern":"^(a+)+$"}"#);
    let server = Setup::new().auth(&auth(&file.display().to_string())).start();
    let mut web = server.open(&Open::web());
    web.text(packet(&format!("\"{}b\"", "a".repeat(100_000))));
    web.expect_next();
    web.expect_text(&error(
        r#"the message does not fit its schema: the value does not match "^(a+)+$""#,
    ));
    web.text(packet(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))));
    web.expect_next();
    web.expect_text(&error(
        "the message cannot be held against its schema: it is nested too deeply",
    ));
}
