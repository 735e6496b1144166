//! Plain text: no protocol around the messages.

use std::borrow::Cow;

use super::{Cast, ProtocolSpec, gomoob};
use crate::json;
use crate::types::{Content, PayloadForm};

/// Properties of this protocol family.
pub const SPEC: ProtocolSpec =
    ProtocolSpec { has_echo_handshake: true, render: Some(render), ..ProtocolSpec::BARE };

/// Renders a publication as bare text: the decoded text if its message is a JSON string, otherwise its JSON.
#[must_use]
pub fn render(content: Content<&[u8]>, cast: Cast) -> Cow<'_, [u8]> {
    if content.form == PayloadForm::Text {
        return Cow::Borrowed(content.payload);
    }
    let json = gomoob::render(content, cast);
    match str::from_utf8(&json) {
        Ok(string) if string.starts_with('"') => {
            Cow::Owned(json::text(string).into_owned().into_bytes())
        }
        _ => json,
    }
}

/// Returns a text as a JSON string, for protocols whose messages are JSON.
#[must_use]
pub fn as_json(text: &[u8]) -> Vec<u8> {
    let mut json = Vec::new();
    json::write_text(&String::from_utf8_lossy(text), &mut json);
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_loses_its_quotes_and_everything_else_stays() {
        for (form, payload, text) in [
            (PayloadForm::Text, "\"as it is\"", "\"as it is\""),
            (PayloadForm::Message, "\"h\\u00e9\"", "h\u{e9}"),
            (PayloadForm::Message, "\"cut \\ud83d\"", "cut \u{fffd}"),
            (PayloadForm::Message, "{\"a\":1.50}", "{\"a\":1.50}"),
            (PayloadForm::Message, "1e400", "1e400"),
            (PayloadForm::Packet, "{\"opcode\":\"broadcast\",\"message\":\"x\"}", "x"),
            (PayloadForm::Packet, "{\"message\":\"\\udc00x\"}", "\u{fffd}x"),
        ] {
            let content = Content { form, payload };
            assert_eq!(render(content.borrowed(), Cast::Many).as_ref(), text.as_bytes());
        }
        assert_eq!(as_json("a \"b\"".as_bytes()), br#""a \"b\"""#);
    }
}
