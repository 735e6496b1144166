//! A subscriber on the Rust client (`clients/rust`): it reconnects and resumes.

use std::io;
use std::sync::Arc;

use tagcast_client::blocking::Client;
use tagcast_client::{ConnectError, Disconnect, Options};
use tungstenite::http::Response;

use super::credentials::ClientCredentials;
use super::error::{ClientError, ClientErrorKind};
use super::tls;
use super::tls_failure::TlsFailure;
use super::url::ServerUrl;
use crate::types::Tags;

/// Connects a client with these tags. It reads nothing while the program does not.
///
/// # Errors
///
/// If no server answers at this URL, or if it rejects the connection.
pub(crate) fn follow(
    url: &ServerUrl,
    access: &ClientCredentials,
    tags: &Tags,
) -> Result<Client, ClientError> {
    let program = concat!("tagcast/", env!("CARGO_PKG_VERSION"));
    let mut options = Options::new().client(program).lossless();
    for (name, value) in access.members() {
        options = if name == "key" { options.key(value) } else { options.secret(value) };
    }
    for tag in tags {
        options = options.tag(tag.name(), tag.value());
    }
    if url.is_tls() {
        options = options.tls(Arc::new(tls::trusting(access.ca.as_deref())?));
    }
    Client::connect(&url.to_text(), options).map_err(|failed| refused(url, &failed))
}

/// Converts the end of a first attempt.
fn refused(url: &ServerUrl, failed: &Disconnect) -> ClientError {
    let Some(error) = failed.error() else {
        return ClientError::Refused(kind_of_close(failed.code()), failed.to_string());
    };
    match error {
        ConnectError::Io(error) => ClientError::from_io(url, copied(error)),
        ConnectError::Tls(error) => match TlsFailure::of(error, url.host()) {
            Some(failure) => ClientError::Tls(url.to_string(), Box::new(failure)),
            None => ClientError::from_io(url, copied(error)),
        },
        ConnectError::Http(status, body) => refused_by_http(url, *status, body),
        ConnectError::Timeout => ClientError::Silent(url.to_string()),
        ConnectError::Url(why) => ClientError::Url(why.clone()),
        ConnectError::Trust(why) => ClientError::Trust(why.clone()),
        ConnectError::Handshake(error) => ClientError::Refused(
            ClientErrorKind::Configuration,
            format!("it does not speak tagcast.v1 ({error})"),
        ),
        other => ClientError::Refused(ClientErrorKind::Unavailable, other.to_string()),
    }
}

/// Converts the end of a client that was online.
pub(crate) fn ended(lost: &Disconnect) -> ClientError {
    ClientError::Ended(kind_of_close(lost.code()), lost.to_string())
}

fn refused_by_http(url: &ServerUrl, status: u16, body: &str) -> ClientError {
    match Response::builder().status(status).body(Some(body.as_bytes().to_vec())) {
        Ok(response) => {
            ClientError::from_websocket(url, tungstenite::Error::Http(Box::new(response)))
        }
        Err(error) => ClientError::Refused(ClientErrorKind::Unavailable, error.to_string()),
    }
}

/// Errors of the system cannot be cloned.
fn copied(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

/// Classifies a Close code of `tagcast.v1` (`docs/protocol-v1.md`).
fn kind_of_close(code: u16) -> ClientErrorKind {
    match code {
        1003 | 1007 | 1009 | 4000 => ClientErrorKind::Data,
        4003 | 4009 => ClientErrorKind::NotPermitted,
        _ => ClientErrorKind::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_of_v1_are_classified() {
        let kinds = [4009, 4000, 4200, 1000, 1006].map(kind_of_close);
        let later = ClientErrorKind::Unavailable;
        let expected = [ClientErrorKind::NotPermitted, ClientErrorKind::Data, later, later, later];
        assert_eq!(kinds, expected);
    }
}
