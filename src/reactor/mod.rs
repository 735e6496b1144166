//! Readiness of sockets: epoll, and a waker for other threads.

pub mod poller;
pub(crate) mod waker;
