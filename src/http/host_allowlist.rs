//! Hosts whose pages may connect, compared by the rules of bloatless/php-websocket.

use crate::types::{HostPattern, canonical_host};

/// Hosts whose pages may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostAllowlist(Vec<(HostPattern, Option<String>)>);

impl HostAllowlist {
    /// Parses a list of hosts such as `foo.org`. Scheme, `www.` and path are ignored. A label or
    /// the port may be `*`.
    #[must_use]
    pub fn new(allowed: &[String]) -> Self {
        let entry = |text: &String| {
            let (host, port) = bare(text);
            Some((HostPattern::parse(&host).ok()?, port))
        };
        Self(allowed.iter().filter_map(entry).collect())
    }

    /// Returns true if a page of this origin may connect. A request without an origin may not.
    #[must_use]
    pub fn admit(&self, origin: Option<&str>) -> bool {
        let Some((host, port)) = origin.map(bare) else { return false };
        let Some(host) = canonical_host(&host) else { return false };
        let is_port = |wanted: &Option<String>| wanted.as_deref() == Some("*") || *wanted == port;
        self.0.iter().any(|(allowed, wanted)| allowed.matches(&host) && is_port(wanted))
    }
}

/// Strips scheme, `www.` and everything from the first slash. Returns the host and its port.
fn bare(origin: &str) -> (String, Option<String>) {
    let origin = origin.trim().to_lowercase();
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let host = host.unwrap_or(&origin);
    let host = host.strip_prefix("www.").unwrap_or(host);
    let host = host.split('/').next().unwrap_or_default();
    match host.rsplit_once(':').filter(|(name, _)| !name.starts_with('[') || name.ends_with(']')) {
        Some((name, port)) => (name.to_owned(), Some(port.to_owned())),
        None => (host.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_www_do_not_count_and_the_port_does() {
        for written in ["foo.lh", "http://www.foo.lh/path", "https://foo.lh", "FOO.lh"] {
            let hosts = HostAllowlist::new(&[written.to_owned()]);
            for origin in ["http://foo.lh", "https://foo.lh", "http://www.foo.lh/", "foo.lh"] {
                assert!(hosts.admit(Some(origin)), "{written} {origin}");
            }
            for origin in ["http://foo.lh:8080", "http://evil.lh", "http://x.foo.lh", "", "null"] {
                assert!(!hosts.admit(Some(origin)), "{written} {origin}");
            }
            assert!(!hosts.admit(None));
        }
    }

    #[test]
    fn labels_and_ports_may_be_wildcards_and_names_go_beyond_ascii() {
        let hosts = ["*.foo.lh", "localhost:*", "m\u{fc}nchen.de", "[::1]:81"].map(str::to_owned);
        let hosts = HostAllowlist::new(&hosts);
        for origin in [
            "http://a.foo.lh",
            "http://localhost",
            "http://localhost:81",
            "https://xn--mnchen-3ya.de",
            "http://[::1]:81",
        ] {
            assert!(hosts.admit(Some(origin)), "{origin}");
        }
        for origin in ["http://foo.lh", "http://a.b.foo.lh", "http://munchen.de", "http://[::1]"] {
            assert!(!hosts.admit(Some(origin)), "{origin}");
        }
    }
}
