//! Complete responses: the 101 and small pages.

use super::handshake::PlainAnswer;
use super::health::HealthEndpoint;
use crate::types::Readiness;

/// Body of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseBody<'a> {
    /// Bytes of the body.
    Whole(&'a [u8]),
    /// Only the length of these bytes, for the response to a HEAD request.
    LengthOf(&'a [u8]),
}

/// Returns the 101 response of RFC 6455 §4.2.2 with the accept value of an
/// [`Upgrade`](super::Upgrade). `protocol` must be one of the offered subprotocols.
///
/// The bytes equal those of phpWebSocketServer. Its PHP clients, and others, read at most 1,024
/// bytes and compare header names by case.
#[must_use]
pub fn switching_protocols(accept: &str, protocol: Option<&str>) -> Vec<u8> {
    let chosen =
        protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\
         {chosen}\r\n"
    )
    .into_bytes()
}

/// Returns a 200 response that is not cacheable and closes the connection.
///
/// `headers` are additional header lines, each with its line ending.
#[must_use]
pub fn page_response(content_type: &str, headers: &str, content: ResponseBody<'_>) -> Vec<u8> {
    response("200 OK", &format!("Content-Type: {content_type}\r\n{headers}"), content)
}

/// Returns a 503 that asks the client to try again after a second, and ends the connection.
#[must_use]
pub fn unavailable_response(content_type: &str, content: ResponseBody<'_>) -> Vec<u8> {
    let headers = format!("Content-Type: {content_type}\r\nRetry-After: 1\r\n");
    response("503 Service Unavailable", &headers, content)
}

/// Returns the response of a health endpoint: 200, or 503 with the reason.
#[must_use]
pub fn health_response(
    endpoint: HealthEndpoint,
    readiness: Readiness,
    wanted: PlainAnswer,
) -> Vec<u8> {
    let readiness = endpoint.judge(readiness);
    let status = match readiness {
        Readiness::Ready => "200 OK",
        _ => "503 Service Unavailable",
    };
    let body = endpoint.body(readiness);
    let content = match wanted {
        PlainAnswer::Whole => ResponseBody::Whole(body.as_bytes()),
        PlainAnswer::Head | PlainAnswer::Methods => ResponseBody::LengthOf(body.as_bytes()),
    };
    response(status, &format!("Content-Type: {}\r\n", endpoint.content_type()), content)
}

/// Returns the response to OPTIONS, which load balancers use as a health check.
#[must_use]
pub fn methods_response() -> Vec<u8> {
    // RFC 9110 §8.6: a 204 response has no Content-Length.
    b"HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\nConnection: close\r\n\
      Cache-Control: no-store\r\n\r\n"
        .to_vec()
}

pub(super) fn response(status: &str, headers: &str, content: ResponseBody<'_>) -> Vec<u8> {
    let (length, body) = match content {
        ResponseBody::Whole(body) => (body.len(), body),
        ResponseBody::LengthOf(body) => (body.len(), &[][..]),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\n\
         {headers}\
         Content-Length: {length}\r\n\
         Connection: close\r\n\
         Cache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_101_has_exactly_these_bytes() {
        let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        assert_eq!(switching_protocols(accept, None), format!("{expected}\r\n").as_bytes());
        assert_eq!(
            switching_protocols(accept, Some("tagcast.v1")),
            format!("{expected}Sec-WebSocket-Protocol: tagcast.v1\r\n\r\n").as_bytes()
        );
    }

    #[test]
    fn a_head_request_gets_the_length_and_no_body() {
        let whole = page_response("text/html", "", ResponseBody::Whole(b"<p>"));
        let head = page_response("text/html", "", ResponseBody::LengthOf(b"<p>"));
        assert_eq!(whole, [&head[..], b"<p>"].concat());
        assert!(String::from_utf8(head).unwrap().contains("\r\nContent-Length: 3\r\n"));
    }
}
