//! Server-sent events (WHATWG HTML, section 9.2), for clients that only receive: `EventSource`, `curl`, programs
//! without WebSocket.

use std::borrow::Cow;

use memchr::memchr2;

use super::{Cast, ProtocolSpec, gomoob};
use crate::json::{JsonShape, pick, push_text, text};
use super::v1::V1Recovery;
use crate::types::{CloseReason, Content, ReplayPosition};

/// Properties of this protocol family.
pub const SPEC: ProtocolSpec = ProtocolSpec {
    is_event_stream: true,
    render: Some(render),
    render_at: Some(render_at),
    has_event_names: true,
    ..ProtocolSpec::BARE
};

/// A comment. It shows proxies and clients that the stream is alive.
const COMMENT: &str = ":\n\n";

/// Returns what shows that a stream is alive. A position without data is no event: `EventSource` only stores it.
#[must_use]
pub fn heartbeat(at: Option<ReplayPosition>) -> Cow<'static, str> {
    at.map_or(Cow::Borrowed(COMMENT), |at| Cow::Owned(format!("id: {at}\n\n")))
}

/// Renders a publication as an event. It is the same for all its recipients.
#[must_use]
pub fn render(content: Content<&[u8]>, cast: Cast) -> Cow<'_, [u8]> {
    Cow::Owned(event(content, cast, None))
}

/// Renders a publication as [`render`] does, with its position.
#[must_use]
pub fn render_at(content: Content<&[u8]>, cast: Cast, at: ReplayPosition) -> Vec<u8> {
    event(content, cast, Some(at))
}

fn event(content: Content<&[u8]>, cast: Cast, at: Option<ReplayPosition>) -> Vec<u8> {
    let (headers, content) = content.split_headers();
    let data = gomoob::render(content, cast);
    let mut event = id_line(at).into_bytes();
    event.reserve(data.len() + 32);
    if let Some(name) = event_name(headers) {
        event.extend_from_slice(b"event: ");
        event.extend_from_slice(name.as_bytes());
        event.push(b'\n');
    }
    push_data(&data, &mut event);
    event
}

/// Returns the name of an event. A name with a control character would end its line.
fn event_name(headers: &[u8]) -> Option<String> {
    let members = str::from_utf8(headers).ok()?.strip_suffix(',')?;
    let object = format!("{{{members}}}");
    let Ok(JsonShape::Object(found)) = pick(&object, ["event"]) else { return None };
    let [name] = found.named;
    let name = text(name?).into_owned();
    (!name.is_empty() && !name.chars().any(char::is_control)).then_some(name)
}

/// Appends the data of an event and its end. A line break in JSON is between values, so each line can have a field
/// of its own.
fn push_data(mut data: &[u8], event: &mut Vec<u8>) {
    while let Some(place) = memchr2(b'\r', b'\n', data) {
        let (line, rest) = data.split_at(place);
        push_line(line, event);
        data = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
    }
    push_line(data, event);
    event.push(b'\n');
}

fn push_line(line: &[u8], event: &mut Vec<u8>) {
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(line);
    event.push(b'\n');
}

/// Returns the line with the time after which a client reconnects.
#[must_use]
pub fn retry(milliseconds: u64) -> String {
    format!("retry: {milliseconds}\n\n")
}

/// Returns the first event of a stream, with the position of the client.
#[must_use]
pub fn welcome(uuid: &str, at: Option<ReplayPosition>) -> String {
    let id = id_line(at);
    format!("{id}event: tagcast:welcome\ndata: {{\"uuid\":\"{uuid}\",\"resumed\":false}}\n\n")
}

/// Returns the first event of a stream whose client gets what it has missed. It has no position: the present one
/// would be wrong until then.
#[must_use]
pub fn welcome_recovering(uuid: &str) -> String {
    format!(
        "event: tagcast:welcome\n\
         data: {{\"uuid\":\"{uuid}\",\"resumed\":false,\"recovering\":true}}\n\n"
    )
}

/// Returns the event after what a client has missed. A reason says why it may have missed more.
#[must_use]
pub fn recovery(recovery: &V1Recovery) -> String {
    let id = id_line(recovery.at);
    format!("{id}event: tagcast:recovery\ndata: {{{}}}\n\n", recovery.members())
}

fn id_line(at: Option<ReplayPosition>) -> String {
    at.map_or_else(String::new, |at| format!("id: {at}\n"))
}

/// Returns the last event of a stream. With a time, in milliseconds, the client is asked to come back after it.
#[must_use]
pub fn bye(reason: &CloseReason, retry_after_ms: Option<u64>) -> String {
    let mut event = retry_after_ms.map(retry).unwrap_or_default();
    event.push_str(&format!("event: tagcast:bye\ndata: {{\"code\":{},\"reason\":", reason.code.0));
    push_text(&reason.text, &mut event);
    if let Some(milliseconds) = retry_after_ms {
        event.push_str(&format!(",\"retry_after_ms\":{milliseconds}"));
    }
    event.push_str("}\n\n");
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::v1::V1Headers;
    use crate::types::{CloseCode, PayloadForm, RecoveryReason};

    fn rendered(form: PayloadForm, payload: &str) -> String {
        let content = Content { form, payload: payload.as_bytes() };
        String::from_utf8(render(content, Cast::Many).into_owned()).unwrap()
    }

    #[test]
    fn each_line_of_the_json_is_a_line_of_data() {
        for (payload, event) in [
            ("1", "data: 1\n\n"),
            ("{\n\"a\":1,\r\n\r\"b\":2}", "data: {\ndata: \"a\":1,\ndata: \ndata: \"b\":2}\n\n"),
            ("[\n]", "data: [\ndata: ]\n\n"),
        ] {
            assert_eq!(rendered(PayloadForm::Message, payload), event);
        }
        assert_eq!(rendered(PayloadForm::Text, "a\nb"), "data: \"a\\nb\"\n\n");
        assert_eq!(rendered(PayloadForm::Packet, "{\"message\":[1]}"), "data: [1]\n\n");
    }

    #[test]
    fn an_event_has_its_name_unless_it_would_break_the_line() {
        let of = |event: &str, from: &str| {
            let headers = V1Headers { event, topic: "", from };
            let payload = headers.payload(PayloadForm::Message, "1");
            let form = if headers.is_empty() { PayloadForm::Message } else { PayloadForm::WithHeaders };
            rendered(form, if headers.is_empty() { "1" } else { &payload })
        };
        assert_eq!(of("price", ""), "event: price\ndata: 1\n\n");
        assert_eq!(of("a\"\\b", "id"), "event: a\"\\b\ndata: 1\n\n");
        for name in ["", "a\nb", "\u{7f}"] {
            assert_eq!(of(name, "id"), "data: 1\n\n");
        }
    }

    #[test]
    fn a_stream_begins_with_the_uuid_and_ends_with_the_reason() {
        assert_eq!(
            welcome("u", None),
            "event: tagcast:welcome\ndata: {\"uuid\":\"u\",\"resumed\":false}\n\n"
        );
        assert!(welcome_recovering("u").ends_with("\"recovering\":true}\n\n"));
        let at = Some(ReplayPosition { epoch: 36, number: 3 });
        assert!(welcome("u", at).starts_with("id: 10.3\nevent: tagcast:welcome\n"));
        assert_eq!(
            recovery(&V1Recovery { replayed: 2, reason: None, missed: None, at }),
            "id: 10.3\nevent: tagcast:recovery\n\
             data: {\"recovered\":true,\"replayed\":2,\"at\":\"10.3\"}\n\n"
        );
        assert_eq!(
            recovery(&V1Recovery {
                replayed: 0,
                reason: Some(RecoveryReason::Gap),
                missed: Some(12),
                at: None,
            }),
            "event: tagcast:recovery\ndata: {\"recovered\":false,\"replayed\":0,\"reason\":\"gap\",\"missed\":12}\n\n"
        );
        assert_eq!((&*heartbeat(None), &*heartbeat(at)), (":\n\n", "id: 10.3\n\n"));
        let content = Content { form: PayloadForm::Message, payload: &b"1"[..] };
        let at = ReplayPosition { epoch: 36, number: 3 };
        assert_eq!(render_at(content, Cast::Many, at), b"id: 10.3\ndata: 1\n\n");
        let reason = CloseReason::new(CloseCode::RESTART, "server restart");
        assert_eq!(
            bye(&reason, Some(1830)),
            "retry: 1830\n\nevent: tagcast:bye\n\
             data: {\"code\":4200,\"reason\":\"server restart\",\"retry_after_ms\":1830}\n\n"
        );
        let ended = CloseReason::new(CloseCode::TOKEN_EXPIRED, "token expired");
        assert_eq!(
            bye(&ended, None),
            "event: tagcast:bye\ndata: {\"code\":4110,\"reason\":\"token expired\"}\n\n"
        );
    }
}
