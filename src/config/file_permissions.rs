//! Checks the permissions and location of files that control access.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::geteuid;

use super::diagnostic::{Diagnostic, Problem, ValueLocation};
use crate::types::limits::FOLDER_ENTRIES_MAX;

/// Permissions of other users that cause a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// Others may read the file but not write it: it has no secrets.
    FromWriters,
    /// Others may neither read nor write the file.
    FromReaders,
}

/// Write permission of the group and of other users.
const WRITERS: u32 = 0o022;
/// Read permission of other users. Group permission is allowed, because it is the usual way to give
/// a service access to a file.
const READERS: u32 = 0o004;

/// Returns warnings about an existing file or folder.
pub(super) fn of(path: &Path, keep: Keep) -> Vec<Diagnostic> {
    of_user(path, keep, geteuid().as_raw())
}

/// Returns the user of the server with this state folder: the one that runs this program, or if that is root, the owner
/// of the folder.
pub(super) fn user_of(state_folder: &Path) -> u32 {
    match geteuid() {
        user if user.is_root() => fs::metadata(state_folder).map_or(0, |found| found.uid()),
        user => user.as_raw(),
    }
}

/// Like [`of`], where the file may belong to this user.
pub(super) fn of_user(path: &Path, keep: Keep, user: u32) -> Vec<Diagnostic> {
    let Ok(found) = fs::metadata(path) else { return Vec::new() };
    let shown = path.display();
    let mode = found.mode() & 0o777;
    let mut odd = Vec::new();
    if mode & WRITERS != 0 {
        let what = format!("other users can write it (mode {mode:o}) and give themselves access");
        odd.push(Problem::new(what, format!("chmod go-w {shown}")));
    }
    if keep == Keep::FromReaders && mode & READERS != 0 {
        let what = format!("every user of this machine can read the secrets in it (mode {mode:o})");
        odd.push(Problem::new(what, format!("chmod o-r {shown}")));
    }
    if let Some(owner) = foreign_owner(&found, user) {
        let what = format!("belongs to another user (id {owner}), who can change it");
        odd.push(Problem::new(what, format!("chown it to the user of the server: {shown}")));
    }
    odd.into_iter()
        .map(|fault| Diagnostic::new(ValueLocation::File(path.to_owned()), "", fault))
        .collect()
}

/// Returns the owner if it is neither this user nor root.
fn foreign_owner(found: &Metadata, user: u32) -> Option<u32> {
    Some(found.uid()).filter(|owner| *owner != 0 && *owner != user)
}

/// Returns an entry that makes a folder look like the document root of a website, which serves its
/// files to everyone.
pub fn site_in(folder: &Path) -> Option<String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(folder).ok()?.take(FOLDER_ENTRIES_MAX);
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| is_of_a_site(name)).min()
}

fn is_of_a_site(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_page = name.starts_with("index.") && name.len() > "index.".len();
    is_page || Path::new(&name).extension().is_some_and(|ending| ending == "php")
}

/// Returns a warning if a file with secrets is in such a folder.
pub(super) fn in_a_site(file: &Path) -> Option<Diagnostic> {
    let page = site_in(file.parent()?)?;
    let what = format!("is in a folder with `{page}`: a web server may serve it to any visitor");
    let right = "keep websock.ini, auth.yml and state outside of the document root";
    file.exists().then(|| {
        Diagnostic::new(ValueLocation::File(file.to_owned()), "", Problem::new(what, right))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn folder(name: &str) -> std::path::PathBuf {
        let name = format!("tagcast-rights-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn files_that_others_can_read_or_write_are_reported() {
        let folder = folder("modes");
        let file = folder.join("auth.yml");
        fs::write(&file, "").unwrap();
        for (mode, keep, count) in [
            (0o600, Keep::FromReaders, 0),
            (0o640, Keep::FromReaders, 0),
            (0o644, Keep::FromReaders, 1),
            (0o644, Keep::FromWriters, 0),
            (0o620, Keep::FromWriters, 1),
            (0o666, Keep::FromReaders, 2),
        ] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let odd = of(&file, keep);
            assert_eq!(odd.len(), count, "{mode:o} {keep:?}: {odd:?}");
        }
        assert!(of(&folder.join("nothing"), Keep::FromReaders).is_empty());
        if geteuid().is_root() {
            std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
            let odd = of(&file, Keep::FromWriters);
            assert!(odd.iter().any(|it| it.to_string().contains("id 12345")), "{odd:?}");
            // Root looks at the folder of another user, who runs the server.
            std::os::unix::fs::chown(&folder, Some(12345), None).unwrap();
            assert_eq!(user_of(&folder), 12345);
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            assert_eq!(of_user(&file, Keep::FromReaders, 12345), []);
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_with_a_page_or_a_script_is_a_site() {
        let folder = folder("site");
        assert_eq!(site_in(&folder), None);
        for name in ["websock.ini", "auth.yml", "index", "php", "x.phpx"] {
            fs::write(folder.join(name), "").unwrap();
            assert_eq!(site_in(&folder), None, "{name}");
        }
        for name in ["index.html", "INDEX.PHP", "index.htm", "chat.php", "a.PHP"] {
            fs::write(folder.join(name), "").unwrap();
            assert_eq!(site_in(&folder).as_deref(), Some(name));
            let odd = in_a_site(&folder.join("auth.yml")).unwrap().to_string();
            assert!(odd.contains(name) && odd.contains("auth.yml: "), "{odd}");
            fs::remove_file(folder.join(name)).unwrap();
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
