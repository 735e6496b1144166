//! An eventfd: what one thread rings so that another one's epoll or poll wakes up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// Readable from the first ring until it is silenced.
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

impl Waker {
    /// A silent bell.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes the thread that waits. An edge-triggered poll is woken by every call.
    pub(crate) fn wake(&self) {
        // The one failure is a counter that is full, and a full counter is readable as well.
        let _full = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Is no longer readable until the next [`Waker::wake`].
    pub(crate) fn reset(&self) {
        // The one failure is a waker that was not readable.
        let _silent = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
