//! The chat whose logic is PHP, in a real browser and with the real interpreter.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    dead_code,
    reason = "a test may stop at the first surprise"
)]

mod browser;
mod chat;
mod harness;

use std::process::Command;

use chat::{Backend, free_port};
use harness::require_tool;

#[test]
fn two_pages_talk_a_third_is_refused_and_a_restart_of_the_backend_loses_no_connection() {
    if !require_tool("php", "php-cli") || !require_tool("chromium", "chromium") {
        return;
    }
    let port = free_port();
    let server = chat::server(&format!("http://127.0.0.1:{port}/chat.php"));
    let start = |port: u16| {
        let address = format!("127.0.0.1:{port}");
        Backend::start(
            Command::new("php").args(["-S", &address, "-t"]).arg(chat::file("chat-php")),
            port,
        )
    };
    chat::two_talk_and_a_third_is_refused(start, (&server, port));
}
