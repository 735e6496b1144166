//! Inbox of webhook replies for the event loop of the worker.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{WebhookOutcome, WebhookReply};
use crate::reactor::waker::Waker;

/// Replies that the worker has not taken yet. There are never more replies than events in flight.
#[derive(Debug)]
pub(super) struct ReplyInbox {
    answers: Mutex<Vec<WebhookReply>>,
    waker: Waker,
}

impl ReplyInbox {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { answers: Mutex::default(), waker: Waker::new()? })
    }

    fn push(&self, answer: WebhookReply) {
        self.answers.lock().push(answer);
        self.waker.wake();
    }

    pub(super) fn drain(&self) -> Vec<WebhookReply> {
        // The waker is reset before the inbox is drained. A reply pushed in between wakes the loop
        // again.
        self.waker.reset();
        std::mem::take(&mut *self.answers.lock())
    }
}

impl AsFd for ReplyInbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

/// Obligation to send one reply. If the guard is dropped without an outcome (after a panic, or when
/// the webhook client ends), it reports that the event failed. No client then waits forever.
#[derive(Debug)]
pub(super) struct ReplyGuard {
    number: u64,
    inbox: Arc<ReplyInbox>,
    outcome: Option<WebhookOutcome>,
}

impl ReplyGuard {
    pub(super) fn new(number: u64, inbox: &Arc<ReplyInbox>) -> Self {
        Self { number, inbox: Arc::clone(inbox), outcome: None }
    }

    pub(super) fn complete(mut self, outcome: WebhookOutcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for ReplyGuard {
    fn drop(&mut self) {
        let lost = || WebhookOutcome::Failed("the webhook client did not answer".to_owned());
        let outcome = self.outcome.take().unwrap_or_else(lost);
        self.inbox.push(WebhookReply { number: self.number, outcome });
    }
}
