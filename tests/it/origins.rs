//! Which pages may connect: case 67 of the contract, `allowedOrigins`, `refuse`.

use crate::harness::{Open, Raw, Setup};

fn from(origin: &str) -> Open {
    Open::web().header("Origin", origin).header("Host", "127.0.0.1:8094")
}

/// The body of a refusal.
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
fn null_passes_only_where_it_is_listed() {
    let server = Setup::new().ini("allowedOrigins = null").start();
    server.open(&from("null"));
    refusal(&from("http://evil.example"), server.port, 403);
    let open_to_all = Setup::new().start();
    open_to_all.open(&from("null"));
}

#[test]
fn a_refusal_may_come_behind_the_101_as_it_did() {
    let ini = "allowedOrigins = http://ok.example\nrefuse = afterUpgrade";
    let server = Setup::new().ini(ini).start();
    let mut client: Raw = from("http://evil.example").upgrade(server.port);
    let close = client.expect_closed(1008);
    assert_eq!(&close.payload[2..], b"this origin may not connect");
}
