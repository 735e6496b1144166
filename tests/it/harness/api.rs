//! The HTTP API: requests in bytes, answers with their JSON, and the applications and clients of its tests.

use std::io::Write;

use serde_json::Value;

use super::opening::Open;
use super::raw::Raw;
use super::response::Head;
use super::server::{Server, Setup};

/// The secret of `shop`.
pub const SHOP_SECRET: &str = "k3y-for-tests-only-0123456789abcdef";
/// It, as a header.
pub const SHOP: (&str, &str) = ("Authorization", "Bearer k3y-for-tests-only-0123456789abcdef");
/// The secret of `other`, as a header.
pub const OTHER: (&str, &str) = ("Authorization", "Bearer oth-for-tests-only-0123456789abcdef");

/// The applications of the tests.
pub const AUTH: &str = "applications:
  - { key: shop, tenant: shop, secret: k3y-for-tests-only-0123456789abcdef, authorizeOpen: true, clientPublish: true }
  - { key: other, tenant: other, secret: oth-for-tests-only-0123456789abcdef, authorizeOpen: true }
  - { key: büro, tenant: shop, secret: k3y-for-tests-only-0123456789abcdef, authorizeOpen: true }
";

/// Where `shop` publishes.
pub const PUBLISH: &str = "/v1/apps/shop/publish";
/// The connections of `shop`.
pub const LIST: &str = "/v1/apps/shop/connections";

/// A server with the applications of the tests.
pub fn setup() -> Setup {
    Setup::new().ini(&format!("uuidKey = {}", "01".repeat(32))).auth(AUTH)
}

/// Version and tags that the list shows of a client.
#[track_caller]
pub fn listed(server: &Server, uuid: &str) -> (u64, Value) {
    let answer = server.call("GET", LIST, &[SHOP]);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let page = answer.json();
    let connections = page["connections"].as_array().unwrap();
    let client = connections.iter().find(|client| client["uuid"] == uuid).unwrap();
    (client["version"].as_u64().unwrap(), client["tags"].clone())
}

/// Five clients, as the pages of the API name them.
#[derive(Debug)]
pub struct Clients {
    /// phpws, web, `language=FR`.
    pub f: Raw,
    /// gomoob, web, `language=EN`, `room=1`.
    pub e: Raw,
    /// phpws, web, no tags.
    pub n: Raw,
    /// phpws, php-type, ident `job`.
    pub p: Raw,
    /// Of the tenant `other`.
    pub o: Raw,
}

impl Clients {
    /// Opens them, in this order.
    #[track_caller]
    pub fn open(server: &Server) -> Self {
        let php = Open::php().target("/php?key=shop").ident("job");
        Self {
            f: server.open(&Open::at(r#"/web?key=shop&tags={"language":"FR"}"#)),
            e: Open::at(r#"/?key=shop&tags={"language":"EN","room":"1"}"#).upgrade(server.port),
            n: server.open(&Open::at("/web?key=shop")),
            p: server.open(&php),
            o: server.open(&Open::at(r#"/web?key=other&tags={"language":"FR"}"#)),
        }
    }

    /// Expects these frames for each client. A last publication then shows that nothing else came.
    #[track_caller]
    pub fn expect_frames(&mut self, server: &Server, expected: [&[&str]; 5]) {
        let uuids = [&self.f.uuid, &self.n.uuid, &self.p.uuid].map(String::clone);
        let last = r#"{"to":"all","message":"last"}"#;
        assert_eq!(server.post(PUBLISH, SHOP, last).status(), 200);
        assert_eq!(server.post("/v1/apps/other/publish", OTHER, last).status(), 200);
        let to_php = format!(r#"{{"to":{{"uuid":"{}"}},"message":"last"}}"#, uuids[2]);
        assert_eq!(server.post(PUBLISH, SHOP, &to_php).status(), 200);
        let broadcast = r#"{"opcode":"broadcast","message":"last"}"#;
        let feedback = r#"{"opcode":"feedback","message":"last"}"#;
        let ends = [broadcast, "\"last\"", broadcast, feedback, broadcast];
        let Self { f, e, n, p, o } = self;
        for ((client, frames), end) in [f, e, n, p, o].into_iter().zip(expected).zip(ends) {
            for frame in frames.iter().chain([&end]) {
                assert_eq!(client.frame().as_text(), *frame);
            }
        }
    }
}

/// An answer of the API.
#[derive(Debug)]
pub struct ApiAnswer {
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: String,
}

impl ApiAnswer {
    /// Its status.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// Its body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    /// Status, code and place of an error.
    #[track_caller]
    pub fn error(&self) -> (u16, String, String) {
        let json = self.json();
        let text = |name: &str| json["error"][name].as_str().unwrap_or_default().to_owned();
        (self.status(), text("code"), text("at"))
    }

    /// It is an error of this status and code. One that a later attempt may avoid has the time of that.
    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) -> &Self {
        let error = self.error();
        assert_eq!((error.0, &*error.1), (status, code), "{}", self.body);
        let is_later = matches!(status, 429 | 503);
        assert!(!is_later || self.head.header("Retry-After").is_some(), "{}", self.head.text);
        self
    }

    /// Whether the connection ends after it.
    pub fn closes(&self) -> bool {
        self.head.header("Connection") == Some("close")
    }
}

/// A request with a JSON body.
pub fn post(target: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let length = body.len().to_string();
    let own = [("Content-Type", "application/json"), ("Content-Length", &length)];
    let mut bytes = head("POST", target, &[headers, &own].concat());
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

/// Requests that publish `outer` at most once, each with a `DELETE` of this path in its body, where a parser that
/// takes the wrong header for the length of the body finds it.
pub fn smuggled(target: &str) -> Vec<Vec<u8>> {
    let inner = String::from_utf8(head("DELETE", target, &[SHOP])).unwrap();
    let outer = r#"{"to":"all","message":"outer"}"#;
    let chunk = format!("{:x}\r\n{outer}\r\n0\r\n\r\n", outer.len());
    let with = |lines: &str, body: String| {
        let start =
            format!("POST {PUBLISH} HTTP/1.1\r\nHost: localhost\r\n{}: {}\r\n", SHOP.0, SHOP.1);
        format!("{start}Content-Type: application/json\r\n{lines}\r\n\r\n{body}").into_bytes()
    };
    let chunked = "Transfer-Encoding: chunked";
    let long = format!("Content-Length: {}", chunk.len() + inner.len());
    // The request inside is a chunk of its own; a parser by the short length would find it after the first line.
    let as_chunk = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    let size = as_chunk.split_inclusive('\n').next().unwrap().len();
    let short = format!("Content-Length: {size}");
    let both =
        |length: &str, coding: &str, body: String| with(&format!("{length}\r\n{coding}"), body);
    vec![
        both(&long, chunked, format!("{chunk}{inner}")),
        both(&short, chunked, as_chunk.clone()),
        both(&short, "Transfer-Encoding : chunked", as_chunk.clone()),
        both(&short, "Transfer-Encoding: xchunked", as_chunk.clone()),
        both(&short, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", as_chunk.clone()),
        both(&short, "X: y\r\n Transfer-Encoding: chunked", as_chunk.clone()),
        both(&short, &long, as_chunk),
    ]
}

/// The head of a request.
pub fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    text.extend_from_slice(b"\r\n");
    text
}

impl Raw {
    /// The next answer, with its body.
    #[track_caller]
    pub fn read_answer(&mut self) -> ApiAnswer {
        let head = self.read_head();
        let length = head.header("Content-Length").map_or(0, |length| length.parse().unwrap());
        let body = String::from_utf8(self.read_exactly(length)).unwrap();
        ApiAnswer { head, body }
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn request(&mut self, bytes: impl AsRef<[u8]>) -> ApiAnswer {
        self.send(bytes);
        self.read_answer()
    }
}

impl Server {
    /// Sends JSON with the secret of `shop` over a connection of its own.
    #[track_caller]
    pub fn send_json(&self, method: &str, target: &str, body: &str) -> ApiAnswer {
        let length = body.len().to_string();
        let headers = [SHOP, ("Content-Type", "application/json"), ("Content-Length", &length)];
        let mut bytes = head(method, target, &headers);
        bytes.extend_from_slice(body.as_bytes());
        Raw::connect(self.port).request(bytes)
    }

    /// Posts JSON over a connection of its own.
    #[track_caller]
    pub fn post(&self, target: &str, header: (&str, &str), body: &str) -> ApiAnswer {
        Raw::connect(self.port).request(post(target, &[header], body))
    }

    /// Sends a request without a body over a connection of its own.
    #[track_caller]
    pub fn call(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> ApiAnswer {
        Raw::connect(self.port).request(head(method, target, headers))
    }

    /// Host and port of the only address of the API, as the log names it.
    #[track_caller]
    pub fn api_address(&self, scheme: &str) -> String {
        let start = format!("API on {scheme}://");
        let log = self.wait_for_output(&start);
        let (_, address) = log.split_once(&start).unwrap();
        address.split_whitespace().next().unwrap().to_owned()
    }

    /// The port of that address.
    #[track_caller]
    pub fn api_port(&self, scheme: &str) -> u16 {
        self.api_address(scheme).rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// The API process; waits while it is being replaced.
    #[track_caller]
    pub fn api_process(&self) -> u32 {
        super::wait::eventually("an API process", || self.with_role("api").first().copied())
    }
}
