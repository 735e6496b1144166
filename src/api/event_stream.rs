//! Answers that do not end: server-sent events (WHATWG HTML, section 9.2).

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

use super::connection::registry::RegisteredConnection;
use super::state::ApiState;

/// Events that wait until the connection takes them. The sender waits while there are more.
const WAITING_MAX: usize = 4;

/// The body of an answer.
pub(super) type ApiBody = Either<Full<Bytes>, EventBody>;

/// The events of an answer.
#[derive(Debug)]
pub(super) struct EventBody {
    events: mpsc::Receiver<Bytes>,
    /// Keeps the connection from counting as idle.
    request: Option<OpenRequest>,
}

/// A request whose answer has not ended. Its connection is idle once this is dropped.
pub(super) struct OpenRequest {
    state: Rc<ApiState>,
    connection: Rc<RegisteredConnection>,
}

/// Sends events to the client.
#[derive(Debug)]
pub(super) struct EventSender(mpsc::Sender<Bytes>);

/// The client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientGone;

/// Creates a stream of events.
pub(super) fn event_stream() -> (EventSender, EventBody) {
    let (sender, events) = mpsc::channel(WAITING_MAX);
    (EventSender(sender), EventBody { events, request: None })
}

impl EventBody {
    /// Keeps a request open until the stream ends.
    pub(super) fn keep(&mut self, request: OpenRequest) {
        self.request = Some(request);
    }
}

impl OpenRequest {
    pub(super) fn new(state: Rc<ApiState>, connection: Rc<RegisteredConnection>) -> Self {
        Self { state, connection }
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let head_timeout = self.state.config().head_timeout;
        self.state.connections.end_request(&self.connection, head_timeout);
    }
}

impl fmt::Debug for OpenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenRequest").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl EventSender {
    /// Sends these lines, once the client has read most of the earlier ones.
    ///
    /// # Errors
    ///
    /// If the client is gone.
    pub(super) async fn send(&self, lines: String) -> Result<(), ClientGone> {
        self.0.send(lines.into()).await.map_err(|_| ClientGone)
    }

    /// Waits until the client is gone.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }
}

/// Appends an event. JSON has no line breaks, so its data is one line. Without a name it is a `message`.
pub(super) fn push_event(out: &mut String, name: &str, json: &str) {
    if !name.is_empty() {
        out.push_str("event: ");
        out.push_str(name);
        out.push('\n');
    }
    out.push_str("data: ");
    out.push_str(json);
    out.push_str("\n\n");
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let received = self.get_mut().events.poll_recv(cx);
        received.map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
    }
}
