//! Tests that measure time, memory or processor share and therefore need a quiet machine. They are
//! a separate binary, which cargo runs alone, and each of them runs alone within it
//! (`harness::alone`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise, and looks at the server with a real clock"
)]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test file uses its own part of the harness"
)]

#[path = "../it/harness/mod.rs"]
mod harness;

mod api_floods;
mod drain;
mod hostile_floods;
mod hostile_streams;
mod memory;
mod memory_holders;
mod openings;
mod own_backlog;
mod silent_clients;
mod slow_clients;
mod slow_uploads;
mod soak;
mod tag_changes;
mod tenants;
mod tls_pacing;
mod tls_storm;
mod token_storm;
mod turns;
mod walks;
mod waves;
