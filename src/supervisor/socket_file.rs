//! A Unix socket with its file, which exists as long as the socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use super::{PassedSockets, StartError};

/// Connections that wait in a listening socket; the kernel lowers this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// The socket and its path.
#[derive(Debug)]
pub(super) struct SocketFile {
    /// None once it was closed in this process.
    socket: Option<OwnedFd>,
    path: PathBuf,
    /// Device and inode of the socket file. Only this file is removed. None if the file belongs to
    /// another program.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    /// Creates a socket whose file has this mode. A stream socket listens. Replaces a socket that a dead server
    /// has left behind.
    ///
    /// # Errors
    ///
    /// If another kind of file exists, if another program reads from the socket, or if it cannot be created.
    pub(super) fn bind(path: &Path, mode: u32, kind: SocketType) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        if is_stale(path, &address, kind)? {
            fs::remove_file(path)?;
        }
        let socket = new_socket(kind)?;
        // The file gets the mode of the descriptor, so no other user can connect before the configured mode is
        // set.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        bind(&socket, &address)?;
        let made = fs::symlink_metadata(path)?;
        let identity = Some((made.dev(), made.ino()));
        let mut made = Self { socket: None, path: path.to_owned(), identity };
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        if kind == SocketType::STREAM {
            listen(&socket, BACKLOG)?;
        }
        made.socket = Some(socket);
        Ok(made)
    }

    /// Returns a listening socket: the one that was passed at the start for this path, otherwise a
    /// new one. The file of a passed socket keeps its mode, and stays.
    ///
    /// # Errors
    ///
    /// As [`SocketFile::bind`].
    pub(super) fn listen(
        path: &Path,
        mode: u32,
        passed: &mut PassedSockets,
    ) -> Result<Self, StartError> {
        if let Some(socket) = passed.take_unix(path) {
            return Ok(Self { socket: Some(socket), path: path.to_owned(), identity: None });
        }
        Self::bind(path, mode, SocketType::STREAM).map_err(|error| StartError::unix(path, error))
    }

    /// Checks whether the path is free or has a socket that [`SocketFile::bind`] would replace.
    ///
    /// # Errors
    ///
    /// As [`SocketFile::bind`], as far as this can be seen without creating the socket.
    pub(super) fn probe(path: &Path, kind: SocketType) -> io::Result<()> {
        is_stale(path, &SocketAddrUnix::new(path)?, kind).map(drop)
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Duplicates the descriptor for a child process.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left, or if the socket was closed.
    pub(super) fn hand_out(&self) -> io::Result<OwnedFd> {
        let socket = self.socket.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        socket.as_fd().try_clone_to_owned()
    }

    /// Closes the socket in this process. The file stays, so a process with a duplicate of the socket can still
    /// be reached.
    pub(super) fn close(&mut self) {
        self.socket = None;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.path);
        if there.is_ok_and(|there| Some((there.dev(), there.ino())) == self.identity) {
            let _gone = fs::remove_file(&self.path);
        }
    }
}

fn new_socket(kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, kind, flags, None)?)
}

/// Returns true if a socket without a reader exists. Returns an error for any other existing file.
fn is_stale(path: &Path, address: &SocketAddrUnix, kind: SocketType) -> io::Result<bool> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if !there.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file there is not a socket"));
    }
    match connect(new_socket(kind)?, address) {
        Err(Errno::CONNREFUSED) => Ok(true),
        // A socket of another type, or one whose queue is full, is in use as well.
        Ok(()) | Err(Errno::PROTOTYPE | Errno::AGAIN) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => Err(error.into()),
    }
}
