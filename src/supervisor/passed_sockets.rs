//! Listening sockets that systemd has opened before the start (socket activation, `sd_listen_fds(3)`).

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::net::sockopt::{ipv6_v6only, socket_acceptconn};

use super::StartError;

/// Number of the first passed descriptor (`SD_LISTEN_FDS_START`).
const FIRST: usize = 3;

/// The passed sockets that no address of the configuration has taken yet.
#[derive(Debug, Default)]
pub struct PassedSockets {
    tcp: Vec<(SocketAddr, TcpListener)>,
    unix: Vec<(PathBuf, OwnedFd)>,
    /// Ports of passed IPv6 sockets that accept IPv4 too, as those of systemd do by default.
    dual_stack: Vec<u16>,
}

impl PassedSockets {
    /// Takes the sockets that were passed to this process, and removes the variables that announce
    /// them. It must run before the process has threads.
    ///
    /// # Errors
    ///
    /// If a descriptor is not a listening TCP or Unix stream socket.
    pub fn take() -> Result<Self, StartError> {
        let (mut all, mut passed) = (ListenFd::from_env(), Self::default());
        for place in 0..all.len() {
            passed.keep(&mut all, place).map_err(|error| StartError::PassedDescriptor {
                number: FIRST.saturating_add(place),
                error,
            })?;
        }
        Ok(passed)
    }

    fn keep(&mut self, all: &mut ListenFd, place: usize) -> io::Result<()> {
        if let Ok(Some(socket)) = all.take_tcp_listener(place) {
            check_listens(&socket)?;
            socket.set_nonblocking(true)?;
            let address = socket.local_addr()?;
            if address.is_ipv6() && !ipv6_v6only(&socket)? {
                self.dual_stack.push(address.port());
            }
            self.tcp.push((address, socket));
            return Ok(());
        }
        let Ok(Some(socket)) = all.take_unix_listener(place) else {
            return Err(io::Error::other("it is not a TCP or Unix stream socket"));
        };
        check_listens(&socket)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let path =
            address.as_pathname().ok_or_else(|| io::Error::other("its name is not a path"))?;
        self.unix.push((path.to_owned(), socket.into()));
        Ok(())
    }

    /// Returns the socket that is bound to an address.
    pub(super) fn take_tcp(&mut self, wanted: SocketAddr) -> Option<TcpListener> {
        let place = self.tcp.iter().position(|(address, _)| *address == wanted)?;
        Some(self.tcp.swap_remove(place).1)
    }

    /// Returns true if a passed IPv6 socket accepts the connections of this IPv4 address too, so
    /// that nothing else can be bound there.
    pub(super) fn covers(&self, address: SocketAddr) -> bool {
        address.ip() == Ipv4Addr::UNSPECIFIED && self.dual_stack.contains(&address.port())
    }

    /// Returns the socket that is bound to a path.
    pub(super) fn take_unix(&mut self, wanted: &Path) -> Option<OwnedFd> {
        let place = self.unix.iter().position(|(path, _)| path == wanted)?;
        Some(self.unix.swap_remove(place).1)
    }

    /// Checks that every socket was taken. Clients could connect to one that was not, and would wait
    /// for ever.
    ///
    /// # Errors
    ///
    /// Names the first socket that is left.
    pub(super) fn finish(self) -> Result<(), StartError> {
        let tcp = self.tcp.first().map(|(address, _)| format!("ws://{address}"));
        let left =
            tcp.or_else(|| self.unix.first().map(|(path, _)| format!("unix:{}", path.display())));
        left.map_or(Ok(()), |address| Err(StartError::PassedUnused { address }))
    }
}

fn check_listens(socket: &impl AsFd) -> io::Result<()> {
    match socket_acceptconn(socket)? {
        true => Ok(()),
        false => Err(io::Error::other("it does not listen")),
    }
}
