//! The listening sockets, bound once for the whole life of the server and passed to the workers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::net::sockopt::{
    set_ipv6_v6only, set_socket_reuseaddr, set_socket_send_buffer_size, set_tcp_nodelay,
    set_tcp_user_timeout,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

use super::probe::takes_files;
use super::socket_file::SocketFile;
use super::{PassedSockets, StartError};
use crate::config::{ListenAddress, UnixAddresses};
use crate::link::control::DESCRIPTORS_MAX;
use crate::types::Encryption;
use crate::types::limits::{SEND_BUFFER_BYTES, USER_TIMEOUT};

/// Maximum connections that wait to be accepted. The kernel uses `net.core.somaxconn` if that is
/// lower.
const BACKLOG: i32 = 4096;

/// The listening sockets with their actual addresses.
#[derive(Debug)]
pub struct ListeningSockets {
    sockets: Vec<(TcpListener, Encryption)>,
    addresses: Vec<(SocketAddr, Encryption)>,
    unix: Vec<SocketFile>,
}

impl ListeningSockets {
    /// Binds every address that the names resolve to, and every path. Uses the socket that was
    /// passed at the start where there is one.
    ///
    /// # Errors
    ///
    /// If a name cannot be resolved, an address is in use or not on this machine, or there are no
    /// addresses.
    pub fn bind(
        names: &[ListenAddress],
        paths: Option<&UnixAddresses>,
        passed: &mut PassedSockets,
    ) -> Result<Self, StartError> {
        let mut all = Self::bind_by(names, &mut |address| match passed.take_tcp(address) {
            Some(socket) => prepare(&socket).map(|()| Some(socket)),
            None if passed.covers(address) => Ok(None),
            None => bind_one(address).map(Some),
        })?;
        for path in paths.iter().flat_map(|paths| &paths.paths) {
            let mode = paths.map_or(0, |paths| paths.mode);
            all.unix.push(SocketFile::listen(path, mode, passed)?);
        }
        match all.sockets.len() + all.unix.len() {
            1..=DESCRIPTORS_MAX => Ok(all),
            count => Err(StartError::AddressCount { count }),
        }
    }

    /// Checks that [`ListeningSockets::bind`] would succeed. It binds the sockets briefly, without
    /// accepting connections.
    ///
    /// # Errors
    ///
    /// The same as [`ListeningSockets::bind`].
    pub fn probe(names: &[ListenAddress], paths: &UnixAddresses) -> Result<(), StartError> {
        Self::bind_by(names, &mut |address| bound(address).map(TcpListener::from).map(Some))?;
        for path in &paths.paths {
            let folder = path.parent().unwrap_or_else(|| Path::new(""));
            SocketFile::probe(path, SocketType::STREAM)
                .and_then(|()| takes_files(folder))
                .map_err(|error| StartError::unix(path, error))?;
        }
        Ok(())
    }

    fn bind_by(names: &[ListenAddress], bind: &mut Bind<'_>) -> Result<Self, StartError> {
        let mut wanted: Vec<(SocketAddr, Encryption)> = Vec::new();
        let mut bound = Self { sockets: Vec::new(), addresses: Vec::new(), unix: Vec::new() };
        for name in names {
            let addresses = name
                .resolve()
                .map_err(|error| StartError::Listen { address: name.text.clone(), error })?;
            let mut fresh = Vec::new();
            for address in addresses {
                // Every port 0 is a port of its own.
                let same = wanted.iter().find(|(it, _)| *it == address && address.port() != 0);
                match same {
                    None => fresh.push(address),
                    Some((_, encryption)) if *encryption == name.encryption => {}
                    Some((_, encryption)) => return Err(listed_twice(name, *encryption)),
                }
            }
            wanted.extend(fresh.iter().map(|address| (*address, name.encryption)));
            bound.bind_name(&fresh, name.encryption, bind)?;
        }
        Ok(bound)
    }

    /// Returns the addresses of the server, with the actual port for port 0.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.iter().map(|(address, _)| *address).collect()
    }

    /// Closes the sockets. After the workers have closed theirs too, no client can connect.
    pub fn close(&mut self) {
        self.sockets.clear();
        self.unix.clear();
    }

    /// Duplicates the descriptor of each socket for one worker.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub fn hand_out(&self) -> io::Result<Vec<(OwnedFd, Encryption)>> {
        let another = |(socket, encryption): &(TcpListener, Encryption)| {
            Ok((OwnedFd::from(socket.try_clone()?), *encryption))
        };
        let paths = self.unix.iter().map(|socket| Ok((socket.hand_out()?, Encryption::Plain)));
        self.sockets.iter().map(another).chain(paths).collect()
    }

    /// Returns the URLs for clients, without a path. A Unix socket is `unix:` and its path.
    pub fn urls(&self) -> impl Iterator<Item = String> + '_ {
        let tcp = self.addresses.iter();
        let tcp = tcp.map(|(address, encryption)| format!("{}://{address}", encryption.scheme()));
        tcp.chain(self.unix.iter().map(|socket| format!("unix:{}", socket.path().display())))
    }

    /// Binds one name. It may have addresses of both families, like `localhost`. If the machine
    /// supports only one family, binding that one is sufficient.
    fn bind_name(
        &mut self,
        addresses: &[SocketAddr],
        encryption: Encryption,
        bind: &mut Bind<'_>,
    ) -> Result<(), StartError> {
        let bound_before = self.sockets.len();
        let mut missing = None;
        for address in addresses {
            match bind(*address) {
                Ok(Some(socket)) => self.keep(*address, socket, encryption)?,
                Ok(None) => {}
                Err(error) if is_missing(&error) => missing = Some((*address, error)),
                Err(error) => return Err(StartError::listen(*address, error)),
            }
        }
        match missing {
            Some((address, error)) if self.sockets.len() == bound_before => {
                Err(StartError::listen(address, error))
            }
            _ => Ok(()),
        }
    }

    fn keep(
        &mut self,
        address: SocketAddr,
        socket: TcpListener,
        encryption: Encryption,
    ) -> Result<(), StartError> {
        let real = socket.local_addr().map_err(|error| StartError::listen(address, error))?;
        self.addresses.push((real, encryption));
        self.sockets.push((socket, encryption));
        Ok(())
    }
}

/// The error for an address that is listed with and without TLS. Dropping one of them silently could leave a
/// port unencrypted that was meant for TLS.
fn listed_twice(name: &ListenAddress, before: Encryption) -> StartError {
    let what = format!(
        "`address` lists the same port with {}:// too; use another port for one of them",
        before.scheme()
    );
    let error = io::Error::new(io::ErrorKind::InvalidInput, what);
    StartError::Listen { address: name.text.clone(), error }
}

/// A function that binds one address. None means that a socket of another address serves it.
type Bind<'a> = dyn FnMut(SocketAddr) -> io::Result<Option<TcpListener>> + 'a;

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Binds an address.
fn bound(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = AddressFamily::from_raw(match address {
        SocketAddr::V4(_) => AddressFamily::INET.as_raw(),
        SocketAddr::V6(_) => AddressFamily::INET6.as_raw(),
    });
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // This allows binding both `0.0.0.0` and `[::]`.
        set_ipv6_v6only(&socket, true)?;
    }
    prepare(&socket)?;
    bind(&socket, &address)?;
    Ok(socket)
}

/// Sets the options that accepted sockets inherit, which saves system calls per connection.
fn prepare(socket: &impl AsFd) -> io::Result<()> {
    set_tcp_nodelay(socket, true)?;
    set_tcp_user_timeout(socket, u32::try_from(USER_TIMEOUT.as_millis()).unwrap_or(u32::MAX))?;
    Ok(set_socket_send_buffer_size(socket, SEND_BUFFER_BYTES)?)
}

fn is_missing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT]
        .iter()
        .any(|missing| error.raw_os_error() == Some(missing.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::{socket_send_buffer_size, tcp_nodelay, tcp_user_timeout};
    use std::net::TcpStream;

    const PLAIN: Encryption = Encryption::Plain;

    fn nothing() -> ListeningSockets {
        ListeningSockets { sockets: Vec::new(), addresses: Vec::new(), unix: Vec::new() }
    }

    fn bind_new(address: SocketAddr) -> io::Result<Option<TcpListener>> {
        bind_one(address).map(Some)
    }

    #[test]
    fn accepted_sockets_have_what_was_set_on_the_listener() {
        let socket = bind_one("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let (accepted, _) = socket.accept().unwrap();
        assert!(tcp_nodelay(&accepted).unwrap());
        assert_eq!(u128::from(tcp_user_timeout(&accepted).unwrap()), USER_TIMEOUT.as_millis());
        // The kernel doubles the requested size for its own overhead.
        assert_eq!(socket_send_buffer_size(&accepted).unwrap(), 2 * SEND_BUFFER_BYTES);
    }

    #[test]
    fn an_address_that_is_taken_or_not_ours_is_named() {
        let taken = bind_one("127.0.0.1:0".parse().unwrap()).unwrap().local_addr().unwrap();
        let holder = bind_one(taken).unwrap();
        let mut none = nothing();
        let text = none.bind_name(&[taken], PLAIN, &mut bind_new).unwrap_err().to_string();
        assert_eq!(text, format!("cannot listen on {taken}: another program already does"));
        let text = none
            .bind_name(&["192.0.2.1:1".parse().unwrap()], PLAIN, &mut bind_new)
            .unwrap_err()
            .to_string();
        assert!(text.starts_with("cannot listen on 192.0.2.1:1: "), "{text}");
        drop(holder);
    }

    fn probe(list: &[&str]) -> Result<(), String> {
        let names: Vec<_> = list.iter().map(|text| ListenAddress::parse(text).unwrap()).collect();
        let paths = UnixAddresses { paths: Vec::new(), mode: 0 };
        ListeningSockets::probe(&names, &paths).map_err(|error| error.to_string())
    }

    #[test]
    fn a_port_is_not_listed_with_and_without_tls() {
        let port = bind_one("127.0.0.1:0".parse().unwrap()).unwrap().local_addr().unwrap().port();
        let (plain, tls) = (format!("ws://127.0.0.1:{port}"), format!("wss://127.0.0.1:{port}"));
        let error = format!(
            "cannot listen on {tls}: `address` lists the same port with ws:// too; use another port \
             for one of them"
        );
        assert_eq!(probe(&[&plain, &tls]), Err(error));
        assert_eq!(probe(&[&plain, &format!("tcp://127.0.0.1:{port}")]), Ok(()));
        let names = ["ws://127.0.0.1:0", "wss://127.0.0.1:0", "ws://127.0.0.1:0"];
        let names = names.map(|text| ListenAddress::parse(text).unwrap());
        let bound = ListeningSockets::bind_by(&names, &mut bind_new).unwrap();
        assert_eq!(bound.addresses().len(), 3);
    }

    #[test]
    fn one_of_two_families_is_enough() {
        let addresses = ["192.0.2.1:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
        let mut bound = nothing();
        bound.bind_name(&addresses, PLAIN, &mut bind_new).unwrap();
        assert_eq!(bound.addresses().len(), 1);
        assert_ne!(bound.addresses()[0].port(), 0);
    }
}
