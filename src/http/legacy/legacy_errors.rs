//! Refusals as phpWebSocketServer sends them: status lines without headers, mostly without a final
//! empty line.

use crate::http::{Refusal, RefusalStatus, RequestHead, parse};

/// Version of phpWebSocketServer whose bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Year {
    /// The version of 2021, with a misspelled header.
    Of2021,
    /// The versions since 2024.
    Of2026,
}

const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request";
const BAD_METHOD: &str = "HTTP/1.1 405 Method Not Allowed\r\n\r\n";
const REQUIRED: [&str; 5] =
    ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"];

/// Returns the bytes that phpWebSocketServer sends for this refusal. They contain one line per
/// error, and are empty if the head is too long or too late. `None` if phpWebSocketServer has no
/// such refusal.
#[must_use]
pub fn bare(refusal: &Refusal, head: &[u8], year: Year) -> Option<Vec<u8>> {
    match refusal.status {
        RefusalStatus::HeadTooLarge | RefusalStatus::Timeout => Some(Vec::new()),
        RefusalStatus::BadRequest
        | RefusalStatus::UpgradeRequired
        | RefusalStatus::MethodNotAllowed => {
            let all = parse(head).map(|head| faults(&head, year)).unwrap_or_default();
            let text = if all.is_empty() { alone(refusal.status, year).to_owned() } else { all };
            Some(text.into_bytes())
        }
        _ => None,
    }
}

const fn alone(status: RefusalStatus, year: Year) -> &'static str {
    match status {
        RefusalStatus::UpgradeRequired => version(year),
        RefusalStatus::MethodNotAllowed => BAD_METHOD,
        _ => BAD_REQUEST,
    }
}

const fn version(year: Year) -> &'static str {
    match year {
        Year::Of2021 => "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocketVersion: 13",
        Year::Of2026 => "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13",
    }
}

/// Lists all errors of a head. A missing required header hides other errors.
fn faults(head: &RequestHead<'_>, year: Year) -> String {
    if REQUIRED.iter().any(|name| head.header(name).is_none()) {
        return BAD_REQUEST.to_owned();
    }
    let has =
        |name, token: &str| head.tokens(name).any(|it| it.eq_ignore_ascii_case(token.as_bytes()));
    let mut all = Vec::new();
    if !has("Upgrade", "websocket") || !has("Connection", "upgrade") {
        all.push(BAD_REQUEST);
    }
    if head.header("Sec-WebSocket-Version") != Some(b"13") {
        all.push(version(year));
    }
    if head.method() != "GET" || head.target().contains(':') {
        all.push(BAD_METHOD);
    }
    all.join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: &str = "Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn answer(request: &str, year: Year) -> Option<String> {
        let head = parse(request.as_bytes()).unwrap();
        let refusal = crate::http::decide(&head).map(drop).unwrap_err();
        bare(&refusal, request.as_bytes(), year).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn several_faults_are_reported_in_one_answer() {
        let request = format!("POST /web HTTP/1.1\r\n{HEADERS}");
        assert_eq!(answer(&request, Year::Of2026).as_deref(), Some(BAD_METHOD));
        let request = request.replace("Version: 13", "Version: 8");
        assert_eq!(
            answer(&request, Year::Of2021).as_deref(),
            Some(
                "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocketVersion: 13\r\n\
                 HTTP/1.1 405 Method Not Allowed\r\n\r\n"
            )
        );
        let request = request.replace("Upgrade: websocket", "Upgrade: x");
        assert!(
            answer(&request, Year::Of2026)
                .unwrap()
                .starts_with("HTTP/1.1 400 Bad Request\r\nHTTP/1.1 426")
        );
        let request = request.replace("Host: h\r\n", "");
        assert_eq!(answer(&request, Year::Of2026).as_deref(), Some(BAD_REQUEST));
    }

    #[test]
    fn what_the_original_does_not_know_stays_as_it_is() {
        assert_eq!(bare(&Refusal::NOT_FOUND, b"", Year::Of2026), None);
        assert_eq!(bare(&Refusal::TOO_SLOW, b"", Year::Of2026), Some(Vec::new()));
        let refusal = Refusal::bad("x");
        assert_eq!(
            bare(&refusal, b"rubbish", Year::Of2026).as_deref(),
            Some(BAD_REQUEST.as_bytes())
        );
    }
}
