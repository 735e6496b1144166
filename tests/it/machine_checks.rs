//! Configurations that do not fit this machine: `check` reports the same error with which `serve` exits.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::harness::{Finished, Folder, Open, Server, run_to_end};

/// The exit code for a configuration that is wrong, or does not fit (`EX_CONFIG` of sysexits.h).
const WRONG_CONFIGURATION: i32 = 78;
const INI: &str = "adress = ws://127.0.0.1:0\nworkers = 1\n";

/// Expects that both commands refuse with the same line, which contains these words.
#[track_caller]
fn expect_refusal(folder: &Folder, words: &str) {
    let printed = ["serve", "check"].map(|command| {
        let Finished { code, text } = run_to_end(folder, &[command, "-i", "websock.ini"]);
        assert_eq!(code, Some(WRONG_CONFIGURATION), "{command}:\n{text}");
        let line = text.lines().find(|line| line.contains(words)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{command}: no {words:?} in\n{text}"))
    });
    assert_eq!(printed[0], printed[1]);
}

fn folder(more: &str) -> Folder {
    let folder = Folder::new();
    folder.write("websock.ini", &format!("{INI}{more}\n"));
    folder
}

#[test]
fn a_log_that_cannot_be_written_is_found() {
    expect_refusal(&folder("logfile = no/x.log"), "no/x.log: No such file or directory");
    expect_refusal(&folder("logfile = ."), "Is a directory");
    let piped = folder("logfile = pipe");
    assert!(Command::new("mkfifo").arg(piped.path("pipe")).status().unwrap().success());
    expect_refusal(&piped, "pipe: it is not a regular file");
    let socket = folder("logfile = socket");
    let _socket = UnixDatagram::bind(socket.path("socket")).unwrap();
    expect_refusal(&socket, "socket: it is not a regular file");
    let file = folder("logfile = file/x.log");
    file.write("file", "");
    expect_refusal(&file, "Not a directory");
}

#[test]
fn a_state_folder_that_cannot_be_used_is_found() {
    let file = folder("");
    file.write("state", "a file");
    expect_refusal(&file, "the state folder ");
    let linked = folder("");
    std::fs::create_dir(linked.path("state")).unwrap();
    linked.write("precious", "precious");
    std::os::unix::fs::symlink(linked.path("precious"), linked.path("state/lock")).unwrap();
    expect_refusal(&linked, "is a symbolic link");
    let folder_as_lock = folder("");
    std::fs::create_dir_all(folder_as_lock.path("state/lock")).unwrap();
    expect_refusal(&folder_as_lock, "the state folder ");
}

#[test]
fn a_folder_where_the_control_socket_belongs_is_found() {
    let folder = folder("");
    std::fs::create_dir_all(folder.path("state/control.sock")).unwrap();
    for (command, code) in [("serve", 1), ("check", WRONG_CONFIGURATION)] {
        let Finished { code: is, text } = run_to_end(&folder, &[command]);
        assert_eq!(is, Some(code), "{command}: {text}");
        assert!(text.contains("the control socket: "), "{command}: {text}");
    }
}

#[test]
fn a_key_file_that_cannot_be_used_is_found() {
    for rubbish in ["", "rubbish", &"g".repeat(64)] {
        let folder = folder("");
        std::fs::create_dir(folder.path("state")).unwrap();
        folder.write("state/uuid.key", rubbish);
        expect_refusal(&folder, "must hold 64 hexadecimal digits");
        assert_eq!(std::fs::read_to_string(folder.path("state/uuid.key")).unwrap(), rubbish);
    }
    for rubbish in ["", "2a", "0000002a0", "rubbish!"] {
        let folder = folder("");
        std::fs::create_dir(folder.path("state")).unwrap();
        folder.write("state/host.id", rubbish);
        expect_refusal(&folder, "state/host.id must hold 8 hexadecimal digits");
        assert_eq!(std::fs::read_to_string(folder.path("state/host.id")).unwrap(), rubbish);
    }
    expect_refusal(&folder("uuidKeyFile = no/uuid.key"), "no/uuid.key cannot be used");
    expect_refusal(&folder("uuidKeyFile = ."), "regular file");
    expect_refusal(&folder("uuidKeyFile = /dev/zero"), "regular file");
    let linked = folder("");
    std::fs::create_dir(linked.path("state")).unwrap();
    linked.write("precious", &"a".repeat(64));
    std::os::unix::fs::symlink(linked.path("precious"), linked.path("state/uuid.key")).unwrap();
    expect_refusal(&linked, "is a symbolic link");
}

#[test]
fn a_draft_of_a_key_that_is_a_link_is_not_written_through() {
    let folder = folder("");
    std::fs::create_dir(folder.path("state")).unwrap();
    folder.write("precious", "precious");
    std::os::unix::fs::symlink(folder.path("precious"), folder.path("state/uuid.key.new")).unwrap();
    let precious = folder.path("precious");
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    server.open(&Open::web()).expect_silence();
    assert_eq!(std::fs::read_to_string(precious).unwrap(), "precious");
}

#[test]
fn an_address_that_is_taken_is_found_and_one_of_the_own_server_is_not() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let foreign = Folder::new();
    foreign.write("websock.ini", &format!("adress = ws://{address}\nworkers = 1\n"));
    expect_refusal(&foreign, &format!("cannot listen on {address}: another program already does"));
    expect_refusal(
        &{
            let folder = Folder::new();
            folder.write("websock.ini", "adress = ws://192.0.2.1:1\n");
            folder.write(
                "auth.yml",
                "applications:\n- {key: a, secret: 0123456789abcdefghij, authorizeOpen: true}\n",
            );
            folder
        },
        "cannot listen on 192.0.2.1:1",
    );
    drop(taken);
    let own = Folder::new();
    own.write("websock.ini", &format!("adress = ws://{address}\nworkers = 1\n"));
    let root = own.root().to_owned();
    let server = Server::run(own, &["serve", "-i", "websock.ini"], &[]);
    let check =
        Command::new(crate::harness::binary()).arg("check").current_dir(root).output().unwrap();
    let printed = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(
        check.status.success() && printed.contains("its addresses were not tested"),
        "{printed}"
    );
    server.open(&Open::web()).expect_silence();
}

#[test]
fn a_push_socket_that_cannot_be_made_is_found() {
    let push = "[bloatless]\napplications = chat\npushSocket = ";
    let file = folder(&format!("{push}file"));
    file.write("file", "precious");
    expect_refusal(&file, "the file there is not a socket");
    assert_eq!(std::fs::read_to_string(file.path("file")).unwrap(), "precious");
    expect_refusal(&folder(&format!("{push}no/push.sock")), "no/push.sock: No such file");
    let used = folder(&format!("{push}used.sock"));
    let _reader = UnixDatagram::bind(used.path("used.sock")).unwrap();
    expect_refusal(&used, "another program reads from the push socket");
    let stale = folder(&format!("{push}stale.sock"));
    drop(UnixDatagram::bind(stale.path("stale.sock")).unwrap());
    let Finished { code, text } = run_to_end(&stale, &["check"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(stale.path("stale.sock").exists());
}

#[test]
fn check_reports_all_errors_at_once_and_creates_nothing() {
    let bad = folder("logfile = no/x.log\nuuidKeyFile = no/uuid.key");
    bad.write("state", "a file");
    let Finished { code, text } = run_to_end(&bad, &["check"]);
    assert_eq!(code, Some(WRONG_CONFIGURATION), "{text}");
    assert!(text.contains("tagcast: 3 errors"), "{text}");
    let good = folder("logfile = x.log\n[bloatless]\npushSocket = push.sock");
    let Finished { code, text } = run_to_end(&good, &["check"]);
    assert_eq!(code, Some(0), "{text}");
    for name in ["state", "x.log", "push.sock"] {
        assert!(!good.path(name).exists(), "{name}");
    }
}
