//! Edits `operators.yml` without changing any other byte.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::check::{DIGEST_PREFIX, is_name};
use super::check_text;
use crate::auth::{Operator, Operators};
use crate::config::app_add::replace;
use crate::config::auth_file::edit::{byte_at, quoted_bytes};
use crate::config::auth_file::tree::{self, YamlNode};
use crate::config::diagnostic::Diagnostics;
use crate::config::{UnreadFile, read};
use crate::types::push_hexadecimal;

/// Start of a new file.
const HEAD: &str = "# Who may look after this server: see docs/console.md. Keep this file at mode 0600.\n\n\
                    operators:\n";

/// The reason why a change failed. The file is unchanged.
#[derive(Debug)]
pub enum OperatorNotChanged {
    /// The name has other characters or is too long.
    BadName,
    /// The name exists already.
    Taken(PathBuf),
    /// There is no operator with this name.
    Unknown(PathBuf),
    /// The file has errors.
    Wrong(Diagnostics),
    /// The file is written in a form that must be edited by hand.
    ByHand(PathBuf),
    /// The file cannot be read or written.
    Unwritable(PathBuf, io::Error),
}

impl fmt::Display for OperatorNotChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName => f.write_str(
                "a name must have 1 to 64 letters, digits, dots, dashes, underscores and @",
            ),
            Self::Taken(file) => {
                write!(f, "{}: an operator has this name already", file.display())
            }
            Self::Unknown(file) => {
                let file = file.display();
                write!(f, "{file}: no operator has this name; use tagcast operator add NAME")
            }
            Self::Wrong(findings) => findings.fmt(f),
            Self::ByHand(file) => write!(
                f,
                "{}: it cannot be edited; begin a line with `operators:` and write each operator as \
                 `- name: …` on lines of its own below it",
                file.display()
            ),
            Self::Unwritable(file, error) => write!(f, "{}: {error}", file.display()),
        }
    }
}

impl std::error::Error for OperatorNotChanged {}

/// Adds an operator to a file. A missing file is created with mode 0600.
///
/// # Errors
///
/// If nothing was added.
pub fn add_operator(file: &Path, new: &Operator) -> Result<(), OperatorNotChanged> {
    if !is_name(&new.name) {
        return Err(OperatorNotChanged::BadName);
    }
    change(file, |text, wanted| {
        if wanted.named(&new.name).is_some() {
            return Err(OperatorNotChanged::Taken(file.to_owned()));
        }
        wanted.list.push(new.clone());
        Ok(with_entry(text, new))
    })
}

/// Changes the password or the token of an operator.
///
/// # Errors
///
/// If nothing was changed.
pub fn change_operator(
    file: &Path,
    name: &str,
    edit: impl FnOnce(&mut Operator),
) -> Result<(), OperatorNotChanged> {
    change(file, |text, wanted| {
        let unknown = || OperatorNotChanged::Unknown(file.to_owned());
        let at = wanted.list.iter().position(|it| it.name == name).ok_or_else(unknown)?;
        let operator = wanted.list.get_mut(at).ok_or_else(unknown)?;
        let before = operator.clone();
        edit(operator);
        let mut text = text.to_owned();
        for (member, value) in secrets(operator) {
            let is_same = match member {
                "password" => before.password == operator.password,
                _ => before.token == operator.token,
            };
            if is_same {
                continue;
            }
            match with_member(&text, at, member, &value) {
                Some(changed) => text = changed,
                None => return Ok(None),
            }
        }
        Ok(Some(text))
    })
}

/// Edits a file. The new text is written only if parsing it gives exactly the wanted operators.
fn change(
    file: &Path,
    changed: impl FnOnce(&str, &mut Operators) -> Result<Option<String>, OperatorNotChanged>,
) -> Result<(), OperatorNotChanged> {
    let unwritable = |error| OperatorNotChanged::Unwritable(file.to_owned(), error);
    let old = match read(file) {
        Ok(text) => Some(text),
        Err(UnreadFile::Absent) => None,
        Err(unread) => return Err(unwritable(io::Error::other(unread.fault().what))),
    };
    let checked = |text: &str| {
        let read = check_text(file, text, None);
        read.operators.ok_or(OperatorNotChanged::Wrong(Diagnostics(read.findings)))
    };
    let mut wanted = match &old {
        Some(text) => checked(text)?,
        None => Operators::default(),
    };
    let text = changed(old.as_ref().map_or(HEAD, |text| text.as_str()), &mut wanted)?;
    let by_hand = || OperatorNotChanged::ByHand(file.to_owned());
    let text = text.ok_or_else(by_hand)?;
    if checked(&text).ok().as_ref() != Some(&wanted) {
        return Err(by_hand());
    }
    replace(file, &text).map_err(unwritable)
}

/// Returns the members with secrets, as the file has them.
fn secrets(operator: &Operator) -> Vec<(&'static str, String)> {
    let mut members = Vec::new();
    if let Some(hash) = &operator.password {
        members.push(("password", format!("\"{}\"", hash.expose())));
    }
    if let Some(token) = &operator.token {
        let mut digest = DIGEST_PREFIX.to_owned();
        push_hexadecimal(&mut digest, token.bytes());
        members.push(("token", digest));
    }
    members
}

fn entry(new: &Operator, indent: usize) -> String {
    let mut members =
        vec![("name", format!("\"{}\"", new.name)), ("role", new.role.word().to_owned())];
    members.extend(secrets(new));
    if let Some(all) = &new.applications {
        // Every JSON string is a valid YAML string.
        let all: Vec<_> =
            all.iter().map(|key| serde_json::Value::from(key.as_str()).to_string()).collect();
        members.push(("applications", format!("[{}]", all.join(", "))));
    }
    if new.payloads {
        members.push(("payloads", "true".to_owned()));
    }
    let blank = " ".repeat(indent);
    let lines = members.iter().enumerate().map(|(at, (name, value))| {
        let mark = if at == 0 { "- " } else { "  " };
        format!("{blank}{mark}{name}: {value}\n")
    });
    lines.collect()
}

/// Returns the text with an entry at the end of the list. `None` if the list is not in block form.
fn with_entry(text: &str, new: &Operator) -> Option<String> {
    let root = tree::parse(text).ok().flatten();
    let list = root.as_ref().and_then(|root| root.get("operators"));
    let first = list.and_then(YamlNode::items).and_then(<[YamlNode]>::first);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let head = lines.iter().position(|line| line.starts_with("operators:"))?;
    let is_of_list = |line: &&str| line.starts_with([' ', '\t', '-', '#', '\n', '\r']);
    let behind = lines.iter().skip(head + 1).take_while(|line| is_of_list(line)).count();
    let end = head + 1 + behind;
    let indent = match first {
        Some(first) => {
            let line = lines.get(first.line.checked_sub(1)?)?;
            line.trim_start().starts_with('-').then(|| line.len() - line.trim_start().len())?
        }
        None => 2,
    };
    let (before, after) = (lines.get(..end)?.concat(), lines.get(end..)?.concat());
    let gap = if before.ends_with('\n') { "" } else { "\n" };
    Some(format!("{before}{gap}{}{after}", entry(new, indent)))
}

/// Returns the text with another value of a member of one operator, which may be new. `None` if the
/// operator is written in another form.
fn with_member(text: &str, at: usize, name: &str, value: &str) -> Option<String> {
    let root = tree::parse(text).ok()??;
    let operator = root.get("operators")?.items()?.get(at)?;
    if let Some(node) = operator.get(name) {
        let (start, end) = (byte_at(text, node.span.start)?, byte_at(text, node.span.end)?);
        // The parser includes a comment on the same line in the span of a quoted text.
        let end = start + quoted_bytes(text.get(start..end)?);
        return Some(format!("{}{value}{}", text.get(..start)?, text.get(end..)?));
    }
    let role = operator.members().iter().find(|it| it.name.scalar() == Some("role"))?;
    let start = byte_at(text, role.value.span.start)?;
    let end = start + quoted_bytes(text.get(start..byte_at(text, role.value.span.end)?)?);
    let is_flow = text.get(byte_at(text, operator.span.start)?..)?.starts_with('{');
    if is_flow {
        return Some(format!("{}, {name}: {value}{}", text.get(..end)?, text.get(end..)?));
    }
    let end = text.get(end..)?.find('\n').map_or(text.len(), |line| end + line);
    let begin = byte_at(text, role.name.span.start)?;
    let line = text.get(..begin)?.rfind('\n').map_or(0, |line| line + 1);
    let column = " ".repeat(text.get(line..begin)?.chars().count());
    Some(format!("{}\n{column}{name}: {value}{}", text.get(..end)?, text.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{OperatorRole, TokenDigest};

    fn operator(name: &str) -> Operator {
        Operator {
            name: name.to_owned(),
            role: OperatorRole::Viewer,
            password: None,
            token: Some(TokenDigest::from_bytes([0x0f; 32])),
            applications: None,
            payloads: false,
        }
    }

    #[test]
    fn entries_are_added_and_changed_in_both_forms_and_nothing_else_changes() {
        let digest = "0f".repeat(32);
        let old = format!(
            "# top\noperators:\n  - {{ name: anna, role: operator, token: sha256:{digest} }} # boss\n  - name: ci\n    role: viewer # reads\n    token: \"sha256:{digest}\" # old\n"
        );
        let added = with_entry(&old, &operator("x")).unwrap();
        let expected =
            format!("{old}  - name: \"x\"\n    role: viewer\n    token: sha256:{digest}\n");
        assert_eq!(added, expected);
        let hash = "\"$argon2id$x\"";
        let flow = with_member(&old, 0, "password", hash).unwrap();
        assert_eq!(
            flow,
            old.replacen("role: operator,", &format!("role: operator, password: {hash},"), 1)
        );
        let block = with_member(&old, 1, "password", hash).unwrap();
        assert_eq!(
            block,
            old.replacen("# reads\n", &format!("# reads\n    password: {hash}\n"), 1)
        );
        let other = with_member(&old, 1, "token", "sha256:00").unwrap();
        assert_eq!(other, old.replacen(&format!("\"sha256:{digest}\""), "sha256:00", 1));
        assert!(with_entry("operators: [{name: a}]\n", &operator("x")).is_none());
    }

    #[test]
    fn a_new_file_is_private_and_a_name_is_taken_once() {
        use std::os::unix::fs::PermissionsExt;
        let name = format!("tagcast-operators-{}.yml", std::process::id());
        let file = std::env::temp_dir().join(name);
        let narrowed = Operator {
            applications: Some(vec!["a \"b\"".to_owned(), "shop".to_owned()]),
            payloads: true,
            ..operator("anna@example.org")
        };
        add_operator(&file, &narrowed).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(add_operator(&file, &narrowed), Err(OperatorNotChanged::Taken(_))));
        assert!(matches!(add_operator(&file, &operator("a b")), Err(OperatorNotChanged::BadName)));
        let token = Some(TokenDigest::from_bytes([1; 32]));
        change_operator(&file, "anna@example.org", |it| it.token = token).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let read = check_text(&file, &text, None).operators.unwrap();
        assert_eq!(read.list, [Operator { token, ..narrowed }]);
        let unknown = change_operator(&file, "bob", |it| it.token = token);
        assert!(matches!(unknown, Err(OperatorNotChanged::Unknown(_))));
        std::fs::remove_file(&file).unwrap();
    }
}
