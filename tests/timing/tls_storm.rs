//! A storm of TLS handshakes. Deliveries do not wait for it, and all its clients are served.

use std::net::TcpStream;
use std::sync::Arc;

use crate::harness::processes::send_signal;
use crate::harness::tls::{ALL_VERSIONS, certificate_in, client_of};
use crate::harness::{DEADLINE, Folder, Open, Raw, Server, broadcast};
use rustix::process::Signal;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

const STORM: usize = 200;

fn server() -> Server {
    let folder = Folder::new();
    certificate_in(&folder);
    let ini = "[websocketserver]\nadress = wss://127.0.0.1:0\nworkers = 1\ncertFile = cert.pem\n\
               pkFile = key.pem\ntlsHandshakeTimeout = 60s\n";
    folder.write("websock.ini", ini);
    Server::run(folder, &["serve", "-i", "websock.ini"], &[])
}

/// A client that wants to perform a TLS handshake.
struct NewClient {
    connection: ClientConnection,
    socket: TcpStream,
}

impl NewClient {
    fn new(client: &Arc<ClientConfig>, port: u16) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(client), name).unwrap();
        Self { connection, socket: TcpStream::connect(("127.0.0.1", port)).unwrap() }
    }

    fn send_hello(&mut self) {
        self.connection.write_tls(&mut self.socket).unwrap();
    }

    fn is_answered(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let is_answered = self.socket.peek(&mut [0]).is_ok();
        self.socket.set_nonblocking(false).unwrap();
        is_answered
    }

    fn shake_hands(&mut self) {
        self.socket.set_read_timeout(Some(DEADLINE)).unwrap();
        while self.connection.is_handshaking() {
            self.connection.complete_io(&mut self.socket).unwrap();
        }
    }
}

/// The worker is stopped until all data has arrived, so that everything is ready at once.
#[test]
fn a_delivery_overtakes_a_storm_of_handshakes_and_the_storm_is_served() {
    let _quiet = crate::harness::alone();
    let server = server();
    let client = client_of(&server.folder, ALL_VERSIONS);
    let open = || {
        let mut raw = Open::web().upgrade_over(Raw::connect_tls_as(&client, server.port));
        raw.expect_ready();
        raw
    };
    let (mut publisher, mut subscriber) = (open(), open());
    let mut storm: Vec<_> = (0..STORM).map(|_| NewClient::new(&client, server.port)).collect();
    // The last connection is accepted last. When it is, all others are accepted too.
    let last = Raw::over(storm[STORM - 1].socket.try_clone().unwrap());
    let worker = server.worker_of(&last);
    send_signal(worker, Signal::STOP);
    storm.iter_mut().for_each(NewClient::send_hello);
    publisher.text(broadcast("in the middle of it"));
    send_signal(worker, Signal::CONT);
    subscriber.expect_text(&broadcast("in the middle of it"));
    send_signal(worker, Signal::STOP);
    let answered = storm.iter().filter(|new_client| new_client.is_answered()).count();
    send_signal(worker, Signal::CONT);
    assert!(answered < STORM / 2, "{answered} of {STORM} handshakes came before the delivery");
    storm.iter_mut().for_each(NewClient::shake_hands);
    publisher.expect_next();
}
