//! The opening handshake, with every header open to change.

use super::raw::{Frame, Raw};
use super::response::Head;

/// The key of RFC 6455 §1.3, whose accept value is known.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The accept value of [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request to open a WebSocket.
#[derive(Clone, Debug)]
pub struct Open {
    method: String,
    target: String,
    version: String,
    headers: Vec<(String, String)>,
}

impl Open {
    /// As a browser asks for this target.
    pub fn at(target: &str) -> Self {
        let headers = [
            ("Host", "127.0.0.1"),
            ("User-Agent", "Mozilla/5.0 (harness)"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", KEY),
            ("Sec-WebSocket-Version", "13"),
            ("Origin", "http://127.0.0.1"),
        ];
        Self {
            method: "GET".to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    /// A browser on `/web`: web-type.
    pub fn web() -> Self {
        Self::at("/web")
    }

    /// A browser with these tags on `/`: gomoob, since nobody else claims the path.
    pub fn tags(json: &str) -> Self {
        Self::at(&format!("/?tags={json}"))
    }

    /// phpWebSocketServer's PHP client: php-type.
    pub fn php() -> Self {
        Self::at("/php").without("User-Agent").header("Client-Type", "php").header("Ident", "")
    }

    /// Gives a header another value, or adds it.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match self.headers.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, known)) => value.clone_into(known),
            None => self.headers.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Adds a header, even a second one of that name.
    #[must_use]
    pub fn and_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a header out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// Gives the client a name.
    #[must_use]
    pub fn ident(self, ident: &str) -> Self {
        self.header("Ident", ident)
    }

    /// Another request target.
    #[must_use]
    pub fn target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// Another method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Another version of HTTP.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// The request with all header names in lower case.
    #[must_use]
    pub fn lower_case(mut self) -> Self {
        for (name, _) in &mut self.headers {
            *name = name.to_lowercase();
        }
        self
    }

    /// The request as text, with CRLF.
    pub fn request(&self) -> String {
        let mut text = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text
    }

    /// Connects and sends the request; the answer is still to come.
    pub fn ask(&self, port: u16) -> Raw {
        let mut client = Raw::connect(port);
        client.send(self.request());
        client
    }

    /// Sends the request over a connection that is there already, and reads a right 101.
    #[track_caller]
    pub fn upgrade_over(&self, mut client: Raw) -> Raw {
        client.send(self.request());
        client.expect_upgrade();
        client
    }

    /// Connects, sends, and reads a right 101.
    #[track_caller]
    pub fn upgrade(&self, port: u16) -> Raw {
        let mut client = self.ask(port);
        client.expect_upgrade();
        client
    }

    /// Connects and reads up to `ready`, or not, where a worker may die in the middle of it.
    pub fn try_ready(&self, port: u16) -> Option<Raw> {
        let mut client = Raw::connect(port);
        client.try_send(self.request()).ok()?;
        let head = client.read_head_or_end().ok()?;
        if head.status() != 101 {
            return None;
        }
        client.frame_or_end().ok().filter(|frame| !frame.is_close()).map(|_| client)
    }

    /// Connects and reads up to `ready`.
    #[track_caller]
    pub fn ready(&self, port: u16) -> Raw {
        let mut client = self.upgrade(port);
        client.expect_ready();
        client
    }
}

impl Raw {
    /// The next bytes are a right 101 for [`KEY`].
    #[track_caller]
    pub fn expect_upgrade(&mut self) -> Head {
        let head = self.read_head();
        assert_eq!(head.status(), 101, "no upgrade but {}", head.text);
        assert_eq!(head.header("Sec-WebSocket-Accept"), Some(ACCEPT), "in {}", head.text);
        head
    }

    /// The next frame is `ready`; remembers the UUID.
    #[track_caller]
    pub fn expect_ready(&mut self) -> Frame {
        let frame = self.frame();
        let text = frame.as_text();
        let uuid = text
            .strip_prefix(r#"{"opcode":"ready","uuid":""#)
            .and_then(|rest| rest.strip_suffix(r#""}"#));
        self.uuid = uuid.unwrap_or_else(|| panic!("no ready but {text:?}")).to_owned();
        frame
    }

    /// The next bytes are a whole HTTP answer with this status, then the connection ends.
    #[track_caller]
    pub fn expect_refusal(&mut self, status: u16) -> Head {
        let head = self.expect_refusal_in(&[status]);
        assert_eq!(head.status(), status);
        head
    }

    /// As [`Raw::expect_refusal`], where several answers are right.
    #[track_caller]
    pub fn expect_refusal_in(&mut self, statuses: &[u16]) -> Head {
        let head = self.read_head();
        assert!(statuses.contains(&head.status()), "not one of {statuses:?} but {}", head.text);
        let length = head.header("Content-Length").map(|value| value.parse().unwrap());
        let length: usize = length.unwrap_or_else(|| panic!("no Content-Length in {}", head.text));
        let connection = head.header("Connection").unwrap_or_default().to_lowercase();
        assert_eq!(connection, "close", "in {}", head.text);
        self.read_exactly(length);
        self.expect_end();
        head
    }
}
