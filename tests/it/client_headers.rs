//! No header that a client chooses exempts it from the session check.

use crate::backend::Backend;
use crate::backend::chat::{APPLICATIONS, silent};
use crate::harness::{Folder, Open, Raw, Server, Setup};

/// Creates the folder of PHP's sessions, with one session that permits the page.
fn sessions() -> Folder {
    let folder = Folder::new();
    folder.write("sess_ok1", "allowconnect|b:1;");
    folder
}

/// Starts a server whose pages need a session. `above` are additional lines before that section.
fn server(sessions: &Folder, above: &str) -> Server {
    let folder = sessions.root().display();
    let gate = format!("[jsauth]\nrequire = true\nssp = {folder}\nkey = allowconnect\n");
    Setup::new().ini(&format!("{above}\n{gate}")).auth(APPLICATIONS).start()
}

#[track_caller]
fn is_refused(server: &Server, open: &Open) {
    let head = open.ask(server.port).read_head();
    assert_eq!(head.status(), 401, "{}{}", open.request(), head.text);
}

/// Resources of all kinds, bound to paths and subprotocols.
fn bound(backend: &Backend) -> String {
    format!(
        "unknownPath = echo\n[resource /echo]\nkind = echo\n[resource /all]\n\
         kind = broadcast\n[resource /hook]\nkind = http\nurl = {}\napplication = chat\n[resource Named]\n\
         kind = broadcast\n[resource /page]\nkind = gomoob\n\
         [bloatless]\napplications = chat, status\n",
        backend.url()
    )
}

#[test]
fn no_header_that_a_client_chooses_opens_a_bound_path() {
    let sessions = sessions();
    let backend = silent();
    let server = server(&sessions, &bound(&backend));
    let php = Open::php;
    let ways = [
        php(),
        php().header("Ident", "me"),
        php().header("Client-Type", "PHP"),
        php().header("Client-Type", "php").header("User-Agent", "websocket-client-php"),
        php().without("Client-Type"),
        php().header("X-Forwarded-For", "127.0.0.1"),
    ];
    let paths = [
        "/echo",
        "/all",
        "/hook",
        "/page",
        "/chat",
        "/status",
        "/any?Named",
        "/all?tags={\"a\":\"b\"}",
    ];
    for path in paths {
        for way in &ways {
            is_refused(&server, &way.clone().target(path));
        }
    }
    let named = php().target("/any").header("Sec-WebSocket-Protocol", "Named");
    is_refused(&server, &named);
    assert_eq!(backend.received().len(), 0);
    let mut script = php().target("/all").header("Cookie", "PHPSESSID=ok1").upgrade(server.port);
    script.expect_ready();
}

/// Anyone may connect to the proxy, and the proxy connects from this machine.
#[test]
fn a_script_through_an_untrusted_proxy_needs_a_session() {
    let sessions = sessions();
    let forwarded = |name: &str, value: &str| Open::php().header(name, value);
    let untrusting = server(&sessions, "");
    for (name, value) in [
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("Via", "1.1 proxy"),
    ] {
        is_refused(&untrusting, &forwarded(name, value));
    }
    untrusting.open(&Open::php());
    let trusting = server(&sessions, "trustedProxies = 127.0.0.9");
    let ask = |from: &str, value: &str| {
        let mut client = Raw::connect_from(from, trusting.port);
        client.send(forwarded("X-Forwarded-For", value).request());
        client
    };
    let mut local = ask("127.0.0.9", "127.0.0.1");
    local.expect_upgrade();
    local.expect_ready();
    let mut other_proxy = ask("127.0.0.9", "203.0.113.9");
    other_proxy.expect_upgrade();
    other_proxy.expect_closed(1008);
}
