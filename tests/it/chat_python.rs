//! The chat with its logic in Python, in a real browser and with the real interpreter.

use std::process::Command;

use crate::chat::{Backend, free_port};

pub fn two_pages_chat_and_a_restart_of_the_backend_closes_no_connection() {
    let port = free_port();
    let server = crate::chat::server(&format!("http://127.0.0.1:{port}/chat"));
    let start = |port: u16| {
        Backend::start(
            Command::new("python3")
                .arg(crate::chat::file("chat-python/chat.py"))
                .arg(port.to_string()),
            port,
        )
    };
    crate::chat::two_chat_and_a_third_is_refused(start, (&server, port));
}
