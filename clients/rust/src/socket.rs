//! One WebSocket: address, TCP, TLS and handshake.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, http};

use crate::error::ConnectError;

const PROTOCOL: &str = "tagcast.v1";
/// A connection reads in small steps, because most messages are small. The default of the library is 128 KiB.
const READ_BUFFER: usize = 8 * 1024;
/// Bytes of the largest message that is read.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Characters of the body of a refusal that an error has.
const BODY_CHARACTERS_MAX: usize = 1000;

/// An open WebSocket.
pub(crate) type Socket = WebSocketStream<Transport>;

/// The address of a server.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    uri: Uri,
    host: String,
    port: u16,
    is_tls: bool,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, ConnectError> {
        let wrong = |why: &str| ConnectError::Url(why.to_owned());
        let uri: Uri =
            url.parse().map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
        let is_tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(wrong("it begins with neither ws:// nor wss://")),
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Self { uri, host, port, is_tls })
    }
}

/// Connects, and performs the handshakes.
pub(crate) async fn dial(
    address: &Address,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Socket, ConnectError> {
    let mut request = address.uri.clone().into_client_request().map_err(refused)?;
    let protocol = HeaderValue::from_static(PROTOCOL);
    request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
    let agent = HeaderValue::from_static(concat!("tagcast-client/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert("User-Agent", agent);
    let tcp = TcpStream::connect((address.host.as_str(), address.port))
        .await
        .map_err(ConnectError::Io)?;
    tcp.set_nodelay(true).map_err(ConnectError::Io)?;
    let transport = if address.is_tls {
        Transport::Tls(Box::new(secured(address, tls, tcp).await?))
    } else {
        Transport::Plain(tcp)
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let opening = tokio_tungstenite::client_async_with_config(request, transport, Some(config));
    // The handshake is a large state that only openings need.
    let (socket, _answer) = Box::pin(opening).await.map_err(refused)?;
    Ok(socket)
}

async fn secured(
    address: &Address,
    tls: Option<Arc<ClientConfig>>,
    tcp: TcpStream,
) -> Result<TlsStream<TcpStream>, ConnectError> {
    let name = ServerName::try_from(address.host.clone())
        .map_err(|error| ConnectError::Url(format!("its host is not a name ({error})")))?;
    let config = match tls {
        Some(config) => config,
        None => Arc::new(system_tls()?),
    };
    TlsConnector::from(config).connect(name, tcp).await.map_err(ConnectError::Tls)
}

/// A configuration that trusts the certificate authorities of the system.
fn system_tls() -> Result<ClientConfig, ConnectError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // The store of a system may have old certificates that cannot be parsed.
    let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
        return Err(ConnectError::Trust(format!("the system has no authorities {why}")));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectError::Trust(error.to_string()))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    // A WebSocket is opened with HTTP/1.1, so a proxy must not choose HTTP/2.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn refused(error: tungstenite::Error) -> ConnectError {
    match error {
        tungstenite::Error::Io(error) => ConnectError::Io(error),
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let body = String::from_utf8_lossy(body).chars().take(BODY_CHARACTERS_MAX).collect();
            ConnectError::Http(response.status().as_u16(), body)
        }
        error => ConnectError::Handshake(Box::new(error)),
    }
}

/// A TCP connection with or without TLS.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_scheme_host_and_port() {
        let parse = |url| Address::parse(url).map(|it| (it.host, it.port, it.is_tls)).unwrap();
        assert_eq!(parse("ws://localhost"), ("localhost".to_owned(), 80, false));
        assert_eq!(parse("wss://[::1]/chat?key=a"), ("::1".to_owned(), 443, true));
        assert_eq!(parse("ws://a:8094/"), ("a".to_owned(), 8094, false));
    }

    #[test]
    fn a_wrong_url_is_reported() {
        for url in ["", "127.0.0.1:8094", "http://a/", "ws://", "ws://a b/"] {
            assert!(matches!(Address::parse(url), Err(ConnectError::Url(_))), "{url}");
        }
    }
}
