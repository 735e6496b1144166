//! Faults that need time or a debugger: a frame that is never completed, and a kernel whose calls sometimes
//! fail (fault 18 of `docs/faults.md`).

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::frames::{BINARY, FIN, announces, continues, ends, ping, text, text_begins};
use crate::harness::tls::{ALL_VERSIONS, certificate_in};
use crate::harness::{Folder, Open, Raw, Server, Setup, echo, eventually, pause, with_a_bystander};

/// The time is the same for each frame, whether its bytes arrive slowly or not at all.
#[test]
fn fault_18_half_a_frame_is_closed_1008_after_its_time() {
    // No pings interfere.
    let server = Setup::new().ini("pingInterval = 0\nmessageTimeout = 3s").start();
    with_a_bystander(&server, |bystander| {
        let mut silent = server.open(&Open::web());
        let mut dribbles = server.open(&Open::web());
        for client in [&mut silent, &mut dribbles] {
            client.send(announces(FIN | BINARY, 1_000_000));
        }
        // Nearly all bytes can be sent; on a busy machine the connection may be closed by then.
        for _ in 0..50 {
            dribbles.try_send([0]).ok();
            bystander.is_served();
            pause(Duration::from_millis(50));
        }
        for mut client in [silent, dribbles] {
            // A client in the middle of a frame cannot answer the pings of the heartbeat.
            let close = loop {
                let frame = client.frame();
                if frame.is_close() {
                    break frame;
                }
            };
            assert_eq!(close.close_code(), Some(1008), "{}", close.shown());
            assert_eq!(&close.payload[2..], b"half a frame for too long");
            client.expect_end();
        }
    });
}

/// Makes system calls of a process fail, until it is dropped.
struct Strace(Child);

impl Strace {
    #[track_caller]
    fn of(pid: u32, injection: &str) -> Self {
        let mut strace = Command::new("strace")
            .args(["-f", "-q", "-o", "/dev/null", "-e", injection, "-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("strace attached", || {
            assert!(strace.try_wait().unwrap().is_none(), "strace ended");
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?;
            (tracer.trim() == strace.id().to_string()).then_some(())
        });
        Self(strace)
    }
}

impl Drop for Strace {
    /// SIGTERM and not SIGKILL, so that strace detaches from the process first.
    fn drop(&mut self) {
        crate::harness::processes::send_signal(self.0.id(), rustix::process::Signal::TERM);
        self.0.wait().ok();
    }
}

/// Results that the kernel may return although there is space and data. EAGAIN from a send is not one of
/// them, because links are watched edge-triggered; it occurs for real with readers that have a small window.
pub fn fault_18_system_calls_that_fail_now_and_then_lose_nothing() {
    // No pings interfere.
    let server = Setup::new().ini("pingInterval = 0").start();
    with_a_bystander(&server, |bystander| {
        for injection in [
            "inject=recvfrom:error=EAGAIN:when=3+5",
            "inject=sendto,sendmsg:error=EINTR:when=2+3",
            "inject=recvfrom:error=EINTR:when=2+3",
            "inject=sendto,sendmsg:error=ENOBUFS:when=4+7",
        ] {
            let workers = server.workers(2);
            let _traced: Vec<_> = workers.iter().map(|pid| Strace::of(*pid, injection)).collect();
            let mut client = server.open(&Open::web());
            for number in 0..50 {
                let packet = echo(&format!("{number} {}", "x".repeat(number * 100)));
                client.text(&packet);
                client.expect_next();
                client.expect_text(&packet);
                bystander.is_served();
            }
        }
    });
}

/// Starts a server with the shortest deadline that a test can wait for. The bystander has no unfinished
/// message.
fn impatient() -> Server {
    Setup::new().ini("pingInterval = 0\nmessageTimeout = 1s\n").start()
}

#[test]
fn an_incomplete_message_that_does_not_grow_is_closed_1008() {
    let server = impatient();
    with_a_bystander(&server, |bystander| {
        let mut pieces = server.open(&Open::web());
        pieces.send(text_begins("a piece"));
        let mut chunks = server.open(&Open::web());
        chunks.text("bufferON");
        chunks.expect_next();
        let mut php = server.open(&Open::php());
        php.text("bufferON");
        php.expect_next();
        for round in 0..12 {
            // Control frames do not count as progress, and neither does a byte now and then.
            pieces.send(ping("alive"));
            pieces.send(continues("y"));
            chunks.text(format!("chunk {round}"));
            bystander.is_served();
            pause(Duration::from_millis(50));
        }
        for mut client in [pieces, chunks, php] {
            let close = loop {
                let frame = client.frame();
                if frame.is_close() {
                    break frame;
                }
            };
            assert_eq!(close.close_code(), Some(1008), "{}", close.shown());
            assert_eq!(&close.payload[2..], b"half a message for too long");
            client.expect_end();
        }
    });
}

/// A script gets no pings, so nothing else would close it.
#[test]
fn half_a_record_of_tls_has_a_deadline_too() {
    let folder = Folder::new();
    certificate_in(&folder);
    let ini = "adress = wss://127.0.0.1:0\nworkers = 2\nmessageTimeout = 1s\n\
               certFile = cert.pem\npkFile = key.pem\n";
    folder.write("websock.ini", ini);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let client = Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
    let mut client = Open::php().upgrade_over(client);
    client.expect_ready();
    let mut below: &std::net::TcpStream = client.stream();
    below.write_all(&[0x17, 3, 3, 0x40, 0, 1, 2, 3]).unwrap();
    let close = client.frame();
    assert_eq!(close.close_code(), Some(1008), "{}", close.shown());
}
