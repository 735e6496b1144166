//! Answers on their way back to the worker's loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Answer, Outcome};
use crate::link::bell::Bell;

/// Answers that the worker has not taken yet; never more than events are under way.
#[derive(Debug)]
pub(super) struct Inbox {
    answers: Mutex<Vec<Answer>>,
    bell: Bell,
}

impl Inbox {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { answers: Mutex::default(), bell: Bell::new()? })
    }

    fn put(&self, answer: Answer) {
        self.answers.lock().push(answer);
        self.bell.ring();
    }

    pub(super) fn take(&self) -> Vec<Answer> {
        // First silent, then empty: what comes between the two rings again.
        self.bell.silence();
        std::mem::take(&mut *self.answers.lock())
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// The promise of an answer. Where it is dropped without one (a panic, the end of the courier), it
/// answers that the event failed, so that no client waits for ever.
#[derive(Debug)]
pub(super) struct Ticket {
    number: u64,
    inbox: Arc<Inbox>,
    outcome: Option<Outcome>,
}

impl Ticket {
    pub(super) fn new(number: u64, inbox: &Arc<Inbox>) -> Self {
        Self { number, inbox: Arc::clone(inbox), outcome: None }
    }

    pub(super) fn answer(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let lost = || Outcome::Failed("the courier did not take it".to_owned());
        let outcome = self.outcome.take().unwrap_or_else(lost);
        self.inbox.put(Answer { number: self.number, outcome });
    }
}
