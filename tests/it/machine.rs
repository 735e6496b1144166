//! A machine without free resources: descriptors, disk space, a reader for the log (faults 38 and 40).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::processes::{children_of, is_alive, processor_ticks, send_signal};
use crate::harness::{
    Folder, Open, Raw, Server, Setup, binary, echo, eventually, feedback_to, pause,
};
use rustix::process::Signal;

/// A publisher and a receiver on one worker. Some of these servers have only one.
struct Pair {
    publisher: Raw,
    receiver: Raw,
    count: u32,
}

impl Pair {
    fn on(port: u16) -> Self {
        Self { publisher: Open::web().ready(port), receiver: Open::web().ready(port), count: 0 }
    }

    #[track_caller]
    fn is_served(&mut self) {
        self.count += 1;
        let packet = feedback_to(&self.receiver.uuid, &self.count.to_string());
        self.publisher.text(&packet);
        self.publisher.expect_next();
        self.receiver.expect_text(&packet);
    }
}

fn limit_descriptors(pid: u32, count: u32) {
    let arguments = [format!("--pid={pid}"), format!("--nofile={count}:")];
    assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
}

pub fn without_descriptors_connections_wait_until_there_are_some() {
    let server = Setup::new().workers(1).start();
    let worker = server.workers(1)[0];
    let mut pair = Pair::on(server.port);
    limit_descriptors(worker, 40);
    let mut clients: Vec<_> = (0..60).map(|_| Open::web().ask(server.port)).collect();
    server.wait_for_output("event=accept_paused");
    let before = processor_ticks(worker);
    pause(Duration::from_secs(1));
    let busy = processor_ticks(worker) - before;
    assert!(busy < 20, "{busy} % of a processor, for waiting");
    pair.is_served();
    // Open connections are closed one by one, so that waiting ones are accepted.
    while !clients.is_empty() {
        let mut client = clients.remove(0);
        client.expect_upgrade();
        client.expect_ready();
    }
    pair.is_served();
    limit_descriptors(worker, 1024);
    let mut clients: Vec<_> = (0..100).map(|_| server.open(&Open::web())).collect();
    clients.iter_mut().for_each(Raw::expect_silence);
    pair.is_served();
    assert_eq!(server.workers(1), [worker]);
}

/// Both workers are full when the broker dies. Each of them needs one more descriptor for a moment.
#[test]
fn a_broker_death_at_the_connection_limit_closes_no_connection() {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1:0\nworkers = 2\n");
    let binary = binary();
    let arguments = ["-c", "ulimit -n 48 && exec \"$0\" serve", binary.to_str().unwrap()];
    let server = Server::run_program(Path::new("sh"), folder, (&arguments, &[]));
    let workers = server.workers(2);
    // All connections arrive in one burst.
    workers.iter().for_each(|worker| send_signal(*worker, Signal::STOP));
    let mut clients: Vec<_> = (0..100).map(|_| Open::web().ask(server.port)).collect();
    workers.iter().for_each(|worker| send_signal(*worker, Signal::CONT));
    eventually("both workers to be full", || {
        (server.output().matches("event=accept_paused").count() == 2).then_some(())
    });
    // The workers stopped accepting before the descriptors that they need themselves, and not at the limit.
    assert!(!server.output().contains("Too many open files"), "{}", server.output());
    let open = server.counts().open;
    for round in 1..=3 {
        let before = server.kill_broker();
        eventually("another broker", || (server.broker() != before).then_some(()));
        eventually("a link of each worker to it", || {
            let log = server.output();
            let lines = log.lines().filter(|line| line.contains("event=broker_linked"));
            let linked = lines.filter(|line| line.contains(" worker ")).count();
            (linked == 2 * (round + 1)).then_some(())
        });
    }
    assert_eq!(server.workers(2), workers);
    let counts = server.counts();
    assert_eq!((counts.open, counts.closed), (open, 0));
    // Open connections are served, and waiting ones are accepted as the others close.
    while !clients.is_empty() {
        let mut client = clients.remove(0);
        client.expect_upgrade();
        client.expect_ready();
    }
}

/// Each temporary error of `accept`, twelve times in a row.
pub fn accepting_resumes_after_failures() {
    for error in ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ECONNABORTED"] {
        let server = Setup::new().workers(1).start();
        let worker = server.workers(1)[0];
        let mut pair = Pair::on(server.port);
        let mut tracer = Tracer::inject(worker, &format!("accept4:error={error}:when=1..12"));
        let mut new_client = Open::web().ask(server.port);
        pair.is_served();
        new_client.expect_upgrade();
        new_client.expect_ready();
        pair.is_served();
        tracer.0.kill().unwrap();
        // A client that gave up while it waited is no reason to pause. Any other error is logged once and not
        // twelve times.
        let expected = usize::from(error != "ECONNABORTED");
        if expected == 1 {
            server.wait_for_output("event=accept_resumed");
        }
        for printed in ["event=accept_paused", "event=accept_resumed"] {
            assert_eq!(server.output().matches(printed).count(), expected, "{error}: {printed}");
        }
    }
}

/// `strace`, attached to a process.
struct Tracer(Child);

impl Tracer {
    #[track_caller]
    fn inject(pid: u32, what: &str) -> Self {
        let trace = ["-f", "-o", "/dev/null", "-e", "trace=accept4"];
        let mut tracer = Command::new("strace");
        tracer.args(trace).args(["-e", &format!("inject={what}"), "-p", &pid.to_string()]);
        let mut tracer = Self(tracer.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        eventually("the tracer", || {
            assert!(tracer.0.try_wait().unwrap().is_none(), "strace ended");
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let line = status.lines().find(|line| line.starts_with("TracerPid:")).unwrap();
            (!line.ends_with("\t0")).then_some(())
        });
        tracer
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A server whose standard error is not read by the test. The listening address is in its log file.
struct Mute {
    child: Child,
    folder: Folder,
    port: u16,
}

impl Mute {
    fn start(redirection: &str) -> Self {
        let folder = Folder::new();
        let ini =
            "adress = ws://127.0.0.1:0\nworkers = 1\nlogfile = server.log\nlogLevel = debug\n";
        folder.write("websock.ini", ini);
        let command = format!("exec \"$0\" serve -i websock.ini {redirection}");
        let child = Command::new("sh")
            .args(["-c", &command, binary().to_str().unwrap()])
            .current_dir(folder.root())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let log = folder.path("server.log");
        let port = eventually("the port in the log", || {
            let text = std::fs::read_to_string(&log).ok()?;
            let (_, rest) = text.split_once("listening on ws://127.0.0.1:")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        Self { child, folder, port }
    }

    fn log(&self) -> PathBuf {
        self.folder.path("server.log")
    }

    /// Stops the server with SIGTERM, which must work whatever is blocked.
    fn end(mut self) {
        send_signal(self.child.id(), Signal::TERM);
        let status = eventually("its end", || self.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        let children = children_of(self.child.id());
        self.child.kill().ok();
        self.child.wait().ok();
        for (pid, _) in children.iter().filter(|(pid, _)| is_alive(*pid)) {
            send_signal(*pid, Signal::KILL);
        }
    }
}

/// Opens connections, each of which causes several log lines.
fn make_lines(port: u16, count: usize) {
    for _ in 0..count {
        let mut client = Open::web().ready(port);
        client.text(echo("a line"));
        client.expect_next();
    }
}

#[test]
fn a_closed_console_ends_nothing() {
    let server = Mute::start(">&- 2>&-");
    let mut pair = Pair::on(server.port);
    make_lines(server.port, 200);
    pair.is_served();
    let children = children_of(server.child.id());
    assert_eq!(children.len(), 3, "{children:?}");
    drop(pair);
    server.end();
}

/// No process waits for the console, and the log file has every line.
#[test]
fn an_unread_console_delays_no_client() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // The pipe is opened for reading and writing, so that opening it does not block, and is never read. It is
    // full after 64 KiB.
    let server = Mute::start(&format!("2<>{}", fifo.display()));
    let mut pair = Pair::on(server.port);
    make_lines(server.port, 600);
    pair.is_served();
    let opened = |text: &str| text.matches("event=connection_opened").count();
    eventually("every line in the file", || {
        let text = std::fs::read_to_string(server.log()).unwrap();
        (opened(&text) == 602 && text.len() > 64 * 1024).then_some(())
    });
    drop(pair);
    server.end();
}

#[test]
fn a_log_file_that_is_removed_ends_nothing() {
    let server = Mute::start("2>/dev/null");
    let mut pair = Pair::on(server.port);
    std::fs::remove_file(server.log()).unwrap();
    make_lines(server.port, 100);
    pair.is_served();
    drop(pair);
    server.end();
}

/// The log is on a disk of 64 KiB in a mount namespace of the server's own.
#[test]
fn a_full_disk_stops_nothing_and_lost_lines_are_counted() {
    let folder = Folder::new();
    folder.write(
        "websock.ini",
        "adress = ws://127.0.0.1:0\nworkers = 1\nlogfile = disk/server.log\nlogLevel = debug\n",
    );
    std::fs::create_dir(folder.path("disk")).unwrap();
    let mount = "mount -t tmpfs -o size=64k tmpfs disk";
    if !can_mount(folder.root(), mount) {
        return;
    }
    let command = format!("{mount} && head -c 48K /dev/zero > disk/ballast && exec \"$0\" serve");
    let binary = binary();
    let arguments = ["-m", "sh", "-c", &command, binary.to_str().unwrap()];
    let server = Server::run_program(Path::new("unshare"), folder, (&arguments, &[]));
    let mut pair = Pair::on(server.port);
    make_lines(server.port, 300);
    pair.is_served();
    let disk = |name: &str| {
        let inside = server.folder.path("disk").join(name);
        PathBuf::from(format!("/proc/{}/root{}", server.pid(), inside.display()))
    };
    let full = std::fs::metadata(disk("server.log")).unwrap().len();
    assert!(full <= 16 * 1024, "the disk was not full: {full} bytes of log");
    std::fs::remove_file(disk("ballast")).unwrap();
    make_lines(server.port, 5);
    eventually("the count of the lost lines", || {
        let text = std::fs::read_to_string(disk("server.log")).unwrap();
        let (_, rest) = text.split_once("event=log_lines_lost lost_lines=")?;
        rest.lines().next()?.parse::<u64>().is_ok_and(|lost| lost > 100).then_some(())
    });
    pair.is_served();
}

/// `ulimit -f`: its signal (SIGXFSZ) must not kill the supervisor or a child.
#[test]
fn a_file_size_limit_stops_nothing_and_lost_lines_are_counted() {
    let folder = Folder::new();
    folder.write(
        "websock.ini",
        "adress = ws://127.0.0.1:0\nworkers = 1\nlogfile = server.log\nlogLevel = debug\n",
    );
    let binary = binary();
    let arguments = ["-c", "ulimit -S -f 64 && exec \"$0\" serve", binary.to_str().unwrap()];
    let server = Server::run_program(Path::new("sh"), folder, (&arguments, &[]));
    let before = server.children();
    let log = server.folder.path("server.log");
    let mut pair = Pair::on(server.port);
    let full = || std::fs::metadata(&log).unwrap().len();
    // The shell counts the limit in blocks of 512 or of 1,024 bytes.
    eventually("a file that is as large as it may be", || {
        make_lines(server.port, 50);
        let length = full();
        pair.is_served();
        (length >= 32 * 1024 && length == full() && length % 512 == 0).then_some(())
    });
    make_lines(server.port, 50);
    for (pid, _) in before.iter().chain([&(server.pid(), String::new())]) {
        let arguments = [format!("--pid={pid}"), "--fsize=unlimited:".to_owned()];
        assert!(Command::new("prlimit").args(arguments).status().unwrap().success());
    }
    make_lines(server.port, 5);
    eventually("the count of the lost lines", || {
        let text = std::fs::read_to_string(&log).unwrap();
        let (_, rest) = text.split_once("event=log_lines_lost lost_lines=")?;
        rest.lines().next()?.parse::<u64>().is_ok_and(|lost| lost > 50).then_some(())
    });
    assert_eq!(server.children(), before, "nobody has died");
}

fn can_mount(folder: &Path, mount: &str) -> bool {
    let tried = Command::new("unshare")
        .args(["-m", "sh", "-c", mount])
        .current_dir(folder)
        .stderr(Stdio::null())
        .status();
    let can = tried.is_ok_and(|status| status.success());
    #[expect(clippy::print_stderr, reason = "whoever runs the test shall see what is missing")]
    if !can {
        eprintln!("skipped: no mount namespace can be made here");
    }
    can
}
