//! Addresses that are paths of Unix sockets: `unix:path`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::diagnostic::Problem;
use super::parse::list;

/// Maximum bytes of a path in a kernel address, with its final zero byte.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// What the text of such an address begins with.
const PREFIX: &str = "unix:";

/// Unix sockets on which WebSocket clients connect, such as a proxy on the same machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnixAddresses {
    /// Paths of the sockets.
    pub paths: Vec<PathBuf>,
    /// File mode of the sockets.
    pub mode: u32,
}

/// Returns true if the text of an address names a path.
pub(super) fn is_path(item: &str) -> bool {
    item.starts_with(PREFIX)
}

/// Parses `unix:path`, relative to the folder of the ini file. Returns None for any other address.
pub(super) fn path(item: &str, folder: &Path) -> Result<Option<PathBuf>, Problem> {
    let Some(path) = item.strip_prefix(PREFIX) else { return Ok(None) };
    if path.is_empty() {
        return Err(Problem::new("has no path", "use `unix:path`"));
    }
    let path = folder.join(path);
    if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        let what = format!("has a path of more than {SOCKET_PATH_BYTES_MAX} bytes");
        return Err(Problem::new(what, "choose a shorter path"));
    }
    Ok(Some(path))
}

/// Parses the paths in a list of addresses.
pub(super) fn paths(text: &str, folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let mut all = Vec::new();
    for (number, item) in (1..).zip(list(text)) {
        let at =
            |fault: Problem| Problem { what: format!("(item {number}) {}", fault.what), ..fault };
        let Some(path) = path(item, folder).map_err(at)? else { continue };
        if all.contains(&path) {
            return Err(at(Problem::new("is in the list already", "name each address once")));
        }
        all.push(path);
    }
    Ok(all)
}

/// Parses a file mode in octal digits that has only permission bits.
pub(super) fn mode(text: &str) -> Result<u32, Problem> {
    let mode = u32::from_str_radix(text.trim(), 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| Problem::new("is not a file mode", "use octal digits up to 0777, like 0660"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_folder_and_other_addresses_are_left() {
        let read = |text: &str| paths(text, Path::new("/etc"));
        let expected = [PathBuf::from("/etc/ws.sock"), PathBuf::from("/run/ws.sock")];
        let text = "unix:ws.sock, ws://127.0.0.1:1, unix:///run/ws.sock";
        assert_eq!(read(text), Ok(expected.to_vec()));
        assert_eq!(read("ws://127.0.0.1:1"), Ok(Vec::new()));
    }

    #[test]
    fn an_invalid_path_is_refused_with_its_place() {
        let problem = |text: &str| paths(text, Path::new("/etc")).unwrap_err().what;
        assert_eq!(problem("ws://h:1, unix:"), "(item 2) has no path");
        assert_eq!(problem("unix:a, unix:/etc/a"), "(item 2) is in the list already");
        assert!(problem(&format!("unix:{}", "a".repeat(110))).contains("more than 107 bytes"));
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!(mode("0660"), Ok(0o660));
        for text in ["0999", "7777", "", "rw"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }
}
