//! The protocol of bloatless/php-websocket: an action and its data, in both directions.

mod options;
pub mod push;

use std::borrow::Cow;

use serde::Serialize;

pub use self::options::{BloatlessAnswers, BloatlessCloseOptions, CloseText};
use super::{Cast, ProtocolSpec, gomoob};
use crate::http::SupportedVersions;
use crate::json::{Scalar, JsonShape, pick, write_text};
use crate::types::{CloseCode, CloseReason, Content, PayloadForm};

/// Properties of this protocol family.
pub const SPEC: ProtocolSpec = ProtocolSpec {
    versions: SupportedVersions::DraftsOrUpgrade,
    checks_key: false,
    render: Some(render),
    close_wording: worded,
    close_answer: |options| (options.bloatless.text == CloseText::Normal).then_some(CLOSED),
    limit_close: |options| {
        (options.bloatless.answers == BloatlessAnswers::Legacy).then_some(CLOSED)
    },
    ..ProtocolSpec::BARE
};

/// Close reason of the original server, whatever the cause is.
pub const CLOSED: CloseReason = CloseReason::new(CloseCode::NORMAL, "normal closure");
/// Close reason of the original server for binary messages.
pub const NO_BINARY: CloseReason =
    CloseReason::new(CloseCode::UNSUPPORTED, "unknown data (opcode)");

/// An action and its data.
#[derive(Debug)]
pub struct BloatlessPacket<'a> {
    /// Name of the action.
    pub action: Cow<'a, str>,
    /// The data as they are written: JSON that PHP does not consider empty.
    pub data: &'a str,
}

/// Parses a packet; `None` if a member is missing, empty or of a wrong type. The original applications ignore
/// such packets.
#[must_use]
pub fn parse(text: &str) -> Option<BloatlessPacket<'_>> {
    let Ok(JsonShape::Object(members)) = pick(text, ["action", "data"]) else { return None };
    let [action, data] = members.named;
    let action = Scalar::of(action?).text()?;
    let data = data?;
    (!action.is_empty() && !is_empty(data)).then_some(BloatlessPacket { action, data })
}

/// Returns a packet as text.
#[must_use]
pub fn packet(action: &str, data: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct RenderedText<'a, T> {
        action: &'a str,
        data: &'a T,
    }
    // Only maps whose keys are not strings cannot be encoded.
    serde_json::to_string(&RenderedText { action, data }).unwrap_or_default()
}

/// Renders a publication in this protocol. A text that is already a packet is unchanged; anything else
/// becomes the data of an `echo` action.
#[must_use]
pub fn render(content: Content<&[u8]>, cast: Cast) -> Cow<'_, [u8]> {
    if content.form == PayloadForm::Text && str::from_utf8(content.payload).ok().and_then(parse).is_some()
    {
        return Cow::Borrowed(content.payload);
    }
    if content.form != PayloadForm::Text {
        return Cow::Owned([ECHO, &gomoob::render(content, cast), b"}"].concat());
    }
    let mut packet = ECHO.to_vec();
    write_text(&String::from_utf8_lossy(content.payload), &mut packet);
    packet.push(b'}');
    Cow::Owned(packet)
}

const ECHO: &[u8] = br#"{"action":"echo","data":"#;

/// Returns data as PHP converts them to a string; the JSON of data that PHP does not convert.
#[must_use]
pub fn as_text(data: &str) -> Cow<'_, str> {
    match Scalar::of(data) {
        Scalar::Text(text) => text,
        Scalar::True => Cow::Borrowed("1"),
        _ => Cow::Borrowed(data),
    }
}

/// Returns a close reason with the text of the original server.
#[must_use]
pub fn worded(reason: CloseReason) -> CloseReason {
    let text = match reason.code {
        CloseCode::PROTOCOL => "protocol error",
        CloseCode::DATA => "utf8 expected",
        CloseCode::TOO_BIG => "frame too large",
        _ => return reason,
    };
    CloseReason::new(reason.code, text)
}

/// Returns whether PHP considers a value empty. Zero is an exception, because the original chat accepts it.
fn is_empty(json: &str) -> bool {
    let inside = |open, close| json.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    matches!(json, "null" | "false" | r#""""#)
        || inside('[', ']').or_else(|| inside('{', '}')).is_some_and(|rest| rest.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, &str)> {
        parse(text).map(|packet| (packet.action.into_owned(), packet.data))
    }

    #[test]
    fn a_packet_has_an_action_and_data_that_are_not_empty() {
        assert_eq!(parsed(r#"{"action":"a\u0062","data":1.50}"#), Some(("ab".into(), "1.50")));
        assert_eq!(parsed(r#"{"data":0,"x":[1],"action":"a"}"#), Some(("a".into(), "0")));
        assert_eq!(
            parsed(r#"{"action":"x","action":"y","data":"0"}"#),
            Some(("y".into(), "\"0\""))
        );
        for data in ["null", "\"\"", "[]", "[ ]", "{}", "{ }", "false"] {
            assert_eq!(parsed(&format!(r#"{{"action":"a","data":{data}}}"#)), None, "{data}");
        }
        for text in ["", "[]", "5", "hello", r#"["a","b"]"#, r#"{"action":"a"}"#, r#"{"data":1}"#] {
            assert_eq!(parsed(text), None, "{text}");
        }
        assert_eq!(parsed(r#"{"action":5,"data":1}"#), None);
        assert_eq!(parsed(r#"{"action":"","data":1}"#), None);
        assert_eq!(parsed(r#"{"action":"a","data":1} x"#), None);
    }

    #[test]
    fn what_others_publish_is_the_data_of_an_echo() {
        for (form, payload, text) in [
            (PayloadForm::Message, r#"{"a":1.50}"#, r#"{"action":"echo","data":{"a":1.50}}"#),
            (PayloadForm::Packet, r#"{"message":"x"}"#, r#"{"action":"echo","data":"x"}"#),
            (PayloadForm::Packet, "{}", r#"{"action":"echo","data":null}"#),
            (PayloadForm::Text, "a \"b\"", r#"{"action":"echo","data":"a \"b\""}"#),
            (PayloadForm::Text, r#"{"action":"x","data":1}"#, r#"{"action":"x","data":1}"#),
            (
                PayloadForm::Message,
                r#"{"action":"x","data":1}"#,
                r#"{"action":"echo","data":{"action":"x","data":1}}"#,
            ),
        ] {
            let content = Content { form, payload: payload.as_bytes() };
            assert_eq!(String::from_utf8_lossy(&render(content.borrowed(), Cast::Many)), text);
        }
    }

    #[test]
    fn data_becomes_text_as_in_php() {
        for (data, text) in
            [
            ("5", "5"),
            ("\"h\\u00e9\"", "h\u{e9}"),
            ("0", "0"),
            ("true", "1"),
            ("[1]", "[1]"),
            ("\"cut \\ud83d\"", "cut \u{fffd}"),
            ("1e400", "1e400"),
        ] {
            assert_eq!(as_text(data), text);
        }
        assert_eq!(packet("a", &"b\"c"), r#"{"action":"a","data":"b\"c"}"#);
    }
}
