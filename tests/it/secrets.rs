//! Secrets appear nowhere: not in logs at any level, arguments, environments or answers, and not in data for
//! other clients (promise P9).

use crate::harness::tls::certificate_in;
use crate::harness::{Open, Raw, Server, Setup, eventually, frames, processes};
use rustix::process::Signal;

/// Texts that must not be found: the secrets of the two applications, a wrong secret, and the UUID key.
const SECRETS: [&str; 4] = ["s3cret-of-shop", "s3cret-of-bank", "wr0ng-guess", "00c0ffee"];

fn start(format: &str) -> Server {
    let auth = format!(
        "applications:\n  - {{key: shop, secret: {}, authorizeOpen: true}}\n  - {{key: bank, secret: \
         {}, authorizeOpen: false}}\n",
        SECRETS[0], SECRETS[1]
    );
    let ini = format!(
        "logLevel = trace\nlogFormat = {format}\nlogfile = all.log\nuuidKey = {}\n\
         uuidKeyFile = none\n",
        // Any part of the key that was shown would contain this.
        SECRETS[3].repeat(8)
    );
    Setup::new().ini(&ini).auth(&auth).start()
}

/// Opens connections and sends messages with right, wrong and broken secrets. Returns the data that other
/// clients received.
fn use_secrets(server: &Server) -> Vec<u8> {
    let mut witness = Open::at("/web?key=shop").ready(server.port);
    let mut received = Vec::new();
    for secret in SECRETS {
        for target in ["/web", "/", "/nope", "/php", "/%zz", "/web?tags=broken&"] {
            let query = if target.contains('?') { "" } else { "?" };
            let open = Open::at(&format!("{target}{query}key=bank&secret={secret}"));
            let mut client = open.ask(server.port);
            received.extend(drain(&mut client));
            received.extend(drain(&mut open.version("HTTP/1.0").ask(server.port)));
        }
        let mut page = Open::at("/web?key=shop").ready(server.port);
        let packet =
            format!(r#"{{"opcode":"broadcast","message":"m","key":"shop","secret":"{secret}"}}"#);
        page.text(&packet);
        page.send(frames::masked(frames::FIN | frames::BINARY, packet.as_bytes()));
        page.text(&packet[..packet.len() - 1]);
        received.extend(drain(&mut page));
        let mut gomoob = Open::at("/?key=shop&tags={}").upgrade(server.port);
        let metadata = format!(r#"{{"key":"bank","secret":"{secret}"}}"#);
        gomoob.text(format!(r#"{{"message":"m","metadata":{metadata}}}"#));
        gomoob.text(format!(r#"{{"message":"m","metadata":{metadata},"{secret}":1}}"#));
        // The sender chose the name of the member, and only the sender gets it back.
        drain(&mut gomoob);
        Raw::connect(server.port).try_send(format!("GET /?secret={secret} HTTP/9\r\n\r\n")).ok();
    }
    witness.send(frames::ping("enough"));
    loop {
        let frame = witness.frame();
        received.extend(&frame.payload);
        if frame.payload == b"enough" {
            return received;
        }
    }
}

/// Returns everything that the server sends to a client that sends nothing more.
fn drain(client: &mut Raw) -> Vec<u8> {
    client.stream().shutdown(std::net::Shutdown::Write).ok();
    let mut all = Vec::new();
    loop {
        match client.read_segment(crate::harness::DEADLINE) {
            Ok(_) => all.extend(client.take_all()),
            Err(_) => return all,
        }
    }
}

#[track_caller]
fn expect_none(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in {place}:\n{text}");
    }
}

fn look_everywhere(server: &Server) {
    let mut pids: Vec<u32> = server.children().into_iter().map(|(pid, _)| pid).collect();
    assert_eq!(pids.len(), 4, "two workers, a broker and an API process");
    pids.push(server.pid());
    for pid in pids {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        expect_none("an environment", &environment);
        expect_none("arguments", processes::command_line(pid).as_bytes());
    }
    expect_none("the console", server.output().as_bytes());
    let log = std::fs::read(server.folder.root().join("all.log")).unwrap();
    assert!(log.len() > 10_000, "the log is as detailed as it can be");
    expect_none("the log file", &log);
}

/// A254, for secrets of applications.
#[test]
fn p9_secrets_appear_nowhere_whatever_is_done_with_them() {
    for format in ["text", "json"] {
        let server = start(format);
        let received = use_secrets(&server);
        assert!(String::from_utf8_lossy(&received).contains(r#""message":"m"#));
        expect_none("what others hear", &received);
        for pid in server.workers(2) {
            processes::send_signal(pid, Signal::ABORT);
        }
        let dead = server.kill_broker();
        eventually("another broker", || (server.broker() != dead).then_some(()));
        server.workers(2);
        expect_none("what others hear", &use_secrets(&server));
        look_everywhere(&server);
    }
}

#[test]
fn p9_the_private_key_of_the_certificate_appears_nowhere_either() {
    let folder = crate::harness::Folder::new();
    certificate_in(&folder);
    let ini = "adress = wss://127.0.0.1:0\nworkers = 2\ncertFile = cert.pem\npkFile = key.pem\n\
               logLevel = trace\nlogfile = all.log\n";
    folder.write("websock.ini", ini);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let mut client =
        Raw::connect_tls(server.port, &server.folder, crate::harness::tls::ALL_VERSIONS);
    client = Open::web().upgrade_over(client);
    client.expect_ready();
    let key = std::fs::read_to_string(server.folder.root().join("key.pem")).unwrap();
    let line = key.lines().nth(1).unwrap();
    assert!(!server.output().contains(line));
    for (pid, command_line) in server.children() {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        assert!(!String::from_utf8_lossy(&environment).contains(line));
        assert!(!command_line.contains(line));
    }
}
