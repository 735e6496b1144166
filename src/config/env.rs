//! The `.env` file next to the ini file, and the expansion of `${NAME}`.

use std::collections::HashMap;

use super::diagnostic::{Problem, visible};
use crate::types::limits::EXPANDED_BYTES_MAX;

/// The definitions of a `.env` file: `KEY=value` lines, `#` comments, optional quotes around a
/// value. The first definition of a name wins, as in phpWebSocketServer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DotEnv(HashMap<String, String>);

impl DotEnv {
    /// Parses the text. Lines without a definition are ignored, because other programs use the file
    /// too.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut all = HashMap::new();
        for (name, value) in text.lines().filter_map(definition) {
            all.entry(name).or_insert(value);
        }
        Self(all)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn definition(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
    Some((name.trim().to_owned(), unquoted(value.trim()).to_owned()))
}

fn unquoted(value: &str) -> &str {
    let inside = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

/// Returns true if a text refers to a variable.
pub(crate) fn has_variables(text: &str) -> bool {
    text.contains("${")
}

/// Replaces each `${NAME}`. Values are inserted literally and add at most `room` bytes.
///
/// # Errors
///
/// If a name is undefined, a `${` is not closed, or the values exceed `room`.
pub(crate) fn substitute<'a>(
    text: &str,
    room: usize,
    value_of: impl Fn(&str) -> Option<&'a str>,
) -> Result<String, Problem> {
    let mut done = String::with_capacity(text.len());
    let (mut rest, mut room) = (text, room);
    while let Some((before, behind)) = rest.split_once("${") {
        let shape = || Problem::new("holds a `${` without a name", "write `${NAME}`");
        let (name, after) = behind.split_once('}').ok_or_else(shape)?;
        if !is_name(name) {
            return Err(shape());
        }
        done.push_str(before);
        let value = value_of(name).ok_or_else(|| unknown(name))?;
        room = room.checked_sub(value.len()).ok_or_else(too_long)?;
        done.push_str(value);
        rest = after;
    }
    done.push_str(rest);
    Ok(done)
}

fn too_long() -> Problem {
    let what = "becomes too long when its variables are replaced";
    Problem::new(what, format!("use variables with {EXPANDED_BYTES_MAX} bytes at most"))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn unknown(name: &str) -> Problem {
    let name = visible(name);
    Problem::new(
        format!("names the variable {name}, which is not set"),
        format!("set {name}, or define it in the .env next to this file"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_definition_of_a_dot_env_wins() {
        let text = "# A=0\n\nA=1\r\n A = 2\nB='x y'\nC=\"\"\nD=a=b\nnothing\n";
        let env = DotEnv::parse(text);
        let all = ["A", "B", "C", "D", "nothing"].map(|name| env.get(name));
        assert_eq!(all, [Some("1"), Some("x y"), Some(""), Some("a=b"), None]);
    }

    #[test]
    fn variables_are_replaced_once() {
        let value_of = |name: &str| match name {
            "A" => Some("${B}"),
            "B" => Some("b"),
            _ => None,
        };
        assert_eq!(substitute("x${B}y$B${A}", 9, value_of).unwrap(), "xby$B${B}");
        for (text, words) in [
            ("${C}", "variable C"),
            ("${", "without a name"),
            ("${}", "without a name"),
            ("${a b}", "without a name"),
            ("${A}${A}${A}", "too long"),
        ] {
            let fault = substitute(text, 9, value_of).unwrap_err();
            assert!(fault.what.contains(words), "{text}: {fault:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s)([${}A='\"\\n]|.){0,60}") {
            let env = DotEnv::parse(&text);
            let done = substitute(&text, 1000, |name| env.get(name).or(Some("v")));
            prop_assert!(has_variables(&text) || done == Ok(text));
        }
    }
}
