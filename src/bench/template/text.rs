//! Texts with placeholders.

use crate::config::Problem;

/// A text of a template. `{topic}`, `{payload}` and `{length}` stand for the values of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::bench) struct TemplateText(Vec<TextPart>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum TextPart {
    Literal(String),
    Placeholder(Placeholder),
}

/// A value that differs from message to message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Placeholder {
    /// The topic that clients subscribe to.
    Topic,
    /// The message.
    Payload,
    /// Bytes of the message, in decimal.
    Length,
    /// Any text. Only for received messages.
    Any,
}

/// Names of the placeholders.
const NAMES: &[(&str, Placeholder)] = &[
    ("topic", Placeholder::Topic),
    ("payload", Placeholder::Payload),
    ("length", Placeholder::Length),
    ("any", Placeholder::Any),
];

impl TemplateText {
    /// Parses a value. `\r`, `\n`, `\t` and `\\` stand for the usual characters. Braces around
    /// anything but a lower-case word are kept, because messages are often JSON.
    ///
    /// # Errors
    ///
    /// If it has an unknown placeholder or an unknown escape.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let mut parts: Vec<TextPart> = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['\\', '{']) {
            let (before, marked) = rest.split_at(at);
            literal.push_str(before);
            if let Some((name, behind)) = placeholder_in(marked) {
                let known = NAMES.iter().find(|(known, _)| *known == name);
                let (_, placeholder) = known.ok_or_else(|| unknown(name))?;
                if !literal.is_empty() {
                    parts.push(TextPart::Literal(std::mem::take(&mut literal)));
                }
                parts.push(TextPart::Placeholder(*placeholder));
                rest = behind;
            } else if marked.starts_with('{') {
                literal.push('{');
                rest = marked.get(1..).unwrap_or_default();
            } else {
                let (letter, behind) = escaped(marked)?;
                literal.push(letter);
                rest = behind;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(TextPart::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// Returns the text for this topic and message.
    pub(in crate::bench) fn render(&self, topic: &str, payload: &str) -> String {
        self.0.iter().map(|part| part.render(topic, payload)).collect()
    }

    pub(super) fn has(&self, placeholder: Placeholder) -> bool {
        self.0.contains(&TextPart::Placeholder(placeholder))
    }

    /// Returns true if the received text contains this text.
    pub(in crate::bench) fn is_in(&self, received: &str, topic: &str, payload: &str) -> bool {
        let mut rest = received;
        let mut may_skip = true;
        for part in &self.0 {
            if *part == TextPart::Placeholder(Placeholder::Any) {
                may_skip = true;
                continue;
            }
            let text = part.render(topic, payload);
            let behind = match may_skip {
                true => rest.split_once(text.as_str()).map(|(_, behind)| behind),
                false => rest.strip_prefix(text.as_str()),
            };
            let Some(behind) = behind else { return false };
            rest = behind;
            may_skip = false;
        }
        true
    }
}

impl TextPart {
    fn render(&self, topic: &str, payload: &str) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            Self::Placeholder(Placeholder::Topic) => topic.to_owned(),
            Self::Placeholder(Placeholder::Payload) => payload.to_owned(),
            Self::Placeholder(Placeholder::Length) => payload.len().to_string(),
            Self::Placeholder(Placeholder::Any) => String::new(),
        }
    }
}

/// Returns the name at the start of `{name}…` and the text after it.
fn placeholder_in(text: &str) -> Option<(&str, &str)> {
    let (name, behind) = text.strip_prefix('{')?.split_once('}')?;
    let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    is_word.then_some((name, behind))
}

/// Reads an escape at the start of the text.
fn escaped(text: &str) -> Result<(char, &str), Problem> {
    let mut letters = text.chars();
    letters.next();
    let letter = match letters.next() {
        Some('r') => '\r',
        Some('n') => '\n',
        Some('t') => '\t',
        Some('\\') => '\\',
        _ => {
            return Err(Problem::new("has an unknown escape", r"use \r, \n, \t or \\"));
        }
    };
    Ok((letter, letters.as_str()))
}

fn unknown(name: &str) -> Problem {
    let known: Vec<String> = NAMES.iter().map(|(name, _)| format!("{{{name}}}")).collect();
    Problem::new(
        format!("has the unknown placeholder `{{{name}}}`"),
        format!("use {}", known.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_escapes_are_replaced_and_json_is_kept() {
        for (text, rendered) in [
            (r"PUB {topic} {length}\r\n{payload}\r\n", "PUB t1 5\r\nhello\r\n"),
            (r#"{"id":1,"connect":{}}"#, r#"{"id":1,"connect":{}}"#),
            (r#"{"to":"{topic}","text":"{payload}"}"#, r#"{"to":"t1","text":"hello"}"#),
            (r"a\\b\t", "a\\b\t"),
            ("", ""),
        ] {
            assert_eq!(TemplateText::parse(text).unwrap().render("t1", "hello"), rendered);
        }
    }

    #[test]
    fn an_unknown_placeholder_or_escape_is_an_error_that_names_the_known_ones() {
        let problem = TemplateText::parse("SUB {topik}").unwrap_err();
        assert!(problem.what.contains("{topik}") && problem.right.contains("{topic}"));
        for text in [r"a\x", r"a\"] {
            assert!(TemplateText::parse(text).unwrap_err().right.contains(r"\r"), "{text}");
        }
    }

    #[test]
    fn a_received_text_is_compared_with_the_pattern() {
        let pattern = TemplateText::parse(r"MSG {topic} {any} {length}\r\n{payload}").unwrap();
        assert!(pattern.is_in("MSG t1 1 5\r\nhello\r\n", "t1", "hello"));
        assert!(!pattern.is_in("MSG t2 1 5\r\nhello\r\n", "t1", "hello"));
        assert!(!pattern.is_in("MSG t1 1 6\r\nhello\r\n", "t1", "hello"));
        assert!(TemplateText::parse("{payload}").unwrap().is_in("hello", "", "hello"));
    }
}
