//! Listening sockets that systemd passes at the start (`LISTEN_FDS`). The tests play the part of systemd: they hold
//! the socket, start the server with it, and start the next server with the same one.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::Signal;

use crate::harness::processes::send_signal;
use crate::harness::{Folder, Open, Raw, binary, eventually};

/// Moves standard input to the first passed descriptor, and becomes the server.
const START: &str =
    r#"exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve -i websock.ini"#;

/// A server that was started with a socket.
struct Activated(Child);

impl Activated {
    fn start(folder: &Folder, socket: impl Into<OwnedFd>) -> Self {
        let errors = File::create(folder.path("errors")).unwrap();
        let child = Command::new("sh")
            .args(["-c", START])
            .arg(binary())
            .current_dir(folder.root())
            .stdin(Stdio::from(socket.into()))
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn();
        Self(child.unwrap())
    }

    #[track_caller]
    fn wait_for_end(&mut self) -> ExitStatus {
        eventually("the end of the server", || self.0.try_wait().unwrap())
    }

    #[track_caller]
    fn stop(mut self) {
        send_signal(self.0.id(), Signal::TERM);
        assert!(self.wait_for_end().success());
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        // Workers exit with their supervisor.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts a server that must refuse the socket. Returns its errors.
#[track_caller]
fn refused(folder: &Folder, socket: impl Into<OwnedFd>) -> String {
    let status = Activated::start(folder, socket).wait_for_end();
    let errors = std::fs::read_to_string(folder.path("errors")).unwrap();
    assert_eq!(status.code(), Some(78), "{errors}");
    errors
}

#[test]
fn a_client_that_connects_between_two_servers_is_served() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let folder = Folder::new();
    folder.write("websock.ini", &format!("address = ws://127.0.0.1:{port}\nworkers = 2\n"));
    let first = Activated::start(&folder, socket.try_clone().unwrap());
    let mut client = Open::web().ready(port);
    first.stop();
    client.expect_close(1001);
    let mut waiting = Raw::connect(port);
    let second = Activated::start(&folder, socket);
    waiting = Open::web().upgrade_over(waiting);
    waiting.expect_ready();
    second.stop();
}

#[test]
fn a_socket_for_both_families_serves_both_addresses() {
    let socket = TcpListener::bind("[::]:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let folder = Folder::new();
    let secret = "a-long-secret-of-an-application-in-this-test";
    folder.write(
        "auth.yml",
        &format!("applications:\n  - key: shop\n    secret: {secret}\n    authorizeOpen: true\nanonymous: shop\n"),
    );
    folder.write(
        "websock.ini",
        &format!("address = ws://0.0.0.0:{port}, ws://[::]:{port}\nworkers = 1\n"),
    );
    let server = Activated::start(&folder, socket);
    Open::web().ready(port);
    let over_6 = std::net::TcpStream::connect(("::1", port)).unwrap();
    Open::web().upgrade_over(Raw::over(over_6)).expect_ready();
    server.stop();
}

#[test]
fn a_passed_unix_socket_keeps_its_file() {
    let folder = Folder::new();
    let path = folder.path("ws.sock");
    let socket = UnixListener::bind(&path).unwrap();
    folder.write("websock.ini", "address = unix:ws.sock\nworkers = 1\n");
    let server = Activated::start(&folder, socket);
    Open::web().upgrade_over(Raw::connect_unix(&path)).expect_ready();
    server.stop();
    assert!(path.exists(), "the file belongs to systemd");
}

#[test]
fn a_passed_socket_that_no_address_names_is_an_error() {
    let folder = Folder::new();
    folder.write("websock.ini", "address = ws://127.0.0.1:0\nworkers = 1\n");
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let errors = refused(&folder, socket);
    let text = format!("a socket for ws://127.0.0.1:{port} was passed at the start (LISTEN_FDS)");
    assert!(errors.contains(&text), "{errors}");
}

#[test]
fn a_descriptor_that_does_not_listen_is_an_error() {
    let folder = Folder::new();
    folder.write("websock.ini", "address = ws://127.0.0.1:0\nworkers = 1\n");
    let text =
        "the descriptor 3 of LISTEN_FDS cannot be used: it is not a TCP or Unix stream socket";
    let errors = refused(&folder, File::open("/dev/zero").unwrap());
    assert!(errors.contains(text), "{errors}");
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let errors = refused(&folder, one);
    assert!(errors.contains("of LISTEN_FDS cannot be used: it does not listen"), "{errors}");
}

/// systemd itself passes a socket, and starts the server at the first connection.
pub fn systemd_starts_the_server_at_the_first_connection() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = Folder::new();
    folder.write("websock.ini", &format!("address = ws://127.0.0.1:{port}\nworkers = 1\n"));
    let listen = format!("127.0.0.1:{port}");
    let child = Command::new("systemd-socket-activate")
        .args(["-l", &listen])
        .arg(binary())
        .args(["serve", "-i", "websock.ini"])
        .current_dir(folder.root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(folder.path("errors")).unwrap())
        .spawn();
    let server = Activated(child.unwrap());
    let client = eventually("the socket of systemd", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    let mut client = Open::web().upgrade_over(Raw::over(client));
    client.expect_ready();
    server.stop();
    client.expect_close(1001);
}
