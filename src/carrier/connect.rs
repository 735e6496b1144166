//! Connects to NATS with the credentials and certificates of the configuration.

use std::path::Path;

use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::config::{NatsCredentials, NatsSettings};
use crate::types::NatsFault;
use crate::types::limits::{
    CARRIER_IN_MAX, CARRIER_OUT_MAX, NATS_CONNECT_TIMEOUT, NATS_CREDENTIALS_BYTES_MAX, NATS_PING,
};

/// Why a connection was not made, with details.
#[derive(Debug)]
pub(super) struct ConnectFault {
    pub(super) fault: NatsFault,
    pub(super) text: String,
}

impl ConnectFault {
    pub(super) fn new(fault: NatsFault, text: impl Into<String>) -> Self {
        Self { fault, text: text.into() }
    }
}

/// Makes one connection with these options and those of the configuration. What happens to it later is sent to `events`.
///
/// # Errors
///
/// If a file cannot be read, or no server accepts the connection.
pub(super) async fn connect(
    settings: &NatsSettings,
    options: ConnectOptions,
    events: mpsc::Sender<Event>,
) -> Result<Client, ConnectFault> {
    let mut options = options
        .name("tagcast")
        .connection_timeout(NATS_CONNECT_TIMEOUT)
        .ping_interval(NATS_PING)
        .subscription_capacity(CARRIER_IN_MAX)
        .client_capacity(CARRIER_OUT_MAX)
        .event_callback(move |event| {
            let events = events.clone();
            async move {
                let _closed = events.send(event).await;
            }
        });
    if let Some(file) = &settings.ca_file {
        options = options.add_root_certificates(file.clone());
    }
    if let Some((chain, key)) = &settings.certificate {
        options = options.add_client_certificate(chain.clone(), key.clone());
    }
    if let Some(credentials) = &settings.credentials {
        options = with_credentials(options, credentials)?;
    }
    let servers: Result<Vec<ServerAddr>, _> =
        settings.servers.iter().map(|it| it.parse()).collect();
    let servers =
        servers.map_err(|error| ConnectFault::new(NatsFault::Name, format!("{error}")))?;
    Box::pin(options.connect(servers)).await.map_err(|error| fault_of(&error))
}

fn with_credentials(
    options: ConnectOptions,
    credentials: &NatsCredentials,
) -> Result<ConnectOptions, ConnectFault> {
    let file = credentials.file();
    let wrong =
        |what: &str| ConnectFault::new(NatsFault::File, format!("{}: {what}", file.display()));
    let text = read(file).map_err(|error| wrong(&error.to_string()))?;
    let line = text.trim();
    match credentials {
        NatsCredentials::Creds(_) => {
            options.credentials(&text).map_err(|_| wrong("it has no JWT and no seed"))
        }
        NatsCredentials::Nkey(_) if is_seed(line) => Ok(options.nkey(line.to_owned())),
        NatsCredentials::Nkey(_) => Err(wrong("it has no seed of an NKey, which begins with S")),
        NatsCredentials::User(_) => {
            let (user, password) =
                line.split_once(':').ok_or_else(|| wrong("it has no user:password"))?;
            Ok(options.user_and_password(user.to_owned(), password.to_owned()))
        }
        NatsCredentials::Token(_) if line.is_empty() => Err(wrong("it is empty")),
        NatsCredentials::Token(_) => Ok(options.token(line.to_owned())),
    }
}

/// async-nats panics on some other texts.
fn is_seed(text: &str) -> bool {
    let is_base32 = |byte: u8| matches!(byte, b'A'..=b'Z' | b'2'..=b'7');
    text.len() == 58 && text.starts_with('S') && text.bytes().all(is_base32)
}

fn read(file: &Path) -> std::io::Result<Zeroizing<String>> {
    use std::io::Read;
    let mut text = Zeroizing::new(String::with_capacity(4096));
    std::fs::File::open(file)?.take(NATS_CREDENTIALS_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn fault_of(error: &ConnectError) -> ConnectFault {
    let text = error.to_string();
    let fault = match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            NatsFault::Credentials
        }
        ConnectErrorKind::Dns | ConnectErrorKind::ServerParse => NatsFault::Name,
        ConnectErrorKind::TimedOut => NatsFault::Timeout,
        ConnectErrorKind::Tls => NatsFault::Tls,
        ConnectErrorKind::Io if is_of_tls(error) => NatsFault::Tls,
        ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => NatsFault::Unreachable,
    };
    ConnectFault { fault, text }
}

/// A certificate that is refused is an error of input and output for async-nats.
fn is_of_tls(error: &ConnectError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let inner = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if error.is::<rustls::Error>() || inner.is_some() {
            return true;
        }
        source = error.source();
    }
    false
}
