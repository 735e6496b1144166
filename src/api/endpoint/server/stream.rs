//! What all streams for operators share: who reads them, and how they end.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::no_such_application;
use crate::api::error::ApiError;
use crate::api::event_stream::{ClientGone, EventSender, push_event};
use crate::api::operators::AuthenticatedOperator;
use crate::api::state::{ApiState, ServingStage};
use crate::auth::{Operator, Operators, TokenDigest};
use crate::types::limits::TAIL_KEEPALIVE;

/// How long the end of a stream waits for its client.
pub(super) const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// A comment, which clients ignore.
pub(super) const EMPTY_LINE: &str = ":\n\n";

/// Why a stream ends: the operator, the session or the application is not what it was.
pub(super) const NOT_PERMITTED: &str = "not_permitted";
/// Why a stream ends: the server stops.
const DRAINING: &str = "draining";

/// A token that a reader has shown. It must stay valid while the reader reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReaderToken {
    digest: TokenDigest,
    /// It is that of a session, otherwise that of an operator.
    is_session: bool,
}

impl ReaderToken {
    /// Returns the token of a request.
    ///
    /// # Errors
    ///
    /// 404 if it has none.
    pub(super) fn of(authenticated: AuthenticatedOperator<'_>) -> Result<Self, ApiError> {
        let AuthenticatedOperator { operator, session } = authenticated;
        let digest = session.or(operator.token).ok_or_else(no_such_application)?;
        Ok(Self { digest, is_session: session.is_some() })
    }

    /// Returns the operator of the token, if it is still valid.
    pub(super) fn operator<'a>(
        self,
        state: &ApiState,
        operators: &'a Operators,
    ) -> Option<&'a Operator> {
        match self.is_session {
            true => state.operators.sessions().valid(self.digest, operators, Instant::now()),
            false => operators.with_token(self.digest),
        }
    }
}

/// Sends the lines of a stream, and a comment when there was none for a while, so that proxies keep the connection.
#[derive(Debug)]
pub(super) struct KeptAlive<'a> {
    events: &'a EventSender,
    sent: Instant,
}

impl<'a> KeptAlive<'a> {
    pub(super) fn new(events: &'a EventSender) -> Self {
        Self { events, sent: Instant::now() }
    }

    /// Sends lines. There may be none.
    ///
    /// # Errors
    ///
    /// If the client is gone.
    pub(super) async fn send(&mut self, mut lines: String) -> Result<(), ClientGone> {
        if lines.is_empty() && self.sent.elapsed() >= TAIL_KEEPALIVE {
            lines.push_str(EMPTY_LINE);
        }
        if lines.is_empty() {
            return Ok(());
        }
        self.sent = Instant::now();
        self.events.send(lines).await
    }
}

/// Reads until the client is gone, the server stops, or `read` says why it ends. The client gets the reason.
pub(super) async fn read_to_the_end(
    state: &ApiState,
    events: &EventSender,
    read: impl Future<Output = Result<&'static str, ClientGone>>,
) {
    let end = tokio::select! {
        end = read => end,
        () = state.reached(ServingStage::Draining) => Ok(DRAINING),
        () = events.closed() => Err(ClientGone),
    };
    if let Ok(end) = end {
        let mut lines = String::new();
        push_event(&mut lines, "end", &format!("{{\"reason\":\"{end}\"}}"));
        // The client may be gone, or may read nothing.
        let _sent = timeout_at(Instant::now() + FAREWELL_TIME, events.send(lines)).await;
    }
}
