//! Listening addresses: `[scheme://]host[:port]`, as in phpWebSocketServer.

use super::diagnostic::{Problem, visible};
use super::parse;
use super::schema::nearest_of;
use super::unix_address;
use crate::types::Encryption;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// Default ports for addresses with a scheme and without a port.
const PLAIN_PORT: u16 = 80;
const TLS_PORT: u16 = 443;
/// Known schemes. phpWebSocketServer treats every unknown scheme as unencrypted, even a misspelled
/// `wss`. If a misspelled scheme is equally similar to two of them, the first is suggested, so that
/// a typo does not turn TLS off.
const SCHEMES: [&str; 4] = ["wss", "ssl", "ws", "tcp"];
/// Schemes of other protocols and the corresponding known schemes.
const OTHER_SCHEMES: [(&str, &str); 3] = [("http", "ws"), ("https", "wss"), ("tls", "wss")];

/// A listening address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenAddress {
    /// Address as it was written.
    pub text: String,
    /// Host name or IP address; IPv6 without brackets.
    pub host: String,
    /// Port; 0 lets the system choose one.
    pub port: u16,
    /// Whether it uses TLS.
    pub encryption: Encryption,
}

impl ListenAddress {
    /// Parses one address.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let encryption = scheme.map_or(Ok(Encryption::Plain), encryption)?;
        if rest.contains(['/', '?', '#']) {
            let what = "has a path, which a listening address cannot have";
            return Err(Problem::new(what, "use `ws://host:port`"));
        }
        let (host, port) = split(rest)?;
        let port = match (port, scheme) {
            (Some(port), _) => read_port(port)?,
            (None, Some(_)) if encryption == Encryption::Tls => TLS_PORT,
            (None, Some(_)) => PLAIN_PORT,
            (None, None) => return Err(Problem::new("has no port", "use `ws://host:port`")),
        };
        Ok(Self { text: text.to_owned(), host: read_host(host)?, port, encryption })
    }

    /// Returns all socket addresses of the host. Blocks if a name must be looked up.
    ///
    /// phpWebSocketServer listened only on the first address of `localhost` and was unreachable at
    /// the others.
    ///
    /// # Errors
    ///
    /// If the name is unknown or has no address.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let mut all: Vec<SocketAddr> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        all.sort_unstable();
        all.dedup();
        if all.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(all)
    }

    /// Checks that the address is reachable from this machine only. `why` explains the restriction
    /// in the error.
    pub(crate) fn check_loopback(&self, why: &str, right: &str) -> Result<(), Problem> {
        let unknown = |error| Problem::new(format!("cannot be resolved: {error}"), HERE);
        let all = self.resolve().map_err(unknown)?;
        let Some(outside) = all.iter().find(|address| !is_loopback(address.ip())) else {
            return Ok(());
        };
        let what = format!("is {}, which others can reach, but {why}", outside.ip());
        Err(Problem::new(what, right))
    }
}

const HERE: &str = "use `ws://127.0.0.1:port` or `ws://localhost:port`";

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Parses the list of listening addresses. Those that are paths of Unix sockets are left to
/// [`unix_address::paths`].
///
/// # Errors
///
/// Names the first item that is invalid or a duplicate.
pub(crate) fn addresses(text: &str) -> Result<Vec<ListenAddress>, Problem> {
    let mut all: Vec<ListenAddress> = Vec::new();
    let mut has_path = false;
    for (number, item) in (1..).zip(parse::list(text)) {
        if unix_address::is_path(item) {
            has_path = true;
            continue;
        }
        let at =
            |fault: Problem| Problem { what: format!("(item {number}) {}", fault.what), ..fault };
        let address = ListenAddress::parse(item).map_err(at)?;
        let same =
            |other: &ListenAddress| (&other.host, other.port) == (&address.host, address.port);
        if address.port != 0 && all.iter().any(same) {
            return Err(at(Problem::new("is in the list already", "name each address once")));
        }
        all.push(address);
    }
    if all.is_empty() && !has_path {
        return Err(Problem::new("is not an address", "use `ws://127.0.0.1:8094`"));
    }
    Ok(all)
}

fn encryption(scheme: &str) -> Result<Encryption, Problem> {
    let lower = scheme.to_ascii_lowercase();
    match lower.as_str() {
        "wss" | "ssl" => return Ok(Encryption::Tls),
        "ws" | "tcp" => return Ok(Encryption::Plain),
        _ => {}
    }
    let other = OTHER_SCHEMES.iter().find(|(other, _)| *other == lower).map(|(_, meant)| *meant);
    let right = match other.or_else(|| nearest_of(&lower, &SCHEMES)) {
        Some(meant) => format!("did you mean `{meant}://`?"),
        None => "use `ws://host:port`, or `wss://host:port` for TLS".to_owned(),
    };
    Err(Problem::new(format!("has the unknown scheme `{}`", visible(scheme)), right))
}

/// Splits host and port. An IPv6 address is in brackets, which are kept.
fn split(rest: &str) -> Result<(&str, Option<&str>), Problem> {
    let Some((host, behind)) = rest.rsplit_once(']') else {
        return match rest.split_once(':') {
            Some((_, port)) if port.contains(':') => Err(Problem::new(
                "has more than one colon",
                "write IPv6 in brackets: `ws://[::1]:8094`",
            )),
            Some((host, port)) => Ok((host, Some(port))),
            None => Ok((rest, None)),
        };
    };
    match behind.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if behind.is_empty() => Ok((host, None)),
        None => Err(Problem::new("has text after the bracket", "use `ws://[::1]:8094`")),
    }
}

fn read_port(text: &str) -> Result<u16, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits);
    port.ok_or_else(|| Problem::new("has an invalid port", "use 0 to 65535"))
}

fn read_host(text: &str) -> Result<String, Problem> {
    if let Some(address) = text.strip_prefix('[') {
        let fault =
            |_| Problem::new("has no IPv6 address in its brackets", "use `ws://[::1]:8094`");
        return address.parse().map(|address: Ipv6Addr| address.to_string()).map_err(fault);
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if text.is_empty() || !text.bytes().all(known) {
        return Err(Problem::new("has no host name or IP address", "use `ws://127.0.0.1:8094`"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_have_hosts_and_ports() {
        for (text, host, port) in [
            ("ws://localhost:8096", "localhost", 8096),
            ("tcp://127.0.0.1", "127.0.0.1", 80),
            ("TCP://h", "h", 80),
            ("localhost:8096", "localhost", 8096),
            ("ws://[::1]:8096", "::1", 8096),
            ("ws://[::1]", "::1", 80),
            ("[0:0::1]:0", "::1", 0),
        ] {
            let address = ListenAddress::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
        }
    }

    #[test]
    fn the_scheme_decides_about_tls_and_the_default_port() {
        for (text, port, encryption) in [
            ("wss://localhost", 443, Encryption::Tls),
            ("SSL://localhost:1", 1, Encryption::Tls),
            ("WSS://h", 443, Encryption::Tls),
            ("tcp://h", 80, Encryption::Plain),
            ("localhost:443", 443, Encryption::Plain),
        ] {
            let address = ListenAddress::parse(text).unwrap();
            assert_eq!((address.port, address.encryption), (port, encryption), "{text}");
        }
    }

    #[test]
    fn an_invalid_address_is_refused_with_the_reason() {
        for (text, words) in [
            ("localhost", "no port"),
            ("[::1]", "no port"),
            ("ws://localhost:80/web", "a path"),
            ("ws://localhost/", "a path"),
            ("unx:///run/x", "unknown scheme"),
            ("ws://::1:80", "more than one colon"),
            ("ws://[::1]80", "after the bracket"),
            ("ws://[::g]:80", "no IPv6"),
            ("ws://]:80", "no host name"),
            ("ws://:80", "no host name"),
            ("ws://", "no host name"),
            ("ws://*:80", "no host name"),
            ("ws://localhost:", "invalid port"),
            ("ws://localhost:65536", "invalid port"),
            ("ws://localhost:+80", "invalid port"),
            ("://localhost:1", "unknown scheme"),
        ] {
            let fault = ListenAddress::parse(text).unwrap_err();
            assert!(fault.what.contains(words), "{text}: {fault:?}");
        }
    }

    #[test]
    fn a_scheme_that_is_not_known_is_refused_with_the_one_that_was_meant() {
        for (scheme, meant) in [
            ("wws", "wss"),
            ("wsss", "wss"),
            ("was", "wss"),
            ("WSSS", "wss"),
            ("sll", "ssl"),
            ("tls", "wss"),
            ("https", "wss"),
            ("http", "ws"),
            ("w", "ws"),
            ("tpc", "tcp"),
        ] {
            let fault = ListenAddress::parse(&format!("{scheme}://0.0.0.0:443")).unwrap_err();
            assert_eq!(fault.what, format!("has the unknown scheme `{scheme}`"));
            assert_eq!(fault.right, format!("did you mean `{meant}://`?"), "{scheme}");
        }
        let fault = ListenAddress::parse("anything://h").unwrap_err();
        assert_eq!(fault.right, "use `ws://host:port`, or `wss://host:port` for TLS");
    }

    #[test]
    fn a_list_names_each_address_once() {
        assert_eq!(addresses("ws://a:1, ws://a:2 ,ws://b:1").unwrap().len(), 3);
        assert_eq!(addresses("ws://a:0,ws://a:0").unwrap().len(), 2);
        assert!(addresses("ws://a:1,tcp://a:1").unwrap_err().what.contains("(item 2)"));
        assert!(addresses(" , ").is_err());
        assert_eq!(addresses("ws://a:1, unix:/run/x").unwrap().len(), 1);
        assert_eq!(addresses("unix:/run/x"), Ok(Vec::new()));
        assert!(addresses("unix:/run/x, a").unwrap_err().what.contains("(item 2)"));
    }

    #[test]
    fn only_loopback_is_loopback() {
        for text in ["ws://127.0.0.1:1", "ws://127.8.9.1:1", "ws://[::1]:1", "ws://localhost:1"] {
            ListenAddress::parse(text).unwrap().check_loopback("", "").unwrap();
        }
        for text in ["ws://0.0.0.0:1", "ws://[::]:1", "ws://192.0.2.1:1", "ws://[2001:db8::1]:1"] {
            let fault =
                ListenAddress::parse(text).unwrap().check_loopback("it is open", "").unwrap_err();
            assert!(fault.what.contains("but it is open"), "{text}: {fault:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s)(ws|://|[\\[\\]:/.,0-9a]|.){0,30}") {
            drop(addresses(&text));
        }
    }
}
