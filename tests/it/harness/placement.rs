//! Finds the worker of a connection, and opens connections on a chosen worker.

use super::opening::Open;
use super::raw::Raw;
use super::server::Server;
use super::sockets::holder_of_connection;
use super::wait::eventually;

/// Maximum attempts. Accepts are balanced, so each worker gets a connection much earlier.
const TRIES: usize = 100;

impl Server {
    /// Returns the process that holds the server's end of this connection.
    #[track_caller]
    pub fn worker_of(&self, client: &Raw) -> u32 {
        eventually("a worker that holds the connection", || {
            let candidates: Vec<_> = self.children().into_iter().map(|(pid, _)| pid).collect();
            holder_of_connection(client.ends(), &candidates)
        })
    }

    /// Opens a connection on this worker. Connections that other workers accept on the way are
    /// dropped, so `open` should not have an ident.
    #[track_caller]
    pub fn open_on(&self, worker: u32, open: &Open) -> Raw {
        self.open_where(open, |holder| holder == worker)
    }

    /// Opens a connection on any worker except this one.
    #[track_caller]
    pub fn open_away_from(&self, worker: u32, open: &Open) -> Raw {
        self.open_where(open, |holder| holder != worker)
    }

    /// Opens two connections on different workers, for dialects without a greeting.
    #[track_caller]
    pub fn upgrade_apart(&self, one: &Open, other: &Open) -> (Raw, Raw) {
        let one = one.upgrade(self.port);
        let holder = self.worker_of(&one);
        let mut misplaced = Vec::new();
        for _ in 0..TRIES {
            let other = other.upgrade(self.port);
            if self.worker_of(&other) != holder {
                return (one, other);
            }
            misplaced.push(other);
        }
        panic!("{TRIES} connections, and none on another worker");
    }

    /// Opens two connections on different workers and reads up to `ready`.
    #[track_caller]
    pub fn open_apart(&self, one: &Open, other: &Open) -> (Raw, Raw) {
        let one = self.open(one);
        let other = self.open_away_from(self.worker_of(&one), other);
        (one, other)
    }

    /// Opens connections until one is on a wanted worker. The others stay open until then, so that
    /// balancing leads to that worker.
    #[track_caller]
    fn open_where(&self, open: &Open, wanted: impl Fn(u32) -> bool) -> Raw {
        let mut misplaced = Vec::new();
        for _ in 0..TRIES {
            let client = self.open(open);
            if wanted(self.worker_of(&client)) {
                return client;
            }
            misplaced.push(client);
        }
        panic!("{TRIES} connections, and none on the wanted worker");
    }
}

/// Expects that `receiver` has read everything that it got from `publisher`.
///
/// The publisher sends a feedback, which must arrive next: messages of one publisher arrive in
/// order (promise P1).
#[track_caller]
pub fn received_nothing(publisher: &mut Raw, receiver: &mut Raw) {
    let packet = super::packets::feedback_to(&receiver.uuid, "nothing before this");
    publisher.text(&packet);
    publisher.expect_next();
    receiver.expect_text(&packet);
}

impl Raw {
    /// Expects that no publication of this client came back to it.
    #[track_caller]
    pub fn received_nothing_of_its_own(&mut self) {
        let packet = super::packets::feedback_to(&self.uuid, "nothing before this");
        self.text(&packet);
        self.expect_next();
        self.expect_text(&packet);
    }
}
