//! Adds and removes secrets in the text of a file without changing any other byte.

use super::edit::{byte_at, end_line, is_flow};
use super::tree;
use super::tree::{NodeKind, YamlMember, YamlNode};

/// A secret to add.
#[derive(Clone, Copy)]
pub(in crate::config) struct AddedSecret<'a> {
    /// Its id: letters, digits, dots, dashes and underscores.
    pub(in crate::config) id: &'a str,
    /// The secret itself: hexadecimal digits.
    pub(in crate::config) value: &'a str,
}

impl AddedSecret<'_> {
    fn item(self) -> String {
        format!("{{ id: \"{}\", value: \"{}\" }}", self.id, self.value)
    }
}

/// Returns the text with one more secret of an application, given by its index from 0. None if there is
/// no place for it that the caller could not misread.
pub(in crate::config) fn with_added(
    text: &str,
    at: usize,
    secret: AddedSecret<'_>,
) -> Option<String> {
    let root = tree::parse(text).ok()??;
    let node = root.get("applications")?.items()?.get(at)?;
    let item = secret.item();
    match node.get("secrets") {
        Some(list) if is_flow(text, list) => {
            let gap = if list.items()?.is_empty() { "" } else { ", " };
            before_closing(text, list, ']', &format!("{gap}{item}"))
        }
        Some(list) => {
            let (first, last) = (list.items()?.first()?, list.items()?.last()?);
            let dash = text.lines().nth(first.line.checked_sub(1)?)?;
            let indent = dash.len() - dash.trim_start().len();
            dash.trim_start().starts_with("- ").then_some(())?;
            Some(after_line(text, end_line(text, last), &format!("{:indent$}- {item}\n", "")))
        }
        None if is_flow(text, node) => {
            before_closing(text, node, '}', &format!(", secrets: [{item}]"))
        }
        None => {
            let first = node.members().first()?;
            let line: String = text.lines().nth(first.name.line.checked_sub(1)?)?.to_owned();
            let before =
                text.lines().take(first.name.line - 1).map(|line| line.chars().count() + 1);
            let indent = first.name.span.start.checked_sub(before.sum())?;
            line.chars().take(indent).all(|it| it == ' ' || it == '-').then_some(())?;
            let added = format!("{0:indent$}secrets:\n{0:indent$}  - {item}\n", "");
            Some(after_line(text, end_line(text, node), &added))
        }
    }
}

/// Returns the text without the secret of an application that has this index in the list `secrets`, or
/// without the member `secret`. None if it has no lines of its own.
pub(in crate::config) fn without(text: &str, at: usize, index: Option<usize>) -> Option<String> {
    let root = tree::parse(text).ok()??;
    let node = root.get("applications")?.items()?.get(at)?;
    let member = |name: &str| {
        let is_it = |member: &&YamlMember| member.name.scalar() == Some(name);
        node.members().iter().find(is_it)
    };
    let is_alone = |line: usize, starts: &str| {
        text.lines().nth(line - 1).is_some_and(|it| it.trim_start().starts_with(starts))
    };
    let (first, last) = match index {
        None => {
            let member = member("secret")?;
            is_alone(member.name.line, "secret").then_some(())?;
            (member.name.line, end_line(text, &member.value).max(member.name.line))
        }
        Some(index) => {
            let member = member("secrets")?;
            let NodeKind::List(items) = &member.value.kind else { return None };
            let item = items.get(index)?;
            is_alone(member.name.line, "secrets").then_some(())?;
            if let [_only] = items.as_slice() {
                (member.name.line, end_line(text, &member.value))
            } else if is_flow(text, &member.value) {
                return None;
            } else {
                is_alone(item.line, "- ").then_some(())?;
                (item.line, end_line(text, item))
            }
        }
    };
    let lines = (1..).zip(text.split_inclusive('\n'));
    Some(lines.filter(|(number, _)| !(first..=last).contains(number)).map(|(_, it)| it).collect())
}

/// Puts a text before the bracket that closes a list or mapping in one line.
fn before_closing(text: &str, node: &YamlNode, bracket: char, added: &str) -> Option<String> {
    let end = byte_at(text, node.span.end)?;
    let at = text.get(..end)?.rfind(bracket)?;
    let (before, after) = text.split_at_checked(at)?;
    Some(format!("{}{added} {after}", before.trim_end()))
}

/// Puts whole lines after the line with this number, from 1.
fn after_line(text: &str, line: usize, added: &str) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (before, after) = lines.split_at(line.min(lines.len()));
    let before = before.concat();
    let gap = if before.ends_with('\n') { "" } else { "\n" };
    format!("{before}{gap}{added}{}", after.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: AddedSecret<'_> = AddedSecret { id: "2026-11", value: "abc" };
    const ITEM: &str = "{ id: \"2026-11\", value: \"abc\" }";

    fn added(text: &str) -> String {
        with_added(text, 0, NEW).unwrap()
    }

    #[test]
    fn a_secret_is_added_after_the_last_member_or_the_last_secret() {
        let one = "applications:\n  - key: a\n    secret: b # why\n    permissions:\n      - list\n\n  \
                   # next\n  - {key: c, secret: d}\n";
        let expected =
            one.replace("      - list\n", &format!("      - list\n    secrets:\n      - {ITEM}\n"));
        assert_eq!(added(one), expected);
        let twice = expected
            .replace(&format!("      - {ITEM}\n"), &format!("      - {ITEM}\n      - {ITEM}\n"));
        assert_eq!(added(&expected), twice);
        let unended = "applications:\n- key: a\n  secret: b";
        assert_eq!(added(unended), format!("{unended}\n  secrets:\n    - {ITEM}\n"));
        let block = "applications:\n- secrets:\n  - id: x\n    value: |\n      y\n  key: a\n";
        assert_eq!(added(block), block.replace("      y\n", &format!("      y\n  - {ITEM}\n")));
    }

    #[test]
    fn a_secret_is_added_within_the_brackets_of_a_line() {
        let flow = "applications:\n- { key: a, secret: b }\n";
        let expected = format!("applications:\n- {{ key: a, secret: b, secrets: [{ITEM}] }}\n");
        assert_eq!(added(flow), expected);
        let twice = expected.replace(&format!("[{ITEM}]"), &format!("[{ITEM}, {ITEM} ]"));
        assert_eq!(added(&expected), twice);
    }

    #[test]
    fn a_secret_is_removed_with_its_lines_alone() {
        let all = "applications:\n- key: a\n  secret: b\n  secrets: # more\n  - { id: x, value: y }\n  \
                   - id: z\n    env: Z\n  tenant: t\n";
        let without = |index| without(all, 0, index).unwrap();
        assert_eq!(without(None), all.replace("  secret: b\n", ""));
        assert_eq!(without(Some(0)), all.replace("  - { id: x, value: y }\n", ""));
        assert_eq!(without(Some(1)), all.replace("  - id: z\n    env: Z\n", ""));
        let one = without(Some(0));
        let none = super::without(&one, 0, Some(0)).unwrap();
        assert_eq!(none, "applications:\n- key: a\n  secret: b\n  tenant: t\n");
        for by_hand in ["applications:\n- secret: b\n  key: a\n", "applications: [{secret: b}]\n"] {
            assert_eq!(super::without(by_hand, 0, None), None);
        }
    }
}
