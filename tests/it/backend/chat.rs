//! A server whose `/chat` is bound to a scripted backend.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Act, Backend};
use crate::harness::{Open, Raw, Server, Setup};

pub const SECRET: &str = "secret-of-the-chat-for-this-test-alone";

pub const APPLICATIONS: &str = "anonymous: chat
applications:
  - key: chat
    secret: secret-of-the-chat-for-this-test-alone
    authorizeOpen: true
    clientPublish: true
  - key: shop
    secret: secret-of-the-shop-for-this-test-alone
    authorizeOpen: true
    tenant: shop
";

pub fn setup(backend: &Backend, more: &str) -> Setup {
    let ini = format!(
        "[resource /chat]\nkind = http\nurl = {}\napplication = chat\n{more}",
        backend.url()
    );
    Setup::new().workers(2).ini(&ini).auth(APPLICATIONS)
}

pub fn start(backend: &Backend, more: &str) -> Server {
    setup(backend, more).start()
}

pub fn chat(server: &Server) -> Raw {
    Open::at("/chat").upgrade(server.port)
}

/// Starts a backend that answers every event with no command.
pub fn silent() -> Backend {
    Backend::start(|_| Act::Commands(""))
}

/// Answers each message with its own text.
pub fn echo(event: &Value) -> Act {
    match event["text"].as_str() {
        Some(text) => Act::Answer(
            200,
            json!({ "command": "reply", "text": format!("re: {text}") }).to_string(),
        ),
        None => Act::Commands(""),
    }
}

pub fn hmac(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
