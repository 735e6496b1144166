//! Addresses of the API's own: TLS, and the names of an open server.

use std::net::TcpStream;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::harness::api::{PUBLISH, SHOP, head, post, setup};
use crate::harness::tls::{ALL_VERSIONS, certificate_in};
use crate::harness::{Finished, Folder, Raw, Server, Setup, eventually, run_to_end, watch};

const BODY: &str = r#"{"to":"all","message":1}"#;

fn with_certificate(ini: &str) -> Server {
    let folder = Folder::new();
    certificate_in(&folder);
    let common = "adress = ws://127.0.0.1:0\nworkers = 1\ncertFile = cert.pem\npkFile = key.pem\n";
    folder.write("websock.ini", &format!("{common}{ini}\n"));
    folder.write("auth.yml", crate::harness::api::AUTH);
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

#[test]
fn the_api_speaks_tls_and_a_reload_renews_its_certificate() {
    let server = with_certificate("apiAddress = https://127.0.0.1:0");
    let port = server.api_port("https");
    let connect = || Raw::connect_tls(port, &server.folder, ALL_VERSIONS);
    let mut kept = connect();
    for _ in 0..3 {
        assert_eq!(kept.request(post(PUBLISH, &[SHOP], BODY)).status(), 200);
    }
    // An answer to a body that takes many records.
    let long = format!(r#"{{"to":"all","message":"{}"}}"#, "x".repeat(1_000_000));
    assert_eq!(kept.request(post(PUBLISH, &[SHOP], &long)).status(), 200);
    certificate_in(&server.folder);
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert!(code == Some(0) && text.contains("another certificate"), "{text}");
    // It trusts only the new one; the open connection keeps the old one.
    assert_eq!(connect().request(post(PUBLISH, &[SHOP], BODY)).status(), 200);
    assert_eq!(kept.request(post(PUBLISH, &[SHOP], BODY)).status(), 200);
}

#[test]
fn the_api_closes_connections_without_a_tls_handshake() {
    let server = with_certificate("apiAddress = https://127.0.0.1:0\ntlsHandshakeTimeout = 300ms");
    let port = server.api_port("https");
    let mut plain = Raw::connect(port);
    plain.send(head("GET", "/v1/info", &[]));
    plain.wait_for_end();
    Raw::connect(port).expect_end();
    let mut client = Raw::connect_tls(port, &server.folder, ALL_VERSIONS);
    assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
    // Without an address that speaks TLS, the API has no key, and the workers have none here.
    let shared = Raw::connect(server.port).request(post(PUBLISH, &[SHOP], BODY));
    shared.is_error(404, "not_found");
}

#[test]
fn https_needs_a_certificate_and_tls() {
    let folder = Folder::new();
    folder.write("auth.yml", crate::harness::api::AUTH);
    let check = |ini: &str| {
        folder.write("websock.ini", &format!("adress = ws://127.0.0.1:0\n{ini}\n"));
        run_to_end(&folder, &["check", "-i", "websock.ini"])
    };
    let Finished { code, text } = check("apiAddress = https://127.0.0.1:0");
    assert!(code == Some(78) && text.contains("websock.ini:2: apiAddress: "), "{text}");
    assert!(text.contains("certFile or pkFile is missing"), "{text}");
    let Finished { code, text } = check("apiAddress = https://127.0.0.1:0\ntls = off");
    assert!(code == Some(78) && text.contains("but `tls` turns it off"), "{text}");
    certificate_in(&folder);
    let files = "certFile = cert.pem\npkFile = key.pem";
    let warning = "sends secrets unencrypted over the network";
    for (address, is_warned) in [
        ("http://0.0.0.0:0", true),
        ("http://127.0.0.1:0", false),
        ("https://0.0.0.0:0", false),
        ("unix:api.sock", false),
    ] {
        let Finished { code, text } = check(&format!("apiAddress = {address}\n{files}"));
        assert_eq!((code, text.contains(warning)), (Some(0), is_warned), "{address}: {text}");
    }
}

#[test]
fn addresses_of_the_api_stay_as_they_are_in_a_reload() {
    let server = setup().start();
    let folder = &server.folder;
    let ini = std::fs::read_to_string(folder.path("websock.ini")).unwrap();
    folder.write("websock.ini", &format!("{ini}apiAddress = http://127.0.0.1:0\n"));
    let Finished { code, text } = run_to_end(folder, &["reload"]);
    assert!(code == Some(0) && text.contains("needs a restart: apiAddress"), "{text}");
    assert_eq!(server.post(PUBLISH, SHOP, BODY).status(), 200);
}

#[test]
fn an_open_server_is_reached_by_the_host_of_its_api_address() {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned();
    let is_loopback = |name: &str| {
        use std::net::ToSocketAddrs;
        (name, 1).to_socket_addrs().is_ok_and(|mut all| all.all(|it| it.ip().is_loopback()))
    };
    // On some machines the own name is not a loopback address.
    let name = if is_loopback(&name) { name } else { "localhost".to_owned() };
    let server = Setup::new().ini(&format!("apiAddress = http://{name}:0")).start();
    let address = server.api_address("http");
    let request = |host: &str| {
        let head = format!("GET /v1/info HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Raw::over(TcpStream::connect(&address).unwrap()).request(head)
    };
    assert_eq!(request(&name).status(), 200);
    request("evil.example").is_error(403, "invalid_host");
}

fn limit_descriptors(pid: u32, count: usize) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap());
    // The hard limit is that of all processes of this test.
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(u64::try_from(count).unwrap());
    prlimit(pid, Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

#[test]
fn without_descriptors_connections_of_the_api_wait_and_none_is_lost() {
    let server = setup().start();
    assert_eq!(server.post(PUBLISH, SHOP, BODY).status(), 200);
    let api = server.api_process();
    let open = eventually("the connection to end", || {
        let open = watch::descriptors(api);
        std::thread::yield_now();
        (open == watch::descriptors(api)).then_some(open)
    });
    limit_descriptors(api, open);
    let mut waiting: Vec<_> = (0..20).map(|_| Raw::connect(server.port)).collect();
    waiting.iter_mut().for_each(|client| client.send(post(PUBLISH, &[SHOP], BODY)));
    server.wait_for_output("event=api_accept_failed");
    limit_descriptors(api, 1024);
    for client in &mut waiting {
        assert_eq!(client.read_answer().status(), 200);
    }
}

/// A49.
#[test]
fn case_a49_wrong_secrets_are_counted_and_valid_ones_still_work() {
    let server = setup().start();
    let wrong = ("Authorization", "Bearer wr0ng-guess-of-a-secret-000000000");
    for number in 0..1000 {
        server.post(PUBLISH, wrong, BODY).is_error(401, "invalid_credentials");
        if number == 500 {
            assert_eq!(server.post(PUBLISH, SHOP, BODY).status(), 200);
        }
    }
    let counts = |log: &str| {
        let lines = log.lines().filter(|line| line.contains("event=api_credentials_refused"));
        let count = |line: &str| line.split("count=").nth(1)?.split(' ').next()?.parse().ok();
        lines.filter_map(count).collect::<Vec<u64>>()
    };
    // At most two minutes have passed: a line for each, and one for the rest at the end.
    let Finished { code, text } = run_to_end(&server.folder, &["drain"]);
    assert_eq!(code, Some(0), "{text}");
    let log = eventually("all wrong secrets in the log", || {
        Some(server.output()).filter(|log| counts(log).iter().sum::<u64>() == 1000)
    });
    assert!(counts(&log).len() <= 4 && !log.contains("wr0ng"), "{log}");
}
