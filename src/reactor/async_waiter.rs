//! Waits in tokio for a descriptor that is not one of tokio's own kinds.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use tokio::io::Interest;
use tokio::net::UnixStream;

/// A second descriptor of something that becomes ready. Tokio's `AsyncFd` cannot be had without
/// `unsafe`; its sockets can, and for waiting their kind does not matter.
#[derive(Debug)]
pub(crate) struct AsyncWaiter(UnixStream);

impl AsyncWaiter {
    /// Watches a descriptor, edge-triggered. Must be called within a runtime.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub(crate) fn new(source: impl AsFd) -> io::Result<Self> {
        let second = source.as_fd().try_clone_to_owned()?;
        rustix::io::ioctl_fionbio(&second, true)?;
        Ok(Self(UnixStream::from_std(StdUnixStream::from(second))?))
    }

    /// Waits until something has happened since the last call. The caller then reads and writes until it
    /// would block. May be dropped half-way.
    ///
    /// # Errors
    ///
    /// When the runtime ends.
    pub(crate) async fn changed(&self) -> io::Result<()> {
        self.0.ready(Interest::READABLE | Interest::WRITABLE).await?;
        // One direction after the other: `try_io` does nothing at all when it is asked for both. What
        // comes after this is announced again.
        for direction in [Interest::READABLE, Interest::WRITABLE] {
            let would_block = || Err(io::ErrorKind::WouldBlock.into());
            let _forgotten: io::Result<()> = self.0.try_io(direction, would_block);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::poller::{Interest as PollInterest, Poller};
    use crate::reactor::waker::Waker;
    use std::time::Duration;

    #[tokio::test]
    async fn it_wakes_for_each_change_also_of_something_within_an_epoll() {
        let (waker, poller) = (Waker::new().unwrap(), Poller::new(4).unwrap());
        poller.watch(waker.as_fd(), 0, PollInterest::Read).unwrap();
        for waiter in [AsyncWaiter::new(&waker), AsyncWaiter::new(&poller)] {
            let waiter = waiter.unwrap();
            // An eventfd can be written at once.
            let wait = Duration::from_millis(20);
            let _writable = tokio::time::timeout(wait, waiter.changed()).await;
            assert!(tokio::time::timeout(wait, waiter.changed()).await.is_err());
            for _ in 0..3 {
                waker.wake();
                waiter.changed().await.unwrap();
                waker.reset();
            }
        }
    }
}
