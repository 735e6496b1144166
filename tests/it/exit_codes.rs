//! Exit codes of `publish`, `subscribe` and the admin commands: a script can distinguish "try again" from
//! "never". The table is in `docs/operations.md`.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Finished, Folder, Server, Setup, run_to_end, run_to_end_with};

const SECRET: &str = "the-secret-of-the-shop-in-this-test";
const APPLICATIONS: &str = "applications:
  - key: shop
    secret: the-secret-of-the-shop-in-this-test
    authorizeOpen: true
    schema: number.json
";

#[track_caller]
fn expect(finished: &Finished, code: i32, text: &str) {
    assert_eq!(finished.code, Some(code), "{}", finished.text);
    assert!(finished.text.contains(text), "{}", finished.text);
    assert!(!finished.text.contains(SECRET), "{}", finished.text);
}

fn url(server: &Server, path: &str) -> String {
    format!("ws://127.0.0.1:{}{path}", server.port)
}

/// Returns a port on which no program listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn data_that_are_wrong_end_with_65() {
    let (server, folder) = (Server::start(), Folder::new());
    let url = url(&server, "/");
    let publish =
        |rest: &[&str]| run_to_end(&folder, &[&["publish", "--url", url.as_str()], rest].concat());
    expect(&publish(&["--all", "--json", "{"]), 65, "the message is not valid JSON");
    expect(&publish(&["--all", "--json", ""]), 65, "the message is not valid JSON");
    expect(&publish(&["--tag", "a=1", "--tag", "a=2", "x"]), 65, "named twice");
    expect(&publish(&["--to-uuid", "", "x"]), 65, "the UUID after --to-uuid is empty");
    expect(&publish(&["--ident", " ", "x"]), 65, "the ident after --ident is empty");
    let long = "i".repeat(256);
    expect(&publish(&["--ident", &long, "x"]), 65, "longer than 255 bytes");
    let large = "x".repeat(100_000);
    let small = Setup::new().ini("maxMessage = 1K").start();
    let there = format!("ws://127.0.0.1:{}/", small.port);
    let finished = run_to_end(&folder, &["publish", "--all", "--url", &there, &large]);
    expect(&finished, 65, "Close 1009");
}

#[test]
fn a_message_that_fits_no_schema_ends_with_65_and_a_wrong_secret_with_77() {
    let folder = Folder::new();
    folder.write("number.json", r#"{"type":"number"}"#);
    folder.write("auth.yml", APPLICATIONS);
    folder.write("websock.ini", "address = ws://127.0.0.1:0\nworkers = 1\n");
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let (url, elsewhere) = (url(&server, "/"), Folder::new());
    let publish = |rest: &[&str], secret: &str| {
        let all = [&["publish", "--url", url.as_str(), "--key", "shop"], rest].concat();
        run_to_end_with(&elsewhere, &all, &[("TAGCAST_SECRET", secret)])
    };
    expect(&publish(&["--all", "--json", "1"], SECRET), 0, "reached 0 clients");
    // The secret may end with a line break, as in a file.
    expect(&publish(&["--all", "--json", "1"], &format!("{SECRET}\n")), 0, "reached 0 clients");
    expect(&publish(&["--all", "a text"], SECRET), 65, "does not fit its schema");
    expect(&publish(&["--tag", "a=b", "a text"], SECRET), 65, "does not fit its schema");
    for to in [&["--all"][..], &["--tag", "a=b"], &["--ident", "a"]] {
        let wrong = publish(&[to, &["1"]].concat(), "another secret that is wrong");
        expect(&wrong, 77, "not authorized");
        expect(&publish(&[to, &["1"]].concat(), ""), 77, "not authorized");
    }
    let finished = run_to_end(&elsewhere, &["publish", "--url", &url, "--all", "1"]);
    expect(&finished, 77, "HTTP 401");
    let finished = run_to_end(&elsewhere, &["subscribe", "--url", &url]);
    expect(&finished, 77, "Close 4009, unauthorized");
}

#[test]
fn a_server_that_is_not_there_ends_with_69() {
    let folder = Folder::new();
    let no_server = format!("ws://127.0.0.1:{}/", closed_port());
    let finished = run_to_end(&folder, &["publish", "--all", "--url", &no_server, "x"]);
    expect(&finished, 69, "nothing was published: ");
    assert!(finished.text.contains(&no_server) && finished.text.contains("refused"));
    expect(&run_to_end(&folder, &["subscribe", "--url", &no_server]), 69, &no_server);
    for command in ["status", "reload", "drain", "restart-workers"] {
        expect(&run_to_end(&folder, &[command]), 69, "no server is running");
    }
    let full = Setup::new().ini("maxClients = 1").start();
    let there = url(&full, "/");
    let _only = full.open(&crate::harness::Open::web());
    let publish = ["publish", "--url", there.as_str(), "x"];
    expect(&run_to_end(&folder, &[&publish[..], &["--all"]].concat()), 69, "Too many connections");
    expect(&run_to_end(&folder, &[&publish[..], &["--tag", "a=b"]].concat()), 69, "HTTP 503");
}

#[test]
fn a_url_or_file_that_is_wrong_ends_with_78() {
    let server = Setup::new().ini("[resource /old]\nkind = gomoob").start();
    let folder = Folder::new();
    let old = url(&server, "/old");
    let finished = run_to_end(&folder, &["subscribe", "--url", &old]);
    expect(&finished, 78, "HTTP 400");
    let web = url(&server, "/web");
    let finished = run_to_end(&folder, &["publish", "--tag", "a=b", "--url", &web, "x"]);
    expect(&finished, 78, "/web speaks phpWebSocketServer's dialect");
    let nowhere = url(&server, "/nowhere");
    let finished = run_to_end(&folder, &["publish", "--all", "--url", &nowhere, "x"]);
    expect(&finished, 78, "the server refused: unknown path");
    let secure = format!("wss://127.0.0.1:{}/", server.port);
    let finished = run_to_end(&folder, &["publish", "--all", "--url", &secure, "x"]);
    expect(&finished, 78, "does not speak TLS on this port; use ws://");
    let finished =
        run_to_end(&folder, &["publish", "--all", "--url", &secure, "--ca", "missing", "x"]);
    expect(&finished, 78, "missing: ");
    let finished = run_to_end(&folder, &["publish", "--all", "-i", "missing.ini", "x"]);
    expect(&finished, 78, "there is no such file");
    folder.write("websock.ini", "maxMesage = 1M\n");
    let finished = run_to_end(&folder, &["publish", "--all", "x"]);
    expect(&finished, 78, "maxMesage");
    expect(&run_to_end(&folder, &["check"]), 78, "maxMesage");
    expect(&run_to_end(&folder, &["serve"]), 78, "maxMesage");
}

#[test]
fn a_command_line_that_is_not_understood_ends_with_2_and_help_with_0() {
    let folder = Folder::new();
    for line in ["publish x", "publish --all --tag a=b x", "nonsense", "subscribe --count 0"] {
        expect(&run_to_end(&folder, &line.split(' ').collect::<Vec<_>>()), 2, "--help");
    }
    for line in ["--help", "publish --help", "subscribe --help", "status --help", "check --help"] {
        let finished = run_to_end(&folder, &line.split(' ').collect::<Vec<_>>());
        expect(&finished, 0, "docs/operations.md#exit-codes");
    }
}

#[test]
fn a_server_of_another_user_ends_with_77() {
    // Root may query every server, so the test drops root's rights for this.
    if !rustix::process::getuid().is_root() {
        return;
    }
    let server = Server::start();
    let state = server.folder.path("state");
    for (path, mode) in [(server.folder.root().to_owned(), 0o755), (state, 0o755)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let program = crate::harness::binary();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .arg("status")
        .current_dir(server.folder.root())
        .output();
    // The tool may be missing, and the path may be inaccessible to this user.
    let Ok(output) = output else { return };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.contains("tagcast: ") {
        assert_eq!(output.status.code(), Some(77), "{text}");
        assert!(text.contains("run as its owner"), "{text}");
    }
}

#[test]
fn a_reader_that_has_enough_is_not_an_error() {
    let server = Server::start();
    let ini = server.folder.path("websock.ini");
    let line = r#"set -o pipefail; "$0" status -i "$1" | (exec <&-; sleep 0.3)"#;
    let output = std::process::Command::new("bash")
        .args(["-c", line, env!("CARGO_BIN_EXE_tagcast")])
        .arg(&ini)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*errors), (Some(0), ""));
}
