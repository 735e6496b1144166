//! The sockets of the API process. The supervisor holds them as long as the server runs, so waiting
//! connections survive that process.

use std::io;
use std::os::fd::OwnedFd;

use super::socket_file::SocketFile;
use super::{ListeningSockets, PassedSockets, StartError};
use crate::config::{ApiAddress, ApiSettings, ListenAddress};
use crate::link::control::{ApiCommand, ApiListener, Attachment, ChildCommand, ControlMessage};
use crate::link::handover::{HandoverPair, handover_pair};

/// The sources of connections for the API process.
#[derive(Debug)]
pub struct ApiSockets {
    handover: HandoverPair,
    tcp: Option<ListeningSockets>,
    unix: Vec<SocketFile>,
}

impl ApiSockets {
    /// Creates the hand-over socket and binds the addresses of the API.
    ///
    /// # Errors
    ///
    /// If an address cannot be bound, or if the process has no descriptors left.
    pub fn bind(settings: &ApiSettings, passed: &mut PassedSockets) -> Result<Self, StartError> {
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
        let tcp = match tcp.is_empty() {
            true => None,
            false => Some(ListeningSockets::bind(&tcp, None, passed)?),
        };
        let unix = settings.addresses.iter().filter_map(|address| match address {
            ApiAddress::Unix(path) => Some(SocketFile::listen(path, settings.socket_mode, passed)),
            ApiAddress::Tcp(_) => None,
        });
        let unix = unix.collect::<Result<_, _>>()?;
        Ok(Self { handover: handover_pair().map_err(system)?, tcp, unix })
    }

    /// Returns the end for a worker.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn sender(&self) -> io::Result<OwnedFd> {
        self.handover.sender.try_clone()
    }

    /// Returns the commands that pass the sockets to the API process.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
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
            sockets.push(socket.hand_out()?);
            kinds.push(ApiListener::Unix);
        }
        if !sockets.is_empty() {
            let listen = ApiCommand::Listen { sockets: kinds };
            messages.push(ControlMessage::with(listen, Attachment::Sockets(sockets)));
        }
        Ok(messages)
    }

    /// Returns the API's own addresses as URLs.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let addresses = self.tcp.iter().flat_map(ListeningSockets::urls);
        let tcp = addresses.map(|url| url.replacen("ws", "http", 1));
        tcp.chain(self.unix.iter().map(|socket| format!("unix:{}", socket.path().display())))
            .collect()
    }

    /// Closes the API's own addresses here, at a shutdown. The API process has duplicates, and answers health
    /// checks as long as it lives. Files of Unix sockets stay until then.
    pub fn close(&mut self) {
        self.tcp = None;
        self.unix.iter_mut().for_each(SocketFile::close);
    }
}
