//! The pages that may connect: case 67 of the contract, `allowedOrigins`, `refuse`.

use crate::harness::{Folder, Open, Raw, Setup, run_to_end};

fn from(origin: &str) -> Open {
    Open::web().header("Origin", origin).header("Host", "127.0.0.1:8094")
}

/// Expects a refusal with this status. Returns its body.
#[track_caller]
fn refusal(open: &Open, port: u16, status: u16) -> String {
    let mut client = open.ask(port);
    let head = client.read_head();
    assert_eq!(head.status(), status, "{}", head.text);
    assert_eq!(head.header("Content-Type"), Some("application/json"));
    let length: usize = head.header("Content-Length").unwrap().parse().unwrap();
    let body = client.read_exactly(length);
    client.expect_end();
    String::from_utf8(body).unwrap()
}

#[test]
fn case_67_pages_of_other_origins_are_refused() {
    let server =
        Setup::new().ini("allowedOrigins = http://ok.example, https://b.example:8443").start();
    let php = Open::php().header("Host", "127.0.0.1:8094").header("Origin", "http://127.0.0.1");
    for refused in [
        from("http://evil.example"),
        from("https://ok.example"),
        from("http://ok.example.evil.example"),
        from("null"),
        php,
        from("http://evil.example").target("/?tags={}"),
    ] {
        let body = refusal(&refused, server.port, 403);
        assert_eq!(body, r#"{"error":"this origin may not connect"}"#);
    }
    for admitted in [
        from("http://ok.example"),
        from("http://OK.example"),
        from("http://ok.example:80"),
        from("https://b.example:8443"),
        from("http://127.0.0.1:8094"),
        from("https://127.0.0.1:8094"),
        Open::web().without("Origin"),
        Open::web().header("Origin", ""),
    ] {
        server.open(&admitted);
    }
}

#[test]
fn a_label_and_the_port_may_be_wildcards_and_names_go_beyond_ascii() {
    let list =
        "https://*.example.org, http://localhost:*, https://m\u{fc}nchen.de, https://*.*.net:8443";
    let server = Setup::new().ini(&format!("allowedOrigins = {list}")).start();
    for admitted in [
        "https://www.example.org",
        "https://A.example.org:443",
        "http://localhost",
        "http://localhost:5173",
        "https://xn--mnchen-3ya.de",
        "https://a.b.net:8443",
    ] {
        server.open(&from(admitted));
    }
    for refused in [
        "https://example.org",
        "https://a.b.example.org",
        "http://www.example.org",
        "https://www.example.org.evil.net",
        "https://localhost:5173",
        "http://localhost.evil.net:5173",
        "https://munchen.de",
        "https://a.b.net",
        "null",
    ] {
        refusal(&from(refused), server.port, 403);
    }
}

#[test]
fn web_views_pass_where_they_are_listed() {
    let list = "file://, null, capacitor://localhost, chrome-extension://abcdefgh";
    let server = Setup::new().ini(&format!("allowedOrigins = {list}")).start();
    for admitted in ["file://", "null", "capacitor://localhost", "chrome-extension://abcdefgh"] {
        server.open(&from(admitted));
    }
    for refused in ["http://localhost", "chrome-extension://other", "app://localhost"] {
        refusal(&from(refused), server.port, 403);
    }
    let without = Setup::new().ini("allowedOrigins = http://ok.example").start();
    for refused in ["file://", "null", "capacitor://localhost"] {
        refusal(&from(refused), without.port, 403);
    }
}

#[test]
fn an_entry_that_no_page_can_have_is_a_finding() {
    for (entry, why) in [
        ("wss://example.org", "has the scheme of a connection"),
        ("https://example.org/", "has more than a scheme, a host and a port"),
        ("example.org", "has no scheme"),
        ("htps://example.org", "did you mean `https://`"),
        ("https://*", "has a `*` that is not one whole label"),
        ("https://foo*.example.org", "has a `*` that is not one whole label"),
        ("https://example.org:99999", "has a port that is not 1 to 65535"),
        ("https://exa mple.org", "has more than a scheme, a host and a port"),
        ("https://a..example.org", "has a host that no page can come from"),
    ] {
        expect_finding(&format!("allowedOrigins = https://ok.example, {entry}\n"), (entry, why));
    }
    for (entry, why) in [
        ("foo*.example.org", "has a `*` that is not one whole label"),
        ("example.org:port", "has a port that is not 1 to 65535"),
        ("exa mple.org", "has more than a scheme, a host and a port"),
    ] {
        let ini = format!("[bloatless]\nallowedOrigins = www.ok.example, {entry}\n");
        expect_finding(&ini, (entry, why));
    }
}

#[track_caller]
fn expect_finding(ini: &str, (entry, why): (&str, &str)) {
    let folder = Folder::new();
    folder.write("websock.ini", ini);
    let checked = run_to_end(&folder, &["check"]);
    assert_eq!(checked.code, Some(78), "{ini}{}", checked.text);
    assert!(checked.text.contains(why), "{ini}{}", checked.text);
    assert!(checked.text.contains(&format!("holds `{entry}`")), "{ini}{}", checked.text);
}

#[test]
fn null_passes_only_where_it_is_listed() {
    let server = Setup::new().ini("allowedOrigins = null").start();
    server.open(&from("null"));
    refusal(&from("http://evil.example"), server.port, 403);
    let open_to_all = Setup::new().start();
    open_to_all.open(&from("null"));
}

#[test]
fn a_refusal_may_follow_the_upgrade() {
    let ini = "allowedOrigins = http://ok.example\nrefuse = afterUpgrade";
    let server = Setup::new().ini(ini).start();
    let mut client: Raw = from("http://evil.example").upgrade(server.port);
    let close = client.expect_closed(1008);
    assert_eq!(&close.payload[2..], b"this origin may not connect");
}
