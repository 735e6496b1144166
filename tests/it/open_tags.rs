//! `[gomoob] openTags = off`: clients without a secret cannot claim tags on paths without a resource.

use crate::harness::{Open, Server, Setup, run_to_end_with};

const APPLICATIONS: &str = "anonymous: pages
applications:
  - key: pages
    secret: secret-of-the-pages-for-this-test-alone
    authorizeOpen: true
";
const SECRET: &str = "secret-of-the-pages-for-this-test-alone";
const ANNA: &str = r#"?tags={"user":"anna"}"#;
const REASON: &str = "tags in the query are not taken here (openTags)";

fn server(ini: &str) -> Server {
    Setup::new().auth(APPLICATIONS).ini(ini).start()
}

#[track_caller]
fn refused(server: &Server, open: &Open) {
    let frame = open.upgrade(server.port).frame();
    assert_eq!(frame.close_code(), Some(1008), "{}", frame.shown());
    assert_eq!(&frame.payload[2..], REASON.as_bytes());
}

#[test]
fn an_unauthorised_client_gets_no_tag_where_no_rule_decides() {
    let server = server("[gomoob]\nopenTags = off");
    for path in ["/", "/web", "/php", "/some/chat"] {
        refused(&server, &Open::at(&format!("{path}{ANNA}")));
    }
    refused(&server, &Open::at(&format!("/{ANNA}")).header("Sec-WebSocket-Protocol", "Foo"));
    refused(&server, &Open::at(&format!("/web{ANNA}")).header("Client-Type", "web"));
    refused(&server, &Open::at(&format!("/{ANNA}&key=pages")));
    refused(&server, &Open::at("/?tags[user]=anna"));
    refused(&server, &Open::at("//web?tags%5Buser%5D=anna"));
    // A handshake without a tag claims nothing. Gomoob's clients open connections like this.
    Open::at("/?tags={}").upgrade(server.port);
    Open::at("/?tags=[]").upgrade(server.port);
    server.open(&Open::web());
    let mut proven = Open::at(&format!("/{ANNA}&key=pages&secret={SECRET}")).upgrade(server.port);
    let url = format!("ws://127.0.0.1:{}/", server.port);
    let line = ["publish", "--url", &url, "--key", "pages", "--tag", "user=anna", "hi"];
    let finished = run_to_end_with(&server.folder, &line, &[("TAGCAST_SECRET", SECRET)]);
    assert!(finished.text.contains("reached 1 client"), "{}", finished.text);
    assert_eq!(proven.frame().as_text(), "\"hi\"");
}

#[test]
fn bound_paths_accept_tags_and_so_do_all_paths_by_default() {
    let server = server("[gomoob]\nopenTags = off\n[resource /room]\nkind = gomoob");
    Open::at(&format!("/room{ANNA}"))
        .upgrade(server.port)
        .send(crate::harness::frames::close(1000, ""));
    refused(&server, &Open::at(&format!("/rooms{ANNA}")));
    let server = self::server("");
    Open::at(&format!("/{ANNA}")).upgrade(server.port);
}

#[test]
fn a_reload_refuses_tags_of_new_connections_only() {
    let server = server("");
    let mut early = Open::at(&format!("/{ANNA}")).upgrade(server.port);
    let ini = std::fs::read_to_string(server.folder.path("websock.ini")).unwrap();
    server.folder.write("websock.ini", &format!("{ini}\n[gomoob]\nopenTags = off\n"));
    let finished = server.command(&["reload"]);
    assert!(finished.text.contains("changed: gomoob.openTags: on -> off"), "{}", finished.text);
    refused(&server, &Open::at(&format!("/{ANNA}")));
    early.send(crate::harness::frames::ping(b"still here"));
    assert!(early.frame().shown().contains("still here"));
}
