//! The path of the admin socket, of any length.

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

/// The name of the socket in the state folder.
pub const SOCKET_NAME: &str = "control.sock";
/// The owner alone may connect.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Conversations that wait in the kernel.
const BACKLOG: i32 = 128;

/// Listens in a state folder, which the caller has locked: a socket that is there is a dead
/// server's.
///
/// # Errors
///
/// When the folder does not take a socket.
pub fn bind(folder: &Path) -> io::Result<UnixListener> {
    let short = Short::of(folder)?;
    match fs::remove_file(short.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The name gets the rights of the socket. To set them by the name would be to follow a link that
    // was put there meanwhile.
    fchmod(&socket, MODE)?;
    socket_bind(&socket, &SocketAddrUnix::new(short.path())?)?;
    listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

/// Whether [`bind`] would succeed in a folder that takes files.
///
/// # Errors
///
/// When something is there that gives no way.
pub fn probe(folder: &Path) -> io::Result<()> {
    let there = fs::symlink_metadata(folder.join(SOCKET_NAME));
    if there.is_ok_and(|there| there.is_dir()) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(())
}

/// Whether a server answers in a state folder.
#[must_use]
pub fn is_running(folder: &Path) -> bool {
    connect(folder).is_ok()
}

pub(super) fn connect(folder: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(Short::of(folder)?.path())
}

/// The address of a Unix socket has room for 107 bytes of path (unix(7)), a folder may have more:
/// so the folder is opened and named by its descriptor.
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
    fn a_folder_with_a_long_path_has_a_socket_for_its_owner_alone() {
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
