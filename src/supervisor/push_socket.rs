//! The socket into which scripts on this machine push messages. It exists while the server runs.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket_with,
};

use super::StartError;
use super::probe::takes_files;
use crate::config::PushSocketSettings;

/// The socket and its path.
#[derive(Debug)]
pub struct PushSocket {
    socket: OwnedFd,
    path: PathBuf,
    /// Device and inode of the socket file. Only this file is removed.
    identity: (u64, u64),
}

impl PushSocket {
    /// Creates the socket. Replaces a socket that a dead server has left behind.
    ///
    /// # Errors
    ///
    /// If another kind of file exists, if another program reads from the socket, or if it cannot be
    /// created.
    pub fn bind(settings: &PushSocketSettings) -> Result<Self, StartError> {
        let path = settings.path.clone();
        match Self::make(settings) {
            Ok(socket) => Ok(socket),
            Err(error) => Err(StartError::PushSocket { path, error }),
        }
    }

    /// Checks that [`PushSocket::bind`] would succeed.
    ///
    /// # Errors
    ///
    /// The same as [`PushSocket::bind`].
    pub fn probe(PushSocketSettings { path, .. }: &PushSocketSettings) -> Result<(), StartError> {
        let wrong = |error| StartError::PushSocket { path: path.clone(), error };
        let address = SocketAddrUnix::new(path.as_path()).map_err(|error| wrong(error.into()))?;
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        is_stale_socket(path, &address).and_then(|_| takes_files(folder)).map_err(wrong)
    }

    fn make(PushSocketSettings { path, mode }: &PushSocketSettings) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path.as_path())?;
        make_room(path, &address)?;
        let socket = datagram_socket()?;
        // The file gets the mode of the descriptor, so no other user can write before the
        // configured mode is set.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        bind(&socket, &address)?;
        let made = fs::symlink_metadata(path)?;
        let made = Self { socket, path: path.clone(), identity: (made.dev(), made.ino()) };
        fs::set_permissions(path, Permissions::from_mode(*mode))?;
        Ok(made)
    }

    /// Duplicates the descriptor for one worker.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn hand_out(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }
}

/// Closes the socket. Later writes fail, because no process reads.
impl Drop for PushSocket {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.path);
        if there.is_ok_and(|there| (there.dev(), there.ino()) == self.identity) {
            let _gone = fs::remove_file(&self.path);
        }
    }
}

fn datagram_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?)
}

/// Removes a socket file without a reader. Does not remove any other file.
fn make_room(path: &Path, address: &SocketAddrUnix) -> io::Result<()> {
    if is_stale_socket(path, address)? { fs::remove_file(path) } else { Ok(()) }
}

/// Returns true if a socket without a reader exists. Returns an error for any other existing file.
fn is_stale_socket(path: &Path, address: &SocketAddrUnix) -> io::Result<bool> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if !there.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file there is not a socket"));
    }
    match connect(datagram_socket()?, address) {
        Err(Errno::CONNREFUSED) => Ok(true),
        // A socket of another type is in use as well.
        Ok(()) | Err(Errno::PROTOTYPE) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    struct SocketFile(PathBuf);

    impl SocketFile {
        fn new(name: &str) -> Self {
            let folder = format!("tagcast-push-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(folder);
            fs::create_dir_all(&folder).unwrap();
            Self(folder.join("s"))
        }

        fn bind(&self) -> Result<PushSocket, StartError> {
            PushSocket::bind(&PushSocketSettings { path: self.0.clone(), mode: 0o620 })
        }
    }

    impl SocketFile {
        fn probe(&self) -> Result<(), StartError> {
            PushSocket::probe(&PushSocketSettings { path: self.0.clone(), mode: 0o620 })
        }
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(self.0.parent().unwrap());
        }
    }

    #[test]
    fn it_stands_there_with_its_mode_as_long_as_it_lives() {
        let place = SocketFile::new("mode");
        let socket = place.bind().unwrap();
        assert_eq!(fs::metadata(&place.0).unwrap().permissions().mode() & 0o777, 0o620);
        drop(socket);
        assert!(!place.0.exists());
    }

    #[test]
    fn a_socket_that_was_left_behind_gives_way_and_one_in_use_does_not() {
        let place = SocketFile::new("stale");
        drop(UnixDatagram::bind(&place.0).unwrap());
        place.probe().unwrap();
        assert!(place.0.exists());
        let socket = place.bind().unwrap();
        let error = place.bind().unwrap_err();
        assert_eq!(error.exit_code(), 78);
        assert_eq!(place.probe().unwrap_err().to_string(), error.to_string());
        assert!(error.to_string().contains("another program"), "{error}");
        assert!(place.0.exists());
        drop(socket);
        let _stream = UnixListener::bind(&place.0).unwrap();
        assert!(place.bind().is_err() && place.0.exists());
    }

    #[test]
    fn what_is_no_socket_is_never_removed() {
        let place = SocketFile::new("file");
        fs::write(&place.0, "precious").unwrap();
        let error = place.bind().unwrap_err().to_string();
        assert!(error.contains("not a socket") && error.contains("/s"), "{error}");
        assert_eq!(place.probe().unwrap_err().to_string(), error);
        assert_eq!(fs::read(&place.0).unwrap(), b"precious");
        fs::remove_file(&place.0).unwrap();
        std::os::unix::fs::symlink("/dev/null", &place.0).unwrap();
        assert!(place.bind().is_err() && place.0.exists());
    }

    #[test]
    fn what_another_one_has_put_there_stays() {
        let place = SocketFile::new("other");
        let socket = place.bind().unwrap();
        fs::remove_file(&place.0).unwrap();
        fs::write(&place.0, "precious").unwrap();
        drop(socket);
        assert!(place.0.exists());
    }
}
