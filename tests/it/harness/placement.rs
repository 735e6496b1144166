//! On which worker a connection lives, and how to get one where a test wants it.

use super::opening::Open;
use super::raw::Raw;
use super::server::Server;
use super::sockets::holder_of_connection;
use super::wait::eventually;

/// Accepts are balanced, so a worker has its turn long before.
const TRIES: usize = 100;

impl Server {
    /// The process that holds the server's end of this connection.
    #[track_caller]
    pub fn worker_of(&self, client: &Raw) -> u32 {
        eventually("a worker that holds the connection", || {
            let candidates: Vec<_> = self.children().into_iter().map(|(pid, _)| pid).collect();
            holder_of_connection(client.ends(), &candidates)
        })
    }

    /// Opens a connection on this worker. Others that were opened on the way are dropped, so
    /// `open` should not carry an ident.
    #[track_caller]
    pub fn open_on(&self, worker: u32, open: &Open) -> Raw {
        self.open_where(open, |holder| holder == worker)
    }

    /// Opens a connection on any other worker than this one.
    #[track_caller]
    pub fn open_away_from(&self, worker: u32, open: &Open) -> Raw {
        self.open_where(open, |holder| holder != worker)
    }

    /// Two connections on different workers that are greeted by nothing.
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

    /// Two connections on different workers.
    #[track_caller]
    pub fn open_apart(&self, one: &Open, other: &Open) -> (Raw, Raw) {
        let one = self.open(one);
        let other = self.open_away_from(self.worker_of(&one), other);
        (one, other)
    }

    /// The ones that are in the wrong place stay open until the right one is found: the balance
    /// of the workers then leads there.
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

/// `receiver` got nothing from `publisher` that it has not read yet.
///
/// A feedback sent last arrives first: what one publisher sends arrives in order (promise P1).
#[track_caller]
pub fn heard_nothing(publisher: &mut Raw, receiver: &mut Raw) {
    let packet = super::packets::feedback_to(&receiver.uuid, "nothing before this");
    publisher.text(&packet);
    publisher.expect_next();
    receiver.expect_text(&packet);
}

impl Raw {
    /// Nothing that this client has published came back to it.
    #[track_caller]
    pub fn heard_nothing_of_its_own(&mut self) {
        let packet = super::packets::feedback_to(&self.uuid, "nothing before this");
        self.text(&packet);
        self.expect_next();
        self.expect_text(&packet);
    }
}
