//! The page that a plain GET of `/` returns, and the documents that it links to. All of it is part
//! of the binary.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The page as a template for [`html`].
const HTML: &str = include_str!("index.html");
/// Placeholder for the name of the program, including its quotes as an attribute.
const PROGRAM: &str = "{{program}}";
/// Placeholder for the name of the host, if it is one of several.
const HOST: &str = "{{host}}";
/// Default name of the program.
pub const PROGRAM_NAME: &str = "tagcast";

/// Documents by path.
const DOCUMENTS: [(&str, &str); 12] = [
    ("/README.md", include_str!("../../README.md")),
    ("/SECURITY.md", include_str!("../../SECURITY.md")),
    ("/docs/answers.md", include_str!("../../docs/answers.md")),
    ("/docs/architecture.md", include_str!("../../docs/architecture.md")),
    ("/docs/concepts.md", include_str!("../../docs/concepts.md")),
    ("/docs/configuration.md", include_str!("../../docs/configuration.md")),
    ("/docs/errors.md", include_str!("../../docs/errors.md")),
    ("/docs/limits.md", include_str!("../../docs/limits.md")),
    ("/docs/operations.md", include_str!("../../docs/operations.md")),
    ("/docs/promises.md", include_str!("../../docs/promises.md")),
    ("/docs/protocol.md", include_str!("../../docs/protocol.md")),
    ("/docs/scaling.md", include_str!("../../docs/scaling.md")),
];

/// Returns the page with this name of the program in its commands, and with the name of the host, which is empty if
/// the host runs alone.
#[must_use]
pub fn html(program: &str, host: &str) -> String {
    HTML.replacen(HOST, &escaped(host), 1).replacen(PROGRAM, &escaped(program), 1)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

/// Returns the document at this path.
#[must_use]
pub fn document(path: &str) -> Option<&'static str> {
    DOCUMENTS.iter().find(|(known, _)| *known == path).map(|(_, text)| *text)
}

/// Returns the headers of the page. Their policy allows only the page's own script, no other
/// sources and no framing by other sites. The WebSocket connects to the origin of the page, which
/// needs a rule of its own because not every browser accepts `'self'` for WebSockets.
#[must_use]
pub fn headers() -> &'static str {
    static HEADERS: LazyLock<String> = LazyLock::new(|| {
        let (script, style) = (hash_of("script"), hash_of("style"));
        format!(
            "Content-Security-Policy: default-src 'none'; script-src {script}; style-src {style}; \
             connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'\r\n\
             X-Frame-Options: DENY\r\n\
             Referrer-Policy: no-referrer\r\n"
        )
    });
    &HEADERS
}

/// Returns the hash of the content of the only element with this name, as a source expression of
/// the policy.
fn hash_of(element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let inside = HTML.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    let text = inside.map_or("", |(inside, _)| inside);
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_cannot_leave_its_attribute() {
        let page = html("/opt/a\"><script>alert(1)</script>&/tagcast", "<b>");
        let named = "data-program=\"/opt/a&quot;>&lt;script>alert(1)&lt;/script>&amp;/tagcast\"";
        assert!(page.contains(named), "{}", &page[..200]);
        assert!(!page.contains(PROGRAM) && page.contains("<span id=\"host\">&lt;b></span>"));
    }

    #[test]
    fn the_policy_names_the_one_script_and_the_one_style_that_are_there() {
        for element in ["script", "style"] {
            assert_eq!(HTML.matches(&format!("<{element}")).count(), 1);
            assert!(headers().contains(&hash_of(element)), "{}", headers());
        }
        assert!(!headers().contains("unsafe") && !HTML.contains(" style=\""));
        assert!(headers().lines().all(|line| !line.is_empty()));
    }

    #[test]
    fn every_link_of_the_page_leads_to_a_document_and_nowhere_else() {
        let links: Vec<_> =
            HTML.split("href=\"").skip(1).filter_map(|it| it.split('"').next()).collect();
        assert!(links.len() > 3);
        for link in links.iter().filter(|link| !link.starts_with("data:")) {
            assert!(document(&format!("/{link}")).is_some(), "{link}");
        }
        assert!(!HTML.contains("src=") && !HTML.contains("@import"));
    }
}
