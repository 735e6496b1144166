//! Web pages that may connect: compares the header `Origin` (RFC 6454 §7) with the operator's list.

use crate::types::{Origin, OriginPattern};

/// Origins that may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// True if there is a list.
    is_limited: bool,
    allowed: Vec<OriginPattern>,
}

impl Origins {
    /// Parses a list of origins. An empty list admits all origins. An invalid entry matches no
    /// origin.
    #[must_use]
    pub fn new(allowed: &[String]) -> Self {
        let patterns = allowed.iter().filter_map(|origin| OriginPattern::parse(origin).ok());
        Self { is_limited: !allowed.is_empty(), allowed: patterns.collect() }
    }

    /// Returns true if a page of this origin may connect. Admits requests without an origin, which
    /// are not from a browser, and the server's own origin. `null` needs an entry in the list.
    #[must_use]
    pub fn admit(&self, origin: Option<&str>, host: &str) -> bool {
        let Some(text) = origin.filter(|_| self.is_limited) else { return true };
        let origin = Origin::parse(text);
        origin.is_some_and(|origin| self.allowed.iter().any(|it| it.matches(&origin)))
            || is_same_origin(text, host)
    }
}

/// Returns true if host and port of the origin are those of the request. The scheme is not
/// compared, because a proxy may terminate TLS. A request without a host has no origin.
#[must_use]
pub fn is_same_origin(origin: &str, host: &str) -> bool {
    let Some((scheme, _)) = origin.split_once("://").filter(|_| !host.is_empty()) else {
        return false;
    };
    let (page, own) = (Origin::parse(origin), Origin::parse(&format!("{scheme}://{host}")));
    page.is_some_and(|page| page != Origin::Opaque && own == Some(page))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(allowed: &[&str], origin: Option<&str>) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|origin| (*origin).to_owned()).collect();
        Origins::new(&allowed).admit(origin, "127.0.0.1:8094")
    }

    #[test]
    fn listed_ones_pass_in_any_case_and_with_their_own_port() {
        let allowed = ["http://ok.example", "https://B.example:8443"];
        for origin in ["http://ok.example", "HTTP://OK.example", "http://ok.example:80"] {
            assert!(admits(&allowed, Some(origin)), "{origin}");
        }
        assert!(admits(&allowed, Some("https://b.example:8443")));
        for origin in ["http://evil.example", "https://ok.example", "http://ok.example:81", "null"]
        {
            assert!(!admits(&allowed, Some(origin)), "{origin}");
        }
    }

    #[test]
    fn the_own_origin_and_no_origin_pass_and_null_only_when_listed() {
        assert!(admits(&["http://a"], Some("http://127.0.0.1:8094")));
        assert!(admits(&["http://a"], None));
        assert!(!admits(&["http://a"], Some("http://127.0.0.1")));
        assert!(admits(&["null"], Some("null")) && admits(&[], Some("http://evil.example")));
        assert!(is_same_origin("https://h", "h:443") && is_same_origin("http://h:80", "H"));
        assert!(is_same_origin("http://[::1]:8094", "[0::1]:8094"));
        for other in ["http://\u{FFFD}", "null", "file://", "http://h/", "h"] {
            let host = other.trim_start_matches("http://");
            assert!(!is_same_origin(other, host) || other == "file://", "{other}");
        }
        assert!(!is_same_origin("http://", "") && !is_same_origin("(http://", ""));
        let broken = ["rubbish".to_owned()];
        assert!(!Origins::new(&broken).admit(Some("http://evil.example"), "h"));
    }
}
