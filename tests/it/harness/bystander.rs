//! A well-behaved pair of clients that must not notice anything done to the server meanwhile.

use super::opening::Open;
use super::packets::feedback_to;
use super::raw::Raw;
use super::server::Server;

/// A publisher and a receiver on different workers.
#[derive(Debug)]
pub struct Bystander {
    publisher: Raw,
    receiver: Raw,
    count: u32,
}

impl Bystander {
    /// Opens both connections.
    #[track_caller]
    pub fn connect(server: &Server) -> Self {
        let (publisher, receiver) = server.open_apart(&Open::web(), &Open::web());
        Self::between(publisher, receiver)
    }

    /// Creates a bystander from two connections that have already read their `ready`.
    pub fn between(publisher: Raw, receiver: Raw) -> Self {
        Self { publisher, receiver, count: 0 }
    }

    /// Expects that both receive a broadcast of another client.
    #[track_caller]
    pub fn receives(&mut self, packet: &str) {
        self.publisher.expect_text(packet);
        self.receiver.expect_text(packet);
    }

    /// Sends a message in each direction and expects that nothing else has arrived.
    #[track_caller]
    pub fn is_served(&mut self) {
        self.count += 1;
        let there = feedback_to(&self.receiver.uuid, &format!("there {}", self.count));
        self.publisher.text(&there);
        self.publisher.expect_next();
        self.receiver.expect_text(&there);
        let back = feedback_to(&self.publisher.uuid, &format!("back {}", self.count));
        self.receiver.text(&back);
        self.receiver.expect_next();
        self.publisher.expect_text(&back);
    }
}
