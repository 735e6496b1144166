//! Two configurations in one folder, and the log levels of their servers.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{Finished, Folder, Open, Server, binary, eventually, run_to_end};

/// The exit code when the server is not running or refuses (`EX_UNAVAILABLE` of sysexits.h).
const UNAVAILABLE: i32 = 69;

fn folder() -> Folder {
    let folder = Folder::new();
    for (name, more) in [("one.ini", ""), ("two.ini", ""), ("three.ini", "stateDir = state3\n")] {
        folder.write(name, &format!("adress = ws://127.0.0.1:0\nworkers = 1\n{more}"));
    }
    folder
}

#[test]
fn a_command_for_one_configuration_does_not_reach_the_server_of_another() {
    let server = Server::run(folder(), &["serve", "-i", "one.ini"], &[]);
    let run = |arguments: &[&str]| run_to_end(&server.folder, arguments);
    let second = run(&["serve", "-i", "two.ini"]);
    assert_eq!(second.code, Some(1), "{}", second.text);
    for words in ["another server is running here", "one.ini", "stateDir"] {
        assert!(second.text.contains(words), "no {words:?} in\n{}", second.text);
    }
    for command in ["status", "reload", "drain", "restart-workers"] {
        let Finished { code, text } = run(&[command, "-i", "two.ini"]);
        assert_eq!(code, Some(UNAVAILABLE), "{command}: {text}");
        assert!(text.contains("one.ini") && text.contains("two.ini"), "{command}: {text}");
        assert!(text.contains("stateDir"), "{command}: {text}");
    }
    assert_eq!(run(&["status", "-i", "one.ini"]).code, Some(0));
    assert_eq!(run(&["status"]).code, Some(0), "there is no websock.ini that could be meant");
    server.open(&Open::web()).expect_silence();
}

#[test]
fn a_state_folder_of_its_own_lets_a_second_server_run() {
    let one = Server::run(folder(), &["serve", "-i", "one.ini"], &[]);
    let root = one.folder.root().to_owned();
    let mut three = Command::new(binary())
        .args(["serve", "-i", "three.ini"])
        .current_dir(&root)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("a second server", || {
        let status = run_to_end(&one.folder, &["status", "-i", "three.ini"]);
        (status.code == Some(0) && status.text.contains("worker 0")).then_some(())
    });
    assert!(root.join("state3/uuid.key").exists() && root.join("state3/lock").exists());
    let ended = run_to_end(&one.folder, &["drain", "-i", "three.ini"]);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(three.wait().unwrap().success());
    one.open(&Open::web()).expect_silence();
}

/// Returns whether the log has the debug line of a refused handshake.
fn logs_debug(server: &Server) -> bool {
    let before = server.output().matches("DEBUG").count();
    for _ in 0..3 {
        Open::web().ready(server.port);
    }
    std::thread::sleep(Duration::from_millis(100));
    server.output().matches("DEBUG").count() > before
}

#[test]
fn the_level_of_the_log_changes_with_a_reload_and_for_a_while() {
    let folder = Folder::new();
    let ini = |level: &str| format!("adress = ws://127.0.0.1:0\nworkers = 2\nlogLevel = {level}\n");
    folder.write("websock.ini", &ini("info"));
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    assert!(!logs_debug(&server));
    server.folder.write("websock.ini", &ini("debug"));
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert!(code == Some(0) && text.contains("changed: logLevel: info -> debug"), "{text}");
    eventually("lines at debug", || logs_debug(&server).then_some(()));
    server.folder.write("websock.ini", &ini("info"));
    assert_eq!(run_to_end(&server.folder, &["reload"]).code, Some(0));
    eventually("no lines at debug", || (!logs_debug(&server)).then_some(()));
    let Finished { code, text } =
        run_to_end(&server.folder, &["log-level", "debug", "--for", "2s"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("log level `debug` for 2 s, then `info`"), "{text}");
    eventually("lines at debug", || logs_debug(&server).then_some(()));
    server.wait_for_output("event=log_level_restored");
    eventually("no lines at debug", || (!logs_debug(&server)).then_some(()));
    for wrong in [&["log-level", "loud"][..], &["log-level", "debug", "--for", "0"]] {
        assert_eq!(run_to_end(&server.folder, wrong).code, Some(2));
    }
}
