//! A signed request is accepted once, whichever process dies (rule L11).

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::api_signed::{Signed, signed};
use crate::harness::api::{AUTH, Clients, setup};
use crate::harness::processes::{is_alive, send_signal};
use crate::harness::tls::{ALL_VERSIONS, certificate_in};
use crate::harness::{DEADLINE, Folder, Raw, Server, eventually, pause};

const BODY: &str = r#"{"to":{"tags":{"language":"FR"}},"message":"Bonjour"}"#;

/// A server that keeps its state in this folder.
fn with_state(folder: &Folder) -> Server {
    let state = folder.path("state");
    let server = setup().ini(&format!("stateDir = {}", state.display())).start();
    server.wait_for_output("event=api_ready");
    server
}

/// A request that was signed in the second in which the first server started is refused.
fn started(folder: &Folder) -> Server {
    let server = with_state(folder);
    pause(Duration::from_millis(1100));
    server
}

fn kill(server: &Server, process: u32, find: impl Fn(&Server) -> u32) {
    send_signal(process, Signal::KILL);
    eventually("another process", || (find(server) != process).then_some(()));
}

fn accepted(server: &Server, request: &Signed<'_>) {
    let answer = request.send(server, BODY);
    assert_eq!(answer.status(), 200, "{}", answer.body);
}

fn refused(server: &Server, request: &Signed<'_>, code: &str) {
    request.send(server, BODY).is_error(401, code);
}

fn nonces(state: &Path) -> std::path::PathBuf {
    state.join("nonces")
}

/// A41.
#[test]
fn a_nonce_stays_spent_whichever_process_dies() {
    let folder = Folder::new();
    let server = started(&folder);
    let mut clients = Clients::open(&server);
    let first = signed("nonce-0001");
    let unsent = ["nonce-1001", "nonce-1002", "nonce-1003", "nonce-1004"].map(signed);
    accepted(&server, &first);
    // A request that became nothing has spent its nonce too.
    let invalid = signed("nonce-0002");
    invalid.send(&server, "{}").is_error(400, "missing_member");
    let kill_api = || kill(&server, server.api_process(), Server::api_process);
    kill_api();
    refused(&server, &first, "nonce_reused");
    refused(&server, &invalid, "nonce_reused");
    accepted(&server, &unsent[0]);
    kill(&server, server.broker(), Server::broker);
    refused(&server, &first, "nonce_reused");
    accepted(&server, &unsent[1]);
    // The new broker tells what it has learned.
    kill_api();
    unsent[..2]
        .iter()
        .chain([&first, &invalid])
        .for_each(|it| refused(&server, it, "nonce_reused"));
    accepted(&server, &unsent[2]);
    // What was refused has reached no client.
    let bonjour = r#"{"opcode":"broadcast","message":"Bonjour"}"#;
    clients.expect_frames(&server, [&[bonjour; 4], &[], &[], &[], &[]]);
    // Workers take no part.
    let workers = server.workers(2);
    send_signal(workers[0], Signal::KILL);
    eventually("another worker", || (!server.workers(2).contains(&workers[0])).then_some(()));
    for _ in 0..8 {
        refused(&server, &first, "nonce_reused");
    }
    accepted(&server, &unsent[3]);
}

#[test]
fn a_new_api_process_gets_thousands_of_nonces_before_it_accepts() {
    let folder = Folder::new();
    let server = started(&folder);
    let names: Vec<_> = (0..2500).map(|number| format!("nonce-{number:05}")).collect();
    let requests: Vec<_> = names.iter().map(|name| signed(name)).collect();
    let mut client = Raw::connect(server.port);
    for part in requests.chunks(50) {
        part.iter().for_each(|request| client.send(request.bytes(BODY)));
        part.iter().for_each(|_| assert_eq!(client.read_answer().status(), 200));
    }
    send_signal(server.api_process(), Signal::KILL);
    for at in [0, 1, 1023, 1024, 1025, 2047, 2048, 2499] {
        refused(&server, &requests[at], "nonce_reused");
    }
    accepted(&server, &signed("nonce-next"));
}

/// A256. There is one list of nonces, whichever socket a request arrives on.
#[test]
fn a_captured_request_is_refused_on_every_way_in() {
    let folder = Folder::new();
    certificate_in(&folder);
    folder.write("auth.yml", AUTH);
    let ini = "adress = ws://127.0.0.1:0, wss://127.0.0.1:0\nworkers = 2\ncertFile = cert.pem\n\
               pkFile = key.pem\n";
    folder.write("websock.ini", ini);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let log = server.wait_for_output("wss://127.0.0.1:");
    let (_, port) = log.split_once("wss://127.0.0.1:").unwrap();
    let inside_tls = port.split_whitespace().next().unwrap().parse().unwrap();
    pause(Duration::from_millis(1100));
    let connect_tls = || Raw::connect_tls(inside_tls, &server.folder, ALL_VERSIONS);
    let [first, second] = ["nonce-first", "nonce-second"].map(signed);
    assert_eq!(connect_tls().request(first.bytes(BODY)).status(), 200);
    accepted(&server, &second);
    for request in [&first, &second] {
        let bytes = request.bytes(BODY);
        let mut answers = vec![connect_tls().request(&bytes)];
        // New connections reach both workers.
        answers.extend((0..8).map(|_| Raw::connect(server.port).request(&bytes)));
        answers.push(Raw::connect_from("127.0.0.2", server.port).request(&bytes));
        for answer in answers {
            answer.is_error(401, "nonce_reused");
        }
    }
}

/// A41.
#[test]
fn an_orderly_restart_keeps_spent_nonces() {
    let folder = Folder::new();
    let state = folder.path("state");
    let server = started(&folder);
    let requests = ["nonce-0001", "nonce-0002", "nonce-0003"].map(signed);
    accepted(&server, &requests[0]);
    assert!(!nonces(&state).exists());
    server.term();
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    let mode = std::fs::metadata(nonces(&state)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let server = with_state(&folder);
    assert!(!nonces(&state).exists(), "the file is read once");
    refused(&server, &requests[0], "nonce_reused");
    accepted(&server, &requests[1]);
    // The broker knows what was in the file.
    send_signal(server.api_process(), Signal::KILL);
    requests[..2].iter().for_each(|it| refused(&server, it, "nonce_reused"));
    accepted(&server, &requests[2]);
}

/// A42.
#[test]
fn after_all_processes_died_at_once_older_requests_are_refused() {
    let folder = Folder::new();
    let server = started(&folder);
    let requests = ["nonce-0001", "nonce-0002"].map(signed);
    accepted(&server, &requests[0]);
    let children = server.children();
    send_signal(server.pid(), Signal::KILL);
    let is_over = || children.iter().all(|(pid, _)| !is_alive(*pid)).then_some(());
    eventually("the end of all processes", is_over);
    assert!(!nonces(&folder.path("state")).exists());
    pause(Duration::from_millis(1100));
    let server = with_state(&folder);
    requests.iter().for_each(|it| refused(&server, it, "predates_restart"));
    pause(Duration::from_millis(1100));
    accepted(&server, &signed("nonce-0003"));
}

#[test]
fn a_file_that_is_damaged_counts_as_missing() {
    let folder = Folder::new();
    let server = started(&folder);
    let request = signed("nonce-0001");
    server.term();
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    let file = nonces(&folder.path("state"));
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    pause(Duration::from_millis(1100));
    let server = with_state(&folder);
    server.wait_for_output("event=nonces_unreadable");
    refused(&server, &request, "predates_restart");
}
