//! Tests of the text and JSON formats.

use super::*;

fn entry(message: &str, fields: Vec<(&'static str, FieldValue)>) -> LogEntry {
    LogEntry { level: Level::INFO, message: message.to_owned(), fields }
}

fn words(text: &str) -> FieldValue {
    FieldValue::Words(text.to_owned())
}

/// Returns the line without its time.
fn text(entry: &LogEntry, lost: u64) -> String {
    entry.line("worker 1", LogFormat::Text, lost).split_off(25)
}

fn json(entry: &LogEntry, lost: u64) -> serde_json::Value {
    let line = entry.line("worker 1", LogFormat::Json, lost);
    assert!(line.ends_with('\n') && line.lines().count() == 1);
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_line_has_level_process_sentence_and_fields() {
    let opened = entry(
        "connection opened",
        vec![("connection", FieldValue::Bare("12".to_owned())), ("client", words("ab12…"))],
    );
    assert_eq!(text(&opened, 0), "INFO  worker 1: connection opened connection=12 client=ab12…\n");
    let object = json(&opened, 3);
    assert_eq!(object["connection"], 12);
    assert_eq!(object["client"], "ab12…");
    assert_eq!((&object["level"], &object["lost_lines"]), (&"info".into(), &3.into()));
}

#[test]
fn no_value_can_forge_a_line_or_a_field() {
    let forged = entry("a\nb", vec![("origin", words("x y=1 \"\r\n\u{1b}[2J\u{202e}"))]);
    assert_eq!(
        text(&forged, 0),
        "INFO  worker 1: a\\nb origin=\"x y=1 \\\"\\u000d\\n\\u001b[2J\\u202e\"\n"
    );
    assert_eq!(json(&forged, 0)["origin"], "x y=1 \"\r\n\u{1b}[2J\u{202e}");
}

/// Case 93: a date, a semicolon, the text and CRLF, with no other CR or LF.
#[test]
fn a_line_of_phpwebsocketserver_has_a_date_a_text_and_crlf() {
    let forged = entry("a\r\nb", vec![("origin", words("x;y\r\n\u{1b}[2J"))]);
    let line = forged.line("worker 1", LogFormat::Phpws, 3);
    let (date, text) = line.split_once(';').unwrap();
    assert_eq!(text, "a\\r\\nb origin=\"x;y\\u000d\\n\\u001b[2J\" lost_lines=3\r\n");
    assert!(date.len() == 31 && date.ends_with(" +0000"), "{date}");
}

#[test]
fn a_line_is_never_longer_than_a_pipe_takes_whole() {
    let long = "\u{1b}".repeat(VALUE_BYTES_MAX);
    let many = (0..9).map(|_| ("long", words(&long))).collect();
    let entry = entry("cut", many);
    assert!(text(&entry, u64::MAX).len() <= LINE_BYTES_MAX);
    assert!(entry.line("worker 1", LogFormat::Phpws, u64::MAX).len() <= LINE_BYTES_MAX);
    assert!(text(&entry, 1).ends_with("… lost_lines=1\n"));
    assert_eq!(json(&entry, u64::MAX)["cut"], true);
}

#[test]
fn a_value_is_cut_at_a_character() {
    let mut bounded = BoundedWriter(String::new());
    assert!(write!(bounded, "x{}", "é".repeat(VALUE_BYTES_MAX)).is_err());
    assert!(bounded.0.len() <= VALUE_BYTES_MAX + '…'.len_utf8());
    assert!(bounded.0.ends_with("é…"));
}
