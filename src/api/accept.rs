//! Accepts connections: those that workers hand over, and those to the API's own addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

use super::config::ApiTls;
use super::connection;
use super::connection::registry::{ConnectionOrigin, RegisteredConnection};
use super::connection::stream::{ApiSocket, ApiStream};
use super::state::ApiState;
use crate::link::control::ApiListener;
use crate::link::handover::{Handover, HandoverReceiver};
use crate::reactor::async_waiter::AsyncWaiter;
use crate::types::Encryption;
use crate::types::limits::ACCEPT_PAUSE;

/// The tasks that accept connections.
#[derive(Debug, Default)]
pub(super) struct Acceptor {
    /// Tasks that accept on the API's own addresses.
    accepting: Vec<JoinHandle<()>>,
}

/// The address of clients of a Unix socket, which have none.
const NO_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A connection that is not served yet.
struct NewConnection {
    socket: ApiSocket,
    peer: SocketAddr,
    origin: ConnectionOrigin,
    head_within: Duration,
    read_before: Bytes,
    /// The socket still needs a TLS handshake.
    encryption: Encryption,
}

impl Acceptor {
    /// Starts to receive the connections that workers hand over.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub(super) fn take_handovers(&self, state: &Rc<ApiState>, socket: OwnedFd) -> io::Result<()> {
        let receiver = HandoverReceiver::new(socket);
        let waiter = AsyncWaiter::new(&receiver)?;
        spawn_local(take_handovers(Rc::clone(state), receiver, waiter));
        Ok(())
    }

    /// Stops accepting on the API's own addresses. Connections that workers hand over are still
    /// served, because no other process would answer them.
    pub(super) fn stop_accepting(&mut self) {
        self.accepting.drain(..).for_each(|task| task.abort());
    }

    /// Starts to accept on a listening socket.
    ///
    /// # Errors
    ///
    /// If it is not a listening socket of this kind.
    pub(super) fn accept(
        &mut self,
        state: &Rc<ApiState>,
        socket: OwnedFd,
        kind: ApiListener,
    ) -> io::Result<()> {
        let state = Rc::clone(state);
        let task = match kind {
            ApiListener::Tcp(encryption) => {
                let listener = TcpListener::from_std(StdTcpListener::from(socket))?;
                spawn_local(accept_tcp(state, listener, encryption))
            }
            ApiListener::Unix => {
                let listener = UnixListener::from_std(StdUnixListener::from(socket))?;
                spawn_local(accept_unix(state, listener))
            }
        };
        self.accepting.push(task);
        Ok(())
    }
}

async fn take_handovers(state: Rc<ApiState>, mut receiver: HandoverReceiver, waiter: AsyncWaiter) {
    state.publisher.informed().await;
    loop {
        match receiver.receive() {
            Ok(Some(handover)) => match received(handover) {
                Ok(connection) => serve(&state, connection).await,
                Err(error) => {
                    warn!(event = "api_connection_lost", %error, "a connection that was handed over is lost");
                }
            },
            Ok(None) => {
                if waiter.changed().await.is_err() {
                    return;
                }
            }
            Err(error) if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => {
                pause_after(&error).await;
            }
            Err(error) => {
                return error!(event = "api_handover_failed", %error, "the hand-over socket failed");
            }
        }
    }
}

/// A connection that a worker has handed over: a TCP socket, or one end of a socket pair if the
/// worker keeps the TLS session.
fn received(handover: Handover<OwnedFd, Vec<u8>>) -> io::Result<NewConnection> {
    let Handover { socket, peer, head_within, bytes } = handover;
    let address = rustix::net::getsockname(&socket)?;
    let socket = if address.address_family() == AddressFamily::UNIX {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        ApiSocket::Unix(UnixStream::from_std(socket)?)
    } else {
        let socket = std::net::TcpStream::from(socket);
        socket.set_nonblocking(true)?;
        ApiSocket::Tcp(TcpStream::from_std(socket)?)
    };
    Ok(NewConnection {
        socket,
        peer,
        origin: ConnectionOrigin::Shared,
        head_within,
        read_before: bytes.into(),
        encryption: Encryption::Plain,
    })
}

async fn accept_tcp(state: Rc<ApiState>, listener: TcpListener, encryption: Encryption) {
    state.publisher.informed().await;
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                let socket = ApiSocket::Tcp(socket);
                accepted(&state, socket, peer, encryption).await;
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

async fn accept_unix(state: Rc<ApiState>, listener: UnixListener) {
    state.publisher.informed().await;
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                let (socket, plain) = (ApiSocket::Unix(socket), Encryption::Plain);
                accepted(&state, socket, NO_PEER, plain).await;
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

async fn pause_after(error: &io::Error) {
    warn!(event = "api_accept_failed", %error, "failed to accept a connection of the API");
    sleep(ACCEPT_PAUSE).await;
}

async fn wait_for_room(state: &ApiState) {
    loop {
        let changed = state.connections.changed.notified();
        if state.connections.make_room(state.config().connections_max) {
            return;
        }
        changed.await;
    }
}

async fn accepted(
    state: &Rc<ApiState>,
    socket: ApiSocket,
    peer: SocketAddr,
    encryption: Encryption,
) {
    let head_within = state.config().head_timeout;
    let (origin, read_before) = (ConnectionOrigin::Own, Bytes::new());
    let connection = NewConnection { socket, peer, origin, head_within, read_before, encryption };
    serve(state, connection).await;
}

/// Serves a connection once there is room for it. Later connections wait in the kernel.
async fn serve(state: &Rc<ApiState>, connection: NewConnection) {
    wait_for_room(state).await;
    let NewConnection { socket, peer, origin, head_within, read_before, encryption } = connection;
    let head_timeout = state.config().head_timeout;
    let registered = state.connections.add(peer, origin, head_within, head_timeout);
    let state = Rc::clone(state);
    spawn_local(async move {
        if let Some(socket) = encrypted(&state, socket, encryption, &registered).await {
            let stream = ApiStream::new(socket, read_before, registered.activity());
            let served = connection::serve(Rc::clone(&state), stream, Rc::clone(&registered));
            Box::pin(served).await;
        }
        state.connections.remove(&registered);
    });
}

/// Returns the socket after its TLS handshake, if it needs one. `None` if the handshake failed or
/// took too long, or if another connection needs the place.
async fn encrypted(
    state: &ApiState,
    socket: ApiSocket,
    encryption: Encryption,
    connection: &RegisteredConnection,
) -> Option<ApiSocket> {
    let socket = match (socket, encryption) {
        (ApiSocket::Tcp(socket), Encryption::Tls) => socket,
        (socket, _) => return Some(socket),
    };
    let ApiTls { acceptor, within } = state.config().tls.clone()?;
    let handshake = tokio::select! {
        done = timeout(within, acceptor.accept(socket)) => done,
        () = connection.evicted() => return None,
    };
    let why = match handshake {
        Ok(Ok(socket)) => return Some(ApiSocket::Tls(Box::new(socket))),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took too long".to_owned(),
    };
    debug!(peer = %connection.peer(), why, "TLS handshake of the API failed");
    None
}
