//! Requests for server-sent events (WHATWG HTML, section 9.2), and their responses.

use std::borrow::Cow;

use super::refusal::{Refusal, RefusalStatus};
use super::response::{ResponseBody, response};
use super::{RequestHead, Upgrade, WireFormat, handshake, is_same_origin, parameter};

/// Builds the request for a stream of events, which has the parts of a handshake that decide about access.
///
/// # Errors
///
/// 400 if a header is missing, or occurs twice.
pub fn event_stream_request<'a>(head: &'a RequestHead<'a>) -> Result<Upgrade<'a>, Refusal> {
    let host = handshake::host(head)?.unwrap_or_default();
    Ok(Upgrade {
        origin: handshake::origin(head)?,
        ..handshake::common(head, host, WireFormat::EventStream)?
    })
}

const MEDIA_TYPE: &str = "text/event-stream";

const NOT_ACCEPTABLE: Refusal = Refusal::new(
    RefusalStatus::NotAcceptable,
    "this path sends text/event-stream, which the header Accept does not name",
);

/// Returns whether a client learns in a stream with status 200 that it must come back later, and not by the status:
/// `EventSource` gives up for good at any other status. The header `Accept` and the parameter `status` of the query
/// decide.
///
/// # Errors
///
/// 406 if the client does not accept events.
pub fn streams_refusals(request: &Upgrade<'_>) -> Result<bool, Refusal> {
    let accepted: Vec<_> = request.head.list("Accept").map(media_type).collect();
    let status = request.query.and_then(|query| parameter(query, "status"));
    match accepted.first() {
        Some(first) if is_event_stream(first) => Ok(status.as_deref() != Some("http")),
        Some(_) if !accepted.iter().any(|it| is_accepting(it)) => Err(NOT_ACCEPTABLE),
        _ => Ok(false),
    }
}

/// Returns an item of `Accept` without its parameters.
fn media_type(item: &[u8]) -> &[u8] {
    item.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Returns true for a range of media types that has that of events.
fn is_accepting(media_type: &[u8]) -> bool {
    is_event_stream(media_type) || media_type == b"*/*" || media_type == b"text/*"
}

fn is_event_stream(media_type: &[u8]) -> bool {
    media_type.eq_ignore_ascii_case(MEDIA_TYPE.as_bytes())
}

/// Header lines that let a page of another origin read a response. The origin must have been admitted.
#[must_use]
pub fn cors_headers(request: &Upgrade<'_>) -> String {
    match request.origin.as_deref() {
        Some(origin)
            if !is_same_origin(origin, &request.host)
                && origin.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            format!("Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n")
        }
        _ => "Vary: Origin\r\n".to_owned(),
    }
}

/// Returns the head of a stream. Its end is the end of the connection, so it is the same for proxies that speak
/// HTTP/1.0.
#[must_use]
pub fn event_stream_head(cors: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\n\
         Content-Type: {MEDIA_TYPE}\r\n\
         Cache-Control: no-cache, no-transform\r\n\
         X-Accel-Buffering: no\r\n\
         Connection: close\r\n\
         X-Content-Type-Options: nosniff\r\n\
         {cors}\r\n"
    )
}

/// Returns the answer to OPTIONS, with which a browser asks whether a page of another origin may send
/// `Authorization`.
#[must_use]
pub fn preflight_response(cors: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 204 No Content\r\n\
         Allow: GET, HEAD, OPTIONS\r\n\
         Access-Control-Allow-Methods: GET, HEAD\r\n\
         Access-Control-Allow-Headers: Authorization, Cache-Control, Last-Event-ID\r\n\
         Access-Control-Max-Age: 600\r\n\
         Connection: close\r\n\
         Cache-Control: no-store\r\n\
         {cors}\r\n"
    )
    .into_bytes()
}

/// Returns the response that refuses a stream, with an error as the HTTP API has it.
#[must_use]
pub fn event_stream_refusal(refusal: &Refusal, cors: &str) -> Vec<u8> {
    let code = match (&refusal.token, refusal.status) {
        (Some(token), _) => token.code,
        (None, status) => error_code(status),
    };
    let body = serde_json::json!({ "error": { "code": code, "message": refusal.why } }).to_string();
    let own = refusal.status.header();
    let retry = match refusal.status {
        RefusalStatus::Unavailable | RefusalStatus::TooManyRequests => "Retry-After: 1\r\n",
        RefusalStatus::Unauthorized => "WWW-Authenticate: Bearer realm=\"tagcast\"\r\n",
        _ => "",
    };
    let headers = format!("{own}{retry}{cors}Content-Type: application/json\r\n");
    response(refusal.status.line(), &headers, ResponseBody::Whole(body.as_bytes()))
}

const fn error_code(status: RefusalStatus) -> &'static str {
    match status {
        RefusalStatus::Unauthorized => "invalid_credentials",
        RefusalStatus::Forbidden => "permission_denied",
        RefusalStatus::NotFound => "not_found",
        RefusalStatus::MethodNotAllowed => "method_not_allowed",
        RefusalStatus::NotAcceptable => "not_acceptable",
        RefusalStatus::Timeout => "request_timeout",
        RefusalStatus::TooManyRequests => "rate_limited",
        RefusalStatus::Unavailable => "busy",
        RefusalStatus::BadRequest
        | RefusalStatus::BadVersion
        | RefusalStatus::UpgradeRequired
        | RefusalStatus::HeadTooLarge => "bad_request",
    }
}

/// Returns the position from which a client wants what it has missed: in the header that `EventSource` sends when it
/// reconnects, or in the parameter for the first request.
#[must_use]
pub fn last_event_id<'a>(head: &RequestHead<'a>) -> Option<Cow<'a, str>> {
    let in_query = || head.query().and_then(|query| parameter(query, "since"));
    head.text("Last-Event-ID").or_else(in_query).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{event_stream_request, parse};

    fn later(headers: &str, target: &str) -> Result<bool, RefusalStatus> {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        let head = parse(head.as_bytes()).unwrap();
        let request = event_stream_request(&head).unwrap();
        streams_refusals(&request).map_err(|refusal| refusal.status)
    }

    #[test]
    fn clients_that_name_the_type_first_learn_it_in_the_stream() {
        for (accept, expected) in [
            ("text/event-stream", Ok(true)),
            ("TEXT/event-stream;q=0.9, */*", Ok(true)),
            ("*/*", Ok(false)),
            ("application/json, text/event-stream", Ok(false)),
            ("text/*", Ok(false)),
            ("text/html", Err(RefusalStatus::NotAcceptable)),
        ] {
            assert_eq!(later(&format!("Accept: {accept}\r\n"), "/sse"), expected, "{accept}");
        }
        assert_eq!(later("", "/sse"), Ok(false));
        let named = "Accept: text/event-stream\r\n";
        assert_eq!(later(named, "/sse?status=http"), Ok(false));
    }

    #[test]
    fn a_page_of_another_origin_is_named_and_the_own_one_is_not() {
        let cors = |origin: &str| {
            let head = format!("GET /sse HTTP/1.1\r\nHost: h\r\nOrigin: {origin}\r\n\r\n");
            let head = parse(head.as_bytes()).unwrap();
            cors_headers(&event_stream_request(&head).unwrap())
        };
        let other = "Access-Control-Allow-Origin: http://o\r\nVary: Origin\r\n";
        assert_eq!((&*cors("http://o"), &*cors("http://h")), (other, "Vary: Origin\r\n"));
    }

    #[test]
    fn a_position_is_in_the_header_or_in_the_query() {
        for (target, headers, position) in [
            ("/sse", "", None),
            ("/sse", "Last-Event-ID: a.1\r\n", Some("a.1")),
            ("/sse?since=b.2", "Last-Event-ID: a.1\r\n", Some("a.1")),
            ("/sse", "Last-Event-ID: \r\n", None),
            ("/sse?since=b.2", "", Some("b.2")),
            ("/sse?since=", "", None),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
            let head = parse(head.as_bytes()).unwrap();
            assert_eq!(last_event_id(&head).as_deref(), position, "{target} {headers}");
        }
    }
}
