//! Files in `stateDir` that are replaced as a whole.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Replaces a file, and waits for the disk. It gets mode 0600. The bytes are written to a draft first, so that a
/// crash never leaves a part of the file. A draft that a crash or another user has left is removed, not written to.
///
/// # Errors
///
/// If the file system refuses one of the steps.
pub(crate) fn replace_state_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = draft_of(path);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

/// Returns the path of the draft of a file.
pub(super) fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}
