//! One WebSocket connection to a server: TCP, TLS, handshake and closing handshake.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use rustix::net::sockopt;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::http::{HeaderValue, Uri};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};
use uuid::Uuid;

use super::credentials::ClientCredentials;
use super::error::ClientError;
use super::tls::{self, TlsStream};
use super::url::{Scheme, ServerUrl};

/// Maximum time to connect, and maximum wait for each answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Idle time after which TCP keepalive probes the connection, because the server may be gone.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// The dialect that the client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientDialect {
    /// Packets of phpWebSocketServer.
    Phpws,
    /// Requests of Gomoob.
    Gomoob,
}

/// An open WebSocket, with the name of its server for error messages.
#[derive(Debug)]
pub(super) struct ClientConnection {
    socket: WebSocket<TransportStream>,
    url: ServerUrl,
    reports: Option<ReportToken>,
}

/// Random prefix of the reports on this connection. No other client knows it, so no other client
/// can fake a report.
type ReportToken = String;

/// Request header that asks for a report of how many clients each publication reaches. The server
/// grants it with the same header.
const REPORT_HEADER: &str = "Tagcast-Report";

/// Request for publication reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reports {
    Wanted,
    Unwanted,
}

/// Options of a new connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionOptions {
    pub(super) dialect: ClientDialect,
    pub(super) reports: Reports,
}

impl ClientConnection {
    /// Connects and performs the handshake. `uri` is the URL with its parameters.
    pub(super) fn open(
        url: &ServerUrl,
        uri: Uri,
        options: ConnectionOptions,
        access: &ClientCredentials,
    ) -> Result<Self, ClientError> {
        let mut request =
            uri.into_client_request().map_err(|error| ClientError::Url(error.to_string()))?;
        let agent = HeaderValue::from_static(concat!("tagcast/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert("User-Agent", agent);
        if options.dialect == ClientDialect::Phpws {
            // Any value except `php` selects the dialect on every path and changes nothing else.
            request.headers_mut().insert("Client-Type", HeaderValue::from_static("web"));
        }
        let token = Uuid::new_v4().to_string();
        if options.reports == Reports::Wanted
            && let Ok(value) = HeaderValue::from_str(&token)
        {
            request.headers_mut().insert(REPORT_HEADER, value);
        }
        let tcp = dial(url.host(), url.port()).map_err(|error| ClientError::from_io(url, error))?;
        let stream = match url.scheme() {
            Scheme::Ws => TransportStream::Plain(tcp),
            Scheme::Wss => {
                TransportStream::Tls(Box::new(tls::handshake(url, tcp, access.ca.as_deref())?))
            }
        };
        match tungstenite::client::client(request, stream) {
            Ok((socket, answer)) => {
                let granted = answer.headers().get(REPORT_HEADER);
                let reports = granted.is_some_and(|value| value.as_bytes() == token.as_bytes());
                Ok(Self { socket, url: url.clone(), reports: reports.then_some(token) })
            }
            Err(HandshakeError::Failure(error)) => Err(ClientError::from_websocket(url, error)),
            Err(HandshakeError::Interrupted(_)) => Err(ClientError::Silent(url.to_string())),
        }
    }

    /// Returns the token of the reports. None if the server sends no reports.
    pub(super) fn reports(&self) -> Option<&str> {
        self.reports.as_deref()
    }

    /// Returns the socket, for setting options and for polling.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self.socket.get_ref() {
            TransportStream::Plain(tcp) => tcp,
            TransportStream::Tls(tls) => &tls.sock,
        }
    }

    /// Sends a text message.
    pub(super) fn send(&mut self, text: String) -> Result<(), ClientError> {
        self.socket.send(Message::text(text)).map_err(|error| self.failure(error))
    }

    /// Sends a ping.
    pub(super) fn ping(&mut self) -> Result<(), ClientError> {
        self.socket.send(Message::Ping("doctor".into())).map_err(|error| self.failure(error))
    }

    /// Sets the longest wait for the next message.
    pub(super) fn wait_at_most(&self, time: Duration) -> Result<(), ClientError> {
        let set = self.tcp().set_read_timeout(Some(time));
        set.map_err(|error| ClientError::from_io(&self.url, error))
    }

    /// Reads the next message. Answers pings.
    pub(super) fn read(&mut self) -> Result<Message, ClientError> {
        self.socket.read().map_err(|error| self.failure(error))
    }

    /// Sends Close 1000. The caller must still read the answer.
    pub(super) fn send_close(&mut self) -> Result<(), ClientError> {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        match self.socket.close(Some(frame)) {
            // The server has sent a Close first. The caller can still read it.
            Ok(()) | Err(tungstenite::Error::ConnectionClosed) => Ok(()),
            Err(error) => Err(self.failure(error)),
        }
    }

    fn failure(&self, error: tungstenite::Error) -> ClientError {
        ClientError::from_websocket(&self.url, error)
    }
}

/// Connects to the first address of the host that answers.
pub(super) fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                sockopt::set_socket_keepalive(&stream, true)?;
                sockopt::set_tcp_keepidle(&stream, PROBE_AFTER)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A TCP stream with or without TLS.
#[derive(Debug)]
enum TransportStream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Read for TransportStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for TransportStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
