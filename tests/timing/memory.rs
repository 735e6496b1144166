//! The memory limit: reactions as memory comes near to it, and recovery.

use crate::harness::api::{head, post};
use crate::harness::{NEXT, Open, Raw, Server, Setup, broadcast, echo, eventually, feedback_to};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use tagcast::types::Pressure;

const MIB: u64 = 1024 * 1024;

fn pressure(server: &Server) -> Pressure {
    server.status().memory.unwrap().pressure
}

/// Starts a server whose memory limit is this much above the memory of the empty server.
fn server_with_room(bytes: u64) -> Server {
    let server = Setup::new().workers(1).ini("maxMemory = 1G\npingInterval = 0").start();
    set_ceiling(&server, used(&server) + bytes);
    server
}

/// Returns the memory of all processes at this moment. The status has that of the last check, which can be from a
/// time when some of them had not begun.
fn used(server: &Server) -> u64 {
    server.memory("VmRSS:")
}

fn set_ceiling(server: &Server, bytes: u64) {
    server.folder.write(
        "websock.ini",
        &format!(
            "[websocketserver]\nadress = ws://127.0.0.1:0\nworkers = 1\nmaxMemory = {bytes}\n\
             pingInterval = 0\n"
        ),
    );
    let finished = server.command(&["reload"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
}

#[test]
fn largest_outboxes_are_closed_before_the_ceiling_is_reached() {
    let _quiet = crate::harness::alone();
    // Pages of the program that are loaded later count too.
    let server = server_with_room(64 * MIB);
    let ceiling = server.status().memory.unwrap().ceiling_bytes;
    let mut publisher = server.open(&Open::web());
    let mut reader = server.open(&Open::web());
    let mut slow: Vec<Raw> = (0..40)
        .map(|_| {
            let client = server.open(&Open::web());
            set_socket_recv_buffer_size(client.stream(), 1).unwrap();
            client
        })
        .collect();
    // Each client gets messages of its own, so that no memory is shared. They are smaller than what
    // waits for a slow client, since the publisher's half message counts for the publisher, and the
    // largest is closed first.
    'filling: for round in 0..200 {
        for client in &slow {
            let text = format!("{round}{}", "x".repeat(50_000));
            publish(&mut publisher, &feedback_to(&client.uuid, &text));
        }
        if server.counts().slow > 0 {
            break 'filling;
        }
    }
    server.wait_for_output("event=memory_scarce");
    let highest = server.memory("VmHWM:");
    assert!(server.counts().slow > 0, "nobody was closed: {highest} of {ceiling}");
    assert!(highest < ceiling, "{highest} of {ceiling}");
    // The other clients are not affected.
    eventually("room for a publication", || {
        publish(&mut publisher, &broadcast("to those who read")).then_some(())
    });
    reader.expect_text(&broadcast("to those who read"));
    slow.clear();
    eventually("the slow to be gone", || (server.counts().open == 2).then_some(()));
}

/// Publishes and returns true if that was allowed. It is denied while memory is nearly used up.
fn publish(publisher: &mut Raw, packet: &str) -> bool {
    publisher.text(packet);
    publisher.expect_next();
    let question = echo("was it denied?");
    publisher.text(&question);
    let frame = publisher.frame();
    let is_denied = frame.as_text().contains("busy");
    if is_denied {
        publisher.expect_next();
    }
    publisher.expect_text(&question);
    !is_denied
}

#[test]
fn above_85_percent_no_client_is_accepted_until_there_is_room() {
    let _quiet = crate::harness::alone();
    let server = server_with_room(1024 * MIB);
    let mut inside = server.open(&Open::web());
    let used = used(&server);
    set_ceiling(&server, used * 100 / 88);
    eventually("the stage", || (pressure(&server) == Pressure::Full).then_some(()));
    let mut outside = Open::web().ask(server.port);
    inside.expect_silence();
    assert_eq!(server.counts().open, 1);
    server.wait_for_output("no connection is accepted");
    set_ceiling(&server, used * 4);
    outside.expect_upgrade();
    outside.expect_ready();
    server.wait_for_output("there is room");
}

/// A74, by HTTP too.
#[test]
fn publications_are_denied_above_97_percent_and_their_clients_stay() {
    let _quiet = crate::harness::alone();
    let server = server_with_room(1024 * MIB);
    let mut web = server.open(&Open::web());
    let mut gomoob = Open::tags("{}").upgrade(server.port);
    // New connections are not accepted any more.
    let mut backend = Raw::connect(server.port);
    assert_eq!(backend.request(head("GET", "/v1/info", &[])).status(), 200);
    let used = used(&server);
    set_ceiling(&server, used);
    eventually("the stage", || (pressure(&server) == Pressure::Busy).then_some(()));
    web.text(broadcast("now?"));
    web.expect_next();
    let denied = web.frame();
    assert!(denied.as_text().contains("busy"), "{}", denied.as_text());
    gomoob.text("{\"message\":1}");
    let closed = gomoob.expect_closed(1013);
    assert!(closed.shown().contains("busy"), "{}", closed.shown());
    let all = post("/v1/apps/-/publish", &[], r#"{"to":"all","message":1}"#);
    eventually("the API process to know", || {
        let answer = backend.request(&all);
        (answer.status() == 503).then(|| answer.is_error(503, "busy").status())
    });
    set_ceiling(&server, used * 4);
    eventually("room", || (pressure(&server) == Pressure::None).then_some(()));
    // A publication by HTTP may have been accepted before the API process knew of the pressure.
    web.text(broadcast("now!"));
    while web.frame().as_text() != NEXT {}
    web.expect_silence();
}

#[test]
fn a_worker_that_begins_under_pressure_knows_of_it() {
    let _quiet = crate::harness::alone();
    let server = server_with_room(1024 * MIB);
    // The limit is too low even without the worker, so that memory is never sufficient.
    let used = used(&server);
    set_ceiling(&server, used / 2);
    eventually("the stage", || (pressure(&server) == Pressure::Busy).then_some(()));
    let worker = server.workers(1)[0];
    crate::harness::processes::send_signal(worker, rustix::process::Signal::KILL);
    eventually("another worker", || (server.workers(1)[0] != worker).then_some(()));
    let mut outside = Open::web().ask(server.port);
    eventually("the worker to answer", || server.status().workers().next().map(drop));
    assert_eq!(server.counts().accepted, 0);
    set_ceiling(&server, used * 4);
    outside.expect_upgrade();
}

/// Returns the memory of all processes without the pages of the program.
fn anonymous(server: &Server) -> u64 {
    let pids = server.children().into_iter().map(|(pid, _)| pid).chain([server.pid()]);
    let kib = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    pids.map(kib).sum::<u64>() * 1024
}

/// V157.
#[test]
fn an_idle_stream_takes_as_much_memory_as_an_idle_websocket() {
    const COUNT: usize = 4000;
    let _quiet = crate::harness::alone();
    let bytes_of_each = |open: &dyn Fn(&Server) -> Raw| {
        let server = Setup::new().workers(1).ini("maxPerIP = 0").start();
        let mut clients: Vec<Raw> = (0..500).map(|_| open(&server)).collect();
        let before = anonymous(&server);
        clients.extend((0..COUNT).map(|_| open(&server)));
        assert_eq!(server.counts().open, 500 + COUNT as u64);
        (anonymous(&server) - before) / COUNT as u64
    };
    let websocket = bytes_of_each(&|server| server.open(&Open::web()));
    let stream = bytes_of_each(&|server| {
        let mut client = Raw::connect(server.port);
        client.send(head("GET", "/sse", &[("Accept", "text/event-stream")]));
        assert_eq!(client.read_head().status(), 200);
        client
    });
    let most = websocket.max(stream) / 10;
    assert!(websocket.abs_diff(stream) <= most, "{websocket} and {stream} bytes");
}
