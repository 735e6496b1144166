//! The address of the HTTP API of a server.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::error::ClientError;
use super::url::ServerUrl;

/// Where the HTTP API of a server is: `http://host:port`, `https://host:port` or `unix:path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiUrl {
    /// A host and a port, with or without TLS.
    Tcp(ServerUrl),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl ApiUrl {
    /// Returns the value of the header `Host`.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Tcp(url) if url.host().contains(':') => {
                format!("[{}]:{}", url.host(), url.port())
            }
            Self::Tcp(url) => format!("{}:{}", url.host(), url.port()),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

impl FromStr for ApiUrl {
    type Err = ClientError;

    /// Parses an address. `ws://` and `wss://` are accepted too, since a server has its API on the addresses of
    /// its WebSockets unless it is configured otherwise.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let socket = match text.split_once("://") {
            Some(("http", rest)) => format!("ws://{rest}"),
            Some(("https", rest)) => format!("wss://{rest}"),
            _ => text.to_owned(),
        };
        match socket.parse::<ServerUrl>() {
            Ok(url) if matches!(url.path(), "" | "/") => Ok(Self::Tcp(url)),
            Ok(url) => Err(ClientError::ApiUrl(format!("it has the path {}", url.path()))),
            Err(ClientError::Url(why)) => Err(ClientError::ApiUrl(why)),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(url) if url.is_tls() => write!(f, "https://{}", self.host()),
            Self::Tcp(_) => write!(f, "http://{}", self.host()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host_or_a_path() {
        for (text, shown, host) in [
            ("http://localhost:8094", "http://localhost:8094", "localhost:8094"),
            ("https://example.org/", "https://example.org:443", "example.org:443"),
            ("ws://127.0.0.1:8094/", "http://127.0.0.1:8094", "127.0.0.1:8094"),
            ("http://[::1]:80", "http://[::1]:80", "[::1]:80"),
            ("unix:/run/api.sock", "unix:/run/api.sock", "localhost"),
        ] {
            let url: ApiUrl = text.parse().unwrap();
            assert_eq!((url.to_string().as_str(), url.host().as_str()), (shown, host));
        }
    }

    #[test]
    fn an_invalid_address_is_reported_with_a_valid_one() {
        for text in ["", "unix:", "127.0.0.1:8094", "ftp://a/", "http://a/v1", "http://a:0/"] {
            let error = text.parse::<ApiUrl>().unwrap_err().to_string();
            assert!(error.contains("use one like http://127.0.0.1:8094"), "{text}: {error}");
        }
    }
}
