//! Messages as lines of text.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::error::{is_obeyed, printable};

/// One message as the server sent it. It is JSON, unless the server is not Tagcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received(String);

impl Received {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Formats the message as one line for users: a text as it is, any other value as JSON.
    /// Characters that control a terminal are escaped.
    pub(crate) fn print_line(&self) -> String {
        match serde_json::from_str::<String>(&self.0) {
            Ok(text) => printable(&text),
            Err(_) if self.is_json() => self.json_line(),
            Err(_) => printable(&self.0),
        }
    }

    /// Formats the message as one line for programs: always JSON, with the original value.
    pub(crate) fn json_line(&self) -> String {
        if !self.is_json() {
            return Self(Value::from(self.0.as_str()).to_string()).json_line();
        }
        let mut line = String::with_capacity(self.0.len());
        for character in self.0.chars() {
            match character {
                // In valid JSON these characters occur only between values.
                '\n' | '\r' | '\t' => line.push(' '),
                // In valid JSON these characters occur only within strings.
                _ if is_obeyed(character) => line.push_str(&escaped(character)),
                _ => line.push(character),
            }
        }
        line
    }

    /// Checks the syntax without building a value, because a message may be nested to any depth.
    fn is_json(&self) -> bool {
        serde_json::from_str::<IgnoredAny>(&self.0).is_ok()
    }
}

/// Escapes a character as `\u` and four hexadecimal digits. All escaped characters are in the basic
/// multilingual plane.
fn escaped(character: char) -> String {
    format!("\\u{:04x}", u32::from(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> (String, String) {
        let received = Received(text.to_owned());
        (received.print_line(), received.json_line())
    }

    #[test]
    fn a_text_is_printed_as_it_is_and_anything_else_as_json() {
        assert_eq!(lines(r#""H\u00e9 \"x\"""#), ("Hé \"x\"".into(), r#""H\u00e9 \"x\"""#.into()));
        assert_eq!(lines("12.50"), ("12.50".into(), "12.50".into()));
        assert_eq!(lines(r#"{"b":1,"a":2}"#).0, r#"{"b":1,"a":2}"#);
    }

    #[test]
    fn no_message_breaks_its_line_or_the_terminal() {
        assert_eq!(lines(r#""a\nb\u001b[2J""#).0, "a\\nb\\u{1b}[2J");
        assert_eq!(lines("{\n\t\"a\": 1\r\n}").1, "{  \"a\": 1  }");
        let (text, json) = lines("\"\u{9b}\u{202e}\"");
        assert_eq!((text.as_str(), json.as_str()), ("\\u{9b}\\u{202e}", r#""\u009b\u202e""#));
    }

    #[test]
    fn invalid_json_becomes_a_text() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(lines(&deep), (deep.clone(), deep));
        assert_eq!(lines(r#""\ud800""#), (r#""\ud800""#.into(), r#""\ud800""#.into()));
        assert_eq!(lines("plain\n"), ("plain\\n".into(), r#""plain\n""#.into()));
    }
}
