//! Tests behind nginx and HAProxy, which use the files of `examples/deploy` with other ports and certificate
//! paths.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::harness::api;
use crate::harness::tls::{ALL_VERSIONS, certificate_in, client_of};
use crate::harness::{
    DEADLINE, Folder, Open, Raw, Server, broadcast, eventually, feedback_to, socket_from,
};
use rustls::ClientConfig;

/// Two client addresses that stand for different machines.
const HERE: &str = "127.0.0.2";
const THERE: &str = "127.0.0.3";
/// The option of HAProxy that passes on addresses with TLS.
const HEADER: &str = "send-proxy-v2";
/// More than any buffer between the two sides.
const LARGE: usize = 1024 * 1024;

pub fn nginx_ends_tls_and_passes_websockets_on() {
    let server = start("address = ws://127.0.0.1:0\ntrustedProxies = 127.0.0.1\nmaxPerIP = 1");
    let proxy = Proxy::nginx(&server);
    proxy.serves_the_page();
    proxy.carries_messages();
    proxy.forwards_addresses();
    proxy.refuses_scripts_with_foreign_bytes();
    proxy.passes_the_end_on(&server);
}

/// A263.
pub fn nginx_carries_out_no_request_inside_another_one() {
    let folder = Folder::new();
    folder.write("auth.yml", api::AUTH);
    let server = start_in(folder, "address = ws://127.0.0.1:0\ntrustedProxies = 127.0.0.1\n");
    let proxy = Proxy::nginx(&server);
    let mut page = server.open(&Open::at("/web?key=shop"));
    for bytes in api::smuggled(&format!("{}/{}", api::LIST, page.uuid)) {
        let mut backend = proxy.connect(HERE);
        backend.send(&bytes);
        let status = backend.read_head().status();
        assert!(matches!(status, 200 | 400 | 501), "{status}: {}", String::from_utf8_lossy(&bytes));
        backend.wait_for_end();
    }
    // Every request has ended. The page is there, and has received what the requests themselves publish at most.
    let last = api::post(api::PUBLISH, &[api::SHOP], r#"{"to":"all","message":"last"}"#);
    let mut backend = proxy.connect(HERE);
    assert_eq!(backend.request(last).status(), 200);
    while page.frame().as_text() != r#"{"opcode":"broadcast","message":"last"}"# {}
}

pub fn haproxy_ends_tls_and_passes_websockets_on() {
    let ini = "address = wss://127.0.0.1:0\ntls = proxy\ntrustedProxies = 127.0.0.1\nmaxPerIP = 1";
    let server = start(ini);
    let proxy = Proxy::haproxy(&server, HEADER).0;
    proxy.serves_the_page();
    proxy.carries_messages();
    proxy.forwards_addresses();
    proxy.passes_the_end_on(&server);
}

pub fn haproxy_passes_tls_through_with_addresses() {
    for header in [HEADER, "send-proxy"] {
        let server = start_with_tls("trustedProxies = 127.0.0.1\nmaxPerIP = 1");
        let proxy = Proxy::through(&server, header);
        proxy.serves_the_page();
        proxy.carries_messages();
        proxy.forwards_addresses();
        proxy.passes_the_end_on(&server);
    }
}

pub fn haproxy_passes_tls_through_unread() {
    let server = start_with_tls("maxPerIP = 2");
    let proxy = Proxy::through(&server, "");
    proxy.serves_the_page();
    proxy.carries_messages();
    // All clients have the address of HAProxy. The addresses that they claim are ignored.
    let others = [HERE, THERE].map(|it| eventually("a place", || proxy.try_ready(it)));
    let claim = Open::web().header("X-Forwarded-For", "203.0.113.7");
    let mut third = proxy.upgrade("127.0.0.4", &claim);
    third.expect_text(&too_many_from("127.0.0.1"));
    third.expect_close(1013);
    drop(others);
    proxy.passes_the_end_on(&server);
}

// -------------------------------------------------------------------- the server

fn start(ini: &str) -> Server {
    start_in(Folder::new(), ini)
}

fn start_in(folder: Folder, ini: &str) -> Server {
    folder.write("websock.ini", &format!("[websocketserver]\nworkers = 2\n{ini}\n"));
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

fn start_with_tls(ini: &str) -> Server {
    let folder = Folder::new();
    certificate_in(&folder);
    let files = "certFile = cert.pem\npkFile = key.pem";
    start_in(folder, &format!("address = wss://127.0.0.1:0\n{files}\n{ini}"))
}

fn too_many_from(ip: &str) -> String {
    format!(r#"{{"opcode":"close","error":"Too many connections from: {ip}"}}"#)
}

// -------------------------------------------------------------------- the proxies

/// A running proxy. It is killed when this is dropped.
struct Proxy {
    _program: Program,
    port: u16,
    client: Arc<ClientConfig>,
}

impl Proxy {
    fn nginx(server: &Server) -> Self {
        let folder = Folder::new();
        certificate_in(&folder);
        let port = free_port();
        let site = committed(
            "nginx.conf",
            &[
                ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
                ("127.0.0.1:8094", format!("127.0.0.1:{}", server.port)),
                ("/etc/nginx/tagcast.crt", shown(&folder.path("cert.pem"))),
                ("/etc/nginx/tagcast.key", shown(&folder.path("key.pem"))),
            ],
        );
        let site = folder.write("tagcast.conf", &site);
        // Settings that a distribution has in its own nginx.conf.
        let root = shown(folder.root());
        let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = kinds.map(|kind| format!("{kind}_temp_path {root}/{kind};\n")).concat();
        let main = format!(
            "daemon off;\nmaster_process off;\npid {root}/pid;\nerror_log stderr;\nevents {{\n\
             worker_connections 256;\n}}\nhttp {{\n{temporary}include {};\n}}\n",
            shown(&site)
        );
        let main = shown(&folder.write("nginx.conf", &main));
        let client = client_of(&folder, ALL_VERSIONS);
        let program = Program::run(folder, "nginx", &["-e", "stderr", "-c", &main], port);
        Self { _program: program, port, client }
    }

    /// Returns the proxy that passes TLS through, with another option in place of [`HEADER`]. Its clients see
    /// the certificate of Tagcast, which HAProxy does not have.
    fn through(server: &Server, header: &str) -> Self {
        let (ended, port) = Self::haproxy(server, header);
        Self { port, client: client_of(&server.folder, ALL_VERSIONS), ..ended }
    }

    /// Returns the proxy that terminates TLS, and the port on which TLS is passed through.
    fn haproxy(server: &Server, header: &str) -> (Self, u16) {
        let folder = Folder::new();
        certificate_in(&folder);
        let read = |name: &str| fs::read_to_string(folder.path(name)).unwrap();
        let both = folder.write("both.pem", &(read("cert.pem") + &read("key.pem")));
        let (port, through) = (free_port(), free_port());
        let config = committed(
            "haproxy.cfg",
            &[
                ("bind :443", format!("bind 127.0.0.1:{port}")),
                ("bind :8443", format!("bind 127.0.0.1:{through}")),
                ("127.0.0.1:8094", format!("127.0.0.1:{}", server.port)),
                ("127.0.0.1:8095", format!("127.0.0.1:{}", server.port)),
                ("/etc/haproxy/tagcast.pem", shown(&both)),
                (HEADER, header.to_owned()),
            ],
        );
        let config = shown(&folder.write("haproxy.cfg", &config));
        let client = client_of(&folder, ALL_VERSIONS);
        let program = Program::run(folder, "haproxy", &["-db", "-f", &config], port);
        (Self { _program: program, port, client }, through)
    }

    fn connect(&self, source: &str) -> Raw {
        Raw::tls_over(&self.client, socket_from(source, self.port))
    }

    /// Opens a connection from this address. nginx may change the case of header names, and adds headers of
    /// its own.
    fn upgrade(&self, source: &str, open: &Open) -> Raw {
        let mut client = self.connect(source);
        client.send(open.request());
        client.expect_upgrade();
        client
    }

    fn ready(&self, source: &str) -> Raw {
        let mut client = self.upgrade(source, &Open::web());
        client.expect_ready();
        client
    }

    fn serves_the_page(&self) {
        let mut browser = self.connect(HERE);
        browser.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert_eq!(browser.read_head().status(), 200);
    }

    fn carries_messages(&self) {
        let (mut one, mut two) = (self.ready(HERE), self.ready(THERE));
        for message in ["hello", &"x".repeat(LARGE)] {
            one.text(broadcast(message));
            one.expect_next();
            two.expect_text(&broadcast(message));
        }
        let answer = feedback_to(&one.uuid, "only yours");
        two.text(&answer);
        two.expect_next();
        one.expect_text(&answer);
        for mut client in [one, two] {
            client.send(crate::harness::frames::close(1000, ""));
            client.expect_close(1000);
        }
    }

    /// With `maxPerIP = 1`: clients are counted by their own addresses and not by the addresses that they
    /// claim.
    fn forwards_addresses(&self) {
        // An earlier client may still be counted for a moment.
        let _one = eventually("a place for one", || self.try_ready(HERE));
        let _two = eventually("a place for another", || self.try_ready(THERE));
        for open in [Open::web(), Open::web().header("X-Forwarded-For", "203.0.113.7")] {
            let mut second = self.upgrade(HERE, &open);
            second.expect_text(&too_many_from(HERE));
            second.expect_close(1013);
        }
        // A script on another machine, which allowedIP does not list.
        self.upgrade(HERE, &Open::php()).expect_close(1008);
    }

    fn try_ready(&self, source: &str) -> Option<Raw> {
        let mut client = self.upgrade(source, &Open::web());
        client.frame().as_text().contains("ready").then_some(client)
    }

    /// The proxy appends the address of its client to the addresses that the client claims.
    fn refuses_scripts_with_foreign_bytes(&self) {
        for claim in [&b"\xFF"[..], b"127.0.0.1\xFF", b"127.0.0.1, \xFF"] {
            let request = Open::php().header("X-Forwarded-For", "CLAIM").request();
            let (before, after) = request.split_once("CLAIM").unwrap();
            let mut script = self.connect("127.0.0.4");
            script.send([before.as_bytes(), claim, after.as_bytes()].concat());
            script.expect_upgrade();
            script.expect_closed(1008);
        }
    }

    fn passes_the_end_on(&self, server: &Server) {
        let address = "127.0.0.5";
        let mut client = eventually("a place for the last one", || self.try_ready(address));
        server.term();
        client.expect_close(1001);
        assert!(server.wait_exit(DEADLINE).success());
    }
}

/// The process of a proxy, with the folder of its files.
pub struct Program {
    child: Child,
    folder: Folder,
}

impl Program {
    /// Starts a program that listens on this port, and waits for that.
    pub fn run(folder: Folder, program: &str, arguments: &[&str], port: u16) -> Self {
        let log = File::create(folder.path("log")).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut running = Self { child, folder };
        eventually("a proxy that listens", || {
            if let Some(status) = running.child.try_wait().unwrap() {
                panic!("{program} ended with {status}:\n{}", running.log());
            }
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        running
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path("log")).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failed test shows what the proxy wrote")]
            {
                eprintln!("--- the proxy wrote:\n{}\n---", self.log());
            }
        }
    }
}

/// Returns a file of `examples/deploy` with other ports and paths. Each of the replaced texts must be in the
/// file.
fn committed(name: &str, others: &[(&str, String)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/deploy").join(name);
    let mut text = fs::read_to_string(path).unwrap();
    for (here, there) in others {
        assert!(text.contains(here), "{name} has no {here:?} any more");
        text = text.replace(here, there);
    }
    text
}

fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Returns a port for a program that cannot choose one itself. The port is below the range that the system
/// assigns, so that no other program takes it meanwhile.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() % 10_000).unwrap();
    let candidates = || 20_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(candidates).take(10_000).find(is_free).unwrap()
}
