//! The socket of a connection: first the bytes that were already read, then new ones. A peer that
//! accepts no byte for too long is disconnected.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::activity::Activity;
use crate::types::limits::API_WRITE_STALL;

/// A socket of any kind.
#[derive(Debug)]
pub(in crate::api) enum ApiSocket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// TLS that this process speaks itself.
    Tls(Box<TlsStream<TcpStream>>),
}

/// The socket of a connection.
#[derive(Debug)]
pub(in crate::api) struct ApiStream {
    socket: ApiSocket,
    /// Bytes that a worker read before it handed the connection over.
    read_before: Bytes,
    activity: Rc<Activity>,
    /// The deadline while the peer accepts nothing.
    stall: Option<Pin<Box<Sleep>>>,
}

impl ApiStream {
    /// Creates the stream of a connection from which some bytes were already read.
    pub(in crate::api) fn new(
        socket: ApiSocket,
        read_before: Bytes,
        activity: Rc<Activity>,
    ) -> Self {
        Self { socket, read_before, activity, stall: None }
    }

    /// Waits until the socket accepts bytes.
    pub(super) async fn writable(&self) -> io::Result<()> {
        match &self.socket {
            ApiSocket::Tcp(socket) => socket.writable().await,
            ApiSocket::Unix(socket) => socket.writable().await,
            ApiSocket::Tls(socket) => socket.get_ref().0.writable().await,
        }
    }

    /// A write that is pending for too long is an error.
    fn watched<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(API_WRITE_STALL)));
        match stall.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for ApiStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read_before.has_remaining() {
            let length = this.read_before.len().min(buffer.remaining());
            buffer.put_slice(&this.read_before.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = match &mut this.socket {
            ApiSocket::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            ApiSocket::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
            ApiSocket::Tls(socket) => Pin::new(socket).poll_read(cx, buffer),
        };
        if buffer.filled().len() > before {
            this.activity.on_bytes();
        }
        read
    }
}

impl AsyncWrite for ApiStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.socket {
            ApiSocket::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            ApiSocket::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
            ApiSocket::Tls(socket) => Pin::new(socket).poll_write(cx, bytes),
        };
        this.watched(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.socket {
            ApiSocket::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            ApiSocket::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            ApiSocket::Tls(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
        };
        this.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = match &mut this.socket {
            // A socket buffers nothing here.
            ApiSocket::Tcp(_) | ApiSocket::Unix(_) => return Poll::Ready(Ok(())),
            ApiSocket::Tls(socket) => Pin::new(socket).poll_flush(cx),
        };
        this.watched(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            ApiSocket::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            ApiSocket::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            ApiSocket::Tls(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
