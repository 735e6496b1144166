//! The headers of signed requests over a socket: their form, and times that no clock shows.

use crate::api_signed::signed;
use crate::harness::api::{Clients, PUBLISH, post, setup};
use crate::harness::{Raw, Server, pause};

const BODY: &str = r#"{"to":{"tags":{"language":"FR"}},"message":"Bonjour"}"#;

/// A signed request with another value of one header. `NAME: VALUE` may be two headers, with a line end between them.
fn with(server: &Server, nonce: &str, name: &str, value: &str) -> crate::harness::api::ApiAnswer {
    let request = String::from_utf8(signed(nonce).bytes(BODY)).unwrap();
    let line = request.lines().find(|line| line.starts_with(&format!("{name}: "))).unwrap();
    Raw::connect(server.port).request(request.replace(line, &format!("{name}: {value}")))
}

/// A44, A257.
#[test]
fn a_header_of_a_signature_has_one_form_and_occurs_once() {
    let server = setup().start();
    server.wait_for_output("event=api_ready");
    pause(std::time::Duration::from_millis(1100));
    let mut clients = Clients::open(&server);
    let digits = "a".repeat(64);
    let long = "n".repeat(65);
    for (name, value) in [
        ("X-Tagcast-Nonce", "nonce-0001\r\nX-Tagcast-Nonce: nonce-0001"),
        ("X-Tagcast-Nonce", "1234567"),
        ("X-Tagcast-Nonce", &long),
        ("X-Tagcast-Nonce", "nonce 0001"),
        ("X-Tagcast-Nonce", ""),
        ("X-Tagcast-Timestamp", "01764345600"),
        ("X-Tagcast-Timestamp", "+1"),
        ("X-Tagcast-Timestamp", "-1"),
        ("X-Tagcast-Timestamp", "1.5"),
        ("X-Tagcast-Timestamp", "1e9"),
        ("X-Tagcast-Timestamp", "99999999999999999999"),
        ("X-Tagcast-Signature", &digits),
        ("X-Tagcast-Signature", &format!("v1={}", digits.to_uppercase())),
        ("X-Tagcast-Signature", &format!("v1={}", &digits[1..])),
        ("X-Tagcast-Signature", &format!("v2={digits}")),
        ("X-Tagcast-Content-SHA256", &digits.to_uppercase()),
    ] {
        with(&server, "nonce-0001", name, value).is_error(400, "invalid_header");
    }
    let longest = "n".repeat(64);
    assert_eq!(signed(&longest).send(&server, BODY).status(), 200);
    assert_eq!(signed("12345678").send(&server, BODY).status(), 200);
    for (timestamp, code) in [(0, "timestamp_expired"), (4_102_444_800, "timestamp_ahead")] {
        let request = crate::api_signed::Signed { timestamp, ..signed("nonce-0002") };
        let answer = request.send(&server, BODY);
        assert!(answer.is_error(401, code).json()["error"]["server_time"].is_u64());
    }
    let unsigned = Raw::connect(server.port).request(post(PUBLISH, &[], BODY));
    unsigned.is_error(401, "missing_credentials");
    let bonjour = r#"{"opcode":"broadcast","message":"Bonjour"}"#;
    clients.expect_frames(&server, [&[bonjour, bonjour], &[], &[], &[], &[]]);
}
