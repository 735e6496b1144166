//! Readiness of sockets: epoll, a waker for other threads, and waiting in tokio.

pub(crate) mod async_waiter;
pub mod poller;
pub(crate) mod waker;
