//! Addresses that a trusted proxy reports. If one cannot be parsed, the server must not use the proxy's own
//! address instead.

use crate::harness::{Folder, Open, Raw, Server, Setup};
use crate::header_bytes::latin1;

const PROXY: &str = "127.0.0.1";

/// Returns the answer to a handshake that the proxy forwards with these entries in the list.
fn passed_on(server: &Server, open: &Open, entries: &str) -> Raw {
    let mut client = Raw::connect_from(PROXY, server.port);
    client.send(latin1(&open.clone().header("X-Forwarded-For", entries)));
    client
}

#[test]
fn the_last_forwarded_address_decides_about_a_script() {
    let server = Setup::new().ini("trustedProxies = 127.0.0.1").start();
    for entries in ["203.0.113.7", "\u{ff}, 203.0.113.7", "127.0.0.1\u{ff},, 203.0.113.7"] {
        let mut script = passed_on(&server, &Open::php(), entries);
        script.expect_upgrade();
        script.expect_closed(1008);
    }
    let local = Setup::new().ini("trustedProxies = 127.0.0.1\nallowedIP = 203.0.113.7").start();
    for entries in ["203.0.113.7", "\u{ff}, 203.0.113.7"] {
        let mut script = passed_on(&local, &Open::php(), entries);
        script.expect_upgrade();
        script.expect_ready();
    }
}

#[test]
fn an_invalid_forwarded_address_is_refused() {
    let server = Setup::new().ini("trustedProxies = 127.0.0.1, 10.0.0.0/8").start();
    for entries in ["\u{ff}", "203.0.113.7, \u{ff}", "unknown", "", "1.2.3", "\u{ff}, 10.0.0.1"] {
        passed_on(&server, &Open::php(), entries).expect_refusal(400);
        passed_on(&server, &Open::web(), entries).expect_refusal(400);
    }
    // The proxy itself, or a script on its machine, sends no such header.
    Open::php().ready(server.port);
}

#[test]
fn forwarding_bypasses_neither_sessions_nor_address_limits() {
    let sessions = Folder::new();
    let folder = sessions.root().display();
    let gate = format!("[jsauth]\nrequire = true\nssp = {folder}\nkey = allow\n");
    let ini = format!("trustedProxies = 127.0.0.1\nmaxPerIP = 1\n{gate}");
    let server = Setup::new().ini(&ini).start();
    let page = Open::web().header("Client-Type", "php");
    for entries in ["\u{ff}, 203.0.113.7", "203.0.113.7"] {
        let mut page = passed_on(&server, &page, entries);
        page.expect_upgrade();
        page.expect_closed(1008);
    }
    passed_on(&server, &page, "203.0.113.7, \u{ff}").expect_refusal(400);
    let server = Setup::new().ini("trustedProxies = 127.0.0.1\nmaxPerIP = 1").start();
    let mut first = passed_on(&server, &Open::web(), "\u{ff}, 203.0.113.7");
    first.expect_upgrade();
    first.expect_ready();
    let mut second = passed_on(&server, &Open::web(), "\u{fe}, 203.0.113.7");
    second.expect_upgrade();
    let full = r#"{"opcode":"close","error":"Too many connections from: 203.0.113.7"}"#;
    second.expect_text(full);
    second.expect_closed(1013);
}
