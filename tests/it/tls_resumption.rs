//! Session tickets: a returning client has a short handshake, on any worker.

use std::sync::Arc;

use crate::harness::processes::send_signal;
use crate::harness::tls::{ALL_VERSIONS, certificate_in, client_of};
use crate::harness::{DEADLINE, Folder, Open, Raw, Server, broadcast, eventually};
use rustix::process::Signal;
use rustls::{ClientConfig, HandshakeKind};

const INI: &str = "[websocketserver]\nadress = wss://127.0.0.1:0\nworkers = 2\n\
                   certFile = cert.pem\npkFile = key.pem\n";

fn server() -> Server {
    let folder = Folder::new();
    certificate_in(&folder);
    folder.write("websock.ini", INI);
    serve(folder)
}

fn serve(folder: Folder) -> Server {
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

/// Opens a connection and reads up to `ready`. All tickets have arrived by then.
#[track_caller]
fn come(client: &Arc<ClientConfig>, server: &Server) -> Raw {
    let mut raw = Open::web().upgrade_over(Raw::connect_tls_as(client, server.port));
    raw.expect_ready();
    raw
}

#[test]
fn every_worker_resumes_the_session_of_a_returning_client() {
    let server = server();
    for version in ALL_VERSIONS {
        let client = client_of(&server.folder, &[version]);
        let mut guests = vec![come(&client, &server)];
        assert_eq!(guests[0].handshake_kind(), Some(HandshakeKind::Full));
        let first = server.worker_of(&guests[0]);
        // Connections stay open, so that sooner or later the other worker accepts one.
        let mut others = 0;
        while others < 3 {
            let guest = come(&client, &server);
            assert_eq!(guest.handshake_kind(), Some(HandshakeKind::Resumed), "{version:?}");
            others += usize::from(server.worker_of(&guest) != first);
            guests.push(guest);
            assert!(guests.len() < 200, "one worker serves everybody");
        }
        let last = guests.last_mut().unwrap();
        last.text(broadcast("as good as any"));
        last.expect_next();
    }
}

#[test]
fn tickets_outlive_the_workers_that_made_them() {
    let server = server();
    for version in ALL_VERSIONS {
        let client = client_of(&server.folder, &[version]);
        assert_eq!(come(&client, &server).handshake_kind(), Some(HandshakeKind::Full));
        for worker in server.workers(2) {
            send_signal(worker, Signal::KILL);
            eventually("a successor", || (!server.workers(2).contains(&worker)).then_some(()));
        }
        for _ in 0..3 {
            let guest = come(&client, &server);
            assert_eq!(guest.handshake_kind(), Some(HandshakeKind::Resumed), "{version:?}");
        }
    }
}

#[test]
fn tickets_end_with_the_server_and_their_owners_are_served_all_the_same() {
    let first = server();
    let client = client_of(&first.folder, ALL_VERSIONS);
    come(&client, &first);
    assert_eq!(come(&client, &first).handshake_kind(), Some(HandshakeKind::Resumed));
    first.term();
    first.wait_exit(DEADLINE);
    let again = Folder::new();
    for file in ["cert.pem", "key.pem", "websock.ini"] {
        again.write(file, &std::fs::read_to_string(first.folder.root().join(file)).unwrap());
    }
    let second = serve(again);
    assert_eq!(come(&client, &second).handshake_kind(), Some(HandshakeKind::Full));
    assert_eq!(come(&client, &second).handshake_kind(), Some(HandshakeKind::Resumed));
}
