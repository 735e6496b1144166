//! Memory of large answers, until their clients have read them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::error::{ApiError, ErrorCode};
use crate::types::limits::{API_ANSWERS_MAX, LIST_BYTES_MAX};

/// One permit for each kilobyte of the answers that may be large.
#[derive(Debug)]
pub(super) struct AnswerMemory(Arc<Semaphore>);

/// Memory of one answer. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct AnswerRoom(OwnedSemaphorePermit);

impl Default for AnswerMemory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(API_ANSWERS_MAX * kilobytes(LIST_BYTES_MAX))))
    }
}

impl AnswerMemory {
    /// Reserves memory for the largest answer, before the broker is asked for it.
    ///
    /// # Errors
    ///
    /// If there is none by this time.
    pub(super) async fn reserve(&self, until: Instant) -> Result<AnswerRoom, ApiError> {
        let permits = u32::try_from(kilobytes(LIST_BYTES_MAX)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.0).acquire_many_owned(permits);
        let busy = || ApiError::new(ErrorCode::Busy, "too many large answers are being sent");
        timeout_at(until, room).await.ok().and_then(Result::ok).map(AnswerRoom).ok_or_else(busy)
    }
}

impl AnswerRoom {
    /// Keeps what an answer of this size needs, and frees the rest.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let rest = self.0.num_permits().saturating_sub(kilobytes(bytes));
        drop(self.0.split(rest));
    }
}

fn kilobytes(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}
