//! Which endpoint a path and a method name.

mod table;

use std::borrow::Cow;

use hyper::Method;

pub(super) use self::table::{Endpoint, RouteRow, ServerEndpoint};
use self::table::{ROUTES, SERVER_APPLICATION};
use super::error::{ApiError, ErrorCode};
use super::percent;
use super::response::ApiAnswer;

/// Beginning of the paths of operators.
pub(super) const SERVER_PATHS: &str = "/v1/server/";
/// Beginning of the paths of one application, for operators.
const SERVER_APPLICATIONS: &str = "/v1/server/applications/";

/// The part of a path that is the UUID of a client.
const UUID: &str = "{uuid}";

/// A route as the label `route` of the metrics has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RouteLabel(&'static str);

impl RouteLabel {
    /// A path that is not in the table, or a request that was refused before its path was read.
    pub(super) const OTHER: Self = Self("other");
    /// The health endpoints.
    pub(super) const HEALTH: Self = Self("health");
    /// The metrics.
    pub(super) const METRICS: Self = Self("/metrics");
    /// The page of the console.
    pub(super) const CONSOLE: Self = Self("console");

    /// Returns the pattern of the path.
    pub(super) fn text(self) -> Cow<'static, str> {
        let Self(path) = self;
        let is_in_table = ROUTES.iter().any(|row| std::ptr::eq(row.path, path));
        match is_in_table && !path.starts_with('/') {
            true => Cow::Owned(format!("/v1/apps/{{app}}/{path}")),
            false => Cow::Borrowed(path),
        }
    }

    /// Returns what needs the credentials, as the label `operation` has it.
    pub(super) fn operation(self) -> &'static str {
        let Self(path) = self;
        if path.starts_with(SERVER_PATHS) || path == Self::METRICS.0 { "operator" } else { "api" }
    }
}

/// What a path names.
#[derive(Clone, Debug)]
pub(super) struct ApiRoute<'a> {
    /// The path, as the rows of its endpoints have it.
    path: &'static str,
    /// The application, decoded; empty where the endpoint is not one of an application.
    pub(super) application: Cow<'a, str>,
    /// The decoded UUID of a client. It is empty if the path contains no UUID.
    pub(super) uuid: Cow<'a, str>,
}

impl ApiRoute<'_> {
    /// Returns the label of the metrics. Requests of operators about one application have that of the
    /// application's own requests.
    pub(super) fn label(&self) -> RouteLabel {
        RouteLabel(self.path)
    }

    fn rows(&self) -> impl Iterator<Item = &'static RouteRow> {
        let path = self.path;
        ROUTES.iter().filter(move |row| row.path == path)
    }

    /// Finds the endpoint of a method. HEAD is as GET.
    ///
    /// # Errors
    ///
    /// 405 with the methods of the path.
    pub(super) fn row(&self, method: &Method) -> Result<&'static RouteRow, ApiError> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let found = self.rows().find(|row| row.method == *method);
        found.ok_or_else(|| ApiError::method_not_allowed(&self.allow()))
    }

    /// The value of `Allow`.
    pub(super) fn allow(&self) -> String {
        let mut methods = String::new();
        for row in self.rows() {
            methods.push_str(if row.method == Method::GET {
                "GET, HEAD"
            } else {
                row.method.as_str()
            });
            methods.push_str(", ");
        }
        methods + "OPTIONS"
    }
}

/// Checks the method of a request to a path that is only read and is not in the table: a health endpoint
/// or the metrics. Returns the answer to OPTIONS.
///
/// # Errors
///
/// 405 for other methods.
pub(super) fn check_read(method: &Method) -> Result<Option<ApiAnswer>, ApiError> {
    const METHODS: &str = "GET, HEAD, OPTIONS";
    match *method {
        Method::GET | Method::HEAD => Ok(None),
        Method::OPTIONS => Ok(Some(ApiAnswer::methods(METHODS))),
        _ => Err(ApiError::method_not_allowed(METHODS)),
    }
}

/// Finds what a path names.
///
/// # Errors
///
/// 404 when it names nothing; 400 for percent-encoding that is not text.
pub(super) fn find(path: &str) -> Result<ApiRoute<'_>, ApiError> {
    if let Some(row) = ROUTES.iter().find(|row| row.path == path && path.starts_with('/')) {
        let (application, uuid) = (Cow::Borrowed(""), Cow::Borrowed(""));
        return Ok(ApiRoute { path: row.path, application, uuid });
    }
    let of_operators = path.strip_prefix(SERVER_APPLICATIONS);
    if let Some(application) = of_operators.filter(|rest| !rest.is_empty() && !rest.contains('/')) {
        let (path, application) = (SERVER_APPLICATION, decoded(application)?);
        return Ok(ApiRoute { path, application, uuid: Cow::Borrowed("") });
    }
    let rest = of_operators.or_else(|| path.strip_prefix("/v1/apps/")).ok_or_else(not_found)?;
    let (application, rest) = rest.split_once('/').ok_or_else(not_found)?;
    let rows = ROUTES.iter().filter(|row| !row.path.starts_with('/'));
    let found = rows.map(|row| row.path).find_map(|path| Some((path, uuid_of(path, rest)?)));
    let (path, uuid) = found.filter(|_| !application.is_empty()).ok_or_else(not_found)?;
    Ok(ApiRoute { path, application: decoded(application)?, uuid: decoded(uuid)? })
}

/// Returns the part of a path that stands for a UUID, or an empty text; `None` if it is another path.
fn uuid_of<'a>(row: &str, path: &'a str) -> Option<&'a str> {
    let (mut expected, mut found) = (row.split('/'), path.split('/'));
    let mut uuid = "";
    loop {
        match (expected.next(), found.next()) {
            (None, None) => return Some(uuid),
            (Some(UUID), Some(part)) if !part.is_empty() => uuid = part,
            (Some(expected), Some(part)) if expected == part && expected != UUID => {}
            _ => return None,
        }
    }
}

/// Returns all endpoints with their whole paths, as the OpenAPI document names them.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (String, &'static RouteRow)> {
    ROUTES.iter().map(|row| match row.path.strip_prefix('/') {
        Some(_) => (row.path.to_owned(), row),
        None => (format!("/v1/apps/{{app}}/{}", row.path), row),
    })
}

/// Returns the error for an unknown path.
pub(super) fn not_found() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "there is no such endpoint")
}

/// Percent-decodes a part of a path.
fn decoded(part: &str) -> Result<Cow<'_, str>, ApiError> {
    let wrong = |message| ApiError::new(ErrorCode::BadRequest, message);
    let text =
        percent::decoded(part).ok_or_else(|| wrong("the path is not percent-encoded UTF-8"))?;
    match text.contains(char::is_control) {
        true => Err(wrong("the path has control characters")),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(route: &ApiRoute<'_>) -> Endpoint {
        route.row(&Method::POST).unwrap().endpoint
    }

    fn code(path: &str) -> &'static str {
        find(path).map_or_else(|error| error.code().text(), |_| "found")
    }

    #[test]
    fn a_path_names_one_endpoint_or_none() {
        let route = find("/v1/apps/b%C3%BCro/connections/a.b/feedback").unwrap();
        assert_eq!(endpoint(&route), Endpoint::Feedback);
        assert_eq!((&*route.application, &*route.uuid), ("büro", "a.b"));
        assert_eq!(find("/v1/apps/-/publish").unwrap().application, "-");
        assert_eq!(find("/v1/info").unwrap().row(&Method::GET).unwrap().endpoint, Endpoint::Info);
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
    fn methods_are_those_of_the_path() {
        let route = |path: &'static str| find(path).unwrap();
        let (info, publish) = (route("/v1/info"), route("/v1/apps/shop/publish"));
        assert!(info.row(&Method::HEAD).is_ok() && info.row(&Method::POST).is_err());
        assert!(publish.row(&Method::POST).is_ok() && publish.row(&Method::GET).is_err());
        assert_eq!(publish.allow(), "POST, OPTIONS");
        assert_eq!(route("/v1/apps/shop/connections").allow(), "GET, HEAD, OPTIONS");
    }

    #[test]
    fn rows_with_one_path_are_found_together() {
        for (at, row) in ROUTES.iter().enumerate() {
            let first = ROUTES.iter().position(|other| other.path == row.path).unwrap();
            let own = ROUTES.iter().skip(first).take_while(|other| other.path == row.path);
            assert!(at < first + own.count(), "{}", row.path);
        }
    }
}
