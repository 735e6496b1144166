//! The answer to a request.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode, Version};
use tokio::sync::Semaphore;

use super::answers::AnswerRoom;
use super::error::ApiError;
use super::event_stream::{ApiBody, EventBody};
use super::rate_limits::RequestRoom;
use crate::types::Readiness;
use crate::types::limits::API_SMALL_BODY_BYTES;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The answer to a request.
#[derive(Debug)]
pub(super) struct ApiAnswer {
    status: StatusCode,
    body: ApiBody,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The data of a request that the head of its answer depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerHead<'a> {
    /// The id of the request.
    pub(super) request_id: &'a str,
    /// The version of HTTP.
    pub(super) version: Version,
    /// Whether the connection closes after the answer.
    pub(super) is_last: bool,
}

/// A body with its share of the memory of all bodies.
struct HeldBody<P> {
    json: Vec<u8>,
    _permit: P,
}

impl<P> AsRef<[u8]> for HeldBody<P> {
    fn as_ref(&self) -> &[u8] {
        &self.json
    }
}

impl ApiAnswer {
    /// Creates a 200 response with JSON.
    pub(super) fn ok(body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, body: whole(body), headers: Vec::new() }
    }

    /// Creates a 200 response with JSON whose memory is reserved until it is sent.
    pub(super) fn ok_in(mut room: AnswerRoom, json: String) -> Self {
        room.shrink_to(json.len());
        let body = Bytes::from_owner(HeldBody { json: json.into_bytes(), _permit: room });
        Self { status: StatusCode::OK, body: whole(body), headers: Vec::new() }
    }

    /// 200 with JSON that takes its share of this memory until it is sent, unless it is small. None if there is not
    /// enough.
    pub(super) fn ok_within(memory: &Arc<Semaphore>, json: Vec<u8>) -> Option<Self> {
        if json.len() <= API_SMALL_BODY_BYTES {
            return Some(Self { status: StatusCode::OK, body: whole(json), headers: Vec::new() });
        }
        let bytes = u32::try_from(json.len()).ok()?;
        let _permit = Arc::clone(memory).try_acquire_many_owned(bytes).ok()?;
        let body = Bytes::from_owner(HeldBody { json, _permit });
        Some(Self { status: StatusCode::OK, body: whole(body), headers: Vec::new() })
    }

    /// Creates a 202 response: a command was accepted, and its outcome is not known yet.
    pub(super) fn accepted() -> Self {
        Self::with_status(StatusCode::ACCEPTED, "{\"accepted\":true}".to_owned())
    }

    /// Creates a response with JSON.
    pub(super) fn with_status(status: StatusCode, body: String) -> Self {
        Self { status, body: whole(body), headers: Vec::new() }
    }

    /// The same as the answer to a publication that was made before.
    pub(super) fn replayed(mut self) -> Self {
        self.headers.push((REPLAYED, HeaderValue::from_static("true")));
        self
    }

    /// The same with the state of the limit of requests.
    pub(super) fn with_room(mut self, room: RequestRoom) -> Self {
        self.headers.push((RATE_LIMIT, room.limit.into()));
        self.headers.push((RATE_REMAINING, room.remaining.into()));
        self
    }

    /// 204 with the methods of an endpoint.
    pub(super) fn methods(allow: &str) -> Self {
        let headers = allow_header(allow).into_iter().collect();
        Self { status: StatusCode::NO_CONTENT, body: whole(Bytes::new()), headers }
    }

    /// Creates a 200 response with text.
    pub(super) fn text(content_type: &'static str, text: String) -> Self {
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
        Self { status: StatusCode::OK, body: whole(text), headers }
    }

    /// Creates a 200 response with a page that may do what its policy says.
    pub(super) fn page(html: String, policy: &str) -> Self {
        let html_type = HeaderValue::from_static("text/html; charset=utf-8");
        let mut headers = vec![
            (header::CONTENT_TYPE, html_type),
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        let policy = HeaderValue::from_str(policy).ok();
        headers.extend(policy.map(|policy| (header::CONTENT_SECURITY_POLICY, policy)));
        Self { status: StatusCode::OK, body: whole(html), headers }
    }

    /// Creates a 200 response with events, which ends when its sender does. Proxies must not collect them.
    pub(super) fn events(body: EventBody) -> Self {
        let headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
            (ACCEL_BUFFERING, HeaderValue::from_static("no")),
        ];
        Self { status: StatusCode::OK, body: Either::Right(body), headers }
    }

    /// Returns the body, if it is a stream of events.
    pub(super) fn events_mut(&mut self) -> Option<&mut EventBody> {
        match &mut self.body {
            Either::Left(_) => None,
            Either::Right(events) => Some(events),
        }
    }

    /// Creates the response of a health endpoint: 200, or 503 with the reason.
    pub(super) fn health(readiness: Readiness, content_type: &'static str, body: String) -> Self {
        let status = match readiness {
            Readiness::Ready => StatusCode::OK,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
        Self { status, body: whole(body), headers }
    }

    /// Creates the response to an error.
    pub(super) fn error(error: &ApiError, request_id: &str) -> Self {
        let mut headers = Vec::new();
        if let Some(seconds) = error.retry_after_seconds() {
            headers.push((header::RETRY_AFTER, seconds.into()));
        }
        if let Some(allow) = error.allow() {
            headers.extend(allow_header(allow));
        }
        if error.status() == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("Bearer realm=\"tagcast\"");
            headers.push((header::WWW_AUTHENTICATE, realm));
        }
        Self { status: error.status(), body: whole(error.json(Some(request_id))), headers }
    }

    /// Returns the status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Converts the response to the type of hyper.
    pub(super) fn into_response(self, head: AnswerHead<'_>) -> Response<ApiBody> {
        let AnswerHead { request_id, version, is_last } = head;
        let has_body = self.status != StatusCode::NO_CONTENT;
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.version_mut() = version;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(REQUEST_ID, id);
        }
        if is_last {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        headers.extend(self.headers);
        if has_body {
            let json = HeaderValue::from_static("application/json");
            headers.entry(header::CONTENT_TYPE).or_insert(json);
        }
        response
    }
}

fn whole(body: impl Into<Bytes>) -> ApiBody {
    Either::Left(Full::new(body.into()))
}

fn allow_header(allow: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((header::ALLOW, HeaderValue::from_str(allow).ok()?))
}
