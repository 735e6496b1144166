//! The socket into which scripts on this machine push messages. It exists while the server runs.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::net::SocketType;

use super::StartError;
use super::probe::takes_files;
use super::socket_file::SocketFile;
use crate::config::PushSocketSettings;

/// The socket. When it is dropped, later writes fail, because no process reads.
#[derive(Debug)]
pub struct PushSocket(SocketFile);

impl PushSocket {
    /// Creates the socket. Replaces a socket that a dead server has left behind.
    ///
    /// # Errors
    ///
    /// If another kind of file exists, if another program reads from the socket, or if it cannot be
    /// created.
    pub fn bind(
        PushSocketSettings { path, mode }: &PushSocketSettings,
    ) -> Result<Self, StartError> {
        let socket = SocketFile::bind(path, *mode, SocketType::DGRAM);
        let wrong = |error| StartError::PushSocket { path: path.clone(), error };
        socket.map(Self).map_err(wrong)
    }

    /// Checks that [`PushSocket::bind`] would succeed.
    ///
    /// # Errors
    ///
    /// The same as [`PushSocket::bind`].
    pub fn probe(PushSocketSettings { path, .. }: &PushSocketSettings) -> Result<(), StartError> {
        let wrong = |error| StartError::PushSocket { path: path.clone(), error };
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        SocketFile::probe(path, SocketType::DGRAM).and_then(|()| takes_files(folder)).map_err(wrong)
    }

    /// Duplicates the descriptor for one worker.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn hand_out(&self) -> io::Result<OwnedFd> {
        self.0.hand_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixDatagram, UnixListener};
    use std::path::PathBuf;

    struct SocketPath(PathBuf);

    impl SocketPath {
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

    impl SocketPath {
        fn probe(&self) -> Result<(), StartError> {
            PushSocket::probe(&PushSocketSettings { path: self.0.clone(), mode: 0o620 })
        }
    }

    impl Drop for SocketPath {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(self.0.parent().unwrap());
        }
    }

    #[test]
    fn the_socket_file_exists_with_its_mode_while_it_is_open() {
        let place = SocketPath::new("mode");
        let socket = place.bind().unwrap();
        assert_eq!(fs::metadata(&place.0).unwrap().permissions().mode() & 0o777, 0o620);
        drop(socket);
        assert!(!place.0.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_one_in_use_is_not() {
        let place = SocketPath::new("stale");
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
    fn a_stream_socket_listens_and_only_a_stale_one_is_replaced() {
        let place = SocketPath::new("stream");
        drop(UnixListener::bind(&place.0).unwrap());
        let socket = SocketFile::bind(&place.0, 0o600, SocketType::STREAM).unwrap();
        assert_eq!(fs::metadata(&place.0).unwrap().permissions().mode() & 0o777, 0o600);
        std::os::unix::net::UnixStream::connect(&place.0).unwrap();
        assert!(SocketFile::bind(&place.0, 0o600, SocketType::STREAM).is_err());
        drop(socket);
        assert!(!place.0.exists());
    }

    #[test]
    fn a_file_that_is_not_a_socket_is_never_removed() {
        let place = SocketPath::new("file");
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
        let place = SocketPath::new("other");
        let socket = place.bind().unwrap();
        fs::remove_file(&place.0).unwrap();
        fs::write(&place.0, "precious").unwrap();
        drop(socket);
        assert!(place.0.exists());
    }
}
