//! Notifications to systemd from a server that was started with `Type=notify`. The test plays the part of
//! systemd.

use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::{DEADLINE, Folder, Open, Server, Setup, pause};
use rustix::process::Signal;

/// The socket on which systemd listens.
struct Systemd {
    socket: UnixDatagram,
    folder: Folder,
}

impl Systemd {
    fn listen() -> Self {
        let folder = Folder::new();
        let socket = UnixDatagram::bind(folder.path("notify.sock")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, folder }
    }

    /// Starts a server with this socket in its environment.
    fn start(&self, setup: Setup) -> Server {
        let path = self.folder.path("notify.sock");
        setup.variable("NOTIFY_SOCKET", path.to_str().unwrap()).start()
    }

    /// Returns the next notification, one line per assignment (`sd_notify(3)`).
    #[track_caller]
    fn receive(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let count = self.socket.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(buffer.get(..count).unwrap()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn expect_ready(&self) {
        assert_eq!(self.receive(), ["READY=1", "STATUS=serving"]);
    }

    /// Expects the start of a reload. Returns its time in microseconds.
    #[track_caller]
    fn expect_reloading(&self) -> u64 {
        let output = self.receive();
        let [reloading, moment] = output.as_slice() else { panic!("no reload but {output:?}") };
        assert_eq!(reloading, "RELOADING=1");
        moment.strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap()
    }
}

#[test]
fn systemd_is_notified_of_start_reloads_and_stop() {
    let systemd = Systemd::listen();
    let server = systemd.start(Setup::new().ini("drainTime = 3s"));
    systemd.expect_ready();
    server.signal(Signal::HUP);
    let first = systemd.expect_reloading();
    systemd.expect_ready();
    // A reload that fails is also reported as finished: the server continues unchanged.
    server.folder.write("websock.ini", "[websocketserver]\nno such key = 1\n");
    server.signal(Signal::HUP);
    assert!(systemd.expect_reloading() > first);
    systemd.expect_ready();
    server.term();
    assert_eq!(
        systemd.receive(),
        ["STOPPING=1", "EXTEND_TIMEOUT_USEC=3000000", "STATUS=draining"],
        "at the end"
    );
    assert!(server.wait_exit(DEADLINE).success());
}

/// Otherwise systemd would mistake a server that is stopping for one that is ready again.
#[test]
fn a_reload_during_shutdown_is_not_reported_as_done() {
    let systemd = Systemd::listen();
    let server = systemd.start(Setup::new().ini("drainTime = 3s"));
    systemd.expect_ready();
    let ini = server.folder.path("websock.ini");
    let text = std::fs::read(&ini).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A file that is being written keeps the reload waiting at its start.
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                std::fs::write(&ini, &text).unwrap();
                pause(Duration::from_millis(5));
            }
        });
        let _client = Open::web().ready(server.port);
        server.signal(Signal::HUP);
        systemd.expect_reloading();
        server.signal(Signal::HUP);
        server.term();
        assert_eq!(systemd.receive()[0], "STOPPING=1");
        assert!(server.wait_exit(DEADLINE).success());
        is_over.store(true, Ordering::Relaxed);
    });
    systemd.socket.set_nonblocking(true).unwrap();
    assert!(systemd.socket.recv(&mut [0; 64]).is_err(), "it spoke after its last word");
}

#[test]
fn the_watchdog_is_notified_repeatedly() {
    let systemd = Systemd::listen();
    let server = systemd.start(Setup::new().variable("WATCHDOG_USEC", "200000"));
    let mut received = Vec::new();
    while received.iter().filter(|output| *output == "WATCHDOG=1").count() < 5 {
        received.extend(systemd.receive());
    }
    assert!(received.contains(&"READY=1".to_owned()), "in {received:?}");
    assert_eq!(server.workers(2).len(), 2);
}

/// A child with the socket could send notifications for the whole service.
#[test]
fn no_child_knows_the_socket() {
    let systemd = Systemd::listen();
    let server = systemd.start(Setup::new().variable("WATCHDOG_USEC", "60000000"));
    let environment = |pid: u32| {
        let bytes = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    assert!(environment(server.pid()).contains("NOTIFY_SOCKET"));
    let children = server.children();
    assert_eq!(children.len(), 4);
    for (pid, role) in children {
        let inherited = environment(pid);
        assert!(!inherited.contains("NOTIFY_SOCKET"), "{role} has {inherited:?}");
        assert!(!inherited.contains("WATCHDOG"), "{role} has {inherited:?}");
    }
}
