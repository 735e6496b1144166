//! Adds one application to `auth.yml` without changing any other byte.

use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::auth_file::{check_text, first_application, has_list};
use super::diagnostic::Diagnostics;
use super::state_file::draft_of;
use super::{UnreadFile, read};
use crate::auth::Applications;
use crate::types::Secret;
use crate::types::limits::SECRETS_MAX;

/// Maximum characters of a new key, which is used in URLs.
const NAME_CHARACTERS_MAX: usize = 64;
/// Start of a new file.
const HEAD: &str = "# The applications that may use this server: see docs/configuration.md.\n\n\
                    applications:\n";

/// An application to add.
#[expect(clippy::struct_excessive_bools, reason = "two independent permissions, as in the file")]
#[derive(Clone, Debug)]
pub struct NewApplication {
    /// Key: letters, digits, `.`, `_` and `-`, at most 64 characters.
    pub key: String,
    /// Secret of the application.
    pub secret: Secret,
    /// True if the key alone is sufficient to open a connection.
    pub authorize_open: bool,
    /// True if clients that opened a connection with the key may publish without the secret.
    pub client_publish: bool,
    /// Tenant of its clients.
    pub tenant: Option<String>,
}

/// The reason why a change failed. The file is unchanged.
#[derive(Debug)]
pub enum NotAdded {
    /// The key has invalid characters or an invalid length.
    BadName,
    /// The key already exists.
    Taken {
        /// The file that contains it.
        file: PathBuf,
    },
    /// The file already has errors.
    Wrong(Diagnostics),
    /// The list is written in a form that cannot be extended.
    NoList {
        /// The file.
        file: PathBuf,
    },
    /// There is no application with this key.
    Unknown {
        /// The file.
        file: PathBuf,
    },
    /// It is the last application of the file.
    Last {
        /// The file.
        file: PathBuf,
    },
    /// The member `anonymous` already names an application, or names the one to remove.
    Anonymous {
        /// The file.
        file: PathBuf,
    },
    /// The application is written in a form that must be edited by hand.
    ByHand {
        /// The file.
        file: PathBuf,
    },
    /// The application has no secret with this id.
    UnknownSecret {
        /// The file.
        file: PathBuf,
    },
    /// It is the last secret of the application.
    LastSecret {
        /// The file.
        file: PathBuf,
    },
    /// The application has as many secrets as it can have.
    TooManySecrets {
        /// The file.
        file: PathBuf,
    },
    /// The file cannot be read or written.
    Unwritable {
        /// The file.
        file: PathBuf,
        /// The system error.
        error: io::Error,
    },
}

impl fmt::Display for NotAdded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName => write!(
                f,
                "a name must have 1 to {NAME_CHARACTERS_MAX} letters, digits, dots, dashes and underscores"
            ),
            Self::Taken { file } => {
                write!(f, "{}: an application has this key already", file.display())
            }
            Self::Unknown { file } => {
                write!(f, "{}: no application has this key; tagcast app list", file.display())
            }
            Self::Last { file } => write!(
                f,
                "{}: it is the only application; with `authFile = none` the server is open",
                file.display()
            ),
            Self::Anonymous { file } => {
                write!(f, "{}: `anonymous` names an application; change that first", file.display())
            }
            Self::ByHand { file } => write!(
                f,
                "{}: the application is not written on lines of its own; change it by hand",
                file.display()
            ),
            Self::UnknownSecret { file } => write!(
                f,
                "{}: the application has no such secret; tagcast app list shows the ids",
                file.display()
            ),
            Self::LastSecret { file } => write!(
                f,
                "{}: it is the only secret of the application; add another one first (tagcast app rotate)",
                file.display()
            ),
            Self::TooManySecrets { file } => write!(
                f,
                "{}: the application has {SECRETS_MAX} secrets already; remove one (tagcast app revoke)",
                file.display()
            ),
            Self::Wrong(findings) => findings.fmt(f),
            Self::NoList { file } => write!(
                f,
                "{}: this list cannot be extended; start a line with `applications:` and write \
                 each application as `- key: …` on lines of its own below it",
                file.display()
            ),
            Self::Unwritable { file, error } => write!(f, "{}: {error}", file.display()),
        }
    }
}

impl std::error::Error for NotAdded {}

/// Adds an application to a file. A missing file is created with mode 0600. The new text is checked
/// before it replaces the old one.
///
/// # Errors
///
/// If nothing was added.
pub fn add_application(file: &Path, new: &NewApplication) -> Result<(), NotAdded> {
    if !is_name(&new.key) {
        return Err(NotAdded::BadName);
    }
    let unwritable = |error| NotAdded::Unwritable { file: file.to_owned(), error };
    let old = match read(file) {
        Ok(text) => Some(text),
        Err(UnreadFile::Absent) => None,
        Err(unread) => return Err(unwritable(io::Error::other(unread.fault().what))),
    };
    let before = match &old {
        Some(text) => checked(file, text)?,
        None => Applications::default(),
    };
    if before.list.iter().any(|application| application.key == new.key) {
        return Err(NotAdded::Taken { file: file.to_owned() });
    }
    let text = with_entry(old.as_ref().map_or(HEAD, |text| text.as_str()), new);
    let text = text.ok_or_else(|| NotAdded::NoList { file: file.to_owned() })?;
    let after = checked(file, &text)?;
    let is_one_more = after.list.len() == before.list.len() + 1
        && after.anonymous == before.anonymous
        && before.list.iter().all(|application| after.list.contains(application));
    if !is_one_more {
        return Err(NotAdded::NoList { file: file.to_owned() });
    }
    replace(file, &text).map_err(unwritable)
}

pub(super) fn is_name(text: &str) -> bool {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NAME_CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(is_known)
}

pub(super) fn checked(file: &Path, text: &str) -> Result<Applications, NotAdded> {
    let read = check_text(file, text);
    read.applications.ok_or(NotAdded::Wrong(Diagnostics(read.findings)))
}

/// Returns the text with an entry after the last line of the list. None if the list is not in block
/// form.
fn with_entry(text: &str, new: &NewApplication) -> Option<String> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let list = lines.iter().position(|line| line.starts_with("applications:"))?;
    let is_of_list = |line: &&str| line.starts_with([' ', '\t', '-', '#', '\n', '\r']);
    let behind = lines.iter().skip(list + 1).take_while(|line| is_of_list(line)).count();
    let mut end = list + 1 + behind;
    // Comments and empty lines at the end belong to the text after the list.
    while end > list + 1 && lines.get(end - 1).is_some_and(|line| is_blank(line)) {
        end -= 1;
    }
    let indent = match first_application(text) {
        Some(column) => column,
        None if !has_list(text) => 2,
        None => return None,
    };
    let (before, after) = (lines.get(..end)?.concat(), lines.get(end..)?.concat());
    let gap = if before.ends_with('\n') { "" } else { "\n" };
    Some(format!("{before}{gap}{}{after}", entry(new, indent)))
}

fn is_blank(line: &str) -> bool {
    let line = line.trim_end();
    line.is_empty() || line.starts_with('#')
}

fn entry(new: &NewApplication, indent: usize) -> String {
    let mut members = vec![
        format!("key: \"{}\"", new.key),
        format!("secret: \"{}\"", new.secret.expose()),
        format!("authorizeOpen: {}", new.authorize_open),
    ];
    if new.client_publish {
        members.push("clientPublish: true".to_owned());
    }
    if let Some(tenant) = &new.tenant {
        // Every JSON string is a valid YAML string.
        members.push(format!("tenant: {}", serde_json::Value::from(tenant.as_str())));
    }
    let blank = " ".repeat(indent);
    let lines = members.iter().enumerate().map(|(at, member)| {
        let mark = if at == 0 { "- " } else { "  " };
        format!("{blank}{mark}{member}\n")
    });
    lines.collect()
}

/// Replaces the text of a file atomically and keeps its mode and owner.
pub(super) fn replace(file: &Path, text: &str) -> io::Result<()> {
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let draft = draft_of(&target);
    // An existing draft belongs to another process and must not be removed.
    let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = fill(&mut to, &target, text).and_then(|()| fs::rename(&draft, &target));
    if written.is_err() {
        // A leftover draft would block the next attempt.
        let _gone = fs::remove_file(&draft);
    }
    written
}

fn fill(draft: &mut fs::File, target: &Path, text: &str) -> io::Result<()> {
    draft.write_all(text.as_bytes())?;
    if let Ok(old) = fs::metadata(target) {
        let own = draft.metadata()?;
        if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
            std::os::unix::fs::fchown(&*draft, Some(old.uid()), Some(old.gid()))?;
        }
        draft.set_permissions(Permissions::from_mode(old.permissions().mode() & 0o7777))?;
    }
    draft.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(key: &str) -> NewApplication {
        NewApplication {
            key: key.to_owned(),
            secret: Secret::new("s".to_owned()),
            authorize_open: true,
            client_publish: false,
            tenant: None,
        }
    }

    const ENTRY: &str = "- key: \"x\"\n  secret: \"s\"\n  authorizeOpen: true\n";

    #[test]
    fn a_new_entry_follows_the_last_one_and_is_indented_like_the_first() {
        let list = "# top\napplications: # all\n- key: a\n  secret: b\n  authorizeOpen: true\n";
        assert_eq!(with_entry(list, &new("x")).unwrap(), format!("{list}{ENTRY}"));
        let unended = list.trim_end();
        assert_eq!(with_entry(unended, &new("x")).unwrap(), format!("{list}{ENTRY}"));
        let followed = format!("{list}\n# who?\nanonymous: a\n");
        let expected = format!("{list}{ENTRY}\n# who?\nanonymous: a\n");
        assert_eq!(with_entry(&followed, &new("x")).unwrap(), expected);
        let indented = "applications:\n    - {key: a, secret: b, authorizeOpen: true}\n";
        let text = with_entry(indented, &new("x")).unwrap();
        assert!(text.contains("\n    - key: \"x\"\n      secret: \"s\"\n"), "{text}");
        assert!(with_entry("applications: [{key: a}]\n", &new("x")).is_none());
    }

    #[test]
    fn the_shipped_file_gets_one_more_and_keeps_every_byte() {
        let file = std::env::temp_dir().join(format!("tagcast-add-{}.yml", std::process::id()));
        let shipped = include_str!("../../auth.yml");
        fs::write(&file, shipped).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let shop = NewApplication { tenant: Some("a: \"b\"".to_owned()), ..new("shop") };
        add_application(&file, &shop).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let added = text.strip_prefix(shipped).unwrap();
        assert!(added.contains("shop"), "{added}");
        let applications = checked(&file, &text).unwrap();
        let last = applications.list.last().unwrap();
        assert_eq!((last.key.as_str(), last.tenant.as_deref()), ("shop", Some("a: \"b\"")));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(matches!(add_application(&file, &shop), Err(NotAdded::Taken { .. })));
        assert!(matches!(add_application(&file, &new("a b")), Err(NotAdded::BadName)));
        let draft = file.with_extension("yml.new");
        fs::write(&draft, "another one's").unwrap();
        assert!(matches!(add_application(&file, &new("b")), Err(NotAdded::Unwritable { .. })));
        assert_eq!(fs::read_to_string(&draft).unwrap(), "another one's");
        fs::remove_file(&draft).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        fs::remove_file(&file).unwrap();
        add_application(&file, &new("first")).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(&file).unwrap();
    }
}
