//! Turns a request into its answer. Errors are reported in this order: HTTP, route, method,
//! credentials, body, content of the body.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;

use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, Version};
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;
use tracing::{debug, error};

use super::access::{ApiApplication, Authenticated, ShownRequest};
use super::body::{self, RequestBody};
use super::config::ApiConfig;
use super::connection::registry::{ConnectionOrigin, RegisteredConnection};
use super::console;
use super::endpoint::ask::TakenQuestion;
use super::endpoint::info::InfoReader;
use super::endpoint::{
    EndpointContext, connection, connections, disconnect, explain, info, issue, openapi, retag,
    revocation, stats, tags, token,
};
use super::error::{ApiError, ErrorCode};
use super::event_stream::{ApiBody, OpenRequest};
use super::health;
use super::idempotency::IdempotencyKey;
use super::metrics;
use super::nonces::Nonce;
use super::parameters::Parameters;
use super::rate_limits::RequestRoom;
use super::response::{AnswerHead, ApiAnswer};
use super::route::{self, ApiRoute, Endpoint, RouteLabel, RouteRow, SERVER_PATHS};
use super::signature::{SignedHeaders, SignedTarget};
use super::state::{ApiState, unix_seconds};
use super::traces::{PublicationTrace, RequestTrace};
use crate::http::HealthEndpoint;

/// Answers a request.
pub(super) async fn answer(
    state: Rc<ApiState>,
    connection: Rc<RegisteredConnection>,
    request: Request<Incoming>,
) -> Result<Response<ApiBody>, Infallible> {
    let config = state.config();
    state.connections.begin_request(&connection);
    let id = state.request_ids.of(request.headers());
    let has_body = !request.body().is_end_stream();
    let version = request.version();
    let is_body_read = Cell::new(false);
    let room = Cell::new(None);
    let label = Cell::new(RouteLabel::OTHER);
    let begun = Instant::now();
    let served = ServedRequest {
        state: &state,
        config: &config,
        origin: connection.origin(),
        is_body_read: &is_body_read,
        room: &room,
        label: &label,
        trace: state.traces.begin(request.headers()),
        peer: connection.peer().ip(),
    };
    let answered = served.answer(request).await;
    state.publisher.send_nonces();
    let answer = answered.unwrap_or_else(|error| {
        state.refused.set(state.refused.get() + 1);
        state.request_stats.note_error(label.get(), error.code());
        if matches!(error.code(), ErrorCode::InvalidCredentials | ErrorCode::InvalidSignature) {
            state.note_wrong_credentials();
        }
        if error.code() == ErrorCode::InternalError {
            error!(event = "api_request_failed", request = id, "request of the API failed");
        }
        ApiAnswer::error(&error, &id)
    });
    let mut answer = match room.get() {
        Some(room) => answer.with_room(room),
        None => answer,
    };
    let peer = connection.peer();
    debug!(request = id, %peer, status = answer.status().as_u16(), "request answered");
    state.answered.set(state.answered.get() + 1);
    state.request_stats.note(label.get(), answer.status().as_u16(), begun.elapsed());
    if let Some(trace) = served.trace {
        state.traces.end(trace, &label.get().text(), answer.status().as_u16());
    }
    let open = OpenRequest::new(Rc::clone(&state), connection);
    match answer.events_mut() {
        Some(events) => events.keep(open),
        None => drop(open),
    }
    // After an unread body the next request cannot be found.
    let is_last =
        version != Version::HTTP_11 || (has_body && !is_body_read.get()) || state.is_draining();
    Ok(answer.into_response(AnswerHead { request_id: &id, version, is_last }))
}

/// One request that is being served.
pub(super) struct ServedRequest<'a> {
    pub(super) state: &'a Rc<ApiState>,
    pub(super) config: &'a ApiConfig,
    pub(super) origin: ConnectionOrigin,
    /// Whether the body was read to its end. Otherwise the connection cannot be reused.
    is_body_read: &'a Cell<bool>,
    /// What its application may still send, if that is limited.
    room: &'a Cell<Option<RequestRoom>>,
    /// Its route, once it is known.
    pub(super) label: &'a Cell<RouteLabel>,
    /// Its trace, if its caller records one.
    trace: Option<RequestTrace>,
    /// The other end of its connection.
    pub(super) peer: IpAddr,
}

/// A request with what its path and method name.
struct RoutedRequest<'a> {
    route: &'a ApiRoute<'a>,
    row: &'static RouteRow,
    request: Request<Incoming>,
    /// Its place among the requests that are served at the same time.
    place: SemaphorePermit<'a>,
}

impl ServedRequest<'_> {
    async fn answer(&self, request: Request<Incoming>) -> Result<ApiAnswer, ApiError> {
        check_http(&request)?;
        if let Some(endpoint) = HealthEndpoint::of(request.uri().path()) {
            self.label.set(RouteLabel::HEALTH);
            let (method, query) = (request.method(), request.uri().query());
            return health::answer(self.state, self.origin, endpoint, method, query);
        }
        if let Some(page) = metrics::page_of(request.uri().path()) {
            self.label.set(RouteLabel::METRICS);
            if self.config.access.is_open() && self.origin == ConnectionOrigin::Shared {
                self.check_host(&request)?;
            }
            self.check_metrics(request.headers())?;
            return metrics::answer(self.state, page, request.method(), request.uri().query())
                .await;
        }
        if request.uri().path() == console::PATH {
            self.label.set(RouteLabel::CONSOLE);
            let (method, query) = (request.method(), request.uri().query());
            return console::answer(self.config, self.origin, method, query);
        }
        if self.state.is_draining() {
            return Err(ApiError::new(ErrorCode::Draining, "the server is shutting down"));
        }
        let path = request.uri().path().to_owned();
        if path.starts_with(SERVER_PATHS) {
            return Box::pin(self.answer_operator(request, &path)).await;
        }
        if self.origin == ConnectionOrigin::Shared && !self.config.is_shared {
            return Err(route::not_found());
        }
        let route = route::find(&path)?;
        self.label.set(route.label());
        let method = request.method();
        if method == Method::OPTIONS {
            return Ok(ApiAnswer::methods(&route.allow()));
        }
        let row = route.row(method)?;
        if self.config.access.is_open() {
            self.check_host(&request)?;
        }
        self.state.rate_limits.take_of_address(self.config, self.peer, request.headers())?;
        let place = self.begin().await?;
        match row.endpoint {
            Endpoint::Info => {
                Parameters::read(request.uri().query(), row.parameters)?;
                let is_known = self.config.access.knows(request.headers(), unix_seconds())?;
                let reader = match is_known {
                    true => InfoReader::Application,
                    false => InfoReader::Stranger,
                };
                Ok(info::answer(self.config, reader))
            }
            Endpoint::OpenApi => {
                Parameters::read(request.uri().query(), row.parameters)?;
                Ok(openapi::answer())
            }
            _ => self.serve(RoutedRequest { route: &route, row, request, place }).await,
        }
    }

    /// Takes one of the places for requests that are served at the same time.
    pub(super) async fn begin(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        let place = tokio::time::timeout(self.config.timeout, self.state.requests.acquire()).await;
        let busy = || ApiError::new(ErrorCode::Busy, "too many requests are under way");
        place.ok().and_then(Result::ok).ok_or_else(busy)
    }

    /// Answers a request that speaks for an application.
    async fn serve(&self, routed: RoutedRequest<'_>) -> Result<ApiAnswer, ApiError> {
        let request = &routed.request;
        let uri = request.uri();
        let target = SignedTarget {
            method: request.method().as_str(),
            path: uri.path(),
            query: uri.query().unwrap_or_default(),
        };
        let shown = ShownRequest { headers: request.headers(), target, now: unix_seconds() };
        let key = &routed.route.application;
        let authenticated = self.config.access.authenticate(key, shown).inspect_err(|error| {
            if self.config.access.has_application(key) {
                self.state.request_stats.note_error_of(key, error.code());
            }
        })?;
        let application = authenticated.application;
        let is_publication = routed.row.is_publication();
        let served = Box::pin(self.serve_as(authenticated, routed)).await;
        if let Err(error) = &served {
            self.state.request_stats.note_error_of(&application.key, error.code());
            if is_publication {
                self.state.request_stats.note_denied(error.code());
            }
            self.state.refusals.borrow_mut().note(&application.key, error.code());
        }
        served
    }

    /// Answers a request of this application.
    async fn serve_as(
        &self,
        authenticated: Authenticated<'_>,
        routed: RoutedRequest<'_>,
    ) -> Result<ApiAnswer, ApiError> {
        let Authenticated { application, signed } = authenticated;
        let RoutedRequest { route, row, request, place } = routed;
        let uri = request.uri().clone();
        let nonce = signed.as_ref().map(|it| self.check_signed(application, it)).transpose()?;
        application.require_one(row.permissions)?;
        let parameters = Parameters::read(uri.query(), row.parameters)?;
        let key = idempotency_key(request.headers(), row.endpoint)?;
        let body = match has_body(request.method()) {
            true => Some(self.read_body(request).await?),
            false => None,
        };
        let bytes = body.as_ref().map(RequestBody::bytes).unwrap_or_default();
        if let (Some(signed), Some(nonce)) = (&signed, nonce) {
            self.spend(signed, nonce, bytes)?;
        }
        self.state.rate_limits.take(application, self.room)?;
        let text = body.as_ref().map_or(Ok(""), RequestBody::text)?;
        let (state, config) = (self.state, self.config);
        let until = Instant::now() + config.timeout;
        let key = key.as_ref();
        let trace = PublicationTrace::of(&state.traces, self.trace);
        let context = EndpointContext { state, config, application, key, until, trace, turn: None };
        let taken = match row.endpoint {
            Endpoint::Batch => return Box::pin(context.batch(text)).await,
            Endpoint::Connections => return connections::list(context, &parameters).await,
            Endpoint::Connection => return connection::show(context, &route.uuid).await,
            Endpoint::Stats => return stats::show(context).await,
            Endpoint::Tags => return tags::list(context, &parameters).await,
            Endpoint::Explain => return explain::explain(context, text).await,
            Endpoint::Close => {
                return disconnect::close_one(context, &route.uuid, &parameters).await;
            }
            Endpoint::Retag => return retag::update_matching(context, text).await,
            Endpoint::Disconnect => return disconnect::close_matching(context, text).await,
            Endpoint::UpdateTags => return retag::update(context, &route.uuid, text).await,
            Endpoint::ReplaceTags => return retag::replace(context, &route.uuid, text).await,
            Endpoint::IssueToken => return issue::issue(context, text),
            Endpoint::RevokeTokens => return revocation::revoke(context, text).await,
            Endpoint::RefreshToken => return token::refresh(context, &route.uuid, text).await,
            Endpoint::Ask => {
                let taken = TakenQuestion::take_over(context, &route.uuid, text).await?;
                // Clients may take long: the request holds nothing meanwhile that others need.
                drop((body, place));
                let answer = taken.answer(state).await;
                state.request_stats.note_ask(answer.as_ref().err().map(ApiError::code));
                return answer;
            }
            Endpoint::Feedback => context.feedback(&route.uuid, text).await?,
            Endpoint::Publish | Endpoint::Info | Endpoint::OpenApi | Endpoint::Server(_) => {
                context.take_over(text).await?
            }
        };
        drop(body);
        let _place = Some(place).filter(|_| !taken.waits_for_clients());
        taken.answer(until).await
    }

    /// Checks the time and nonce of a signed request before its body is read.
    fn check_signed(
        &self,
        application: &ApiApplication,
        signed: &SignedHeaders,
    ) -> Result<Nonce, ApiError> {
        let nonce = Nonce::new(&application.key, &signed.nonce);
        let (publisher, window) = (&self.state.publisher, self.config.signatures);
        publisher.check_nonce(nonce, signed.timestamp, window, unix_seconds())?;
        Ok(nonce)
    }

    /// The nonce is spent once the signed digest matches the body, even if the request fails later.
    fn spend(&self, signed: &SignedHeaders, nonce: Nonce, body: &[u8]) -> Result<(), ApiError> {
        if !signed.is_of(body) {
            let message = "the body has another digest than X-Tagcast-Content-SHA256";
            return Err(ApiError::new(ErrorCode::BodyMismatch, message));
        }
        self.state.publisher.spend_nonce(nonce, self.config.signatures, unix_seconds())
    }

    pub(super) async fn read_body(
        &self,
        request: Request<Incoming>,
    ) -> Result<RequestBody, ApiError> {
        body::check_type(request.headers())?;
        let body = body::read(self.state, self.config, request.into_body()).await?;
        self.is_body_read.set(true);
        Ok(body)
    }

    /// On a server without credentials, a page of another origin could reach it under its own host
    /// name (DNS rebinding).
    fn check_host(&self, request: &Request<Incoming>) -> Result<(), ApiError> {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        match host.is_none_or(|host| self.config.is_own_host(host)) {
            true => Ok(()),
            false => {
                let message = "without applications, Host must be a loopback name or address, or the \
                               address listened on";
                Err(ApiError::new(ErrorCode::InvalidHost, message))
            }
        }
    }
}

/// Checks the rules of HTTP that hyper does not check.
fn check_http(request: &Request<Incoming>) -> Result<(), ApiError> {
    let bad = |message| Err(ApiError::new(ErrorCode::BadRequest, message));
    let (headers, method) = (request.headers(), request.method());
    // RFC 9112 §3.2.
    let hosts = headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return bad("the request must have exactly one Host header");
    }
    if headers.get(header::HOST).is_some_and(HeaderValue::is_empty) {
        return bad("the header Host is empty");
    }
    let target = request.uri().path_and_query().map_or("", |it| it.as_str());
    if !target.is_ascii() {
        return bad("the request target has bytes beyond ASCII; percent-encode them");
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked =
        |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|coding| !is_chunked(coding)) || codings.next().is_some() {
        return bad("the only supported transfer coding is chunked");
    }
    if is_meant_as_websocket(headers) {
        return bad("this path does not accept WebSocket connections");
    }
    if !has_body(method) && !request.body().is_end_stream() {
        return bad("a request with this method must not have a body");
    }
    Ok(())
}

/// Whether requests with this method have a body.
fn has_body(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS].contains(method)
}

fn is_meant_as_websocket(headers: &HeaderMap) -> bool {
    let offers = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("websocket"))
    };
    headers.get_all(header::UPGRADE).iter().any(offers)
        || headers.keys().any(|name| name.as_str().starts_with("sec-websocket-"))
}

/// Ignoring an idempotency key silently would break its promise.
fn idempotency_key(
    headers: &HeaderMap,
    endpoint: Endpoint,
) -> Result<Option<IdempotencyKey<'static>>, ApiError> {
    let key = IdempotencyKey::of_header(headers)?;
    if key.is_none() || matches!(endpoint, Endpoint::Publish | Endpoint::Feedback) {
        return Ok(key);
    }
    let message = "the header Idempotency-Key is supported by publish and feedback only; give an id to each \
                   publication of a batch";
    Err(ApiError::new(ErrorCode::InvalidHeader, message))
}
