//! The opening handshake, with freely changeable headers.

use super::raw::{Frame, Raw};
use super::response::Head;

/// The key of RFC 6455 §1.3, for which the RFC gives the accept value.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The accept value for [`KEY`].
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
    /// Creates the request of a browser for this target.
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

    /// Creates the request of a browser on `/web`, a web-type client.
    pub fn web() -> Self {
        Self::at("/web")
    }

    /// Creates the request of a browser with these tags on `/`. It uses the Gomoob dialect, because
    /// the test configuration binds no other resource to this path.
    pub fn tags(json: &str) -> Self {
        Self::at(&format!("/?tags={json}"))
    }

    /// Creates the request of the PHP client of phpWebSocketServer, a php-type client.
    pub fn php() -> Self {
        Self::at("/php").without("User-Agent").header("Client-Type", "php").header("Ident", "")
    }

    /// Sets a header: replaces its value or adds it.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match self.headers.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, known)) => value.clone_into(known),
            None => self.headers.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Adds a header, even if another one has the same name.
    #[must_use]
    pub fn and_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes a header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// Sets the ident of the client.
    #[must_use]
    pub fn ident(self, ident: &str) -> Self {
        self.header("Ident", ident)
    }

    /// Sets the request target.
    #[must_use]
    pub fn target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// Sets the method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// Sets the HTTP version.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Uses lower case for all header names.
    #[must_use]
    pub fn lower_case(mut self) -> Self {
        for (name, _) in &mut self.headers {
            *name = name.to_lowercase();
        }
        self
    }

    /// Returns the request as text with CRLF.
    pub fn request(&self) -> String {
        let mut text = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text
    }

    /// Connects and sends the request, without reading the response.
    pub fn ask(&self, port: u16) -> Raw {
        let mut client = Raw::connect(port);
        client.send(self.request());
        client
    }

    /// Sends the request over an existing connection and expects a valid 101.
    #[track_caller]
    pub fn upgrade_over(&self, mut client: Raw) -> Raw {
        client.send(self.request());
        client.expect_upgrade();
        client
    }

    /// Connects, sends the request and expects a valid 101.
    #[track_caller]
    pub fn upgrade(&self, port: u16) -> Raw {
        let mut client = self.ask(port);
        client.expect_upgrade();
        client
    }

    /// Connects and reads up to `ready`. Returns None if the connection fails on the way, for tests
    /// in which a worker may die.
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
    /// Expects a valid 101 for [`KEY`].
    #[track_caller]
    pub fn expect_upgrade(&mut self) -> Head {
        let head = self.read_head();
        assert_eq!(head.status(), 101, "no upgrade but {}", head.text);
        assert_eq!(head.header("Sec-WebSocket-Accept"), Some(ACCEPT), "in {}", head.text);
        head
    }

    /// Expects `ready` as the next frame and stores the UUID.
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

    /// Expects a whole HTTP response with this status, followed by the end of the connection.
    #[track_caller]
    pub fn expect_refusal(&mut self, status: u16) -> Head {
        let head = self.expect_refusal_in(&[status]);
        assert_eq!(head.status(), status);
        head
    }

    /// Like [`Raw::expect_refusal`], but accepts several statuses.
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
