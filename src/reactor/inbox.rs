//! Inbox of an event loop for values from other threads.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use parking_lot::Mutex;

use super::waker::Waker;

/// Values that the loop has not taken yet. Their number is bounded by the requests that the loop has
/// sent, each of which is answered once.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    values: Mutex<Vec<T>>,
    waker: Waker,
}

impl<T> Inbox<T> {
    /// Creates an empty inbox.
    ///
    /// # Errors
    ///
    /// Fails when the process cannot open another descriptor.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { values: Mutex::new(Vec::new()), waker: Waker::new()? })
    }

    pub(crate) fn push(&self, value: T) {
        self.values.lock().push(value);
        self.waker.wake();
    }

    /// Returns the values since the last call.
    pub(crate) fn drain(&self) -> Vec<T> {
        // The waker is reset before the inbox is drained. A value pushed in between wakes the loop again.
        self.waker.reset();
        std::mem::take(&mut *self.values.lock())
    }
}

/// The descriptor is readable while values are waiting.
impl<T> AsFd for Inbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}
