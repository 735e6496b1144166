//! Handshakes of real clients, and every kind of invalid handshake.

use crate::http::parse;

use super::*;

const GOOD: &str = "GET /web HTTP/1.1\r\nHost: h:8094\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\nOrigin: http://h:8094\r\nUser-Agent: Mozilla/5.0\r\n\r\n";

/// Decides a request and returns the result as text.
fn outcome(request: &str) -> String {
    let Ok(head) = parse(request.as_bytes()) else { return "not a head".to_owned() };
    match decide(&head) {
        Ok(RequestKind::Upgrade(upgrade)) => {
            match upgrade.check_version(SupportedVersions::Rfc6455) {
                Ok(()) => format!("upgrade {} {}", upgrade.path, upgrade.accept),
                Err(refusal) => refusal.to_string(),
            }
        }
        Ok(RequestKind::Page { path, wanted }) => format!("page {path} {wanted:?}"),
        Err(refusal) => refusal.to_string(),
    }
}

/// Returns the valid handshake with one change.
fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replace(from, to)
}

fn with<T>(request: &str, look: impl FnOnce(&Upgrade<'_>) -> T) -> T {
    let head = parse(request.as_bytes()).unwrap();
    let Ok(RequestKind::Upgrade(upgrade)) = decide(&head) else { panic!("no upgrade: {request}") };
    look(&upgrade)
}

#[expect(clippy::redundant_closure_for_method_calls, reason = "the path is not general enough")]
fn class_of(request: &str) -> ClientClass {
    with(request, |upgrade| upgrade.class())
}

#[test]
fn the_sample_of_the_rfc_is_accepted_in_many_spellings() {
    for request in [
        GOOD.to_owned(),
        GOOD.replace("\r\n", "\n"),
        changed("Connection: Upgrade", "connection: keep-alive, UPGRADE"),
        changed("Connection: Upgrade", "Connection: keep-alive\r\nConnection: upgrade"),
        changed("Upgrade: websocket", "UPGRADE: h2c, WebSocket"),
        changed("Origin: http://h:8094\r\n", ""),
        changed("Origin: http://h:8094", "Origin: "),
        changed("Sec-WebSocket-Version: 13", "sec-websocket-version:13 "),
        changed("GET /web", "GET http://h:8094/web"),
        changed("GET /web", "GET /web?a=b:c {}"),
        changed("User-Agent: Mozilla/5.0\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
    ] {
        assert_eq!(outcome(&request), "upgrade /web s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "{request}");
    }
}

#[test]
fn each_fault_of_a_handshake_is_named() {
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    for (from, to, expected) in [
        ("HTTP/1.1", "HTTP/1.0", &HTTP_10),
        ("Host: h:8094\r\n", "", &NO_HOST),
        ("Host: h:8094", "Host:", &NO_HOST),
        ("Host: h:8094", "Host: h:8094\r\nhost: h:8094", &TWO_HOSTS),
        ("Upgrade: websocket\r\n", "", &NO_UPGRADE),
        ("Upgrade: websocket", "Upgrade: websockets", &NO_UPGRADE),
        ("Connection: Upgrade\r\n", "", &NO_CONNECTION),
        ("Connection: Upgrade", "Connection: close", &NO_CONNECTION),
        (key, "X: y", &NO_KEY),
        (key, &format!("{key}\r\n{key}"), &TWO_KEYS),
        ("dGhlIHNhbXBsZSBub25jZQ==", "", &old_scripts::UNUSABLE_KEY),
        ("dGhlIHNh", "dGhl IHNh", &old_scripts::UNUSABLE_KEY),
        ("Sec-WebSocket-Version: 13\r\n", "", &NO_VERSION),
        ("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 8", &TWO_VERSIONS),
        ("Version: 13", "Version: 8", &BAD_VERSION),
        ("Version: 13", "Version: 12", &BAD_VERSION),
        ("Version: 13", "Version: 013", &BAD_VERSION),
        ("Origin: http://h:8094", "Origin: a\r\nOrigin: b", &TWO_ORIGINS),
        ("GET /web", "POST /web", &BAD_METHOD),
        ("GET /web", "get /web", &BAD_METHOD),
        ("GET /web", "GET *", &NO_PATH),
    ] {
        assert_eq!(outcome(&changed(from, to)), expected.to_string(), "{from} -> {to}");
    }
}

#[test]
fn of_several_faults_the_first_in_the_old_order_is_reported() {
    let all = changed("Version: 13", "Version: 8").replace("GET", "PUT");
    assert_eq!(outcome(&all), BAD_VERSION.to_string());
    assert_eq!(outcome(&all.replace("Upgrade: websocket\r\n", "")), NO_UPGRADE.to_string());
}

#[test]
fn plain_requests_are_for_pages() {
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "page / Whole".to_owned()),
        ("GET /web HTTP/1.1\r\nHost: h\r\n\r\n", "page /web Whole".to_owned()),
        ("HEAD /x?y HTTP/1.1\r\nHost: h\r\n\r\n", "page /x Head".to_owned()),
        ("GET / HTTP/1.0\r\n\r\n", "page / Whole".to_owned()),
        ("GET / HTTP/1.1\r\n\r\n", NO_HOST.to_string()),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", TWO_HOSTS.to_string()),
        ("POST / HTTP/1.1\r\nHost: h\r\n\r\n", BAD_METHOD.to_string()),
        ("TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", BAD_METHOD.to_string()),
        ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", NO_PATH.to_string()),
        ("GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: x\r\n\r\n", NO_UPGRADE.to_string()),
    ] {
        assert_eq!(outcome(request), expected, "{request}");
    }
}

#[test]
fn an_origin_is_trimmed_and_an_empty_one_counts_as_missing() {
    let origin = |value: &str| {
        let request = changed("Origin: http://h:8094", &format!("Origin:{value}"));
        with(&request, |upgrade| upgrade.origin.clone().map(Cow::into_owned))
    };
    assert_eq!(origin(" http://h "), Some("http://h".to_owned()));
    assert_eq!(origin(" null"), Some("null".to_owned()));
    assert_eq!(origin(" "), None);
}

#[test]
fn an_origin_that_is_not_text_does_not_count_as_missing() {
    let bytes = changed("http://h:8094\r\nUser", "?\r\nUser").replace('?', "\u{E9}");
    let latin1: Vec<u8> = bytes.chars().map(|character| character as u8).collect();
    let head = parse(&latin1).unwrap();
    let Ok(RequestKind::Upgrade(upgrade)) = decide(&head) else { panic!("refused") };
    assert_eq!(upgrade.origin.as_deref(), Some("\u{FFFD}"));
}

#[test]
fn scripts_are_distinguished_from_other_clients() {
    let class = |from: &str, to: &str| class_of(&changed(from, to));
    let agent = "User-Agent: Mozilla/5.0\r\n";
    assert_eq!(class(agent, "client-type: PHP\r\n"), ClientClass::Php);
    assert_eq!(class(agent, ""), ClientClass::Web);
    assert_eq!(class("/web", "/php"), ClientClass::Web);
    let script = changed("/web", "/php?x").replace(agent, "");
    assert_eq!(class_of(&script), ClientClass::Php);
    assert_eq!(class(agent, "Client-Type: phpx\r\n"), ClientClass::Web);
    let named = changed(agent, "Client-Type: php\r\nIdent: receiver \r\n");
    with(&named, |upgrade| {
        assert_eq!(upgrade.client_type, ClientType::Php);
        assert_eq!(upgrade.ident().as_deref(), Some("receiver"));
        assert_eq!((&*upgrade.host, upgrade.user_agent()), ("h:8094", None));
    });
}

#[test]
fn lists_run_over_several_lines() {
    let lists = "X-Forwarded-For: 1.1.1.1\r\nSec-WebSocket-Protocol: tagcast.v1 , chat\r\n\
        X-Forwarded-For: 2.2.2.2, 3.3.3.3\r\nOrigin:";
    with(&changed("Origin:", lists), |upgrade| {
        assert_eq!(upgrade.protocols().collect::<Vec<_>>(), ["tagcast.v1", "chat"]);
        let proxies: Vec<_> = upgrade.forwarded_for().collect();
        assert_eq!(proxies, [b"1.1.1.1", b"2.2.2.2", b"3.3.3.3"]);
    });
}

#[test]
fn gomoob_clients_may_use_the_last_draft_and_learn_the_versions() {
    let check = |version: &str| {
        let request = changed("Sec-WebSocket-Version: 13", version);
        with(&request, |upgrade| {
            upgrade.check_version(SupportedVersions::DraftsToo).map_err(|no| no.status)
        })
    };
    for good in ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"] {
        assert_eq!(check(good), Ok(()));
    }
    for bad in ["Sec-WebSocket-Version: 99", "X-Version: 13"] {
        assert_eq!(check(bad), Err(RefusalStatus::BadVersion));
    }
    let draft = changed("Origin:", "Sec-WebSocket-Origin:");
    assert!(with(&draft, |upgrade| upgrade.origin.as_deref() == Some("http://h:8094")));
}
