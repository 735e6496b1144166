//! The table of all endpoints.

use hyper::Method;

use crate::auth::ApiPermission;

/// An endpoint, without the application and UUID of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum Endpoint {
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
    /// `GET /v1/apps/{app}/connections`
    Connections,
    /// `PATCH /v1/apps/{app}/connections/{uuid}/tags`
    UpdateTags,
    /// `PUT /v1/apps/{app}/connections/{uuid}/tags`
    ReplaceTags,
    /// `PUT /v1/apps/{app}/connections/{uuid}/token`
    RefreshToken,
    /// `POST /v1/apps/{app}/connections:retag`
    Retag,
    /// `DELETE /v1/apps/{app}/connections/{uuid}`
    Close,
    /// `POST /v1/apps/{app}/connections:disconnect`
    Disconnect,
    /// `GET /v1/apps/{app}/connections/{uuid}`
    Connection,
    /// `POST /v1/apps/{app}/tokens`
    IssueToken,
    /// `POST /v1/apps/{app}/tokens:revoke`
    RevokeTokens,
    /// `GET /v1/apps/{app}/tags`
    Tags,
    /// `POST /v1/apps/{app}/explain`
    Explain,
    /// `GET /v1/apps/{app}/stats`
    Stats,
    /// An endpoint of operators, below `/v1/server/`.
    Server(ServerEndpoint),
}

/// An endpoint of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) enum ServerEndpoint {
    /// `POST /v1/server/login`
    Login,
    /// `POST /v1/server/logout`
    Logout,
    /// `GET /v1/server/me`
    Me,
    /// `GET /v1/server/overview`
    Overview,
    /// `GET /v1/server/processes`
    Processes,
    /// `GET /v1/server/configuration`
    Configuration,
    /// `GET /v1/server/applications`
    Applications,
    /// `GET /v1/server/applications/{app}`
    Application,
    /// `GET /v1/server/events`
    Events,
    /// `GET /v1/server/events/stream`
    EventStream,
    /// `GET /v1/server/tail`
    Tail,
    /// `POST /v1/server/reload`
    Reload,
    /// `POST /v1/server/drain`
    Drain,
    /// `POST /v1/server/restart-workers`
    RestartWorkers,
}

/// One endpoint: its path and method, and what requests to it need.
#[derive(Debug)]
pub(in crate::api) struct RouteRow {
    /// The path below `/v1/apps/{app}/`, or an absolute one.
    pub(super) path: &'static str,
    pub(in crate::api) method: Method,
    pub(in crate::api) endpoint: Endpoint,
    /// The application must have one of these permissions.
    pub(in crate::api) permissions: &'static [ApiPermission],
    /// Parameters that its query may have.
    pub(in crate::api) parameters: &'static [&'static str],
}

impl RouteRow {
    /// Returns the path, below that of its application, or an absolute one.
    pub(in crate::api) const fn path(&self) -> &'static str {
        self.path
    }

    /// Returns true if requests publish.
    pub(in crate::api) fn is_publication(&self) -> bool {
        self.permissions == PUBLISHES || self.permissions == ASKS
    }

    /// Returns true if requests change something.
    pub(in crate::api) fn is_change(&self) -> bool {
        self.permissions != LISTS
    }

    /// Returns the endpoint, if it is one of operators.
    pub(in crate::api) fn server_endpoint(&self) -> Option<ServerEndpoint> {
        match self.endpoint {
            Endpoint::Server(endpoint) => Some(endpoint),
            _ => None,
        }
    }
}

/// Path of one application, for operators.
pub(super) const SERVER_APPLICATION: &str = "/v1/server/applications/{app}";

const PUBLISHES: &[ApiPermission] = &[ApiPermission::BROADCAST, ApiPermission::PUBLISH];
const ASKS: &[ApiPermission] = &[ApiPermission::ASK];
const CLOSES: &[ApiPermission] = &[ApiPermission::DISCONNECT];
const RETAGS: &[ApiPermission] = &[ApiPermission::TAGS];
const TOKENS: &[ApiPermission] = &[ApiPermission::TOKENS];
const LISTS: &[ApiPermission] = &[ApiPermission::LIST];

/// All endpoints. Rows with the same path are next to each other.
pub(super) const ROUTES: &[RouteRow] = &[
    row("/v1/info", Method::GET, Endpoint::Info, &[], &[]),
    row("/v1/openapi.json", Method::GET, Endpoint::OpenApi, &[], &[]),
    server("/v1/server/login", Method::POST, ServerEndpoint::Login),
    server("/v1/server/logout", Method::POST, ServerEndpoint::Logout),
    server("/v1/server/me", Method::GET, ServerEndpoint::Me),
    server("/v1/server/overview", Method::GET, ServerEndpoint::Overview),
    server("/v1/server/processes", Method::GET, ServerEndpoint::Processes),
    server("/v1/server/configuration", Method::GET, ServerEndpoint::Configuration),
    server("/v1/server/applications", Method::GET, ServerEndpoint::Applications),
    server(SERVER_APPLICATION, Method::GET, ServerEndpoint::Application),
    server_with("/v1/server/events", ServerEndpoint::Events, &["cursor"]),
    server_with("/v1/server/events/stream", ServerEndpoint::EventStream, &["cursor"]),
    server_with(
        "/v1/server/tail",
        ServerEndpoint::Tail,
        &["application", "expr", "rate", "payloads"],
    ),
    server("/v1/server/reload", Method::POST, ServerEndpoint::Reload),
    server("/v1/server/drain", Method::POST, ServerEndpoint::Drain),
    server("/v1/server/restart-workers", Method::POST, ServerEndpoint::RestartWorkers),
    row("publish", Method::POST, Endpoint::Publish, PUBLISHES, &[]),
    row("publish:batch", Method::POST, Endpoint::Batch, PUBLISHES, &[]),
    row("connections/{uuid}/feedback", Method::POST, Endpoint::Feedback, PUBLISHES, &[]),
    row("connections/{uuid}/ask", Method::POST, Endpoint::Ask, ASKS, &[]),
    row("connections/{uuid}", Method::GET, Endpoint::Connection, LISTS, &[]),
    row("connections/{uuid}", Method::DELETE, Endpoint::Close, CLOSES, &["code", "reason"]),
    row("connections:retag", Method::POST, Endpoint::Retag, RETAGS, &[]),
    row("connections:disconnect", Method::POST, Endpoint::Disconnect, CLOSES, &[]),
    row("connections/{uuid}/tags", Method::PATCH, Endpoint::UpdateTags, RETAGS, &[]),
    row("connections/{uuid}/tags", Method::PUT, Endpoint::ReplaceTags, RETAGS, &[]),
    row("connections/{uuid}/token", Method::PUT, Endpoint::RefreshToken, TOKENS, &[]),
    row(
        "connections",
        Method::GET,
        Endpoint::Connections,
        LISTS,
        &["expr", "ident", "limit", "cursor"],
    ),
    row("tokens", Method::POST, Endpoint::IssueToken, TOKENS, &[]),
    row("tokens:revoke", Method::POST, Endpoint::RevokeTokens, TOKENS, &[]),
    row("tags", Method::GET, Endpoint::Tags, LISTS, &["name", "prefix", "limit", "cursor"]),
    row("explain", Method::POST, Endpoint::Explain, LISTS, &[]),
    row("stats", Method::GET, Endpoint::Stats, LISTS, &[]),
];

const fn row(
    path: &'static str,
    method: Method,
    endpoint: Endpoint,
    permissions: &'static [ApiPermission],
    parameters: &'static [&'static str],
) -> RouteRow {
    RouteRow { path, method, endpoint, permissions, parameters }
}

const fn server(path: &'static str, method: Method, endpoint: ServerEndpoint) -> RouteRow {
    row(path, method, Endpoint::Server(endpoint), &[], &[])
}

const fn server_with(
    path: &'static str,
    endpoint: ServerEndpoint,
    parameters: &'static [&'static str],
) -> RouteRow {
    row(path, Method::GET, Endpoint::Server(endpoint), &[], parameters)
}
