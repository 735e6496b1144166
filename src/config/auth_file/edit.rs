//! Edits the text of a file without changing any other byte.

use super::tree::{self, NodeKind, Style, YamlNode};

/// Returns the text without an application, given by its index from 0. None if the application does
/// not have lines of its own.
pub(in crate::config) fn without(text: &str, at: usize) -> Option<String> {
    let root = tree::parse(text).ok()??;
    let node = root.get("applications")?.items()?.get(at)?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is_dash =
        |line: &usize| lines.get(line - 1).is_some_and(|text| text.trim_start().starts_with('-'));
    let first = (1..=node.line).rev().find(is_dash)?;
    let last = end_line(text, node);
    let others = (1..).zip(&lines).filter(|(number, _)| !(first..=last).contains(number));
    Some(others.map(|(_, line)| *line).collect())
}

/// Returns the text with another secret for an application. None if the secret is not on one line.
pub(in crate::config) fn with_secret(text: &str, at: usize, secret: &str) -> Option<String> {
    let root = tree::parse(text).ok()??;
    let node = root.get("applications")?.items()?.get(at)?.get("secret")?;
    let NodeKind::Scalar(_, Style::Plain | Style::Quoted) = node.kind else { return None };
    let (start, end) = (byte_at(text, node.span.start)?, byte_at(text, node.span.end)?);
    // The parser includes a comment on the same line in the span of a quoted text.
    let end = start + quoted_bytes(text.get(start..end)?);
    let (before, after) = (text.get(..start)?, text.get(end..)?);
    Some(format!("{before}\"{secret}\"{after}"))
}

/// Returns the bytes of a scalar up to its closing quote, or all of an unquoted one.
pub(in crate::config) fn quoted_bytes(written: &str) -> usize {
    let Some(quote) = written.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        return written.len();
    };
    let mut letters = written.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        let is_double = letter == '\'' && letters.peek().is_some_and(|(_, next)| *next == '\'');
        if letter == quote && !is_double {
            return at + 1;
        }
        // A backslash escapes the next character, and two single quotes are one escaped quote.
        if is_double && quote == '\'' || letter == '\\' && quote == '"' {
            letters.next();
        }
    }
    written.len()
}

/// Returns the text with the key in the member `anonymous`. None if the member already exists or
/// there is no list.
pub(in crate::config) fn with_anonymous(text: &str, key: &str) -> Option<String> {
    let root = tree::parse(text).ok()??;
    if root.get("anonymous").is_some() {
        return None;
    }
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let list = lines.iter().position(|line| line.starts_with("applications:"))?;
    let member = format!("anonymous: \"{key}\"\n");
    lines.insert(list, &member);
    Some(lines.concat())
}

/// Returns the last line of a value. The parser reports the start of the next node as the end of a
/// block, so the last line of a block comes from its last value.
pub(super) fn end_line(text: &str, node: &YamlNode) -> usize {
    match &node.kind {
        NodeKind::Scalar(_, Style::Literal | Style::Folded) => node.last_line - 1,
        NodeKind::List(items) if !is_flow(text, node) => {
            items.iter().map(|item| end_line(text, item)).max().unwrap_or(node.line)
        }
        NodeKind::Mapping(members) if !is_flow(text, node) => {
            let ends = members.iter().map(|it| end_line(text, &it.value).max(it.name.line));
            ends.max().unwrap_or(node.line)
        }
        _ => node.last_line,
    }
}

/// Returns true if a list or mapping is in brackets. The parser reports the first item as the start of a
/// list that is not indented.
pub(super) fn is_flow(text: &str, node: &YamlNode) -> bool {
    let bracket = match node.kind {
        NodeKind::List(_) => '[',
        NodeKind::Mapping(_) => '{',
        NodeKind::Scalar(..) | NodeKind::Alias => return false,
    };
    text.chars().nth(node.span.start) == Some(bracket)
}

/// Returns the byte at which a character begins, or the end of the text.
pub(in crate::config) fn byte_at(text: &str, characters: usize) -> Option<usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(characters)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# top\napplications: # all\n  - key: a\n    secret: 'one' # why\n    authorizeOpen: \
                        true\n\n  # the second\n  -\n    secret: \"two\"\n    key: b\n    authorizeOpen: \
                        true\n  - {key: \u{e9}, secret: three, authorizeOpen: true}\n# end\n";

    #[test]
    fn removing_an_application_removes_only_its_lines() {
        let one = without(TEXT, 0).unwrap();
        assert!(one.starts_with("# top\napplications: # all\n\n  # the second\n  -\n"), "{one}");
        let two = without(TEXT, 1).unwrap();
        assert!(two.contains("authorizeOpen: true\n\n  # the second\n  - {key"), "{two}");
        let three = without(TEXT, 2).unwrap();
        assert!(three.ends_with("    authorizeOpen: true\n# end\n"), "{three}");
        assert_eq!(without(TEXT, 3), None);
    }

    #[test]
    fn a_secret_is_replaced_where_it_is() {
        assert_eq!(with_secret(TEXT, 0, "x").unwrap(), TEXT.replace("'one'", "\"x\""));
        assert_eq!(with_secret(TEXT, 1, "x").unwrap(), TEXT.replace("\"two\"", "\"x\""));
        assert_eq!(with_secret(TEXT, 2, "x").unwrap(), TEXT.replace("three", "\"x\""));
        for written in ["'it''s' # it''s", "\"a \\\" b\" # \"", "'a\\' # \\"] {
            let text = TEXT.replace("'one' # why", written);
            let comment = written.split(" #").nth(1).unwrap();
            let expected = TEXT.replace("'one' # why", &format!("\"x\" #{comment}"));
            assert_eq!(with_secret(&text, 0, "x").unwrap(), expected);
        }
    }

    #[test]
    fn anonymous_is_above_the_list_and_only_once() {
        let text = with_anonymous(TEXT, "a").unwrap();
        assert!(text.starts_with("# top\nanonymous: \"a\"\napplications: # all\n"), "{text}");
        assert_eq!(with_anonymous(&text, "b"), None);
    }
}
