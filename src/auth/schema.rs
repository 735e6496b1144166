//! Schema check of an application's messages, and the error text for the publisher.

use serde::{Deserialize, Serialize};

use crate::json_schema::Schema;

const UNUSABLE: &str = "the schema of this application cannot be used";
const NO_TEXT: &str = "the message cannot be held against its schema: it is no UTF-8";

/// JSON Schema as text. It is sent to the workers, which compile it once per configuration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSchema(String);

impl MessageSchema {
    /// Wraps the text without checking it. [`MessageSchema::compile`] reports errors.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Compiles the schema. References must point into the schema itself, because nothing is
    /// downloaded. The cost of checking one message is bounded.
    ///
    /// # Errors
    ///
    /// Returns the error and its position in the schema.
    pub fn compile(&self) -> Result<Schema, String> {
        Schema::read(&self.0)
    }
}

/// The output omits the text, which may be long.
impl std::fmt::Debug for MessageSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MessageSchema({} bytes)", self.0.len())
    }
}

/// Check that all messages of an application must pass.
#[derive(Debug)]
pub struct MessageCheck(Option<Schema>);

impl MessageCheck {
    /// Compiles a schema that was validated before. A schema that does not compile rejects all
    /// messages.
    #[must_use]
    pub fn new(schema: &MessageSchema) -> Self {
        Self(schema.compile().ok())
    }

    /// Checks a message, given as JSON.
    ///
    /// # Errors
    ///
    /// Returns the position of the first violation and its reason, in at most 123 bytes.
    pub fn check(&self, message: &[u8]) -> Result<(), String> {
        let schema = self.0.as_ref().ok_or(UNUSABLE)?;
        schema.check(str::from_utf8(message).map_err(|_| NO_TEXT)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most bytes of text in a Close frame after its code (RFC 6455 §5.5).
    const TEXT_BYTES_MAX: usize = 123;
    const NO_JSON: &str = "the message cannot be held against its schema: it is nested too deeply";

    const SCHEMA: &str = r#"{"type":"object","required":["price"],"additionalProperties":false,
        "properties":{"price":{"type":"number"},"note":{"type":"string","maxLength":5},
        "list":{"items":{"properties":{"a/b":{"enum":[1,2]}}}}}}"#;

    fn error_text(message: &str) -> String {
        MessageCheck::new(&MessageSchema::new(SCHEMA))
            .check(message.as_bytes())
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn the_first_violation_is_reported_with_its_place() {
        for (message, expected) in [
            (r#"{"price":5,"note":"ok"}"#, ""),
            (
                r#"{"price":"abc"}"#,
                "the message does not fit its schema at /price: \"abc\" is not of type \"number\"",
            ),
            ("{}", "the message does not fit its schema: \"price\" is a required property"),
            ("null", "the message does not fit its schema: null is not of type \"object\""),
            (
                r#"{"price":1,"list":[{},{"a/b":7}]}"#,
                "the message does not fit its schema at /list/1/a~1b: 7 is not one of 1 or 2",
            ),
            // Of duplicate names the last one counts, as everywhere else.
            (
                r#"{"price":1,"price":true}"#,
                "the message does not fit its schema at /price: true is not of type \"number\"",
            ),
        ] {
            assert_eq!(error_text(message), expected, "{message}");
        }
    }

    #[test]
    fn little_of_a_message_is_repeated_and_the_text_fits_into_a_close_frame() {
        let long = format!(r#"{{"price":1,"note":"{}"}}"#, "é".repeat(3000));
        let text = error_text(&long);
        assert_eq!(
            text,
            "the message does not fit its schema at /note: the value is longer than 5 characters"
        );
        for message in [
            long,
            format!(r#"{{"price":1,"{}":2}}"#, "é".repeat(3000)),
            format!(r#"{{"price":[{}]}}"#, "1,".repeat(10_000) + "1"),
            format!(r#"{{"price":1,"list":[{{"a/b":"{}"}}]}}"#, "x".repeat(300)),
            format!("{}{}", "[".repeat(1000), "]".repeat(1000)),
        ] {
            let text = error_text(&message);
            assert!(!text.is_empty() && text.len() <= TEXT_BYTES_MAX, "{text}");
        }
        assert_eq!(error_text(&format!("{}{}", "[".repeat(1000), "]".repeat(1000))), NO_JSON);
    }

    #[test]
    fn a_place_is_cut_at_a_character_and_what_is_wrong_still_follows() {
        let schema = MessageSchema::new(r#"{"additionalProperties":{"type":"string"}}"#);
        let message = format!(r#"{{"{}":1}}"#, "é".repeat(100));
        let text = MessageCheck::new(&schema).check(message.as_bytes()).unwrap_err();
        assert!(text.ends_with("é…: 1 is not of type \"string\""), "{text}");
        assert!(text.len() <= TEXT_BYTES_MAX, "{text}");
    }

    #[test]
    fn nothing_fits_what_cannot_be_used() {
        let check = MessageCheck::new(&MessageSchema::new("{"));
        assert_eq!(check.check(b"{}"), Err(UNUSABLE.to_owned()));
    }
}
