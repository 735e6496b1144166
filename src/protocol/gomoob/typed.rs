//! Messages with a type, parsed and re-encoded like the parser in Gomoob's documentation.

use super::InvalidRequest;
use crate::protocol::php_json::{Objects, rewritten};
use crate::json;
use crate::json::{Scalar, JsonShape, is_empty_inside, pick};

/// Returns the text that recipients get for a message that is an object: its `type` and `metadata`, encoded
/// as PHP encodes them.
///
/// # Errors
///
/// The first of the parser's checks that the message fails.
pub fn rebuilt(message: &str) -> Result<String, InvalidRequest> {
    let Parts { kind, metadata } = parts(message)?;
    let mut out = String::with_capacity(message.len());
    out.push('{');
    if is_truthy(kind) {
        out.push_str(r#""type":"#);
        out.push_str(&written(kind)?);
        out.push(',');
    }
    out.push_str(r#""metadata":"#);
    match metadata {
        Some(metadata) if is_truthy(metadata) => out.push_str(&written(metadata)?),
        _ => out.push_str("{}"),
    }
    out.push('}');
    Ok(out)
}

/// Checks a message as the parser does, without re-encoding it.
///
/// # Errors
///
/// The first of the parser's checks that the message fails.
pub(super) fn check(message: &str) -> Result<(), InvalidRequest> {
    parts(message).map(drop)
}

/// The members of a message that are forwarded, as they are written.
struct Parts<'a> {
    kind: &'a str,
    metadata: Option<&'a str>,
}

fn parts(message: &str) -> Result<Parts<'_>, InvalidRequest> {
    let members = match pick(message, ["type", "metadata", "creationDate"]) {
        Ok(JsonShape::Object(members)) => members,
        // In PHP, a list is an array whose first key is 0.
        Ok(JsonShape::List) => return Err(invalid("Unexpected property '0' !")),
        Ok(JsonShape::Empty) => return Err(invalid(NO_TYPE)),
        _ => return Err(invalid("")),
    };
    if let Some(name) = members.other {
        return Err(invalid(&format!("Unexpected property '{}' !", json::text(name))));
    }
    let [kind, metadata, _] = members.named;
    let kind = kind.ok_or_else(|| invalid(NO_TYPE))?;
    match metadata {
        Some(raw) if raw != "null" && !raw.starts_with(['{', '[']) => {
            Err(invalid("The 'metadata' property is not an array !"))
        }
        metadata => Ok(Parts { kind, metadata }),
    }
}

const NO_TYPE: &str = "No 'type' property found !";

fn invalid(why: &str) -> InvalidRequest {
    InvalidRequest(format!("Invalid 'message' property ! {why}").trim_end().to_owned().into())
}

fn written(raw: &str) -> Result<String, InvalidRequest> {
    rewritten(raw, Objects::Arrays).map_err(|why| invalid(&why.to_string()))
}

/// Returns whether PHP treats a value as true.
fn is_truthy(raw: &str) -> bool {
    match Scalar::of(raw) {
        Scalar::Text(text) => !matches!(text.as_ref(), "" | "0"),
        Scalar::Integer(digits) | Scalar::Number(digits) => {
            digits.parse::<f64>().is_ok_and(|number| number != 0.0)
        }
        Scalar::True => true,
        Scalar::Other => raw.starts_with(['{', '[']) && !is_empty_inside(raw),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_messages_come_out_as_recorded() {
        for (message, sent) in [
            (r#"{"type":"MY"}"#, r#"{"type":"MY","metadata":{}}"#),
            (
                r#"{"type":"MY","metadata":{"b":2,"a":[1,{"z":null}]},"creationDate":"2016"}"#,
                r#"{"type":"MY","metadata":{"b":2,"a":[1,{"z":null}]}}"#,
            ),
            (r#"{"type":"MY","metadata":null}"#, r#"{"type":"MY","metadata":{}}"#),
            (r#"{"type":"MY","metadata":[]}"#, r#"{"type":"MY","metadata":{}}"#),
            (r#"{"type":"MY","metadata":{"a":{}}}"#, r#"{"type":"MY","metadata":{"a":[]}}"#),
            (r#"{"type":5}"#, r#"{"type":5,"metadata":{}}"#),
            (r#"{"type":""}"#, r#"{"metadata":{}}"#),
            (r#"{"type":null}"#, r#"{"metadata":{}}"#),
            (r#"{"type":"é/x"}"#, r#"{"type":"\u00e9\/x","metadata":{}}"#),
        ] {
            assert_eq!(rebuilt(message).as_deref(), Ok(sent), "{message}");
        }
    }

    #[test]
    fn input_that_the_parser_refuses_gets_its_words() {
        for (message, why) in [
            (r#"{"metadata":{}}"#, "Invalid 'message' property ! No 'type' property found !"),
            (r#"{"type":"MY","x":1}"#, "Invalid 'message' property ! Unexpected property 'x' !"),
            (r#"["a"]"#, "Invalid 'message' property ! Unexpected property '0' !"),
            ("[]", "Invalid 'message' property ! No 'type' property found !"),
            (
                r#"{"type":"MY","metadata":"s"}"#,
                "Invalid 'message' property ! The 'metadata' property is not an array !",
            ),
            ("5", "Invalid 'message' property !"),
            ("null", "Invalid 'message' property !"),
        ] {
            assert_eq!(rebuilt(message).unwrap_err().0, why, "{message}");
        }
    }
}
