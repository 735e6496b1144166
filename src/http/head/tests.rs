//! Request heads of clients and of attackers.

use proptest::prelude::*;

use crate::http::{HeadScanner, decide};

use super::*;

fn request(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: h\r\n\r\n").into_bytes()
}

fn header(line: &[u8]) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\n", line, b"\r\n\r\n"].concat()
}

#[test]
fn targets_are_taken_as_they_come() {
    for (target, path, query) in [
        ("/", "/", None),
        ("/web?x=1", "/web", Some("x=1")),
        ("/web?", "/web", Some("")),
        ("/a:b?c:d?e", "/a:b", Some("c:d?e")),
        ("/?tags={\"a\":\"b c\",\"d\":[1|2]}", "/", Some("tags={\"a\":\"b c\",\"d\":[1|2]}")),
        ("/?q=a HTTP/1.1 b", "/", Some("q=a HTTP/1.1 b")),
        ("/?n=é", "/", Some("n=é")),
        ("/?u=http://x/y", "/", Some("u=http://x/y")),
        ("http://host/path?q", "/path", Some("q")),
        ("WS://host:80", "/", None),
        ("http://host?q", "/", Some("q")),
        ("//double", "/double", None),
        ("//a///b//?c=//d", "/a/b/", Some("c=//d")),
        ("///", "/", None),
        ("http://host//path", "/path", None),
        ("*", "", None),
        ("host:443", "", None),
        ("", "", None),
    ] {
        let bytes = request(&format!("GET {target} HTTP/1.1"));
        let head = parse(&bytes).unwrap();
        assert_eq!((head.target(), head.path(), head.query()), (target, path, query));
    }
}

#[test]
fn request_lines_are_judged() {
    let parsed = |line: &str| {
        let bytes = request(line);
        parse(&bytes).map(|head| (head.method().to_owned(), head.version()))
    };
    assert_eq!(parsed("POST / HTTP/1.0"), Ok(("POST".to_owned(), Version::Http10)));
    assert_eq!(parsed("GET / HTTP/1.2"), Ok(("GET".to_owned(), Version::Http11)));
    for (line, why) in [
        ("", NO_VERSION),
        ("GET", NO_VERSION),
        ("GET /", NO_VERSION),
        ("GET / HTTP/2.0", NO_VERSION),
        ("GET / HTTP/1.10", NO_VERSION),
        ("GET / HTTP/1.", NO_VERSION),
        ("GET / http/1.1", NO_VERSION),
        ("GET / HTTP/1.1 ", NO_VERSION),
        (" / HTTP/1.1", BAD_METHOD),
        ("G(T / HTTP/1.1", BAD_METHOD),
        ("GET /\t HTTP/1.1", BAD_TARGET),
        ("GET /\x7F HTTP/1.1", BAD_TARGET),
    ] {
        assert_eq!(parsed(line), Err(why), "{line:?}");
    }
    assert_eq!(parse(b"GET /\xFF HTTP/1.1\r\n\r\n").unwrap_err(), NOT_UTF8);
}

#[test]
fn header_lines_are_judged() {
    for (line, why) in [
        (&b"Host : h"[..], BAD_NAME),
        (b"Host\t: h", BAD_NAME),
        (b": h", BAD_NAME),
        (b"Ho st: h", BAD_NAME),
        (b"H\xC3\xB6st: h", BAD_NAME),
        (b"Host", NO_COLON),
        (b"A: b\r\n c", FOLDED),
        (b"A: b\r\n\tc: d", FOLDED),
        (b" A: b", FOLDED),
        (b"A: b\0c", BAD_VALUE),
        (b"A: b\rc", BAD_VALUE),
        (b"A: b\x1Bc", BAD_VALUE),
    ] {
        assert_eq!(parse(&header(line)).unwrap_err(), why, "{line:?}");
    }
    for cut in 0..18 {
        assert!(parse(&b"GET / HTTP/1.1\r\n\r\n"[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn headers_are_found_in_any_case_and_trimmed() {
    let bytes = header(b"oRIGIN: \t http://h \t\r\nA:\r\nx: 1\r\nX: a,, b \r\nL: \xE9t\xE9");
    let head = parse(&bytes).unwrap();
    assert_eq!(head.header("Origin"), Some(&b"http://h"[..]));
    assert_eq!(head.header("a"), Some(&b""[..]));
    assert_eq!(head.header("missing"), None);
    assert_eq!(head.headers("X").collect::<Vec<_>>(), [&b"1"[..], b"a,, b"]);
    assert_eq!(head.tokens("X").collect::<Vec<_>>(), [b"1", b"a", b"b"]);
    assert_eq!(head.header("L"), Some(&b"\xE9t\xE9"[..]));
    assert_eq!(head.text("L").as_deref(), Some("\u{FFFD}t\u{FFFD}"));
    assert_eq!(head.names().count(), 5);
}

#[test]
fn bare_line_feeds_will_do() {
    let head = parse(b"GET / HTTP/1.1\nHost: h\nA: b\n\n").unwrap();
    assert_eq!((head.text("host"), head.text("a")), (Some("h".into()), Some("b".into())));
}

proptest! {
    #[test]
    fn nothing_panics(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "(GET|POST)? ?[/?a:{ }]{0,9} ?(HTTP/1.1)?(\r?\n[A-Ca: ,=]{0,9}){0,6}\r\n\r\n"
                .prop_map(String::into_bytes),
        ],
    ) {
        let length = HeadScanner::default().scan(&bytes).ok().flatten().unwrap_or(bytes.len());
        if let Ok(head) = parse(&bytes[..length]) {
            let answer = decide(&head).map(|_| ());
            prop_assert!(answer.err().is_none_or(|refusal| !refusal.response().is_empty()));
        }
    }
}
