//! Clients of `tagcast.v1`: openings, requests, and frames as JSON.

use serde_json::{Value, json};

use super::opening::Open;
use super::raw::Raw;
use super::server::Server;

impl Open {
    /// Creates the request of a page that offers `tagcast.v1` on this target.
    pub fn v1(target: &str) -> Self {
        Self::at(target).header("Sec-WebSocket-Protocol", "tagcast.v1")
    }
}

impl Server {
    /// Opens `target` with these members of `hello`, and reads up to `welcome`.
    #[track_caller]
    pub fn open_v1(&self, target: &str, members: Value) -> Raw {
        self.welcomed(target, members).0
    }

    /// Like [`Server::open_v1`], and returns `welcome`.
    #[track_caller]
    pub fn welcomed(&self, target: &str, members: Value) -> (Raw, Value) {
        let mut client = Open::v1(target).upgrade(self.port);
        client.hello(members);
        let welcome = client.expect_welcome();
        (client, welcome)
    }
}

impl Raw {
    /// Sends `hello` with these members.
    #[track_caller]
    pub fn hello(&mut self, mut members: Value) {
        members["op"] = json!("hello");
        self.text(members.to_string());
    }

    /// Sends a frame.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "a call reads like its frame")]
    pub fn say(&mut self, frame: Value) {
        self.text(frame.to_string());
    }

    /// Returns the next frame, which is a text with a JSON object.
    #[track_caller]
    pub fn json(&mut self) -> Value {
        let frame = self.frame();
        assert_eq!(frame.first, 0x81, "not a text but {}", frame.shown());
        serde_json::from_str(frame.as_text()).unwrap()
    }

    /// Expects `welcome` next, and stores the UUID.
    #[track_caller]
    pub fn expect_welcome(&mut self) -> Value {
        let welcome = self.json();
        assert_eq!(welcome["op"], "welcome", "{welcome}");
        welcome["uuid"].as_str().unwrap().clone_into(&mut self.uuid);
        welcome
    }

    /// Expects this frame next.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "a call reads like its frame")]
    pub fn expect_json(&mut self, frame: Value) {
        assert_eq!(self.json(), frame);
    }

    /// Expects the acknowledgement of this request next.
    #[track_caller]
    pub fn expect_ack(&mut self, id: u64) {
        self.expect_json(json!({"op": "ack", "id": id}));
    }

    /// Sends a request and expects its acknowledgement next.
    #[track_caller]
    pub fn request_v1(&mut self, id: u64, mut frame: Value) {
        frame["id"] = json!(id);
        self.say(frame);
        self.expect_ack(id);
    }

    /// Expects an error next, and returns it.
    #[track_caller]
    pub fn expect_error(&mut self, code: &str) -> Value {
        let error = self.json();
        assert_eq!((&error["op"], &error["code"]), (&json!("error"), &json!(code)), "{error}");
        error
    }

    /// Expects `bye` and a Close with this code. Returns `bye`.
    #[track_caller]
    pub fn expect_bye(&mut self, code: u16) -> Value {
        let bye = self.json();
        assert_eq!((&bye["op"], &bye["code"]), (&json!("bye"), &json!(code)), "{bye}");
        let close = self.expect_close(code);
        let text = std::str::from_utf8(&close.payload[2..]).unwrap();
        assert!(bye["reason"].as_str().unwrap().starts_with(text), "{bye} and {text}");
        bye
    }

    /// Expects that nothing was sent: a ping of the protocol is answered first.
    #[track_caller]
    pub fn expect_quiet(&mut self) {
        self.say(json!({"op": "ping", "id": 424_242}));
        let pong = self.json();
        assert_eq!((&pong["op"], &pong["id"]), (&json!("pong"), &json!(424_242)), "{pong}");
    }
}
