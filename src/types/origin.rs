//! Origins of web pages (RFC 6454) and the entries of `allowedOrigins`. In an entry, a label and
//! the port may be `*`. International names are compared in the form that browsers send.

use core::net::{Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;

/// Maximum bytes of a DNS name and of one of its labels (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// The origin of a page in its normalized form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `null`: a sandboxed frame, a file or a `data:` URL.
    Opaque,
    /// Scheme, host and port of a page.
    Of {
        /// Scheme in lower case.
        scheme: String,
        /// Host as browsers send it: in lower case ASCII. Empty for `file`.
        host: String,
        /// Port, if it is not the default of the scheme.
        port: Option<u16>,
    },
}

/// An entry of `allowedOrigins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern(OriginForm);

#[derive(Clone, Debug, PartialEq, Eq)]
enum OriginForm {
    Opaque,
    Of { scheme: String, host: HostPattern, port: PortPattern },
}

/// A host in which some labels may be `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(String);

/// The port of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortPattern {
    Any,
    Is(Option<u16>),
}

/// The reason why an entry cannot match the origin of any page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoOrigin {
    /// The entry has no `://`.
    NoScheme,
    /// The scheme is `ws` or `wss`, which a page connects to but does not come from.
    SocketScheme,
    /// The scheme has invalid characters or is a wildcard.
    BadScheme,
    /// The entry has a path, a query or another part after host and port.
    Tail,
    /// The host is missing, or the scheme does not allow one.
    NoHost,
    /// The host is neither a name nor an address.
    BadHost,
    /// `*` replaces only a part of a label, or the last label.
    BadWildcard,
    /// The port is neither 1 to 65535 nor `*`.
    BadPort,
}

impl NoOrigin {
    /// Returns the error text that follows the entry in a sentence.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoScheme => "has no scheme",
            Self::SocketScheme => "has the scheme of a connection; pages come from http or https",
            Self::BadScheme => "has a scheme that no page has",
            Self::Tail => "has more than a scheme, a host and a port",
            Self::NoHost => "has no host, or one that no page has",
            Self::BadHost => "has a host that no page can come from",
            Self::BadWildcard => "has a `*` that is not one whole label in front of the last one",
            Self::BadPort => "has a port that is not 1 to 65535 or `*`",
        }
    }
}

impl Origin {
    /// Parses the header `Origin`. Returns None for a value that no browser sends.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("null") {
            return Some(Self::Opaque);
        }
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = parts(rest).ok()?;
        let port = match port {
            Some(port) => Some(number(port)?),
            None => None,
        };
        let host = if scheme == "file" && host == "/" { "" } else { host };
        let host = canonical(host, &scheme)?;
        Some(Self::Of { port: not_usual(port, &scheme), scheme, host })
    }
}

impl OriginPattern {
    /// Parses `https://example.org`, `https://*.example.org`, `http://localhost:*`, `file://` or
    /// `null`.
    ///
    /// # Errors
    ///
    /// The reason why no page can have this origin.
    pub fn parse(text: &str) -> Result<Self, NoOrigin> {
        if text.eq_ignore_ascii_case("null") {
            return Ok(Self(OriginForm::Opaque));
        }
        let (scheme, rest) = text.split_once("://").ok_or(NoOrigin::NoScheme)?;
        let scheme = scheme.to_ascii_lowercase();
        check_scheme(&scheme)?;
        if scheme == "file" {
            let host = HostPattern(String::new());
            let is_bare = matches!(rest, "" | "/");
            let port = PortPattern::Is(None);
            return if is_bare {
                Ok(Self(OriginForm::Of { scheme, host, port }))
            } else {
                Err(NoOrigin::NoHost)
            };
        }
        let (host, port) = parts(rest)?;
        let port = match port {
            Some("*") => PortPattern::Any,
            Some(port) => {
                let port = number(port).filter(|port| *port > 0);
                PortPattern::Is(not_usual(Some(port.ok_or(NoOrigin::BadPort)?), &scheme))
            }
            None => PortPattern::Is(None),
        };
        let host = HostPattern::of_scheme(host, &scheme)?;
        Ok(Self(OriginForm::Of { scheme, host, port }))
    }

    /// Returns true if the entry matches this origin.
    #[must_use]
    pub fn matches(&self, origin: &Origin) -> bool {
        match (&self.0, origin) {
            (OriginForm::Opaque, Origin::Opaque) => true,
            (
                OriginForm::Of { scheme, host, port },
                Origin::Of { scheme: its, host: name, port: at },
            ) => {
                scheme == its
                    && host.matches(name)
                    && (*port == PortPattern::Any || *port == PortPattern::Is(*at))
            }
            _ => false,
        }
    }
}

impl HostPattern {
    /// Parses `example.org`, `*.example.org` or `[::1]`.
    ///
    /// # Errors
    ///
    /// The reason why no page can come from this host.
    pub fn parse(text: &str) -> Result<Self, NoOrigin> {
        Self::of_scheme(text, "https")
    }

    fn of_scheme(text: &str, scheme: &str) -> Result<Self, NoOrigin> {
        if text.is_empty() {
            return Err(NoOrigin::NoHost);
        }
        let host = canonical(text, scheme).ok_or(NoOrigin::BadHost)?;
        if host.starts_with('[') || !host.contains('*') {
            return Ok(Self(host));
        }
        let is_bad = |label: &str| label.contains('*') && label != "*";
        let last = host.trim_end_matches('.').rsplit('.').next();
        match last == Some("*") || host.split('.').any(is_bad) {
            true => Err(NoOrigin::BadWildcard),
            false => Ok(Self(host)),
        }
    }

    /// Returns true if the pattern matches this host, which must be in the form that browsers send.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        if !self.0.contains('*') {
            return self.0 == host;
        }
        let mut labels = host.split('.');
        let mut wanted = self.0.split('.');
        loop {
            match (wanted.next(), labels.next()) {
                (None, None) => return true,
                (Some("*"), Some(label)) if !label.is_empty() => {}
                (Some(wanted), Some(label)) if wanted == label => {}
                _ => return false,
            }
        }
    }
}

/// Returns a host in the form that browsers send: lower case, with international names in Punycode
/// (UTS #46).
#[must_use]
pub fn canonical_host(host: &str) -> Option<String> {
    canonical(host, "https")
}

fn canonical(host: &str, scheme: &str) -> Option<String> {
    if let Some(literal) = host.strip_prefix('[') {
        let ip = literal.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?;
        return Some(format!("[{ip}]"));
    }
    if !matches!(scheme, "http" | "https" | "ws" | "wss") {
        // Hosts of browser extensions and apps are only converted to lower case.
        return host.is_ascii().then(|| host.to_ascii_lowercase());
    }
    let host = idna::domain_to_ascii_cow(host.as_bytes(), AsciiDenyList::URL).ok()?;
    let name = host.strip_suffix('.').unwrap_or(&host);
    let is_label = |label: &str| (1..=LABEL_BYTES_MAX).contains(&label.len());
    let is_name = name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label);
    // Browsers interpret a host that ends in a number as an address.
    let ends_in_digits = name.rsplit('.').next()?.bytes().all(|byte| byte.is_ascii_digit());
    let is_address = !ends_in_digits || name.contains('*') || name.parse::<Ipv4Addr>().is_ok();
    (is_name && is_address).then(|| host.into_owned())
}

/// Splits the text after the scheme into host and port.
fn parts(rest: &str) -> Result<(&str, Option<&str>), NoOrigin> {
    if rest == "/" {
        return Ok((rest, None));
    }
    if rest.contains(['/', '?', '#', '@', '\\', ' ']) {
        return Err(NoOrigin::Tail);
    }
    let after_literal = rest.rfind(']').map_or(0, |end| end + 1);
    match rest.get(after_literal..).and_then(|tail| tail.rfind(':')) {
        Some(colon) => {
            let (host, port) = rest.split_at_checked(after_literal + colon).unwrap_or((rest, ""));
            Ok((host, Some(port.get(1..).unwrap_or_default())))
        }
        None => Ok((rest, None)),
    }
}

fn check_scheme(scheme: &str) -> Result<(), NoOrigin> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    match scheme {
        "ws" | "wss" => Err(NoOrigin::SocketScheme),
        _ if scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.bytes().all(is_letter) =>
        {
            Ok(())
        }
        _ => Err(NoOrigin::BadScheme),
    }
}

/// Parses a port that consists of digits only, without a sign.
fn number(port: &str) -> Option<u16> {
    port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()))
}

fn not_usual(port: Option<u16>, scheme: &str) -> Option<u16> {
    let usual = if matches!(scheme, "https" | "wss") { 443 } else { 80 };
    port.filter(|port| *port != usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(pattern: &str, origin: &str) -> bool {
        let pattern = OriginPattern::parse(pattern).unwrap();
        Origin::parse(origin).is_some_and(|origin| pattern.matches(&origin))
    }

    #[test]
    fn a_wildcard_is_one_whole_label_or_any_port() {
        let one_label = "https://*.example.org";
        assert!(admits(one_label, "https://a.example.org"));
        assert!(admits(one_label, "HTTPS://A-b.Example.org:443"));
        for other in [
            "https://example.org",
            "https://a.b.example.org",
            "https://.example.org",
            "http://a.example.org",
            "https://a.example.org:8443",
            "https://a.example.org.evil.net",
            "https://aexample.org",
            "https://evil.net/.example.org",
            "https://evil.net#.example.org",
            "https://a@b.example.org",
            "null",
        ] {
            assert!(!admits(one_label, other), "{other}");
        }
        let any_port = "http://localhost:*";
        for origin in ["http://localhost", "http://localhost:80", "http://LOCALHOST:3000"] {
            assert!(admits(any_port, origin), "{origin}");
        }
        for other in
            ["https://localhost:3000", "http://localhost:x", "http://localhost:", "http://h:1"]
        {
            assert!(!admits(any_port, other), "{other}");
        }
        assert!(admits("https://*.*.example.org:*", "https://a.b.example.org:1"));
        assert!(!admits("https://*.*.example.org:*", "https://b.example.org:1"));
    }

    #[test]
    fn names_are_compared_as_browsers_send_them() {
        for (pattern, origin) in [
            ("https://m\u{fc}nchen.de", "https://xn--mnchen-3ya.de"),
            ("https://mu\u{308}nchen.de", "https://xn--mnchen-3ya.de"),
            ("https://M\u{dc}NCHEN.de:443", "https://xn--mnchen-3ya.de"),
            ("https://xn--mnchen-3ya.de", "https://m\u{fc}nchen.de"),
            ("https://*.\u{65e5}\u{672c}.jp", "https://a.xn--wgv71a.jp"),
            ("https://a_b.example.", "https://a_b.example."),
            ("http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]:8080"),
            ("http://127.0.0.1:*", "http://127.0.0.1:5"),
            ("chrome-extension://abcdef", "chrome-extension://abcdef"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("file://", "file://"),
            ("file:///", "file://"),
            ("NULL", "null"),
        ] {
            assert!(admits(pattern, origin), "{pattern} {origin}");
        }
        assert!(!admits("file://", "null") && !admits("null", "file://"));
        assert!(!admits("https://m\u{fc}nchen.de", "https://munchen.de"));
    }

    #[test]
    fn what_no_page_can_have_is_named() {
        for (text, why) in [
            ("example.org", NoOrigin::NoScheme),
            ("*", NoOrigin::NoScheme),
            ("wss://example.org", NoOrigin::SocketScheme),
            ("WS://example.org", NoOrigin::SocketScheme),
            ("*://example.org", NoOrigin::BadScheme),
            ("://example.org", NoOrigin::BadScheme),
            ("https://example.org/", NoOrigin::Tail),
            ("https://example.org/path", NoOrigin::Tail),
            ("https://user@example.org", NoOrigin::Tail),
            ("https://example.org?x", NoOrigin::Tail),
            ("https://", NoOrigin::NoHost),
            ("https://:443", NoOrigin::NoHost),
            ("file://host", NoOrigin::NoHost),
            ("https://*", NoOrigin::BadWildcard),
            ("https://example.*", NoOrigin::BadWildcard),
            ("https://a*.example.org", NoOrigin::BadWildcard),
            ("https://**.example.org", NoOrigin::BadWildcard),
            ("https://a..b", NoOrigin::BadHost),
            ("https://ex%61mple.org", NoOrigin::BadHost),
            ("https://xn--a", NoOrigin::BadHost),
            ("https://[::1", NoOrigin::BadHost),
            ("https://127.1", NoOrigin::BadHost),
            ("https://1.2.3.999", NoOrigin::BadHost),
            ("https://example.org:", NoOrigin::BadPort),
            ("https://example.org:0", NoOrigin::BadPort),
            ("https://example.org:+80", NoOrigin::BadPort),
            ("https://example.org:65536", NoOrigin::BadPort),
            ("https://example.org:8*", NoOrigin::BadPort),
        ] {
            assert_eq!(OriginPattern::parse(text), Err(why), "{text}");
        }
        assert_eq!(
            OriginPattern::parse(&format!("https://{}.de", "a".repeat(64))),
            Err(NoOrigin::BadHost)
        );
    }
}
