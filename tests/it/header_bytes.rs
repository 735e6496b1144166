//! Header values are bytes: a byte that is not UTF-8 affects only itself.

use crate::backend::chat::{silent, start};
use crate::harness::{Folder, Open, Raw, Server, Setup};

/// Returns a request whose characters up to U+00FF are encoded as one byte each.
pub fn latin1(open: &Open) -> Vec<u8> {
    open.request().chars().map(|letter| letter as u8).collect()
}

fn ask_in_latin1(open: &Open, server: &Server) -> Raw {
    let mut client = Raw::connect(server.port);
    client.send(latin1(open));
    client
}

#[test]
fn a_session_is_found_after_a_cookie_in_latin1() {
    let sessions = Folder::new();
    sessions.write("sess_ok1", "allowconnect|b:1;");
    let folder = sessions.root().display();
    let ini = format!("[jsauth]\nrequire = true\nssp = {folder}\nkey = allowconnect\n");
    let server = Setup::new().ini(&ini).start();
    for open in [
        Open::web().header("Cookie", "name=Jos\u{e9}; PHPSESSID=ok1"),
        Open::web().header("Cookie", "PHPSESSID=ok1; \u{ff}\u{fe}"),
        Open::web().header("Cookie", "name=\u{e9}").and_header("Cookie", "PHPSESSID=ok1"),
        Open::web().header("Cookie", "PHPSESSID=ok1").header("X-Name", "Jos\u{e9}"),
    ] {
        let mut client = ask_in_latin1(&open, &server);
        client.expect_upgrade();
        client.expect_ready();
    }
    let open = Open::web().header("Cookie", "PHPSESSID=ok1\u{e9}");
    ask_in_latin1(&open, &server).expect_refusal(401);
}

#[test]
fn a_backend_gets_every_header_that_is_text() {
    let backend = silent();
    let server = start(&backend, "");
    let open = Open::at("/chat")
        .header("Cookie", "name=Jos\u{e9}; PHPSESSID=ok1")
        .header("X-Both", "\u{c3}\u{a9} \u{e9} end")
        .header("User-Agent", "\u{80}agent")
        .ident("caf\u{e9}");
    ask_in_latin1(&open, &server).expect_upgrade();
    let event = &backend.wait_for("open", 1)[0];
    assert_eq!(event["headers"]["cookie"], "name=Jos\u{fffd}; PHPSESSID=ok1");
    assert_eq!(event["headers"]["x-both"], "\u{e9} \u{fffd} end");
    assert_eq!(event["headers"]["user-agent"], "\u{fffd}agent");
    assert_eq!(event["ident"], "caf\u{fffd}");
}

/// Comparisons use the original bytes, so an additional byte makes a different value.
#[test]
fn a_value_with_a_foreign_byte_equals_no_known_one() {
    let server = Setup::new().ini("allowedOrigins = http://ok.example").start();
    let with = |name, value| ask_in_latin1(&Open::web().header(name, value), &server);
    with("Origin", "http://ok.example\u{ff}").expect_refusal(403);
    with("Origin", "\u{ff}").expect_refusal(403);
    with("Sec-WebSocket-Version", "13\u{ff}").expect_refusal(426);
    with("Upgrade", "websocket\u{ff}").expect_refusal(400);
    with("Connection", "Upgrade\u{ff}").expect_refusal(400);
    let both = Open::web().header("Origin", "http://\u{ff}").header("Host", "\u{ff}");
    ask_in_latin1(&both, &server).expect_refusal(403);
    let in_list = Open::web().header("Connection", "\u{ff}, Upgrade");
    ask_in_latin1(&in_list, &server).expect_upgrade();
}
