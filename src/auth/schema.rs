//! Whether a message fits the schema of its application, and what its publisher is told when not.

use serde::{Deserialize, Serialize};

use crate::json_schema::Schema;

const UNUSABLE: &str = "the schema of this application cannot be used";
const NO_TEXT: &str = "the message cannot be held against its schema: it is no UTF-8";

/// A JSON Schema as text. It travels to the workers, which compile it once for each configuration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageSchema(String);

impl MessageSchema {
    /// A schema that [`MessageSchema::compile`] decides about.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// What checks messages. Nothing is fetched from anywhere for it: what it refers to has to stand
    /// in it. What a check of a message can take is bounded.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn compile(&self) -> Result<Schema, String> {
        Schema::read(&self.0)
    }
}

/// Without the text, which may be long.
impl std::fmt::Debug for MessageSchema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MessageSchema({} bytes)", self.0.len())
    }
}

/// What every message of an application has to fit.
#[derive(Debug)]
pub struct MessageCheck(Option<Schema>);

impl MessageCheck {
    /// From a schema that was compiled before; one that cannot be used is fitted by nothing.
    #[must_use]
    pub fn new(schema: &MessageSchema) -> Self {
        Self(schema.compile().ok())
    }

    /// Decides about the JSON of a message.
    ///
    /// # Errors
    ///
    /// The place of the first violation and what is wrong there, in 123 bytes at the most.
    pub fn check(&self, message: &[u8]) -> Result<(), String> {
        let schema = self.0.as_ref().ok_or(UNUSABLE)?;
        schema.check(str::from_utf8(message).map_err(|_| NO_TEXT)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a Close frame holds beside its code (RFC 6455 §5.5).
    const TEXT_BYTES_MAX: usize = 123;
    const NO_JSON: &str = "the message cannot be held against its schema: it is nested too deeply";

    const SCHEMA: &str = r#"{"type":"object","required":["price"],"additionalProperties":false,
        "properties":{"price":{"type":"number"},"note":{"type":"string","maxLength":5},
        "list":{"items":{"properties":{"a/b":{"enum":[1,2]}}}}}}"#;

    fn told(message: &str) -> String {
        MessageCheck::new(&MessageSchema::new(SCHEMA))
            .check(message.as_bytes())
            .err()
            .unwrap_or_default()
    }

    #[test]
    fn the_first_violation_is_told_with_its_place() {
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
            // Of one name given twice the last counts, as wherever it is read.
            (
                r#"{"price":1,"price":true}"#,
                "the message does not fit its schema at /price: true is not of type \"number\"",
            ),
        ] {
            assert_eq!(told(message), expected, "{message}");
        }
    }

    #[test]
    fn little_of_a_message_is_repeated_and_the_text_fits_into_a_close_frame() {
        let long = format!(r#"{{"price":1,"note":"{}"}}"#, "é".repeat(3000));
        let text = told(&long);
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
            let text = told(&message);
            assert!(!text.is_empty() && text.len() <= TEXT_BYTES_MAX, "{text}");
        }
        assert_eq!(told(&format!("{}{}", "[".repeat(1000), "]".repeat(1000))), NO_JSON);
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
