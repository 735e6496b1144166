//! Which web pages may connect: the header `Origin` (RFC 6454 §7) against the list of the operator.

/// The origins that may connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<String>);

impl Origins {
    /// A list as it was written; an empty one lets every origin in.
    #[must_use]
    pub fn new(allowed: &[String]) -> Self {
        Self(allowed.iter().map(|origin| normal(origin)).collect())
    }

    /// Whether a page of this origin may connect. No origin is no browser, and passes; so does the
    /// origin of the server itself. `null` passes only where it is listed.
    #[must_use]
    pub fn admit(&self, origin: Option<&str>, host: &str) -> bool {
        let Some(origin) = origin else { return true };
        self.0.is_empty() || self.0.contains(&normal(origin)) || is_same_origin(origin, host)
    }
}

/// Whether an origin is where the request went to, as far as host and port say; the scheme cannot
/// be compared, since a proxy may speak TLS for us.
#[must_use]
pub fn is_same_origin(origin: &str, host: &str) -> bool {
    if origin.contains(char::REPLACEMENT_CHARACTER) {
        // Different bytes read as the same character.
        return false;
    }
    let origin = normal(origin);
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    authority == without_port(scheme, &host.to_ascii_lowercase())
}

/// In lower case, and without the port that the scheme has anyway.
fn normal(origin: &str) -> String {
    let origin = origin.trim().to_ascii_lowercase();
    match origin.split_once("://") {
        Some((scheme, authority)) => format!("{scheme}://{}", without_port(scheme, authority)),
        None => origin,
    }
}

fn without_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = if scheme == "https" || scheme == "wss" { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
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
    }
}
