//! Behaviour of Gomoob's server that a switch restores: the legacy half of cases 96, 100 to 102, 106, 110 and
//! 112.

use crate::harness::{Open, Raw, Server, Setup, receivers};

fn server(ini: &str) -> Server {
    Setup::new().ini(&format!("refuse = afterUpgrade\n[gomoob]\n{ini}")).start()
}

fn group<const N: usize>(server: &Server, tags: [&str; N]) -> [Raw; N] {
    tags.map(|tags| Open::tags(tags).upgrade(server.port))
}

#[test]
fn case_100_and_101_an_unknown_tag_is_ignored() {
    let server = server("tagMatch = legacy");
    let mut clients = group(
        &server,
        ["{}", r#"{"a":"x"}"#, r#"{"b":"y"}"#, r#"{"a":"x","b":"y"}"#, r#"{"a":"x","b":"z"}"#],
    );
    for (tags, expected) in [
        ("{}", "ABCDE"),
        (r#"{"a":"x"}"#, "BDE"),
        (r#"{"a":"x","b":"y"}"#, "D"),
        (r#"{"a":"nope"}"#, ""),
        (r#"{"a":"x","zzz":"1"}"#, "BDE"),
        (r#"{"zzz":"1","a":"x"}"#, "BDE"),
        (r#"{"a":"x","b":"nope"}"#, "BDE"),
    ] {
        assert_eq!(receivers(&mut clients, tags), expected, "{tags}");
    }
}

#[test]
fn case_102_an_empty_intersection_starts_again_in_member_order() {
    let server = server("tagMatch = legacy");
    let mut clients = group(&server, [r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#]);
    for (tags, expected) in [
        (r#"{"a":"1","b":"2","c":"3"}"#, "C"),
        (r#"{"b":"2","c":"3","a":"1"}"#, "A"),
        (r#"{"c":3,"a":1,"b":2}"#, "B"),
        (r#"{"a":"1","b":"2"}"#, ""),
    ] {
        assert_eq!(receivers(&mut clients, tags), expected, "{tags}");
    }
}

#[test]
fn case_106_the_sender_of_no_request_is_closed_without_a_reason() {
    let server = server("closeCode = legacy");
    for text in ["hello", "5", "null", "{}", r#"{"message":"x","foo":1}"#, ""] {
        let mut client = Open::tags("{}").upgrade(server.port);
        client.text(text);
        assert_eq!(client.expect_closed(1000).payload, [3, 232], "{text}");
    }
}

#[test]
fn case_96_bad_tags_are_closed_without_a_reason() {
    let server = server("closeCode = legacy");
    for tags in ["abcde", "null", r#"["a"]"#, r#"{"p":1.5}"#] {
        let mut client = Open::tags(tags).upgrade(server.port);
        assert_eq!(client.expect_closed(1000).payload, [3, 232], "{tags}");
    }
}

#[test]
fn case_110_and_112_what_is_not_allowed_is_closed_without_a_reason() {
    let auth = "applications:\n  - key: k\n    secret: s\n    authorizeOpen: true\n";
    let ini = "refuse = afterUpgrade\n[gomoob]\ncloseCode = legacy";
    let server = Setup::new().ini(ini).auth(auth).start();
    let mut client = Open::tags("{}").upgrade(server.port);
    assert_eq!(client.expect_closed(1000).payload, [3, 232]);
    let mut client = Open::at("/?tags={}&key=k").upgrade(server.port);
    client.text(r#"{"message":"x"}"#);
    assert_eq!(client.expect_closed(1000).payload, [3, 232]);
}
