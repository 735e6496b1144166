//! The console: a page for operators, on the API's own addresses. It has no rights of its own; what it
//! shows comes from the operator API.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use sha2::{Digest, Sha256};

use super::config::ApiConfig;
use super::connection::registry::ConnectionOrigin;
use super::error::ApiError;
use super::parameters::Parameters;
use super::response::ApiAnswer;
use super::route;

/// Path of the page.
pub(super) const PATH: &str = "/console";

const HTML: &str = include_str!("console.html");
const STYLE: &str = include_str!("console.css");
const SCRIPT: &str =
    concat!(include_str!("base.js"), include_str!("screens.js"), include_str!("session.js"));

/// The page with its style and script.
static PAGE: LazyLock<String> =
    LazyLock::new(|| HTML.replacen("{{style}}", STYLE, 1).replacen("{{script}}", SCRIPT, 1));

/// Content-Security-Policy of the page: its own script and style, requests to this server, and no
/// framing by other sites.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let [style, script] =
        [STYLE, SCRIPT].map(|text| STANDARD.encode(Sha256::digest(text.as_bytes())));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// Answers a request for the page.
///
/// # Errors
///
/// 404 where it is not served; for a wrong method or a parameter.
pub(super) fn answer(
    config: &ApiConfig,
    origin: ConnectionOrigin,
    method: &Method,
    query: Option<&str>,
) -> Result<ApiAnswer, ApiError> {
    if !config.operators.serves_console() || origin != ConnectionOrigin::Own {
        return Err(route::not_found());
    }
    if let Some(methods) = route::check_read(method)? {
        return Ok(methods);
    }
    Parameters::read(query, &[])?;
    Ok(ApiAnswer::page(PAGE.clone(), &POLICY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_script_and_one_style_and_loads_nothing() {
        for element in ["<script>", "<style>"] {
            assert_eq!(PAGE.matches(element).count(), 1, "{element}");
        }
        for outside in ["src=", "@import", "url(", "http://", "https://", "innerHTML", "eval("] {
            assert!(!PAGE.replace("http://www.w3.org/2000/svg", "").contains(outside), "{outside}");
        }
        assert!(!PAGE.contains("{{") && !PAGE.contains(" style=\""));
        assert!(!POLICY.contains("unsafe") && POLICY.is_ascii());
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"));
    }
}
