//! A TLS connection that the API process serves: the worker keeps the TLS session and copies plain
//! bytes in both directions.

use std::io;
use std::os::fd::OwnedFd;

use bytes::{Buf, Bytes, BytesMut};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown,
    socketpair,
};

use super::outbox::PartKind;
use super::{Connection, Phase};
use crate::reactor::poller::{Interest, Ready};
use crate::types::Slot;
use crate::types::limits::{API_PIPE_BYTES, CLOSE_WAIT};
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{close, readiness, write};
use crate::worker::context::Context;
use crate::worker::tokens::Token;

/// The worker's end of a pipe to the API process.
#[derive(Debug)]
pub(in crate::worker) struct ApiPipe {
    socket: OwnedFd,
    /// Bytes of the client that the API process has not accepted yet.
    to_api: BytesMut,
    /// True if no more requests are passed on. The write side is shut down once `to_api` is empty.
    is_ending: bool,
    interest: Interest,
}

/// The two ends of a new pipe.
#[derive(Debug)]
pub(in crate::worker) struct ApiPipeEnds {
    pub(in crate::worker) worker: ApiPipe,
    pub(in crate::worker) api: OwnedFd,
}

impl ApiPipe {
    /// Creates a pipe.
    ///
    /// # Errors
    ///
    /// If the process has no descriptors left.
    pub(in crate::worker) fn pair() -> io::Result<ApiPipeEnds> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (socket, api) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        for end in [&socket, &api] {
            set_socket_send_buffer_size(end, API_PIPE_BYTES)?;
        }
        let (to_api, interest) = (BytesMut::new(), Interest::Read);
        let worker = Self { socket, to_api, is_ending: false, interest };
        Ok(ApiPipeEnds { worker, api })
    }

    /// Returns the bytes of memory that the pipe holds.
    pub(in crate::worker) fn held(&self) -> usize {
        self.to_api.len()
    }

    /// Returns whether more bytes of the client may be read.
    pub(in crate::worker) fn wants_input(&self) -> bool {
        self.to_api.is_empty() && !self.is_ending
    }

    /// Stops passing requests on. The API process answers the requests that it has, and closes its
    /// end.
    pub(in crate::worker) fn end_input(&mut self) {
        self.is_ending = true;
        self.flush();
    }

    /// Writes as much as the API process accepts. If it has closed its end, the bytes are dropped;
    /// reading detects the close.
    fn flush(&mut self) {
        while !self.to_api.is_empty() {
            match send(&self.socket, &self.to_api, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(taken) => self.to_api.advance(taken),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.to_api.clear(),
            }
        }
        if self.is_ending {
            // An error means that the other end is already closed.
            let _already_closed = shutdown(&self.socket, Shutdown::Write);
        }
    }
}

/// Starts to pipe a connection.
///
/// # Errors
///
/// If the kernel has no room for one more watched descriptor.
pub(in crate::worker) fn begin(
    context: &mut Context,
    connection: &mut Connection,
    pipe: ApiPipe,
) -> io::Result<()> {
    let token = Token::ApiPipe(connection.slot).into();
    context.poller.watch(&pipe.socket, token, Interest::Read)?;
    context.handshakes.advance(connection, Phase::Piping(Box::new(pipe)));
    Ok(())
}

/// Passes bytes of the client to the API process.
pub(in crate::worker) fn on_client_bytes(pipe: &mut ApiPipe, input: &[u8]) {
    pipe.to_api.extend_from_slice(input);
    pipe.flush();
}

/// Processes events of the pipes.
pub(in crate::worker) fn on_ready(
    context: &mut Context,
    connections: &mut ConnectionTable,
    ready: &[Ready],
) {
    for event in ready {
        if let Some(Token::ApiPipe(slot)) = Token::of(event.token) {
            serve(context, connections, slot, *event);
        }
    }
}

fn serve(context: &mut Context, connections: &mut ConnectionTable, slot: Slot, event: Ready) {
    let Some(mut connection) = connections.take(slot) else { return };
    if let Phase::Piping(pipe) = &mut connection.phase {
        if event.writable {
            pipe.flush();
        }
        // The kernel reports a closed end at every wait, whatever is watched. At most the buffer of
        // the pipe is left, so it is read even if the client has not accepted the earlier bytes.
        if event.broken || (event.readable && connection.outbox.is_none()) {
            read_answer(context, &mut connection);
        }
    }
    readiness::rearm(context, connections, connection);
}

/// Reads once from the API process. The next read follows when the client has accepted these bytes.
fn read_answer(context: &mut Context, connection: &mut Connection) {
    let Phase::Piping(pipe) = &connection.phase else { return };
    let mut scratch = std::mem::take(&mut context.buffers.scratch);
    match recv(&pipe.socket, scratch.as_mut_slice(), RecvFlags::DONTWAIT) {
        Ok((read, _)) if read > 0 => {
            let bytes = Bytes::copy_from_slice(scratch.get(..read).unwrap_or_default());
            write::write(context, connection, bytes, PartKind::Frames);
        }
        Err(Errno::AGAIN | Errno::INTR) => {}
        Ok(_) | Err(_) => end(context, connection),
    }
    context.buffers.scratch = scratch;
}

/// The API process has closed its end: everything is sent, then the connection ends.
fn end(context: &mut Context, connection: &mut Connection) {
    let until = context.clock.now().after(CLOSE_WAIT);
    context.handshakes.advance(connection, Phase::Answering { until });
    match connection.outbox {
        Some(_) => write::flush(context, connection),
        None => close::shut_write_side(context, connection),
    }
}

/// Watches the pipe for the operations that are possible now.
pub(in crate::worker) fn update_watch(context: &Context, connection: &mut Connection) {
    let reads = connection.outbox.is_none();
    let Phase::Piping(pipe) = &mut connection.phase else { return };
    let interest = match (reads, !pipe.to_api.is_empty()) {
        (true, true) => Interest::ReadWrite,
        (true, false) => Interest::Read,
        (false, true) => Interest::Write,
        (false, false) => Interest::Nothing,
    };
    if std::mem::replace(&mut pipe.interest, interest) != interest {
        let token = Token::ApiPipe(connection.slot).into();
        // A pipe that cannot be watched is closed by the timeouts of the API process.
        drop(context.poller.rewatch(&pipe.socket, token, interest));
    }
}
