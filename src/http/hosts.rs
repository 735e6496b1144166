//! Hosts whose pages may connect, as bloatless/php-websocket compares them.

/// The hosts whose pages may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// A list as it was written: `foo.org`, or with what does not count.
    #[must_use]
    pub fn new(allowed: &[String]) -> Self {
        Self(allowed.iter().map(|host| bare(host)).collect())
    }

    /// Whether a page of this origin may connect. A request without an origin may not.
    #[must_use]
    pub fn admit(&self, origin: Option<&str>) -> bool {
        origin.is_some_and(|origin| self.0.contains(&bare(origin)))
    }
}

/// Without scheme, `www.`, and whatever follows the first slash. The port belongs to the name.
fn bare(origin: &str) -> String {
    let origin = origin.trim().to_ascii_lowercase();
    let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let host = host.unwrap_or(&origin);
    let host = host.strip_prefix("www.").unwrap_or(host);
    host.split('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_www_do_not_count_and_the_port_does() {
        for written in ["foo.lh", "http://www.foo.lh/path", "https://foo.lh", "FOO.lh"] {
            let hosts = Hosts::new(&[written.to_owned()]);
            for origin in ["http://foo.lh", "https://foo.lh", "http://www.foo.lh/", "foo.lh"] {
                assert!(hosts.admit(Some(origin)), "{written} {origin}");
            }
            for origin in ["http://foo.lh:8080", "http://evil.lh", "http://x.foo.lh", "", "null"] {
                assert!(!hosts.admit(Some(origin)), "{written} {origin}");
            }
            assert!(!hosts.admit(None));
        }
    }
}
