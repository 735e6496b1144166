//! Clients that send nothing, or cannot. They are removed from the index after two pings. If the
//! server's own processes are stopped, no client is closed for that (faults 25 and 26).

use std::process::Command;
use std::time::Duration;

use crate::harness::processes::send_signal;
use crate::harness::{
    Open, Raw, Server, Setup, broadcast, echo, eventually, feedback_to_ident, frames, pause,
};
use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const PING: &[u8] = br#"{"opcode":"PING"}"#;

/// Answers pings until a text arrives, and returns it.
fn answer_pings(client: &mut Raw) -> String {
    loop {
        let frame = client.frame();
        if frame.first != frames::FIN | frames::PING {
            return frame.as_text().to_owned();
        }
        assert_eq!(frame.payload, PING);
        client.send(frames::masked(frames::FIN | frames::PONG, PING));
    }
}

/// After the silent client is closed, its ident goes to the next client that has it, and its place
/// among all clients is free.
#[test]
fn a_silent_client_is_removed_from_the_index() {
    let _quiet = crate::harness::among_idle();
    let server = Setup::new().ini("pingInterval = 300ms\nmaxClients = 4\n").start();
    let mut silent = server.open(&Open::web().ident("role"));
    // Clients of this kind get no pings.
    let mut heir = server.open(&Open::php().ident("role"));
    let mut publisher = server.open(&Open::php());
    let mut other = server.open(&Open::php());
    let mut late = Open::web().upgrade(server.port);
    assert!(late.frame().as_text().contains("Too many connections"));

    let first = feedback_to_ident("role", "while it is there");
    publisher.text(&first);
    publisher.expect_next();
    silent.expect_text(&first);
    for _ in 0..2 {
        assert_eq!(silent.frame().payload, PING);
    }
    silent.expect_closed(1001);

    expect_heir(&mut publisher, &mut heir);
    eventually("room for one more", || {
        let mut client = Open::web().upgrade(server.port);
        client.frame().as_text().contains("ready").then_some(())
    });
    // Clients without pings must not have been closed in the meantime.
    other.text(echo("still here"));
    other.expect_next();
    other.expect_text(&echo("still here"));
}

/// Publishes to the ident until the next client that has it receives the message. The broker may
/// learn later than the publisher that the first client is gone.
fn expect_heir(publisher: &mut Raw, heir: &mut Raw) {
    let packet = feedback_to_ident("role", "for the heir");
    eventually("the heir", || {
        publisher.text(&packet);
        publisher.expect_next();
        heir.text(echo("heard?"));
        let mut is_heir = false;
        loop {
            let frame = heir.frame();
            is_heir |= frame.as_text() == packet;
            if frame.as_text() == echo("heard?") {
                return is_heir.then_some(());
            }
        }
    });
}

#[test]
fn gomoobs_php_client_gets_no_pings_and_stays() {
    let _quiet = crate::harness::among_idle();
    let server = Setup::new().ini("pingInterval = 100ms\n").start();
    let script = Open::at("/").without("Origin").header("User-Agent", "websocket-client-php");
    let mut script = script.upgrade(server.port);
    // A client of another kind shows how much time has passed.
    let mut silent = server.open(&Open::web());
    for _ in 0..2 {
        assert_eq!(silent.frame().payload, PING);
    }
    silent.expect_closed(1001);
    script.text(r#"{"message":"still here"}"#);
    script.expect_text(r#""still here""#);
}

/// Ping intervals during which the server is stopped do not count as unanswered. Afterwards the
/// server sends a ping first and does not close anyone.
#[test]
fn a_server_stopped_for_many_intervals_closes_no_responsive_client() {
    let _quiet = crate::harness::among_idle();
    const CLIENTS: usize = 40;
    let server = Setup::new().ini("pingInterval = 500ms\n").start();
    let mut publisher = server.open(&Open::php());
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.open(&Open::web())).collect();
    let mut tree: Vec<_> = server.children().into_iter().map(|(pid, _)| pid).collect();
    tree.push(server.pid());
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| assert_eq!(answer_pings(client), broadcast("the end")));
        }
        for _ in 0..2 {
            tree.iter().for_each(|pid| send_signal(*pid, Signal::STOP));
            pause(Duration::from_secs(2));
            tree.iter().for_each(|pid| send_signal(*pid, Signal::CONT));
            // Wait a few more intervals, in which a client that was wrongly counted as silent would
            // be closed.
            pause(Duration::from_millis(1200));
        }
        publisher.text(broadcast("the end"));
    });
    publisher.expect_next();
    assert!(!server.output().contains("code=1001"), "{}", server.output());
}

/// Two network namespaces connected by a virtual cable.
struct Cable {
    name: String,
}

impl Cable {
    /// Creates the cable. The server's end is in the current namespace and has the address `.1`.
    /// The client's end is in another namespace.
    fn lay() -> Self {
        let cable = Self { name: format!("tc{}", std::process::id()) };
        let Self { name } = &cable;
        let (ours, theirs) = (format!("{name}a"), format!("{name}b"));
        let commands = [
            format!("netns add {name}"),
            format!("link add {ours} type veth peer name {theirs}"),
            format!("link set {theirs} netns {name}"),
            format!("addr add 10.213.77.1/30 dev {ours}"),
            format!("link set {ours} up"),
            format!("-n {name} addr add 10.213.77.2/30 dev {theirs}"),
            format!("-n {name} link set {theirs} up"),
        ];
        for command in commands {
            assert!(ip(&command), "ip {command}");
        }
        cable
    }

    fn pull(&self) {
        assert!(ip(&format!("-n {0} link set {0}b down", self.name)));
    }

    /// Connects through the cable, from a thread that enters the other namespace and then exits.
    fn connect(&self, port: u16) -> Raw {
        let space = std::fs::File::open(format!("/run/netns/{}", self.name)).unwrap();
        let connect = move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&space), kind).unwrap();
            std::net::TcpStream::connect(("10.213.77.1", port)).unwrap()
        };
        Raw::over(std::thread::spawn(connect).join().unwrap())
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        ip(&format!("link del {}a", self.name));
        ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

const AUTH: &str = "applications:\n  - key: page\n    secret: of-this-test-alone-0123456789\n    authorizeOpen: true\n    \
                    clientPublish: true\nanonymous: page\n";

/// The server gets no sign that the client is gone: no FIN and no reset.
pub fn a_client_whose_cable_is_pulled_is_gone_from_the_index() {
    let _quiet = crate::harness::among_idle();
    let cable = Cable::lay();
    let server = half_open_server();
    let mut gone = Open::web().ident("role").upgrade_over(cable.connect(server.port));
    gone.expect_ready();
    let mut heir = over_the_address(&server, &Open::php().ident("role"));
    let mut publisher = over_the_address(&server, &Open::php());
    cable.pull();
    server.wait_for_output("code=1001");
    expect_heir(&mut publisher, &mut heir);
}

fn half_open_server() -> Server {
    Setup::new()
        .ini("pingInterval = 300ms\nallowedIP = 0.0.0.0/0\n")
        .variable("TAGCAST_ADDRESS", "ws://10.213.77.1:0")
        .auth(AUTH)
        .start()
}

fn over_the_address(server: &Server, open: &Open) -> Raw {
    let stream = std::net::TcpStream::connect(("10.213.77.1", server.port)).unwrap();
    let mut client = open.upgrade_over(Raw::over(stream));
    client.expect_ready();
    client
}
