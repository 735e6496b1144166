//! Answers on their way back to the worker's loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{WebhookOutcome, WebhookReply};
use crate::reactor::waker::Waker;

/// Answers that the worker has not taken yet; never more than events are under way.
#[derive(Debug)]
pub(super) struct ReplyInbox {
    answers: Mutex<Vec<WebhookReply>>,
    bell: Waker,
}

impl ReplyInbox {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { answers: Mutex::default(), bell: Waker::new()? })
    }

    fn put(&self, answer: WebhookReply) {
        self.answers.lock().push(answer);
        self.bell.ring();
    }

    pub(super) fn take(&self) -> Vec<WebhookReply> {
        // First silent, then empty: what comes between the two rings again.
        self.bell.silence();
        std::mem::take(&mut *self.answers.lock())
    }
}

impl AsFd for ReplyInbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// The promise of an answer. Where it is dropped without one (a panic, the end of the courier), it
/// answers that the event failed, so that no client waits for ever.
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

    pub(super) fn answer(mut self, outcome: WebhookOutcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for ReplyGuard {
    fn drop(&mut self) {
        let lost = || WebhookOutcome::Failed("the courier did not take it".to_owned());
        let outcome = self.outcome.take().unwrap_or_else(lost);
        self.inbox.put(WebhookReply { number: self.number, outcome });
    }
}
