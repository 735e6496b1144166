//! Readiness of sockets: epoll, a waker and an inbox for other threads, and waiting in tokio.

pub(crate) mod async_waiter;
pub(crate) mod inbox;
pub mod poller;
pub(crate) mod waker;
