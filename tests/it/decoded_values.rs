//! Values that are decoded: half of a surrogate pair becomes U+FFFD, and a number that is too large for a
//! float matches no client. In both cases the rest of the message counts.

use crate::harness::{Open, Setup};

const INI: &str = "[resource /room]\nkind = broadcast\n[bloatless]\napplications = echo, chat";
const CUT: &str = r#""cut \ud83d""#;

#[test]
fn half_a_surrogate_pair_becomes_the_replacement_character() {
    let server = Setup::new().workers(1).ini(INI).start();
    let mut room = Open::at("/room").upgrade(server.port);
    let mut echo = Open::at("/echo").upgrade(server.port);
    let mut chat = Open::at("/chat").upgrade(server.port);
    let mut page = server.open(&Open::web());
    let mut other = server.open(&Open::web());
    for (written, output) in [
        (CUT, "cut \u{fffd}"),
        (r#""\udc00\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
        (r#""\ud83d\n\u00e9""#, "\u{fffd}\n\u{e9}"),
        (r#"["\ud83d",1e400]"#, r#"["\ud83d",1e400]"#),
        ("1e400", "1e400"),
    ] {
        let packet = format!(r#"{{"opcode":"broadcast","message":{written}}}"#);
        page.text(&packet);
        page.expect_next();
        room.expect_text(output);
        echo.expect_text(output);
        other.expect_text(&packet);
        chat.expect_text(&format!(r#"{{"action":"echo","data":{written}}}"#));
    }
}

#[test]
fn a_value_that_names_no_client_closes_no_connection() {
    let server = Setup::new().workers(1).ini(INI).start();
    let mut page = server.open(&Open::web());
    for packet in [
        r#"{"opcode":"feedback","ident":1e400,"message":1}"#,
        r#"{"opcode":"feedback","uuid":"\ud83d","message":1}"#,
        r#"{"opcode":"uuid","message":-1e999}"#,
        r#"{"\udc00":1,"opcode":"other"}"#,
        "1e400",
    ] {
        page.text(packet);
        let frame = page.frame();
        let answer = frame.as_text();
        assert!(answer.starts_with(r#"{"opcode":"next""#), "{packet}: {answer}");
    }
    let mut all = Open::tags("{}").upgrade(server.port);
    all.text(r#"{"message":"\ud83d","tags":{"n\udc00":"x"}}"#);
    all.text(r#"{"message":"\ud83d","tags":{}}"#);
    all.expect_text(r#""\ud83d""#);
    let mut bad = Open::tags("{}").upgrade(server.port);
    bad.text(r#"{"message":1,"tags":{"n":1e400}}"#);
    let close = bad.expect_closed(1008);
    let why = "The tag named 'n' has a value which is not an integer or a string !";
    assert_eq!(&close.payload[2..], why.as_bytes());
}

#[test]
fn a_reencoded_number_is_named_in_the_error() {
    let ini = "[phpws]\nphpReencode = on\n[gomoob]\nmessages = typed";
    let server = Setup::new().workers(1).ini(ini).start();
    let mut page = server.open(&Open::web());
    page.text(r#"{"opcode":"echo","message":"\ud83d"}"#);
    page.expect_next();
    page.expect_text(r#"{"opcode":"echo","message":"\ufffd"}"#);
    page.text(r#"{"opcode":"echo","message":1e400}"#);
    page.expect_next();
    let close = page.expect_closed(1007);
    assert_eq!(&close.payload[2..], b"the number 1e400 is out of range");
    let mut gomoob = Open::tags("{}").upgrade(server.port);
    gomoob.text(r#"{"message":{"type":"t","metadata":[-2e999]}}"#);
    let close = gomoob.expect_closed(1008);
    let why = "Invalid 'message' property ! the number -2e999 is out of range";
    assert_eq!(&close.payload[2..], why.as_bytes());
}
