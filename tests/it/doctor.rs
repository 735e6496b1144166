//! `tagcast doctor`: findings about the machine, the configuration and the way of clients to the server.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::harness::tls::certificate_between;
use crate::harness::{Finished, Folder, Server, Setup, run_to_end};

/// Runs the command with its findings as JSON. Returns the exit code and the findings.
#[track_caller]
fn doctor(folder: &Folder, rest: &[&str]) -> (Option<i32>, Vec<Value>) {
    let Finished { code, text } = run_to_end(folder, &[&["doctor", "--json"], rest].concat());
    let findings = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
    (code, findings)
}

/// Returns severity and cure of the finding whose text contains these words.
#[track_caller]
fn found<'a>(findings: &'a [Value], words: &str) -> (&'a str, &'a str) {
    let holds = |it: &&Value| it["what"].as_str().unwrap().contains(words);
    let finding = findings.iter().find(holds).unwrap_or_else(|| panic!("{words}: {findings:#?}"));
    (finding["severity"].as_str().unwrap(), finding["cure"].as_str().unwrap_or_default())
}

/// Returns a port below those that the system assigns, so that the server gets it.
fn unused_port() -> u16 {
    let begin = u16::try_from(std::process::id() % 5_000).unwrap() + 14_000;
    (begin..).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

#[test]
fn a_machine_and_a_configuration_are_checked() {
    let folder = Folder::new();
    folder.write("websock.ini", "address = ws://127.0.0.1:0\n");
    let (code, findings) = doctor(&folder, &[]);
    assert_eq!(code, Some(0), "{findings:#?}");
    assert_eq!(found(&findings, "websock.ini is valid").0, "ok");
    assert_eq!(found(&findings, "`serve` would start").0, "ok");
    assert!(found(&findings, "THE SERVER IS OPEN").1.contains("tagcast app add"));
    assert_ne!(found(&findings, "a process started from here may open").0, "error");
    assert!(found(&findings, "net.core.somaxconn = ").0 != "error");
    assert!(found(&findings, "was not tested").1.contains("--url wss://"));
    let text = run_to_end(&folder, &["doctor"]).text;
    assert!(text.contains("WARNING  applications    THE SERVER IS OPEN"), "{text}");
    assert!(text.contains("-> tagcast app add NAME"), "{text}");
    assert!(text.contains("0 errors, "), "{text}");
    assert!(!folder.path("state").exists(), "it changes nothing");
}

#[test]
fn errors_of_the_configuration_and_of_the_start_end_with_78() {
    let folder = Folder::new();
    folder.write("websock.ini", "address = ws://127.0.0.1:0\nmaxMesage = 1M\n");
    let (code, findings) = doctor(&folder, &[]);
    assert_eq!(code, Some(78));
    assert_eq!(found(&findings, "did you mean `maxMessage`?").0, "error");
    folder.write("websock.ini", "address = ws://127.0.0.1:0\nstateDir = taken\n");
    folder.write("taken", "");
    let (code, findings) = doctor(&folder, &[]);
    assert_eq!(code, Some(78));
    assert_eq!(found(&findings, "the state folder ").0, "error");
}

#[test]
fn a_running_server_is_found_and_reached() {
    let server = Setup::new().start();
    let url = format!("http://127.0.0.1:{}/", server.port);
    let (code, findings) = doctor(&server.folder, &["--url", &url]);
    assert_eq!(code, Some(0), "{findings:#?}");
    for words in [
        "a server runs with the state folder",
        "of the running server may open",
        "completes the WebSocket handshake",
        "a ping came back in",
    ] {
        assert_ne!(found(&findings, words).0, "error", "{words}");
    }
    // The port was chosen by the system, so the API of the server has no address in the file.
    let url = format!("ws://127.0.0.1:{}/nothing", server.port);
    let (code, findings) = doctor(&server.folder, &["--url", &url]);
    assert_eq!(code, Some(78));
    assert!(found(&findings, "does not serve the path").1.contains("proxy_pass"));
}

#[test]
fn the_address_that_the_server_sees_is_shown() {
    let port = unused_port();
    let folder = Folder::new();
    folder.write("websock.ini", &format!("address = ws://127.0.0.1:{port}\nworkers = 1\n"));
    let server = Server::run(folder, &["serve"], &[]);
    let url = format!("ws://127.0.0.1:{port}/");
    let (code, findings) = doctor(&server.folder, &["--url", &url]);
    assert_eq!(code, Some(0), "{findings:#?}");
    assert_eq!(found(&findings, "the server sees this client as 127.0.0.1").0, "ok");
}

#[test]
fn an_address_without_a_server_or_without_upgrades_is_an_error() {
    let folder = Folder::new();
    folder.write("websock.ini", "address = ws://127.0.0.1:0\n");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let proxy = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let count = client.read(&mut request).unwrap();
        assert!(count > 0);
        client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    let (code, findings) = doctor(&folder, &["--url", &url]);
    proxy.join().unwrap();
    assert_eq!(code, Some(78));
    assert!(found(&findings, "400").1.contains("`Upgrade` and `Connection`"));
    let (code, findings) = doctor(&folder, &["--url", &url]);
    assert_eq!(code, Some(78));
    assert!(found(&findings, "refused").1.contains("check name, port and firewall"));
}

#[test]
fn a_certificate_that_ends_or_is_not_trusted_is_found() {
    let folder = Folder::new();
    folder.write(
        "websock.ini",
        "address = wss://127.0.0.1:0\ncertFile = cert.pem\npkFile = key.pem\n",
    );
    certificate_between(&folder, 2020, 2021);
    let (code, findings) = doctor(&folder, &[]);
    assert_eq!((code, found(&findings, "expired on").0), (Some(78), "error"), "{findings:#?}");
    certificate_between(&folder, 2020, 2040);
    let server = Server::run(folder, &["serve"], &[]);
    let url = format!("wss://localhost:{}/", server.port);
    let (code, findings) = doctor(&server.folder, &["--url", &url]);
    assert_eq!(code, Some(78));
    assert!(found(&findings, "certificate").1.contains("--ca FILE"), "{findings:#?}");
    let (code, findings) = doctor(&server.folder, &["--url", &url, "--ca", "cert.pem"]);
    assert_eq!(code, Some(0), "{findings:#?}");
}

#[test]
fn a_proxy_that_ends_idle_connections_is_noticed() {
    let server = Setup::new().start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let to = server.port;
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
        for one in [&client, &server] {
            one.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        }
        let (mut from, mut into) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut into));
        std::io::copy(&mut &client, &mut &server).ok();
        // Nothing came for half a second.
        client.shutdown(std::net::Shutdown::Both).ok();
    });
    let (code, findings) = doctor(&server.folder, &["--url", &url, "--idle", "10s"]);
    assert_eq!(code, Some(78), "{findings:#?}");
    assert!(found(&findings, "without messages ended").1.contains("proxy_read_timeout"));
}
