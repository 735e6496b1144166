//! A real NATS server, and hosts that share publications over it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::api::AUTH;
use super::folder::Folder;
use super::opening::Open;
use super::packets::feedback_to;
use super::processes::send_signal;
use super::server::{Server, Setup};
use super::wait::{DEADLINE, eventually};
use tagcast::types::BridgeCounts;

/// The name of the clusters of tests.
pub const CLUSTER: &str = "test";

/// The variable that names another program than Debian's.
pub const PROGRAM: &str = "TAGCAST_NATS_SERVER";

/// A `nats-server`. Dropping it kills it.
#[derive(Debug)]
pub struct Nats {
    child: Child,
    folder: Folder,
    /// The port that it listens on, also after a restart.
    pub port: u16,
}

impl Nats {
    /// Starts a server with these lines of configuration.
    #[track_caller]
    pub fn start(configuration: &str) -> Self {
        let folder = Folder::new();
        folder.write("nats.conf", configuration);
        let child = spawn(&folder, "-1");
        let port = eventually("the port of the NATS server", || {
            let file = folder.path(&format!("nats-server_{}.ports", child.id()));
            let text = std::fs::read_to_string(file).ok()?;
            let ports: serde_json::Value = serde_json::from_str(&text).ok()?;
            let url = ports["nats"][0].as_str()?;
            url.rsplit(':').next()?.parse().ok()
        });
        Self { child, folder, port }
    }

    /// Returns its URL.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Starts it again on the same port, and waits until it accepts connections.
    #[track_caller]
    pub fn restart(&mut self) {
        self.child = spawn(&self.folder, &self.port.to_string());
        eventually("the NATS server", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// Uses another configuration from now on.
    pub fn configure(&self, configuration: &str) {
        self.folder.write("nats.conf", configuration);
        send_signal(self.child.id(), Signal::HUP);
    }

    /// Stops or continues it.
    pub fn signal(&self, signal: Signal) {
        send_signal(self.child.id(), signal);
    }

    /// Connects without the library that the server uses, and subscribes to everything.
    #[track_caller]
    pub fn sniff(&self) -> Sniffer {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut sniffer = Sniffer(BufReader::new(stream));
        sniffer.send("CONNECT {\"verbose\":false}\r\nSUB > 1\r\nPING\r\n");
        while sniffer.line() != "PONG" {}
        sniffer
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(folder: &Folder, port: &str) -> Child {
    let program = std::env::var_os(PROGRAM).unwrap_or_else(|| "nats-server".into());
    Command::new(program)
        .args(["-a", "127.0.0.1", "-p", port, "-c", "nats.conf", "--ports_file_dir"])
        .arg(folder.root())
        .current_dir(folder.root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A connection of someone who can read everything that the NATS server carries.
#[derive(Debug)]
pub struct Sniffer(BufReader<TcpStream>);

impl Sniffer {
    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Publishes bytes.
    pub fn publish(&mut self, subject: &str, bytes: &[u8]) {
        let head = format!("PUB {subject} {}\r\n", bytes.len());
        self.0.get_mut().write_all(&[head.as_bytes(), bytes, b"\r\n"].concat()).unwrap();
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the NATS server has closed");
        line.trim_end().to_owned()
    }

    /// Returns the subject and the bytes of the next message.
    #[track_caller]
    pub fn message(&mut self) -> (String, Vec<u8>) {
        loop {
            let line = self.line();
            if line == "PING" {
                self.send("PONG\r\n");
                continue;
            }
            let Some(rest) = line.strip_prefix("MSG ") else { continue };
            let words: Vec<&str> = rest.split(' ').collect();
            let mut bytes = vec![0; words.last().unwrap().parse::<usize>().unwrap() + 2];
            self.0.read_exact(&mut bytes).unwrap();
            bytes.truncate(bytes.len() - 2);
            return (words[0].to_owned(), bytes);
        }
    }
}

/// Returns the options of a host.
pub fn host(nats: &Nats) -> Setup {
    host_with(nats, "")
}

/// Returns the options of a host with more keys of `[cluster]`.
pub fn host_with(nats: &Nats, keys: &str) -> Setup {
    let (key, url) = ("01".repeat(32), nats.url());
    let ini = format!("uuidKey = {key}\n[cluster]\nnats = {url}\nname = {CLUSTER}\n{keys}");
    Setup::new().ini(&ini).auth(AUTH)
}

/// Starts this number of hosts, and waits until each knows all others.
#[track_caller]
pub fn hosts<const N: usize>(nats: &Nats) -> [Server; N] {
    let hosts = [(); N].map(|()| host(nats).start());
    wait_until_joined(&hosts);
    hosts
}

/// Waits until each host knows all others, and the connection to NATS is sound.
#[track_caller]
pub fn wait_until_joined(hosts: &[Server]) {
    for host in hosts {
        eventually("all hosts", || {
            let counts = host.bridge_counts()?;
            let is_sound = counts.state == tagcast::types::ClusterState::Connected;
            (is_sound && counts.hosts_live == hosts.len() as u64).then_some(())
        });
    }
}

/// Waits until two hosts have asked each other for their names and have the answers: what they lose then is
/// publications.
#[track_caller]
pub fn wait_until_settled([a, b]: [&Server; 2]) {
    let open = |host: &Server| host.open(&Open::at("/web?key=shop"));
    let mut pages = [open(a), open(b)];
    // A publication to the client of one host comes after what its sender has sent to this host before.
    for (number, from) in [0, 1, 0].into_iter().enumerate() {
        let packet = feedback_to(&pages[1 - from].uuid, &format!("settled {number}"));
        pages[from].text(&packet);
        pages[from].expect_next();
        pages[1 - from].expect_text(&packet);
    }
}

impl Server {
    /// Returns the counters of the bridge, if it answers.
    pub fn bridge_counts(&self) -> Option<BridgeCounts> {
        self.try_status()?.bridge()
    }

    /// Kills the bridge, and returns its process id.
    #[track_caller]
    pub fn kill_bridge(&self) -> u32 {
        let bridge = eventually("a bridge", || self.with_role("bridge").first().copied());
        send_signal(bridge, Signal::KILL);
        bridge
    }
}

/// How long a test lets NATS stay away.
pub const OUTAGE: Duration = Duration::from_millis(1500);
