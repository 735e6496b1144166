//! Client of the HTTP API, for commands that a WebSocket has no frames for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use super::api_url::ApiUrl;
use super::connection::{PATIENCE, dial};
use super::credentials::ClientCredentials;
use super::error::{ClientError, ClientErrorKind, printable};
use super::tls;
use super::tls_failure::TlsFailure;
use super::url::{ServerUrl, encode};
use crate::http::request_signature::{CONTENT, NONCE, SIGNATURE, SignedParts, TIMESTAMP};
use crate::types::OPEN_APPLICATION;

/// Bytes of the largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Code of the error about a signature that may be older than the server.
const PREDATES_RESTART: &str = "predates_restart";

/// A connection to the HTTP API of a server. Requests are signed, so the secret never leaves this machine.
#[derive(Debug)]
pub(crate) struct ApiClient {
    url: ApiUrl,
    ca: Option<PathBuf>,
    /// `/v1/apps/{application}`.
    base: String,
    key: Option<Hmac<Sha256>>,
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
}

/// A request to an endpoint of the application.
#[derive(Debug)]
pub(crate) struct ApiRequest {
    method: Method,
    /// What follows the application, percent-encoded.
    path: String,
    query: String,
    body: Option<Value>,
}

/// An answer that was read to its end.
struct ReceivedAnswer {
    status: StatusCode,
    body: Bytes,
}

/// The body of an error.
#[derive(Deserialize)]
struct ReceivedError {
    error: ErrorMembers,
}

#[derive(Deserialize)]
struct ErrorMembers {
    code: String,
    message: String,
}

impl ApiRequest {
    /// Creates a request. `path` follows the application and begins with a slash.
    pub(crate) fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), query: String::new(), body: None }
    }

    /// Creates a request about one client. `rest` follows its UUID.
    pub(crate) fn for_client(method: Method, uuid: &str, rest: &str) -> Self {
        let mut path = "/connections/".to_owned();
        encode(uuid, &mut path);
        path.push_str(rest);
        Self::new(method, &path)
    }

    /// Adds a parameter to the query.
    pub(crate) fn parameter(mut self, name: &str, value: &str) -> Self {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        self.query.push_str(name);
        self.query.push('=');
        encode(value, &mut self.query);
        self
    }

    /// Sets the body.
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

impl ApiClient {
    /// Connects to the API. Without credentials the server has to be one without applications.
    ///
    /// # Errors
    ///
    /// If no server answers at this address, if its certificate is not trusted, or if the credentials have no secret.
    pub(crate) fn connect(url: &ApiUrl, access: &ClientCredentials) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| ClientError::from_io(url, error))?;
        let application =
            access.credentials.as_ref().map_or(OPEN_APPLICATION, |shown| shown.key.as_str());
        let mut base = "/v1/apps/".to_owned();
        encode(application, &mut base);
        let key = match &access.credentials {
            None => None,
            Some(shown) => Some(hmac(shown.secret().ok_or_else(lacks_secret)?)?),
        };
        let sender = runtime.block_on(open_in_time(url, access.ca.as_deref()))?;
        Ok(Self { url: url.clone(), ca: access.ca.clone(), base, key, runtime, sender })
    }

    /// Sends a request and returns the body of its answer.
    ///
    /// # Errors
    ///
    /// If the server refuses the request or does not answer in time.
    pub(crate) fn send(&mut self, request: &ApiRequest) -> Result<Value, ClientError> {
        let answer = self.exchange(request)?;
        if !answer.is_error(PREDATES_RESTART) {
            return answer.read();
        }
        // The server has started within this second. A signature of the next second is valid.
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_secs(1)).await });
        self.exchange(request)?.read()
    }

    fn exchange(&mut self, request: &ApiRequest) -> Result<ReceivedAnswer, ClientError> {
        let request = self.signed(request)?;
        let Self { sender, runtime, url, ca, .. } = self;
        let broken = |error: hyper::Error| ClientError::from_io(url, std::io::Error::other(error));
        let exchange = async {
            // The server ends a connection after some errors.
            if sender.ready().await.is_err() {
                *sender = open_in_time(url, ca.as_deref()).await?;
            }
            let answer = sender.send_request(request).await.map_err(broken)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| {
                ClientError::from_io(url, std::io::Error::other(error.to_string()))
            })?;
            Ok(ReceivedAnswer { status, body: body.to_bytes() })
        };
        runtime.block_on(async {
            let within = timeout(PATIENCE + BROKER_PATIENCE, exchange).await;
            within.unwrap_or_else(|_| Err(ClientError::Silent(url.to_string())))
        })
    }

    /// Adds the headers, with the signature if there is a secret.
    fn signed(&self, request: &ApiRequest) -> Result<Request<Full<Bytes>>, ClientError> {
        let ApiRequest { method, path, query, body } = request;
        let path = format!("{}{path}", self.base);
        let body = body.as_ref().map(Value::to_string).unwrap_or_default();
        let mark = if query.is_empty() { "" } else { "?" };
        let mut built = Request::builder()
            .method(method)
            .uri(format!("{path}{mark}{query}"))
            .header("Host", self.url.host())
            .header("User-Agent", concat!("tagcast/", env!("CARGO_PKG_VERSION")));
        if !body.is_empty() {
            built = built.header("Content-Type", "application/json");
        }
        if let Some(key) = &self.key {
            let content = hexadecimal(&Sha256::digest(&body));
            let nonce = Uuid::new_v4().simple().to_string();
            let (method, path, query) = (method.as_str(), path.as_str(), query.as_str());
            let timestamp = now();
            let parts =
                SignedParts { method, path, query, timestamp, nonce: &nonce, content: &content };
            let mut mac = key.clone();
            mac.update(parts.text().as_bytes());
            let signature = hexadecimal(&mac.finalize().into_bytes());
            built = built
                .header(TIMESTAMP, timestamp)
                .header(NONCE, nonce)
                .header(CONTENT, content)
                .header(SIGNATURE, format!("v1={signature}"));
        }
        built.body(Full::from(body)).map_err(|error| ClientError::Data(error.to_string()))
    }
}

/// Time that the server may wait for its broker, in addition to that for the network (`apiTimeout` is 5 s).
const BROKER_PATIENCE: Duration = Duration::from_secs(10);

fn lacks_secret() -> ClientError {
    let why = "the HTTP API needs the secret of the application (--secret-file or TAGCAST_SECRET)";
    ClientError::Refused(ClientErrorKind::NotPermitted, why.to_owned())
}

fn hmac(secret: &str) -> Result<Hmac<Sha256>, ClientError> {
    Hmac::new_from_slice(secret.as_bytes()).map_err(|error| ClientError::Data(error.to_string()))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) async fn open_in_time(
    url: &ApiUrl,
    ca: Option<&Path>,
) -> Result<SendRequest<Full<Bytes>>, ClientError> {
    let within = timeout(PATIENCE, Box::pin(open(url, ca))).await;
    within.unwrap_or_else(|_| Err(ClientError::Silent(url.to_string())))
}

/// Opens the connection and the HTTP session on it.
async fn open(url: &ApiUrl, ca: Option<&Path>) -> Result<SendRequest<Full<Bytes>>, ClientError> {
    let failed = |error| ClientError::from_io(url, error);
    match url {
        ApiUrl::Unix(path) => session(url, UnixStream::connect(path).await.map_err(failed)?).await,
        ApiUrl::Tcp(server) => {
            let stream = dial(server.host(), server.port()).map_err(failed)?;
            stream.set_nonblocking(true).map_err(failed)?;
            let stream = TcpStream::from_std(stream).map_err(failed)?;
            if server.is_tls() {
                session(url, encrypted(server, stream, ca).await?).await
            } else {
                session(url, stream).await
            }
        }
    }
}

async fn encrypted(
    url: &ServerUrl,
    stream: TcpStream,
    ca: Option<&Path>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ClientError> {
    let name = ServerName::try_from(url.host().to_owned())
        .map_err(|error| ClientError::Url(format!("its host is not a valid name ({error})")))?;
    let connector = TlsConnector::from(Arc::new(tls::trusting(ca)?));
    connector.connect(name, stream).await.map_err(|error| {
        match TlsFailure::of(&error, url.host()) {
            Some(failure) => ClientError::Tls(url.to_string(), Box::new(failure)),
            None => ClientError::from_io(url, error),
        }
    })
}

async fn session<S>(url: &ApiUrl, stream: S) -> Result<SendRequest<Full<Bytes>>, ClientError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|error| ClientError::from_io(url, std::io::Error::other(error)))?;
    // Its errors are those of the requests too.
    tokio::spawn(async { connection.await.ok() });
    Ok(sender)
}

impl ReceivedAnswer {
    /// Returns the error, if it is one of the API.
    fn error(&self) -> Option<ErrorMembers> {
        let is_error = !self.status.is_success();
        let body = serde_json::from_slice::<ReceivedError>(&self.body);
        body.ok().filter(|_| is_error).map(|body| body.error)
    }

    fn is_error(&self, code: &str) -> bool {
        self.error().is_some_and(|error| error.code == code)
    }

    /// Returns the body of a success.
    fn read(&self) -> Result<Value, ClientError> {
        if self.status.is_success() {
            return serde_json::from_slice(&self.body).map_err(|error| {
                ClientError::Refused(
                    ClientErrorKind::Configuration,
                    format!("the answer is not that of a Tagcast server ({error})"),
                )
            });
        }
        Err(match self.error() {
            Some(ErrorMembers { code, message }) => ClientError::Refused(
                kind_of(self.status, &code),
                format!("{} ({})", printable(&message), printable(&code)),
            ),
            None => ClientError::Refused(kind_of(self.status, ""), format!("HTTP {}", self.status)),
        })
    }
}

/// Classifies an error of the API.
fn kind_of(status: StatusCode, code: &str) -> ClientErrorKind {
    match (status.as_u16(), code) {
        // Another request is right where the server has no such client or expression.
        (400 | 409 | 410 | 413 | 422, _) | (_, "connection_not_found") => ClientErrorKind::Data,
        (401 | 403, _) => ClientErrorKind::NotPermitted,
        (408 | 429 | 500..=599, _) => ClientErrorKind::Unavailable,
        _ => ClientErrorKind::Configuration,
    }
}
