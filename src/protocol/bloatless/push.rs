//! Datagrams that scripts write to the push socket. Each contains one message for an application.

use std::borrow::Cow;

use crate::json::{Scalar, JsonShape, pick};

/// The content of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<'a> {
    /// A command to the server. No commands exist, and the original ignores them.
    Command,
    /// Data for an application.
    Data {
        /// The name of the application.
        application: Cow<'a, str>,
        /// A JSON object or list.
        data: &'a str,
    },
}

/// Reason why a datagram is invalid, for the log. The text never quotes the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPushed(pub &'static str);

const NOT_AN_OBJECT: NotPushed = NotPushed("it is no JSON object");

/// Parses a datagram.
///
/// # Errors
///
/// The first problem found. Each of these problems crashes the original server.
pub fn parse(datagram: &[u8]) -> Result<Pushed<'_>, NotPushed> {
    let text = str::from_utf8(datagram).map_err(|_| NOT_AN_OBJECT)?;
    let shape = pick(text, ["type", "action", "data"]);
    let Ok(JsonShape::Object(members)) = shape else { return Err(NOT_AN_OBJECT) };
    let [kind, action, data] = members.named;
    // PHP converts `true` to 1, but `true` is not a valid type.
    let kind = kind.filter(|kind| *kind != "true").map(super::as_text);
    match kind.as_deref() {
        Some("1") => return Ok(Pushed::Command),
        Some("2") => {}
        _ => return Err(NotPushed("its type is neither 1 nor 2")),
    }
    let action = action.and_then(|raw| Scalar::of(raw).text());
    let application = action.ok_or(NotPushed("its action is not a text"))?;
    let data = data.filter(|data| data.starts_with(['{', '[']));
    let data = data.ok_or(NotPushed("its data is neither an object nor a list"))?;
    Ok(Pushed::Data { application, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_names_an_application_and_has_data_for_it() {
        for kind in ["2", "\"2\""] {
            let text = format!(r#"{{"type":{kind},"action":"chat","data":{{"action":"echo"}}}}"#);
            let data = r#"{"action":"echo"}"#;
            let pushed = Pushed::Data { application: "chat".into(), data };
            assert_eq!(parse(text.as_bytes()), Ok(pushed));
        }
        assert_eq!(parse(br#"{"type":1,"action":"x","data":[]}"#), Ok(Pushed::Command));
    }

    /// Case 141.
    #[test]
    fn errors_are_reported_without_the_content_of_the_message() {
        for text in [
            "not json",
            "",
            "[]",
            "5",
            "\u{1}",
            r#"{"type":3,"action":"chat","data":[]}"#,
            r#"{"type":true,"action":"chat","data":[]}"#,
            r#"{"type":2.0,"action":"chat","data":[]}"#,
            r#"{"action":"chat","data":[]}"#,
            r#"{"type":2,"data":[]}"#,
            r#"{"type":2,"action":5,"data":[]}"#,
            r#"{"type":2,"action":"chat","data":"str"}"#,
            r#"{"type":2,"action":"chat"}"#,
            r#"{"type":2,"action":"chat","data":[]} x"#,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(&[b'{', 0xFF]).is_err());
        assert!(parse("[".repeat(60_000).as_bytes()).is_err());
    }
}
