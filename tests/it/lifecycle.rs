//! Start, shutdown and crashes: the effects on connections when processes exit.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::harness::processes::{is_alive, send_signal};
use crate::harness::{
    Bystander, DEADLINE, Folder, Open, Raw, Server, Setup, echo, eventually, feedback_to,
    run_to_end,
};
use rustix::process::Signal;

/// The default of `drainTime`.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Additional time that a process may need on a busy machine.
const SLACK: Duration = Duration::from_secs(2);

#[track_caller]
fn expect_gone(pids: &[u32]) {
    for pid in pids {
        eventually("the end of every process", || (!is_alive(*pid)).then_some(()));
    }
}

fn pids(server: &Server) -> Vec<u32> {
    server.children().into_iter().map(|(pid, _)| pid).collect()
}

#[test]
fn the_processes_are_one_broker_one_api_and_the_workers_by_name() {
    let server = Setup::new().workers(3).start();
    server.workers(3);
    server.broker();
    let children = server.children();
    let named = |role: &str| children.iter().filter(|(_, line)| line.contains(role)).count();
    assert_eq!(children.len(), 5, "{children:?}");
    assert_eq!(named("tagcast api"), 1, "{children:?}");
    assert_eq!(named("tagcast broker"), 1, "{children:?}");
    assert_eq!(named("tagcast worker "), 3, "{children:?}");
}

#[test]
fn the_soft_limit_of_descriptors_is_raised_to_the_hard_one() {
    let server = Server::start();
    for worker in server.workers(2) {
        let limits = std::fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let numbers: Vec<_> = line.split_whitespace().skip(3).take(2).collect();
        assert_eq!(numbers[0], numbers[1], "{line}");
    }
}

fn one_of_each(server: &Server) -> Vec<Raw> {
    let (one, other) = server.open_apart(&Open::web(), &Open::at("/"));
    let echo = Open::at("/echo").upgrade(server.port);
    vec![one, other, server.open(&Open::php()), echo]
}

fn stops_in_order(signal: Signal) {
    let server = Setup::new().ini("[resource /echo]\nkind = echo").start();
    let mut clients = one_of_each(&server);
    let children = pids(&server);
    let started = Instant::now();
    server.signal(signal);
    for client in &mut clients {
        client.expect_closed(1001);
    }
    let status = server.wait_exit(DRAIN_TIME);
    assert_eq!(status.code(), Some(0));
    assert!(started.elapsed() < DRAIN_TIME, "{:?}", started.elapsed());
    expect_gone(&children);
    assert!(std::net::TcpStream::connect(("127.0.0.1", server.port)).is_err());
}

#[test]
fn sigterm_closes_all_clients_with_1001_and_exits_0() {
    stops_in_order(Signal::TERM);
}

#[test]
fn sigint_closes_all_clients_with_1001_and_exits_0() {
    stops_in_order(Signal::INT);
}

#[test]
fn unresponsive_peers_do_not_extend_the_drain_time() {
    let server = Setup::new().ini("drainTime = 3s").start();
    let mut clients: Vec<_> = (0..4).map(|_| server.open(&Open::web())).collect();
    let mut half_open = Raw::connect(server.port);
    half_open.send("GET /web HTTP/1.1\r\nHost:");
    server.term();
    for client in &mut clients {
        client.expect_close(1001);
    }
    let status = server.wait_exit(Duration::from_secs(3) + SLACK);
    assert_eq!(status.code(), Some(0));
    for client in &mut clients {
        client.wait_for_end();
    }
    half_open.wait_for_end();
}

/// Messages that were acknowledged before the signal are delivered before the Close.
#[test]
fn pending_messages_are_delivered_before_the_close() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::web());
    let packet = feedback_to(&receiver.uuid, "just in time");
    publisher.text(&packet);
    publisher.expect_next();
    server.term();
    receiver.expect_text(&packet);
    receiver.expect_closed(1001);
    publisher.expect_closed(1001);
    assert_eq!(server.wait_exit(DRAIN_TIME).code(), Some(0));
}

#[test]
fn a_killed_worker_takes_only_its_own_connections_with_it() {
    let server = Server::start();
    let (mut here, mut there) = server.open_apart(&Open::web(), &Open::web());
    let (doomed, survivor) = (server.worker_of(&here), server.worker_of(&there));
    let mut other_client = server.open_on(survivor, &Open::web());
    send_signal(doomed, Signal::KILL);
    here.expect_end();

    let mut new_clients: Vec<_> = (0..10).map(|_| server.open(&Open::web())).collect();
    new_clients.iter_mut().for_each(Raw::expect_silence);

    let packet = feedback_to(&other_client.uuid, "still here");
    there.text(&packet);
    there.expect_next();
    other_client.expect_text(&packet);
    there.text(feedback_to(&here.uuid, "is gone"));
    there.expect_next();
    there.received_nothing_of_its_own();
    other_client.expect_silence();
}

#[test]
fn a_killed_worker_is_replaced_and_its_successor_serves() {
    let server = Server::start();
    let mut before = server.workers(2);
    for _ in 0..3 {
        send_signal(before[0], Signal::KILL);
        expect_gone(&before[..1]);
        let after = server.workers(2);
        assert!(after.contains(&before[1]) && !after.contains(&before[0]), "{before:?} {after:?}");
        Bystander::connect(&server).is_served();
        before = after;
    }
}

#[test]
fn a_killed_broker_is_replaced_and_no_client_is_closed() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server);
    let workers = server.workers(2);
    for _ in 0..3 {
        let before = server.kill_broker();
        bystander.is_served();
        expect_gone(&[before]);
        assert_ne!(server.broker(), before);
    }
    assert_eq!(server.workers(2), workers, "the workers outlive their broker");
    Bystander::connect(&server).is_served();
}

#[test]
fn a_killed_supervisor_leaves_no_process() {
    let server = Server::start();
    let (mut one, mut other) = server.open_apart(&Open::web(), &Open::web());
    let children = pids(&server);
    assert_eq!(children.len(), 4);
    server.signal(Signal::KILL);
    for client in [&mut one, &mut other] {
        client.expect_closed_somehow(1001);
    }
    expect_gone(&children);
}

#[test]
fn a_second_server_in_the_same_folder_is_refused() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server);
    let finished = run_to_end(&server.folder, &["serve", "-i", "websock.ini"]);
    assert_ne!(finished.code, Some(0), "{}", finished.text);
    assert!(finished.text.contains("state"), "{}", finished.text);
    bystander.is_served();
}

#[test]
fn a_second_server_on_the_same_port_is_refused() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server);
    let folder = Folder::new();
    let address = format!("127.0.0.1:{}", server.port);
    folder.write("websock.ini", &format!("adress = ws://{address}\n"));
    let finished = run_to_end(&folder, &["serve", "-i", "websock.ini"]);
    assert_ne!(finished.code, Some(0), "{}", finished.text);
    assert!(finished.text.contains(&address), "{}", finished.text);
    bystander.is_served();
}

/// UUIDs stay valid across restarts: the key is created once, and other users cannot read it.
#[test]
fn the_key_of_the_uuids_outlives_a_restart() {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1:0\nworkers = 2\n");
    let arguments = ["serve", "-i", "websock.ini"];
    let key = folder.path("state/uuid.key");
    let server = Server::run(folder, &arguments, &[]);
    let before = std::fs::read(&key).unwrap();
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(key.parent().unwrap()), 0o700);
    assert_eq!(mode(&key) & 0o077, 0);
    server.term();
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));

    let again = run_again(&server, &arguments);
    assert_eq!(std::fs::read(again.folder.path("state/uuid.key")).unwrap(), before);
    let mut client = again.open(&Open::web());
    client.text(echo("served"));
    client.expect_next();
    client.expect_text(&echo("served"));
}

/// The UUID of a client names its host, and the host keeps its id over a restart.
#[test]
fn the_uuid_of_a_client_names_its_host() {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1:0\nworkers = 1\n");
    let arguments = ["serve", "-i", "websock.ini"];
    let file = folder.path("state/host.id");
    let server = Server::run(folder, &arguments, &[]);
    let host = std::fs::read_to_string(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(home(&server), host.trim());
    send_signal(server.workers(1)[0], Signal::KILL);
    assert_eq!(home(&server), host.trim());
    server.term();
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));

    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1:0\nworkers = 1\n");
    std::fs::create_dir(folder.path("state")).unwrap();
    folder.write("state/host.id", "0000002A\n");
    let again = Server::run(folder, &arguments, &[]);
    assert_eq!(home(&again), "0000002a");
}

/// Returns the host in the UUID of a new client.
fn home(server: &Server) -> String {
    let client = server.open(&Open::web());
    let plain = client.uuid.split('.').next().unwrap();
    let uuid = uuid::Uuid::try_parse(plain).unwrap();
    tagcast::types::ClientUuid(uuid.into_bytes()).home().to_string()
}

/// Starts a second server in a copy of the first one's folder.
fn run_again(first: &Server, arguments: &[&str]) -> Server {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1:0\nworkers = 2\n");
    std::fs::create_dir(folder.path("state")).unwrap();
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(folder.path("state"), private).unwrap();
    std::fs::copy(first.folder.path("state/uuid.key"), folder.path("state/uuid.key")).unwrap();
    Server::run(folder, arguments, &[])
}
