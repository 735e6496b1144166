//! WebSocket clients on Unix sockets: `unix:path` in `address`.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use crate::harness::api::head;
use crate::harness::{
    DEADLINE, Folder, Open, Raw, Running, Server, broadcast, eventually, run_to_end,
};

/// Starts a server that also listens on `ws.sock` in its folder.
fn start(ini: &str) -> (Server, PathBuf) {
    let folder = Folder::new();
    let text =
        format!("address = ws://127.0.0.1:0, unix:ws.sock\nworkers = 1\npingInterval = 0\n{ini}\n");
    folder.write("websock.ini", &text);
    let path = folder.path("ws.sock");
    (Server::run(folder, &["serve", "-i", "websock.ini"], &[]), path)
}

fn open(path: &Path, open: &Open) -> Raw {
    let mut client = open.upgrade_over(Raw::connect_unix(path));
    client.expect_ready();
    client
}

#[test]
fn clients_of_a_unix_socket_and_of_tcp_reach_each_other() {
    let (server, path) = start("");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut page = open(&path, &Open::web());
    let mut other = Open::web().ready(server.port);
    let mut script = open(&path, &Open::php());
    script.text(broadcast("hello"));
    for client in [&mut page, &mut other] {
        assert!(client.frame().as_text().contains("hello"));
    }
    let status = server.command(&["status"]);
    assert!(status.text.contains(&format!("unix:{}", path.display())), "{}", status.text);
    server.term();
    assert!(server.wait_exit(DEADLINE).success());
    assert!(!path.exists(), "the file is removed with its socket");
}

#[test]
fn a_proxy_on_a_unix_socket_is_trusted_as_this_machine_is() {
    let open = Open::php().header("X-Forwarded-For", "203.0.113.7");
    let (_server, path) = start("");
    open.upgrade_over(Raw::connect_unix(&path)).expect_ready();
    let (_server, path) = start("trustedProxies = 127.0.0.1");
    let mut script = open.upgrade_over(Raw::connect_unix(&path));
    script.expect_closed(1008);
}

#[test]
fn the_api_and_health_checks_are_served_on_a_unix_socket() {
    let folder = Folder::new();
    folder.write("websock.ini", "address = unix:ws.sock\nsocketMode = 0600\nworkers = 1\n");
    let path = folder.path("ws.sock");
    let check = run_to_end(&folder, &["check"]);
    assert!(check.text.contains(&format!("listens on: unix:{}", path.display())), "{}", check.text);
    let running = Running::start(&folder, &["serve"]);
    running.wait_for_error(&format!("listening on unix:{}", path.display()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    eventually("readiness", || (run_to_end(&folder, &["health"]).text == "ok").then_some(()));
    let answer = Raw::connect_unix(&path).request(head("GET", "/v1/info", &[]));
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let publish = run_to_end(&folder, &["publish", "--all", "x"]);
    assert_eq!(publish.code, Some(78));
    assert!(publish.text.contains("has only unix: addresses"), "{}", publish.text);
}

#[test]
fn a_path_that_is_in_use_is_refused() {
    let folder = Folder::new();
    folder.write("websock.ini", "address = unix:ws.sock\n");
    let path = folder.path("ws.sock");
    let taken = UnixListener::bind(&path).unwrap();
    for command in ["check", "serve"] {
        let finished = run_to_end(&folder, &[command]);
        assert_eq!(finished.code, Some(78), "{}", finished.text);
        let text = format!("cannot listen on unix:{}: another program", path.display());
        assert!(finished.text.contains(&text), "{command}: {}", finished.text);
    }
    let before = std::fs::metadata(&path).unwrap().ino();
    drop(taken);
    // The socket of a dead server is replaced.
    let check = run_to_end(&folder, &["check"]);
    assert_eq!(check.code, Some(0), "{}", check.text);
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), before, "a check changes nothing");
}
