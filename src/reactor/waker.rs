//! Waker: an eventfd with which one thread wakes the epoll or poll of another.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// Eventfd that is readable from the first [`Self::wake`] until [`Self::reset`].
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

impl Waker {
    /// Creates a waker that is not readable.
    ///
    /// # Errors
    ///
    /// Fails when the process cannot open another descriptor.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes the waiting thread. An edge-triggered poll is woken by each call.
    pub(crate) fn wake(&self) {
        // The only possible error is a full counter, and a full counter is readable too.
        let _full = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes the descriptor unreadable until the next [`Waker::wake`].
    pub(crate) fn reset(&self) {
        // The only possible error is that the waker was not readable.
        let _silent = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
