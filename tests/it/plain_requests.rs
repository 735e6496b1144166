//! Requests that do not ask for a WebSocket: upgrades to other protocols, and checks of load balancers.

use crate::harness::{Raw, Server, Setup};

/// Returns the status and the head of the answer to these lines.
fn answer(server: &Server, lines: &str) -> (u16, String) {
    let mut client = Raw::connect(server.port);
    client.send(format!("{}\r\n\r\n", lines.replace('\n', "\r\n")));
    let head = client.read_head();
    (head.status(), head.text)
}

#[test]
fn an_offer_of_another_protocol_is_not_taken() {
    let server = Server::start();
    for upgrade in ["h2c", "TLS/1.0, HTTP/1.1", "websockets", "", "h2c\nUpgrade: IRC/6.9"] {
        let connection = "Connection: Upgrade, HTTP2-Settings\nHTTP2-Settings: AAMAAABkAAQAoAAA";
        let lines =
            |target| format!("GET {target} HTTP/1.1\nHost: h\n{connection}\nUpgrade: {upgrade}");
        assert_eq!(answer(&server, &lines("/")).0, 200, "{upgrade}");
        assert_eq!(answer(&server, &lines("/web")).0, 400, "{upgrade}");
        assert_eq!(answer(&server, &lines("/nowhere")).0, 404, "{upgrade}");
    }
    let head = "HEAD / HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: h2c";
    assert_eq!(answer(&server, head).0, 200);
    // A client that offers WebSocket among other protocols wants a WebSocket.
    let both = "GET / HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: h2c, websocket";
    assert_eq!(answer(&server, both).0, 400);
}

#[test]
fn health_checks_of_load_balancers_are_answered() {
    let server = Server::start();
    for lines in [
        "OPTIONS / HTTP/1.0",
        "OPTIONS * HTTP/1.0",
        "OPTIONS / HTTP/1.1\nHost: h",
        "OPTIONS /web HTTP/1.1\nHost: h\nOrigin: http://h\nAccess-Control-Request-Method: GET",
    ] {
        let (status, head) = answer(&server, lines);
        assert_eq!(status, 204, "{lines}");
        assert!(head.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"), "{head}");
        assert!(!head.contains("Content-Length"), "{head}");
    }
    for lines in ["GET / HTTP/1.0", "HEAD / HTTP/1.0", "GET / HTTP/1.0\nHost: h"] {
        assert_eq!(answer(&server, lines).0, 200, "{lines}");
    }
    assert_eq!(answer(&server, "OPTIONS /nowhere HTTP/1.0").0, 404);
    assert_eq!(answer(&server, "OPTIONS / HTTP/1.1").0, 400);
    assert_eq!(answer(&server, "DELETE / HTTP/1.0").0, 405);
    let without = Setup::new().ini("page = off").start();
    assert_eq!(answer(&without, "OPTIONS / HTTP/1.0").0, 204);
}
