//! Ids of requests, which answers repeat.

use std::cell::Cell;

use hyper::HeaderMap;

/// Maximum bytes of a request id that a client chooses.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Generates the ids of requests without an id.
#[derive(Debug)]
pub(super) struct RequestIds {
    process: String,
    last: Cell<u64>,
}

impl Default for RequestIds {
    fn default() -> Self {
        let process = uuid::Uuid::new_v4().simple().to_string();
        Self { process: process.chars().take(16).collect(), last: Cell::new(0) }
    }
}

impl RequestIds {
    /// Returns the id of a request: its own if that is valid, otherwise a new one.
    pub(super) fn of(&self, headers: &HeaderMap) -> String {
        let own = headers.get("x-request-id").and_then(|id| id.to_str().ok());
        if let Some(own) = own.filter(|id| is_request_id(id)) {
            return own.to_owned();
        }
        self.last.set(self.last.get() + 1);
        format!("{}{:016x}", self.process, self.last.get())
    }
}

fn is_request_id(id: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(is_known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn a_request_keeps_its_id_if_it_is_one_and_gets_one_otherwise() {
        let ids = RequestIds::default();
        let of = |id: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-request-id", HeaderValue::from_static(id));
            ids.of(&headers)
        };
        assert_eq!(of("abc-1._Z"), "abc-1._Z");
        let made = [of("a b"), of(""), ids.of(&HeaderMap::new())];
        assert!(made.iter().all(|id| id.len() == 32 && is_request_id(id)), "{made:?}");
        assert_ne!(made[0], made[1]);
        assert!(!is_request_id(&"a".repeat(129)));
    }
}
