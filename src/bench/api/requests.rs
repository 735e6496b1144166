//! The requests of a run: what is always the same is made once.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::ApiLoad;
use crate::client::ApplicationKey;
use crate::types::push_hexadecimal;

/// The application of a run, and its secret. An open server needs none.
#[derive(Debug)]
pub(super) struct RequestAccess {
    key: String,
    secret: Option<String>,
}

/// Name of the application of an open server.
const OPEN: &str = "-";

impl RequestAccess {
    pub(super) fn new(application: Option<&ApplicationKey>) -> Self {
        let key = application.map_or_else(|| OPEN.to_owned(), |it| it.key.clone());
        Self { key, secret: application.and_then(|it| it.secret().map(str::to_owned)) }
    }
}

/// Makes the requests of a run.
pub(super) struct ApiRequests {
    path: String,
    /// Everything before the headers of the credentials.
    head: String,
    body: String,
    credentials: RequestCredentials,
}

enum RequestCredentials {
    /// The same headers in each request.
    Fixed(String),
    Signed(Box<RequestSigner>),
}

struct RequestSigner {
    mac: Hmac<Sha256>,
    /// Digest of the body in hexadecimal digits.
    content: String,
    /// Nonces of this run begin with it.
    run: String,
    count: u64,
}

impl ApiRequests {
    pub(super) fn new(plan: &ApiLoad, access: &RequestAccess) -> Self {
        let body = body(plan.batch, plan.payload);
        let action = if plan.batch > 1 { "publish:batch" } else { "publish" };
        let path = format!("/v1/apps/{}/{action}", encoded(&access.key));
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n",
            body.len()
        );
        let credentials = match &access.secret {
            None => RequestCredentials::Fixed(String::new()),
            Some(secret) if plan.is_signed => {
                RequestCredentials::Signed(Box::new(RequestSigner::new(secret, &body)))
            }
            Some(secret) => {
                RequestCredentials::Fixed(format!("Authorization: Bearer {secret}\r\n"))
            }
        };
        Self { path, head, body, credentials }
    }

    /// Returns the bytes of the next request.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let credentials = match &mut self.credentials {
            RequestCredentials::Fixed(headers) => headers.clone(),
            RequestCredentials::Signed(signer) => signer.sign(&self.path),
        };
        [&self.head, &credentials, "\r\n", &self.body].concat().into_bytes()
    }
}

impl RequestSigner {
    fn new(secret: &str, body: &str) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mac = Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        let run = uuid::Uuid::new_v4().simple().to_string();
        Self { mac, content: hexadecimal(&Sha256::digest(body)), run, count: 0 }
    }

    fn sign(&mut self, path: &str) -> String {
        self.count += 1;
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let nonce = format!("{}{:016x}", self.run, self.count);
        let content = &self.content;
        let mut mac = self.mac.clone();
        mac.update(format!("TAGCAST1\nPOST\n{path}\n\n{timestamp}\n{nonce}\n{content}").as_bytes());
        let signature = hexadecimal(&mac.finalize().into_bytes());
        format!(
            "X-Tagcast-Timestamp: {timestamp}\r\nX-Tagcast-Nonce: {nonce}\r\n\
             X-Tagcast-Content-SHA256: {content}\r\nX-Tagcast-Signature: v1={signature}\r\n"
        )
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hexadecimal(&mut text, bytes);
    text
}

fn body(batch: usize, payload: usize) -> String {
    let message = "x".repeat(payload);
    let one = format!(r#"{{"to":{{"tags":{{"bench":"none"}}}},"message":"{message}"}}"#);
    match batch {
        0 | 1 => one,
        count => format!(r#"{{"publications":[{}]}}"#, vec![one; count].join(",")),
    }
}

/// Percent-encodes a part of a path.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn signed(batch: usize) -> ApiLoad {
        ApiLoad {
            connections: 1,
            batch,
            is_signed: true,
            rate: None,
            payload: 3,
            warmup: Duration::ZERO,
            duration: Duration::ZERO,
            feedback: None,
        }
    }

    #[test]
    fn a_request_has_its_length_and_its_credentials() {
        let key = ApplicationKey::new("b\u{fc}ro".to_owned(), Some("s3cret".to_owned()));
        let request = |plan: ApiLoad, key: Option<&ApplicationKey>| {
            let next = ApiRequests::new(&plan, &RequestAccess::new(key)).next();
            String::from_utf8(next).unwrap()
        };
        let bearer = request(ApiLoad { is_signed: false, ..signed(1) }, Some(&key));
        let (head, body) = bearer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /v1/apps/b%C3%BCro/publish HTTP/1.1\r\n"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert!(head.ends_with("Authorization: Bearer s3cret"), "{head}");
        let twice = request(signed(2), Some(&key));
        assert!(twice.contains("publish:batch") && twice.contains("X-Tagcast-Signature: v1="));
        assert!(!twice.contains("s3cret") && twice.matches("\"message\"").count() == 2);
        let open = request(signed(1), None);
        assert!(open.starts_with("POST /v1/apps/-/publish ") && !open.contains("X-Tagcast"));
    }

    #[test]
    fn no_two_signed_requests_are_the_same() {
        let key = ApplicationKey::new("a".to_owned(), Some("s".to_owned()));
        let mut requests = ApiRequests::new(&signed(1), &RequestAccess::new(Some(&key)));
        assert_ne!(requests.next(), requests.next());
    }
}
