//! The URL of a server and the request target derived from it.

use std::fmt;
use std::str::FromStr;

use tungstenite::http::Uri;
use tungstenite::http::uri::Authority;

use super::error::ClientError;

/// Paths that use the phpws dialect unless the configuration binds another resource to them.
const PHPWS_PATHS: &[&str] = &["/web", "/php"];

/// The URL of a server: `ws://host:port/path` or `wss://…`.
///
/// It is displayed without its query, which may contain a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    uri: Uri,
    scheme: Scheme,
    host: String,
}

/// The scheme: without or with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Ws,
    Wss,
}

impl FromStr for ServerUrl {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let wrong = |why: &str| ClientError::Url(why.to_owned());
        let uri: Uri =
            text.parse().map_err(|error| ClientError::Url(format!("it is not a URL ({error})")))?;
        let scheme = match uri.scheme_str() {
            Some("ws") => Scheme::Ws,
            Some("wss") => Scheme::Wss,
            _ => return Err(wrong("it starts with neither ws:// nor wss://")),
        };
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err(wrong("it has no host"));
        }
        let authority = uri.authority().map(Authority::as_str).unwrap_or_default();
        let behind = authority.rsplit('@').next().and_then(|place| place.strip_prefix(host));
        if !behind.is_some_and(is_port) {
            return Err(wrong("its port is not between 1 and 65535"));
        }
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { uri, scheme, host })
    }
}

impl ServerUrl {
    pub(super) const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the original URL, including its query.
    pub(crate) fn to_text(&self) -> String {
        self.uri.to_string()
    }

    /// Returns true for `wss://`.
    pub(crate) fn is_tls(&self) -> bool {
        self.scheme == Scheme::Wss
    }

    /// Returns the host name or address; an IPv6 address without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        let default = match self.scheme {
            Scheme::Ws => 80,
            Scheme::Wss => 443,
        };
        self.uri.port_u16().unwrap_or(default)
    }

    /// Returns the path.
    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    /// Returns the URL with these parameters appended to its query.
    pub(crate) fn with<'a>(
        &self,
        parameters: impl Iterator<Item = (&'static str, &'a str)>,
    ) -> Result<Uri, ClientError> {
        let mut query = self.uri.query().unwrap_or_default().to_owned();
        for (name, value) in parameters {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(name);
            query.push('=');
            encode(value, &mut query);
        }
        let mark = if query.is_empty() { "" } else { "?" };
        let target = format!("{}{mark}{query}", self.uri.path());
        let mut parts = self.uri.clone().into_parts();
        let long = |_| ClientError::Url("it is too long with key, secret and tags".to_owned());
        parts.path_and_query = Some(target.parse().map_err(long)?);
        Uri::from_parts(parts).map_err(|error| ClientError::Url(error.to_string()))
    }

    /// Checks that the path can use the Gomoob dialect, the only one that publishes to tags.
    pub(super) fn check_takes_tags(&self) -> Result<(), ClientError> {
        let path = self.uri.path();
        if PHPWS_PATHS.contains(&path) {
            let why = format!("{path} speaks phpWebSocketServer's dialect, which has no tags");
            return Err(ClientError::Url(why));
        }
        Ok(())
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
        };
        let host = self.uri.host().unwrap_or_default();
        write!(f, "{scheme}://{host}:{}{}", self.port(), self.uri.path())
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Accepts an empty text, or a colon and a number. The URL parser accepts any text as a port.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(number) => number.parse::<u16>().is_ok_and(|number| number > 0),
        None => text.is_empty(),
    }
}

/// Percent-encodes all characters except the unreserved ones of RFC 3986 §2.3.
pub(super) fn encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                into.push(char::from(byte));
            }
            _ => into.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ServerUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_url_names_scheme_host_and_port() {
        let url = parse("ws://localhost");
        assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::Ws, "localhost", 80));
        let url = parse("wss://[::1]/chat");
        assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::Wss, "::1", 443));
        assert_eq!(url.to_string(), "wss://[::1]:443/chat");
    }

    #[test]
    fn an_invalid_server_url_is_reported() {
        for (text, why) in [
            ("127.0.0.1:8094", "neither ws:// nor wss://"),
            ("http://127.0.0.1/", "neither ws:// nor wss://"),
            ("", "it is not a URL"),
            ("ws://", "it is not a URL"),
            ("ws://a b/", "it is not a URL"),
            ("ws://a:99999/", "its port"),
            ("ws://a:0/", "its port"),
        ] {
            let error = text.parse::<ServerUrl>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn parameters_are_encoded_and_follow_those_that_are_there() {
        let tags = [("tags", r#"{"language":"FR é"}"#)];
        let uri = parse("ws://a/").with(tags.into_iter()).unwrap();
        assert_eq!(uri.to_string(), "ws://a/?tags=%7B%22language%22%3A%22FR%20%C3%A9%22%7D");
        let uri = parse("ws://a:1/x?y=z").with([("key", "a&b=c")].into_iter()).unwrap();
        assert_eq!(uri.to_string(), "ws://a:1/x?y=z&key=a%26b%3Dc");
        assert_eq!(parse("ws://a").with(std::iter::empty()).unwrap().to_string(), "ws://a/");
    }

    #[test]
    fn a_secret_in_the_query_is_not_shown() {
        let url = parse("ws://user:hunter2@a/x?secret=hunter2");
        assert!(!format!("{url} {url:?}").contains("hunter2"), "{url}");
    }
}
