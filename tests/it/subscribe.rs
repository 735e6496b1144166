//! `tagcast subscribe` and `tagcast publish --tag` with a real server.

use crate::harness::processes::send_signal;
use crate::harness::{DEADLINE, Folder, Open, Running, Server, Setup, broadcast, run_to_end};
use rustix::process::Signal;

fn url(server: &Server) -> String {
    format!("ws://127.0.0.1:{}/", server.port)
}

/// Starts a subscriber and waits until the server has accepted it.
#[track_caller]
fn subscribe(server: &Server, arguments: &[&str]) -> Running {
    let url = url(server);
    let all = [&["subscribe", "--url", url.as_str()], arguments].concat();
    let running = Running::start(&server.folder, &all);
    running.wait_for_error("subscribed");
    running
}

#[track_caller]
fn publish(server: &Server, arguments: &[&str]) {
    let url = url(server);
    let all = [&["publish", "--url", url.as_str()], arguments].concat();
    let finished = run_to_end(&server.folder, &all);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
}

#[test]
fn a_subscriber_with_all_tags_prints_a_publication_to_them() {
    let server = Server::start();
    let french = subscribe(&server, &["--tag", "language=FR"]);
    let lyon = subscribe(&server, &["--tag", "language=FR", "--tag", "town=Lyon"]);
    let english = subscribe(&server, &["--tag", "language=EN"]);
    publish(&server, &["--tag", "language=FR", "bonjour"]);
    publish(&server, &["--tag", "town=Lyon", "--tag", "language=FR", "salut"]);
    publish(&server, &["--tag", "language=EN", "hello"]);
    french.wait_for_line("bonjour");
    lyon.wait_for_line("salut");
    english.wait_for_line("hello");
    for (running, lines) in [(french, "bonjour"), (lyon, "bonjour\nsalut"), (english, "hello")] {
        running.signal(Signal::INT);
        let (code, output, _) = running.wait_for_end();
        assert_eq!((code, output.as_str()), (Some(0), lines));
    }
}

#[test]
fn each_message_is_one_line_that_no_terminal_obeys() {
    let server = Server::start();
    let plain = subscribe(&server, &["--tag", "a=b", "--count", "3"]);
    let json = subscribe(&server, &["--tag", "a=b", "--count", "3", "--json"]);
    publish(&server, &["--tag", "a=b", "one\ntwo \u{1b}[2J é"]);
    publish(&server, &["--tag", "a=b", "--json", "{\"percent\":\n 50}"]);
    publish(&server, &["--tag", "a=b", "--json", "12.5"]);
    let (code, output, _) = plain.wait_for_end();
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(code, Some(0));
    assert_eq!((lines[0], lines[2], lines.len()), ("one\\ntwo \\u{1b}[2J é", "12.5", 3));
    let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    assert_eq!(value(lines[1]), serde_json::json!({"percent": 50}));
    let (code, output, _) = json.wait_for_end();
    let lines: Vec<_> = output.lines().map(value).collect();
    assert_eq!((code, lines.len()), (Some(0), 3));
    assert_eq!(lines[0], "one\ntwo \u{1b}[2J é");
}

#[test]
fn a_subscriber_without_tags_gets_broadcasts() {
    let server = Server::start();
    let all = subscribe(&server, &["--count", "1"]);
    publish(&server, &["--tag", "a=b", "not for it"]);
    let mut page = server.open(&Open::web());
    page.text(broadcast("from a page"));
    page.expect_next();
    let (code, output, _) = all.wait_for_end();
    assert_eq!((code, output.as_str()), (Some(0), "from a page"));
}

/// V223.
#[test]
fn a_subscriber_goes_on_after_the_death_of_its_worker() {
    let server = Server::start();
    let running = subscribe(&server, &["--tag", "a=b", "--count", "2"]);
    publish(&server, &["--tag", "a=b", "one"]);
    running.wait_for_line("one");
    server.workers(2).into_iter().for_each(|worker| send_signal(worker, Signal::KILL));
    running.wait_for_error("the connection is lost");
    running.wait_for_error("tagcast: messages may be missing: the server keeps no history");
    publish(&server, &["--tag", "a=b", "two"]);
    let (code, output, _) = running.wait_for_end();
    assert_eq!((code, output.as_str()), (Some(0), "one\ntwo"));
}

/// V223.
#[test]
fn a_subscriber_goes_on_after_a_restart_of_the_server() {
    let key = format!("uuidKey = {}", "01".repeat(32));
    let server = Setup::new().ini(&key).start();
    let running = subscribe(&server, &["--tag", "a=b", "--count", "1"]);
    server.term();
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    running.wait_for_error("the connection is lost (Close 4200");
    let folder = Folder::new();
    let address = format!("address = ws://127.0.0.1:{}\nworkers = 1\n{key}\n", server.port);
    folder.write("websock.ini", &address);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    running.wait_for_error("tagcast: messages may be missing: the server was restarted");
    publish(&server, &["--tag", "a=b", "after"]);
    let (code, output, _) = running.wait_for_end();
    assert_eq!((code, output.as_str()), (Some(0), "after"));
}
