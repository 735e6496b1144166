//! `tagcast publish` over TLS: the certificates that it trusts, and its errors about others.

use std::io::Write;
use std::net::TcpListener;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

use crate::harness::{Finished, Folder, Server, run_to_end};

/// Starts a server with this certificate and key.
fn server_with(certificate: &str, key: &KeyPair) -> Server {
    let folder = Folder::new();
    folder.write("cert.pem", certificate);
    folder.write("key.pem", &key.serialize_pem());
    let ini = "address = wss://127.0.0.1:0\nworkers = 1\ncertFile = cert.pem\npkFile = key.pem\n";
    folder.write("websock.ini", ini);
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

/// A certificate as `openssl req -x509` makes it: self-signed, with a common name.
fn authority(common_name: &str, names: &[&str]) -> (String, KeyPair) {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut expected = CertificateParams::new(names).unwrap();
    expected.distinguished_name.push(DnType::CommonName, common_name);
    expected.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    (expected.self_signed(&key).unwrap().pem(), key)
}

#[track_caller]
fn publish(server: &Server, host: &str, rest: &[&str]) -> Finished {
    let url = format!("wss://{host}:{}/", server.port);
    run_to_end(&server.folder, &[&["publish", "--all", "--url", &url, "x"], rest].concat())
}

#[track_caller]
fn expect(finished: &Finished, code: i32, text: &str) {
    assert_eq!(finished.code, Some(code), "{}", finished.text);
    assert!(finished.text.contains(text), "{}", finished.text);
    for word in ["Other", "CaUsed", "UnknownIssuer", "NotValid", "invalid peer", "DnsName"] {
        assert!(!finished.text.contains(word), "{word} is for programmers: {}", finished.text);
    }
}

#[test]
fn a_certificate_that_signed_itself_is_trusted_when_it_is_named() {
    for (common_name, names, host) in [
        ("localhost", &["localhost", "127.0.0.1"][..], "127.0.0.1"),
        ("localhost", &["localhost"], "localhost"),
        // Only a common name, as `openssl req -x509 -subj /CN=…` makes it.
        ("localhost", &[], "localhost"),
        ("localhost", &[], "127.0.0.1"),
        ("My own server", &[], "127.0.0.1"),
    ] {
        let (certificate, key) = authority(common_name, names);
        let server = server_with(&certificate, &key);
        expect(&publish(&server, host, &["--ca", "cert.pem"]), 0, "reached 0 clients");
    }
}

#[test]
fn a_certificate_for_another_name_is_refused_with_its_names() {
    for names in [&["example.org"][..], &[]] {
        let (certificate, key) = authority("example.org", names);
        let server = server_with(&certificate, &key);
        let finished = publish(&server, "127.0.0.1", &["--ca", "cert.pem"]);
        expect(&finished, 78, "the server's certificate is for example.org, not for 127.0.0.1");
    }
}

#[test]
fn a_certificate_of_an_authority_that_is_named_is_trusted() {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(root, root_key);
    let key = KeyPair::generate().unwrap();
    let expected = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let server = server_with(&expected.signed_by(&key, &issuer).unwrap().pem(), &key);
    server.folder.write("root.pem", &root_pem);
    expect(&publish(&server, "127.0.0.1", &["--ca", "root.pem"]), 0, "reached 0 clients");
    expect(&publish(&server, "127.0.0.1", &["--ca", "cert.pem"]), 0, "reached 0 clients");
    let finished = publish(&server, "localhost", &["--ca", "root.pem"]);
    expect(&finished, 78, "the server's certificate is for 127.0.0.1, not for localhost");
}

#[test]
fn an_untrusted_certificate_is_reported_with_the_option_to_use() {
    let (certificate, key) = authority("localhost", &["127.0.0.1"]);
    let server = server_with(&certificate, &key);
    let (other, _) = authority("another", &[]);
    server.folder.write("other.pem", &other);
    let finished = publish(&server, "127.0.0.1", &["--ca", "other.pem"]);
    expect(&finished, 78, "--ca FILE");
    server.folder.write("empty.pem", "");
    let finished = publish(&server, "127.0.0.1", &["--ca", "empty.pem"]);
    expect(&finished, 78, "empty.pem: it contains no PEM certificate");
    let finished = publish(&server, "127.0.0.1", &["--ca", "key.pem"]);
    expect(&finished, 78, "key.pem: it contains no PEM certificate");
}

#[test]
fn an_expired_certificate_is_reported_even_if_it_is_pinned() {
    let folder = Folder::new();
    crate::harness::tls::certificate_between(&folder, 2020, 2021);
    let (certificate, key) = (folder.path("cert.pem"), folder.path("key.pem"));
    let url = expired_server(&certificate, &key);
    let ca = certificate.display().to_string();
    let finished = run_to_end(&folder, &["publish", "--all", "--url", &url, "--ca", &ca, "x"]);
    expect(&finished, 78, "the server's certificate has expired");
}

/// A simple TLS server, which does not check the dates of its certificate; for one handshake.
fn expired_server(certificate: &std::path::Path, key: &std::path::Path) -> String {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut connection = rustls::ServerConnection::new(std::sync::Arc::new(config)).unwrap();
        while connection.is_handshaking() && connection.complete_io(&mut socket).is_ok() {}
    });
    format!("wss://localhost:{port}/")
}

#[test]
fn a_server_without_tls_is_reported() {
    let folder = Folder::new();
    let publish = |answer: &'static [u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("wss://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let _gone = socket.write_all(answer);
        });
        run_to_end(&folder, &["publish", "--all", "--url", &url, "x"])
    };
    expect(&publish(b"HTTP/1.1 400 Bad Request\r\n\r\n"), 78, "does not speak TLS on this port");
    expect(&publish(b"SSH-2.0-OpenSSH_9.2p1\r\n"), 78, "does not speak TLS on this port");
    expect(&publish(b""), 78, "ended the connection in the TLS handshake; use ws://");
    // A TLS alert: handshake_failure.
    let alert = b"\x15\x03\x03\x00\x02\x02\x28";
    expect(&publish(alert), 78, "no cipher suite or key type in common");
}

#[test]
fn a_plain_url_of_a_tls_port_is_reported() {
    let (certificate, key) = authority("localhost", &["127.0.0.1"]);
    let server = server_with(&certificate, &key);
    let url = format!("ws://127.0.0.1:{}/", server.port);
    let finished = run_to_end(&server.folder, &["publish", "--all", "--url", &url, "x"]);
    expect(&finished, 78, "TLS");
}
