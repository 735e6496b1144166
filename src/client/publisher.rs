//! A publisher over one WebSocket: it waits for the `next` of each message.

use std::fmt;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

/// How long connecting, and each answer, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The port of a URL that names none.
const PORT: u16 = 80;

/// To whom a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// The client with this UUID, as the server gave it out.
    Uuid(String),
    /// The first client with this ident.
    Ident(String),
    /// Everyone.
    All,
}

/// An open connection to publish through.
#[derive(Debug)]
pub struct Publisher {
    socket: WebSocket<TcpStream>,
    url: String,
}

/// Why nothing was published.
#[derive(Debug)]
pub enum PublishError {
    /// The URL cannot be used.
    Url(String),
    /// The server cannot be reached, or the connection broke.
    Connection(String, Box<tungstenite::Error>),
    /// The server refused the connection or ended it.
    Refused(String),
    /// No answer came in time.
    Silent(String),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => {
                write!(f, "the URL cannot be used: {why}; one like ws://127.0.0.1:8094/web can")
            }
            Self::Connection(url, error) => write!(f, "{url}: {error}"),
            Self::Refused(why) => write!(f, "the server refused: {why}"),
            Self::Silent(url) => write!(f, "{url}: no answer in {} s", PATIENCE.as_secs()),
        }
    }
}

impl std::error::Error for PublishError {}

/// What the server says, as far as a publisher cares.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    opcode: String,
    error: Option<String>,
}

impl Publisher {
    /// Connects, and waits until the server is ready.
    ///
    /// # Errors
    ///
    /// When there is no server at this URL, or it does not let us in.
    pub fn connect(url: &str) -> Result<Self, PublishError> {
        let bad_url = |error: tungstenite::Error| PublishError::Url(error.to_string());
        let mut request = url.into_client_request().map_err(bad_url)?;
        let agent = HeaderValue::from_static(concat!("tagcast/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert("User-Agent", agent);
        let uri = request.uri();
        if uri.scheme_str() != Some("ws") {
            return Err(PublishError::Url(format!("{url} does not begin with ws://")));
        }
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let stream = dial(&host, uri.port_u16().unwrap_or(PORT))
            .map_err(|error| PublishError::Connection(url.to_owned(), Box::new(error.into())))?;
        let socket = match tungstenite::client::client(request, stream) {
            Ok((socket, _)) => socket,
            Err(HandshakeError::Failure(error)) => return Err(failure(url, error)),
            Err(HandshakeError::Interrupted(_)) => {
                return Err(PublishError::Silent(url.to_owned()));
            }
        };
        let mut publisher = Self { socket, url: url.to_owned() };
        publisher.await_opcode("ready")?;
        Ok(publisher)
    }

    /// Publishes one message, and waits until the server holds it.
    ///
    /// # Errors
    ///
    /// When the server did not take it.
    pub fn publish(&mut self, to: &To, message: &serde_json::Value) -> Result<(), PublishError> {
        let packet = match to {
            To::Uuid(uuid) => json!({"opcode": "feedback", "message": message, "uuid": uuid}),
            To::Ident(ident) => json!({"opcode": "feedback", "message": message, "ident": ident}),
            To::All => json!({"opcode": "broadcast", "message": message}),
        };
        self.socket
            .send(Message::text(packet.to_string()))
            .map_err(|error| failure(&self.url, error))?;
        self.await_opcode("next")
    }

    /// Says goodbye.
    pub fn close(mut self) {
        // What was published is held by the server already: a goodbye that fails loses nothing.
        let _gone = self.socket.close(None);
        while self.socket.read().is_ok() {}
    }

    fn await_opcode(&mut self, opcode: &str) -> Result<(), PublishError> {
        loop {
            let message = self.socket.read().map_err(|error| failure(&self.url, error))?;
            let text = match &message {
                Message::Text(text) => text.as_str(),
                Message::Close(frame) => {
                    let why = frame.as_ref().map(ToString::to_string);
                    return Err(PublishError::Refused(why.unwrap_or_default()));
                }
                _ => continue,
            };
            let Ok(answer) = serde_json::from_str::<Answer>(text) else { continue };
            if matches!(answer.opcode.as_str(), "close" | "error") {
                return Err(PublishError::Refused(
                    answer.error.unwrap_or_else(|| "unknown path".to_owned()),
                ));
            }
            if answer.opcode == opcode {
                return Ok(());
            }
        }
    }
}

fn dial(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn failure(url: &str, error: tungstenite::Error) -> PublishError {
    match error {
        tungstenite::Error::Io(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ) =>
        {
            PublishError::Silent(url.to_owned())
        }
        tungstenite::Error::Http(response) => {
            PublishError::Refused(format!("HTTP {}", response.status()))
        }
        error => PublishError::Connection(url.to_owned(), Box::new(error)),
    }
}
