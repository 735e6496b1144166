//! The way of a client to the server, through all proxies.

use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use hyper::Method;

use super::{Finding, FindingLevel};
use crate::cli::local_server::LocalServer;
use crate::client::api::{ApiClient, ApiRequest};
use crate::client::public::{PublicConnection, PublicGreeting};
use crate::client::{
    ApplicationKey, ClientCredentials, ClientError, ClientErrorKind, ServerUrl, printable,
};
use crate::config::Config;

const CHECK: &str = "public address";
/// A ping that takes longer was held back on its way.
const SLOW: Duration = Duration::from_secs(2);

/// The address that clients use. `http://` and `https://` are accepted too.
#[derive(Clone, Debug)]
pub(super) struct PublicUrl(ServerUrl);

impl FromStr for PublicUrl {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let text = match text.strip_prefix("http") {
            Some(rest) => format!("ws{rest}"),
            None => text.to_owned(),
        };
        text.parse().map(Self)
    }
}

/// What else the tests of the address need.
pub(super) struct PublicOptions<'a> {
    /// Configuration of the server on this machine, which is asked for the address that it sees.
    pub(super) ini: Option<&'a Path>,
    /// How long the connection is left alone.
    pub(super) idle: Option<Duration>,
}

pub(super) fn findings(
    PublicUrl(url): &PublicUrl,
    ca: Option<&Path>,
    options: &PublicOptions<'_>,
    config: Option<&Config>,
) -> Vec<Finding> {
    let key = config.and_then(key_without_secret);
    let mut connection = match PublicConnection::open(url, key.as_deref(), ca) {
        Ok(connection) => connection,
        Err(error) => return vec![refused(&error)],
    };
    let mut all = vec![Finding::ok(CHECK, format!("{url} completes the WebSocket handshake"))];
    match connection.greeting() {
        Ok(PublicGreeting::Client(uuid)) => {
            all.push(passed_on(&uuid, connection.local_ip(), options));
        }
        Ok(PublicGreeting::UnknownPath) => {
            let what = "the server does not serve the path that reaches it";
            let cure = "remove the prefix in the proxy (nginx: proxy_pass with a final slash; HAProxy: \
                        http-request replace-path), or bind it with [resource /path]";
            all.push(Finding::bad(FindingLevel::Error, CHECK, what, cure));
            return all;
        }
        Ok(PublicGreeting::Other) => {}
        Err(error) => {
            all.push(held_back(&error));
            return all;
        }
    }
    match connection.round_trip() {
        Ok(time) if time < SLOW => {
            all.push(Finding::ok(CHECK, format!("a ping came back in {} ms", time.as_millis())));
        }
        Ok(time) => {
            let what = format!("a ping came back after {} ms", time.as_millis());
            let cure = "turn buffering off in the proxy (nginx: proxy_buffering off)";
            all.push(Finding::bad(FindingLevel::Warning, CHECK, what, cure));
        }
        Err(error) => {
            all.push(held_back(&error));
            return all;
        }
    }
    all.push(idle(connection, options.idle));
    all
}

/// The key of an application that admits clients without its secret, which does not belong in the logs of
/// proxies.
fn key_without_secret(config: &Config) -> Option<String> {
    let applications = config.applications.as_ref()?;
    let open = applications.list.iter().find(|application| application.authorize_open);
    open.map(|application| application.key.clone())
}

fn refused(error: &ClientError) -> Finding {
    let what = printable(&error.to_string());
    if matches!(error, ClientError::Tls(..) | ClientError::Trust(_)) {
        let cure = "clients need a certificate for this name that they trust, with its whole chain: certFile, or \
                    that of the proxy; --ca FILE trusts another authority here";
        return Finding::bad(FindingLevel::Error, CHECK, what, cure);
    }
    let (severity, cure) = match error.kind() {
        ClientErrorKind::NotPermitted => (
            FindingLevel::Warning,
            "the request arrives, but no client was admitted: check origins and applications; to test the \
             rest, give an application `authorizeOpen: true`",
        ),
        ClientErrorKind::Unavailable => (
            FindingLevel::Error,
            "check name, port and firewall, that the proxy runs, and that it reaches the server \
             (`tagcast health`)",
        ),
        _ => (
            FindingLevel::Error,
            "let the proxy pass on `Upgrade` and `Connection` with HTTP/1.1, for this path: \
             examples/deploy has the lines for nginx and HAProxy",
        ),
    };
    Finding::bad(severity, CHECK, what, cure)
}

fn held_back(error: &ClientError) -> Finding {
    let what = format!("nothing comes back after the handshake: {}", printable(&error.to_string()));
    let cure = "configure the proxy to pass bytes on at once, without buffering or inspection of WebSockets";
    Finding::bad(FindingLevel::Error, CHECK, what, cure)
}

/// Compares the address that the server sees with the one that this client has.
fn passed_on(uuid: &str, own: Option<IpAddr>, options: &PublicOptions<'_>) -> Finding {
    let Some(seen) = seen_address(uuid, options.ini) else {
        let what = "which address the server sees was not tested";
        let cure =
            "run doctor on the machine of the server, with -i and the right to read auth.yml";
        return Finding::bad(FindingLevel::Skipped, CHECK, what, cure);
    };
    let what = format!("the server sees this client as {seen}");
    let is_proxy = seen.is_loopback() && own.is_some_and(|own| !own.to_canonical().is_loopback());
    if is_proxy {
        let cure = "that is the proxy: name it in trustedProxies, and let it send X-Forwarded-For or the \
                    PROXY protocol; maxPerIP and allowedIP need the address of the client";
        return Finding::bad(FindingLevel::Warning, CHECK, what, cure);
    }
    Finding::ok(CHECK, what)
}

fn seen_address(uuid: &str, ini: Option<&Path>) -> Option<IpAddr> {
    let server = LocalServer::read(ini).ok()?;
    let credentials =
        server.any_secret().map(|(key, secret)| ApplicationKey::new(key, Some(secret)));
    let access = ClientCredentials { credentials, ca: None };
    let mut api = ApiClient::connect(&server.api_url().ok()?, &access).ok()?;
    let answer = api.send(&ApiRequest::for_client(Method::GET, uuid, "")).ok()?;
    answer.get("ip")?.as_str()?.parse().ok()
}

fn idle(mut connection: PublicConnection, time: Option<Duration>) -> Finding {
    let Some(time) = time else {
        let what = "time-outs of idle connections were not tested";
        let cure = "--idle 70s leaves a connection alone for that long";
        return Finding::bad(FindingLevel::Skipped, CHECK, what, cure);
    };
    match connection.stays_open(time) {
        Ok(()) => Finding::ok(
            CHECK,
            format!("a connection without messages stays open for {} s", time.as_secs()),
        ),
        Err(error) => {
            let what =
                format!("a connection without messages ended: {}", printable(&error.to_string()));
            let cure = "raise the time-out of the proxy well above pingInterval (nginx: \
                        proxy_read_timeout; HAProxy: timeout tunnel)";
            Finding::bad(FindingLevel::Error, CHECK, what, cure)
        }
    }
}
