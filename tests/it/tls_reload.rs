//! A reload takes over a renewed certificate without closing any connection.

use crate::harness::tls::{ALL_VERSIONS, certificate_in, client_of};
use crate::harness::{Folder, Open, Raw, Server, broadcast};

const FAILURE: i32 = 1;

fn server() -> Server {
    let folder = Folder::new();
    certificate_in(&folder);
    folder.write(
        "websock.ini",
        "[websocketserver]\nadress = wss://127.0.0.1:0\nworkers = 2\ncertFile = cert.pem\n\
         pkFile = key.pem\n",
    );
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

/// Opens a connection inside TLS that trusts the certificate that is in the folder now.
fn open(server: &Server) -> Raw {
    let client = Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
    let mut client = Open::web().upgrade_over(client);
    client.expect_ready();
    client
}

#[test]
fn a_renewed_certificate_is_loaded_without_closing_a_client() {
    let server = server();
    let mut publisher = open(&server);
    let mut receivers: Vec<Raw> = (0..10).map(|_| open(&server)).collect();
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            for number in 0..300 {
                publisher.text(broadcast(&number.to_string()));
                publisher.expect_next();
            }
        });
        for _ in 0..5 {
            certificate_in(&server.folder);
            let finished = server.command(&["reload"]);
            assert_eq!(finished.code, Some(0), "{}", finished.text);
            assert!(finished.text.contains("another certificate"), "{}", finished.text);
            // Trusts only the new certificate.
            drop(open(&server));
        }
        publishing.join().unwrap();
    });
    for receiver in &mut receivers {
        for number in 0..300 {
            receiver.expect_text(&broadcast(&number.to_string()));
        }
    }
    assert_eq!(server.workers(2).len(), 2);
}

#[test]
fn a_certificate_that_does_not_fit_its_key_changes_nothing() {
    let server = server();
    let mut client = open(&server);
    let trusts = client_of(&server.folder, ALL_VERSIONS);
    let key = std::fs::read_to_string(server.folder.path("key.pem")).unwrap();
    certificate_in(&server.folder);
    server.folder.write("key.pem", &key);
    let finished = server.command(&["reload"]);
    assert_eq!(finished.code, Some(FAILURE), "{}", finished.text);
    assert!(finished.text.contains("does not belong to the certificate"), "{}", finished.text);
    client.expect_silence();
    let mut another = Open::web().upgrade_over(Raw::connect_tls_as(&trusts, server.port));
    another.expect_ready();
}

#[test]
fn tickets_of_before_a_reload_are_good_after_it() {
    let server = server();
    let keeps = client_of(&server.folder, ALL_VERSIONS);
    let mut first = Open::web().upgrade_over(Raw::connect_tls_as(&keeps, server.port));
    first.expect_ready();
    first.expect_silence();
    let finished = {
        let ini = std::fs::read_to_string(server.folder.path("websock.ini")).unwrap();
        server.folder.write("websock.ini", &format!("{ini}maxMessage = 1M\n"));
        server.command(&["reload"])
    };
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    let mut again = Open::web().upgrade_over(Raw::connect_tls_as(&keeps, server.port));
    again.expect_ready();
    assert_eq!(again.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
}
