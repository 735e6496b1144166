//! Which endpoint a path names, and which methods it has.

use std::borrow::Cow;

use hyper::Method;

use super::error::{ApiError, ErrorCode};

/// An endpoint, without the application and UUID of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `GET /v1/info`
    Info,
    /// `GET /v1/openapi.json`
    OpenApi,
    /// `POST /v1/apps/{app}/publish`
    Publish,
    /// `POST /v1/apps/{app}/publish:batch`
    Batch,
    /// `POST /v1/apps/{app}/connections/{uuid}/feedback`
    Feedback,
    /// `POST /v1/apps/{app}/connections/{uuid}/ask`
    Ask,
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiRoute<'a> {
    /// The endpoint.
    pub(super) endpoint: Endpoint,
    /// The application, decoded; empty where the endpoint is not one of an application.
    pub(super) application: Cow<'a, str>,
    /// The decoded UUID of a client. It is empty if the path contains no UUID.
    pub(super) uuid: Cow<'a, str>,
}

impl Endpoint {
    /// The value of `Allow`.
    pub(super) const fn allow(self) -> &'static str {
        if self.is_read() { "GET, HEAD, OPTIONS" } else { "POST, OPTIONS" }
    }

    /// Whether its method is GET: it changes nothing, and has no body.
    pub(super) const fn is_read(self) -> bool {
        matches!(self, Self::Info | Self::OpenApi)
    }

    /// Whether this method is one of its own.
    pub(super) fn has_method(self, method: &Method) -> bool {
        match self.is_read() {
            true => method == Method::GET || method == Method::HEAD,
            false => method == Method::POST,
        }
    }
}

/// Finds the endpoint of a path.
///
/// # Errors
///
/// 404 when there is none; 400 for percent-encoding that is not text.
pub(super) fn find(path: &str) -> Result<ApiRoute<'_>, ApiError> {
    let of_server = match path {
        "/v1/info" => Some(Endpoint::Info),
        "/v1/openapi.json" => Some(Endpoint::OpenApi),
        _ => None,
    };
    if let Some(endpoint) = of_server {
        let (application, uuid) = (Cow::Borrowed(""), Cow::Borrowed(""));
        return Ok(ApiRoute { endpoint, application, uuid });
    }
    let rest = path.strip_prefix("/v1/apps/").ok_or_else(not_found)?;
    let mut parts = rest.split('/');
    let application = parts.next().filter(|name| !name.is_empty()).ok_or_else(not_found)?;
    let parts = [parts.next(), parts.next(), parts.next(), parts.next()];
    let (endpoint, uuid) = match parts {
        [Some("publish"), None, ..] => (Endpoint::Publish, ""),
        [Some("publish:batch"), None, ..] => (Endpoint::Batch, ""),
        [Some("connections"), Some(uuid), Some("feedback"), None] => (Endpoint::Feedback, uuid),
        [Some("connections"), Some(uuid), Some("ask"), None] => (Endpoint::Ask, uuid),
        _ => return Err(not_found()),
    };
    Ok(ApiRoute { endpoint, application: decoded(application)?, uuid: decoded(uuid)? })
}

/// Returns the error for an unknown path.
pub(super) fn not_found() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such endpoint")
}

/// Percent-decodes a part of a path.
fn decoded(part: &str) -> Result<Cow<'_, str>, ApiError> {
    if !part.contains('%') {
        return Ok(Cow::Borrowed(part));
    }
    let wrong = || ApiError::new(ErrorCode::BadRequest, "the path is not percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let (high, low) = digit(high).zip(digit(low)).ok_or_else(wrong)?;
                bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
                after
            }
            (b'%', _) => return Err(wrong()),
            (byte, after) => {
                bytes.push(*byte);
                after
            }
        };
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    if text.contains(char::is_control) {
        return Err(ApiError::new(ErrorCode::BadRequest, "the path has control characters"));
    }
    Ok(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(path: &str) -> &'static str {
        find(path).map_or_else(|error| error.code().text(), |_| "found")
    }

    #[test]
    fn a_path_names_one_endpoint_or_none() {
        let route = find("/v1/apps/b%C3%BCro/connections/a.b/feedback").unwrap();
        assert_eq!(route.endpoint, Endpoint::Feedback);
        assert_eq!((&*route.application, &*route.uuid), ("büro", "a.b"));
        assert_eq!(find("/v1/apps/-/publish").unwrap().application, "-");
        assert_eq!(find("/v1/info").unwrap().endpoint, Endpoint::Info);
        for path in [
            "/v1",
            "/v1/",
            "/v1/apps",
            "/v1/apps/",
            "/v1/apps//publish",
            "/v1/apps/shop",
            "/v1/apps/shop/",
            "/v1/apps/shop/publish/",
            "/v1/apps/shop/Publish",
            "/v1/apps/shop/../shop/publish",
            "//v1/apps/shop/publish",
            "/v1/apps/shop/connections/u/feedback/x",
            "/v1/info/",
        ] {
            assert_eq!(code(path), "not_found", "{path}");
        }
        for path in ["/v1/apps/%ff/publish", "/v1/apps/%/publish", "/v1/apps/a%0d%0ab/publish"] {
            assert_eq!(code(path), "bad_request", "{path}");
        }
    }

    #[test]
    fn methods_are_those_of_the_endpoint() {
        assert!(
            Endpoint::Info.has_method(&Method::HEAD) && !Endpoint::Info.has_method(&Method::POST)
        );
        assert!(Endpoint::Publish.has_method(&Method::POST));
        assert!(!Endpoint::Publish.has_method(&Method::GET));
        assert_eq!(Endpoint::Publish.allow(), "POST, OPTIONS");
    }
}
