//! The chat with its logic in PHP, in a real browser and with the real interpreter.

use std::process::Command;

use crate::chat::{Backend, free_port};

pub fn two_pages_chat_and_a_restart_of_the_backend_closes_no_connection() {
    let port = free_port();
    let server = crate::chat::server(&format!("http://127.0.0.1:{port}/chat.php"));
    let start = |port: u16| {
        let address = format!("127.0.0.1:{port}");
        Backend::start(
            Command::new("php").args(["-S", &address, "-t"]).arg(crate::chat::file("chat-php")),
            port,
        )
    };
    crate::chat::two_chat_and_a_third_is_refused(start, (&server, port));
}
