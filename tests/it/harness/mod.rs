//! Shared parts of the behaviour tests: the real binary with all its processes, and a client that
//! works on bytes.
//!
//! Each test starts its own server in its own folder, so that a broadcast of one test never reaches
//! clients of another.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]
#![allow(clippy::disallowed_methods, reason = "tests look at the server with a real clock")]
#![allow(clippy::disallowed_types, reason = "tests run on threads that wait for each other")]

pub mod admin;
pub mod api;
mod bystander;
mod expect;
mod folder;
pub mod frames;
mod gomoob;
pub mod hixie;
pub mod link_proxy;
mod log;
pub mod nats;
mod opening;
pub mod pacing;
mod packets;
mod placement;
pub mod processes;
mod raw;
pub mod raw_php;
mod response;
mod running;
mod server;
mod sockets;
pub mod tls;
pub mod tokens;
mod tools;
mod v1;
pub mod wait;
pub mod watch;

pub use bystander::Bystander;
pub use folder::Folder;
pub use gomoob::receivers;
pub use opening::{KEY, Open};
pub use packets::{NEXT, broadcast, echo, feedback_to, feedback_to_ident};
pub use placement::received_nothing;
pub use raw::{End, Frame, Raw, socket_from};
pub use response::Head;
pub use running::Running;
pub use server::{Finished, Server, Setup, binary, run_to_end, run_to_end_with};
pub use tools::{Need, example, wstest};
pub use wait::{DEADLINE, alone, among_idle, eventually, pause};
pub use watch::{Watch, with_a_bystander};
