//! The obligation to answer an event.

use std::sync::Arc;

use tokio::time::Instant;

use super::{WebhookOutcome, WebhookReply};
use crate::reactor::inbox::Inbox;

/// Replies that the worker has not taken yet. There are never more replies than events in flight.
pub(super) type ReplyInbox = Inbox<WebhookReply>;

/// Obligation to send one reply. If the guard is dropped without an outcome (after a panic, or when
/// the webhook client ends), it reports that the event failed. No client then waits forever.
#[derive(Debug)]
pub(super) struct ReplyGuard {
    number: u64,
    inbox: Arc<ReplyInbox>,
    outcome: Option<WebhookOutcome>,
    since: Instant,
}

impl ReplyGuard {
    pub(super) fn new(number: u64, inbox: &Arc<ReplyInbox>) -> Self {
        Self { number, inbox: Arc::clone(inbox), outcome: None, since: Instant::now() }
    }

    pub(super) fn complete(mut self, outcome: WebhookOutcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for ReplyGuard {
    fn drop(&mut self) {
        let lost = || WebhookOutcome::Failed("the webhook client did not answer".to_owned());
        let outcome = self.outcome.take().unwrap_or_else(lost);
        self.inbox.push(WebhookReply { number: self.number, outcome, took: self.since.elapsed() });
    }
}
