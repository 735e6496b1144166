//! Binds and connects the admin socket for a state folder path of any length.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as socket_bind, listen,
    socket_with,
};

/// File name of the socket in the state folder.
pub const SOCKET_NAME: &str = "control.sock";
/// File mode of the socket: only the owner may connect.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Maximum connections in the kernel's backlog.
const BACKLOG: i32 = 128;

/// Binds the admin socket in a state folder. The caller holds the lock of the folder, so an
/// existing socket file is left over from a dead server.
///
/// # Errors
///
/// If the socket cannot be created in this folder.
pub fn bind(folder: &Path) -> io::Result<UnixListener> {
    let short = Short::of(folder)?;
    match fs::remove_file(short.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The socket file gets the mode of the descriptor. Setting the mode by path could follow a
    // symbolic link that another process has put there.
    fchmod(&socket, MODE)?;
    socket_bind(&socket, &SocketAddrUnix::new(short.path())?)?;
    listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Checks that [`bind`] would succeed in a writable folder.
///
/// # Errors
///
/// If a directory has the name of the socket.
pub fn probe(folder: &Path) -> io::Result<()> {
    let there = fs::symlink_metadata(folder.join(SOCKET_NAME));
    if there.is_ok_and(|there| there.is_dir()) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(())
}

/// Returns true if a server accepts connections in this state folder.
#[must_use]
pub fn is_running(folder: &Path) -> bool {
    connect(folder).is_ok()
}

pub(super) fn connect(folder: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(Short::of(folder)?.path())
}

/// A short path to the folder. The address of a Unix socket holds at most 107 bytes of path
/// (unix(7)), and a folder path may be longer. So the folder is opened and named by its descriptor.
struct Short(File);

impl Short {
    fn of(folder: &Path) -> io::Result<Self> {
        File::open(folder).map(Self)
    }

    fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}/{SOCKET_NAME}", self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_with_a_long_path_has_a_private_socket() {
        let root = std::env::temp_dir().join(format!("tagcast-socket-{}", std::process::id()));
        let folder = root.join("a".repeat(200));
        fs::create_dir_all(&folder).unwrap();
        let first = bind(&folder).unwrap();
        connect(&folder).unwrap();
        drop(first);
        assert_eq!(connect(&folder).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let _second = bind(&folder).unwrap();
        connect(&folder).unwrap();
        let mode = fs::metadata(folder.join(SOCKET_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_dir_all(root).unwrap();
    }
}
