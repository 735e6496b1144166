//! The sockets of the API process: held for the whole life of the server, so that what waits in them
//! outlives that process.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::{ListeningSockets, StartError};
use crate::config::{ApiAddress, ApiSettings, ListenAddress};
use crate::link::control::{ApiCommand, ApiListener, Attachment, ChildCommand, ControlMessage};
use crate::link::handover::{HandoverPair, handover_pair};

/// What the API process receives connections from.
#[derive(Debug)]
pub struct ApiSockets {
    handover: HandoverPair,
    tcp: Option<ListeningSockets>,
    unix: Vec<UnixSocket>,
}

/// A listening socket with its file, which is removed with it.
#[derive(Debug)]
struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        // A file that is left is replaced at the next start.
        let _left = std::fs::remove_file(&self.path);
    }
}

impl ApiSockets {
    /// Makes the pair for connections that workers hand over, and binds the addresses of the API.
    ///
    /// # Errors
    ///
    /// When an address cannot be bound, or the process has no descriptor left.
    pub fn bind(settings: &ApiSettings) -> Result<Self, StartError> {
        let what = "failed to create the sockets of the API";
        let system = |error| StartError::System { what, error };
        let tcp: Vec<ListenAddress> = settings
            .addresses
            .iter()
            .filter_map(|address| match address {
                ApiAddress::Tcp(address) => Some(address.clone()),
                ApiAddress::Unix(_) => None,
            })
            .collect();
        let unix = settings.addresses.iter().filter_map(|address| match address {
            ApiAddress::Unix(path) => Some(bind_unix(path, settings.socket_mode)),
            ApiAddress::Tcp(_) => None,
        });
        Ok(Self {
            handover: handover_pair().map_err(system)?,
            tcp: if tcp.is_empty() { None } else { Some(ListeningSockets::bind(&tcp)?) },
            unix: unix.collect::<Result<_, _>>()?,
        })
    }

    /// The end into which a worker hands connections over.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn sender(&self) -> io::Result<OwnedFd> {
        self.handover.sender.try_clone()
    }

    /// The commands that bring the API process its sockets.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn commands<L>(&self) -> io::Result<Vec<ControlMessage<ChildCommand, L>>> {
        let receiver = Attachment::Sockets(vec![self.handover.receiver.try_clone()?]);
        let mut messages = vec![ControlMessage::with(ApiCommand::Handover, receiver)];
        let (mut sockets, mut kinds) = (Vec::new(), Vec::new());
        let tcp =
            self.tcp.as_ref().map(ListeningSockets::hand_out).transpose()?.unwrap_or_default();
        for (socket, encryption) in tcp {
            sockets.push(socket);
            kinds.push(ApiListener::Tcp(encryption));
        }
        for socket in &self.unix {
            sockets.push(socket.listener.try_clone()?.into());
            kinds.push(ApiListener::Unix);
        }
        if !sockets.is_empty() {
            let listen = ApiCommand::Listen { sockets: kinds };
            messages.push(ControlMessage::with(listen, Attachment::Sockets(sockets)));
        }
        Ok(messages)
    }

    /// Where the API is served alone, as URLs.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let addresses = self.tcp.iter().flat_map(ListeningSockets::addresses);
        let tcp = addresses.map(|address| format!("http://{address}"));
        tcp.chain(self.unix.iter().map(|socket| format!("unix:{}", socket.path.display())))
            .collect()
    }

    /// Closes the addresses of the API. Connections that were handed over are still received.
    pub fn close(&mut self) {
        self.tcp = None;
        self.unix.clear();
    }
}

/// Binds a Unix socket. A file of a server that is gone is replaced; one that answers is not.
fn bind_unix(path: &Path, mode: u32) -> Result<UnixSocket, StartError> {
    let failed = |error| StartError::Listen { address: format!("unix:{}", path.display()), error };
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(failed(io::ErrorKind::AddrInUse.into()));
    }
    match std::fs::symlink_metadata(path) {
        Ok(file) if is_socket(&file) => std::fs::remove_file(path).map_err(failed)?,
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let socket = UnixSocket { listener, path: path.to_owned() };
    socket.listener.set_nonblocking(true).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    Ok(socket)
}

fn is_socket(file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    file.file_type().is_socket()
}
