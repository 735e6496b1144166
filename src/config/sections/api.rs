//! The HTTP API for backends: its addresses and limits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::ListenAddress;
use crate::config::diagnostic::{Problem, visible};
use crate::config::layers::ConfigLayers;
use crate::config::parse::{Bounds, Size, count, duration, is_absent, list, size, switch};
use crate::config::unix_address;
use crate::types::Encryption;
use crate::types::limits::{
    API_BODY_SLACK_BYTES, API_CONNECTIONS_MAX, API_IDLE_TIMEOUT, API_TIMEOUT, IDEMPOTENCY_MAX,
    IDEMPOTENCY_WINDOW, SIGNATURE_CLOCK_SKEW, SIGNATURE_CLOCK_SKEW_MAX, SIGNATURE_WINDOW,
};

/// The HTTP API for backends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiSettings {
    /// Whether the API is on.
    pub is_on: bool,
    /// Its own addresses. If empty, the WebSocket addresses serve the API.
    pub addresses: Vec<ApiAddress>,
    /// The file mode of its Unix sockets.
    pub socket_mode: u32,
    /// Maximum bytes of a body.
    pub body_bytes_max: usize,
    /// Maximum time that a request waits for the broker.
    pub timeout: Duration,
    /// Maximum idle time of a connection between two requests.
    pub idle_timeout: Duration,
    /// Maximum number of open connections.
    pub connections_max: usize,
    /// Maximum age of a signed request.
    pub signature_window: Duration,
    /// Maximum time of a signed request in the future.
    pub signature_clock_skew: Duration,
    /// How long the id of a publication is kept.
    pub ids_window: Duration,
    /// Maximum ids of publications that are kept.
    pub ids_max: usize,
    /// The URL that spans of traces are posted to. `None`: no request is traced.
    pub otlp_endpoint: Option<String>,
}

/// An address that serves only the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiAddress {
    /// A host and a port.
    Tcp(ListenAddress),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl ApiAddress {
    /// Returns the host and port, unless it is a path.
    #[must_use]
    pub fn tcp(&self) -> Option<&ListenAddress> {
        match self {
            Self::Tcp(address) => Some(address),
            Self::Unix(_) => None,
        }
    }
}

const BODY: Bounds<Size> = Bounds::new(Size(1024), Size(128 * 1024 * 1024));
const WAIT: Bounds<Duration> = Bounds::new(Duration::from_millis(100), Duration::from_secs(300));
const WINDOW: Bounds<Duration> = Bounds::new(Duration::from_secs(1), Duration::from_secs(3600));
const SKEW: Bounds<Duration> = Bounds::new(Duration::ZERO, SIGNATURE_CLOCK_SKEW_MAX);
const IDS: Bounds<usize> = Bounds::new(1, 2_000_000);
const CONNECTIONS: Bounds<usize> = Bounds::new(1, 1_000_000);
const RIGHT: &str = "use `https://host:port`, `http://host:port`, a port, or `unix:path`";

pub(in crate::config) fn read(
    given: &mut ConfigLayers<'_>,
    folder: &Path,
    message_bytes_max: usize,
    check: &dyn Fn(&ListenAddress) -> Result<(), Problem>,
) -> ApiSettings {
    let body = given.read("", "apiMaxBody", |text| size(text, &BODY));
    let mut wait =
        |name, default| given.read("", name, |text| duration(text, &WAIT)).unwrap_or(default);
    let (timeout, idle_timeout) =
        (wait("apiTimeout", API_TIMEOUT), wait("apiIdleTimeout", API_IDLE_TIMEOUT));
    let mut seconds = |name, bounds: &Bounds<Duration>, default| {
        given.read("", name, |text| duration(text, bounds)).unwrap_or(default)
    };
    let signature_window = seconds("signatureWindow", &WINDOW, SIGNATURE_WINDOW);
    let signature_clock_skew = seconds("signatureClockSkew", &SKEW, SIGNATURE_CLOCK_SKEW);
    let ids_window = seconds("idempotencyWindow", &WINDOW, IDEMPOTENCY_WINDOW);
    let settings = ApiSettings {
        ids_window,
        ids_max: given
            .read("", "idempotencyMax", |text| count(text, &IDS))
            .unwrap_or(IDEMPOTENCY_MAX),
        signature_window,
        signature_clock_skew,
        is_on: given.read("", "api", switch).unwrap_or(true),
        addresses: given
            .read("", "apiAddress", |text| {
                let all = addresses(text, folder)?;
                all.iter().filter_map(ApiAddress::tcp).try_for_each(check)?;
                Ok(all)
            })
            .unwrap_or_default(),
        socket_mode: given.read("", "apiSocketMode", unix_address::mode).unwrap_or(0o660),
        body_bytes_max: body.unwrap_or(message_bytes_max + API_BODY_SLACK_BYTES),
        timeout,
        idle_timeout,
        connections_max: given
            .read("", "apiMaxConnections", |text| count(text, &CONNECTIONS))
            .unwrap_or(API_CONNECTIONS_MAX),
        otlp_endpoint: given.read("", "otlpEndpoint", otlp_endpoint).flatten(),
    };
    warn_unencrypted(given, &settings.addresses);
    settings
}

/// Returns the URL for traces below the base URL of a receiver, as the variable of OpenTelemetry names it too.
fn otlp_endpoint(text: &str) -> Result<Option<String>, Problem> {
    if is_absent(text) {
        return Ok(None);
    }
    let wrong = |what: &str| Problem::new(what, "use http:// or https://, a host and a port");
    let no_address = || wrong("is not an address of a receiver");
    let uri: hyper::Uri = text.parse().map_err(|_| no_address())?;
    let authority = uri.authority().ok_or_else(no_address)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || authority.host().is_empty() {
        return Err(no_address());
    }
    if authority.as_str().contains('@') {
        return Err(wrong("names a user, which is not sent"));
    }
    if uri.query().is_some() || text.contains('#') {
        return Err(wrong("has a query or a fragment"));
    }
    Ok(Some(format!("{}/v1/traces", text.trim_end_matches('/'))))
}

/// On a plain address that other machines can reach, secrets cross the network unencrypted.
fn warn_unencrypted(given: &mut ConfigLayers<'_>, addresses: &[ApiAddress]) {
    let is_open = |address: &ListenAddress| {
        address.encryption == Encryption::Plain && address.check_loopback("", "").is_err()
    };
    if addresses.iter().filter_map(ApiAddress::tcp).any(is_open) {
        let right = "use https://, or listen on loopback or on a unix: socket";
        given.warn("apiAddress", Problem::new("sends secrets unencrypted over the network", right));
    }
}

fn addresses(text: &str, folder: &Path) -> Result<Vec<ApiAddress>, Problem> {
    if is_absent(text) {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for item in list(text) {
        let address = address(item, folder)?;
        if all.contains(&address) {
            let what = format!("names `{}` twice", visible(item));
            return Err(Problem::new(what, "name each address once"));
        }
        all.push(address);
    }
    Ok(all)
}

fn address(item: &str, folder: &Path) -> Result<ApiAddress, Problem> {
    if let Some(path) = unix_address::path(item, folder)? {
        return Ok(ApiAddress::Unix(path));
    }
    let (encryption, rest) = match item.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Encryption::Plain, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Encryption::Tls, rest),
        Some(_) => return Err(Problem::new("has an unknown scheme", RIGHT)),
        None => (Encryption::Plain, item),
    };
    let port = rest.strip_prefix(':').unwrap_or(rest);
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let host_and_port = if is_port { format!("127.0.0.1:{port}") } else { rest.to_owned() };
    let scheme = if encryption == Encryption::Tls { "ssl" } else { "tcp" };
    let parsed = ListenAddress::parse(&format!("{scheme}://{host_and_port}"));
    let address = parsed.map_err(|fault| Problem::new(fault.what, RIGHT))?;
    Ok(ApiAddress::Tcp(ListenAddress { text: item.to_owned(), encryption, ..address }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<ApiAddress>, Problem> {
        addresses(text, Path::new("/etc"))
    }

    #[test]
    fn an_address_is_a_host_with_a_port_a_port_or_a_path() {
        let host = |text: &str| match read(text).unwrap().remove(0) {
            ApiAddress::Tcp(address) => (address.host, address.port),
            ApiAddress::Unix(path) => (path.display().to_string(), 0),
        };
        for (text, expected) in [
            ("http://127.0.0.1:8095", ("127.0.0.1", 8095)),
            ("HTTP://[::1]:8095", ("::1", 8095)),
            ("8095", ("127.0.0.1", 8095)),
            (":8095", ("127.0.0.1", 8095)),
            ("localhost:8095", ("localhost", 8095)),
            ("https://h", ("h", 443)),
            ("unix:api.sock", ("/etc/api.sock", 0)),
            ("unix:/run/api.sock", ("/run/api.sock", 0)),
        ] {
            assert_eq!(host(text), (expected.0.to_owned(), expected.1), "{text}");
        }
        for (text, encryption) in [("8095", Encryption::Plain), ("https://h:1", Encryption::Tls)] {
            assert_eq!(read(text).unwrap()[0].tcp().unwrap().encryption, encryption, "{text}");
        }
        assert_eq!(read("none"), Ok(Vec::new()));
        assert_eq!(read("8095, unix:a").unwrap().len(), 2);
    }

    #[test]
    fn an_invalid_address_is_refused_with_a_valid_form() {
        for (text, words) in [
            ("ws://h:1", "unknown scheme"),
            ("wss://h:1", "unknown scheme"),
            ("http://h/v1", "a path"),
            ("8095, :8095x", "invalid port"),
            ("8095, 8095", "twice"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.what.contains(words), "{text}: {problem:?}");
        }
        assert!(read(&format!("unix:{}", "a".repeat(110))).is_err());
    }
}
