//! Resource `echo`, and the other applications of PHP-WebSockets-Server.

use crate::protocol::Protocol;
use crate::resource::{ClientHandle, ResourceHooks};
use crate::session::Message;
use crate::types::{ClientUuid, CloseCode, CloseReason};

/// Resource `echo`: returns each message to its sender, text as text and binary as binary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl ResourceHooks for Echo {
    fn protocol(&self) -> Protocol {
        Protocol::Echo
    }

    fn detached(&self, _: ClientUuid) -> Option<Box<dyn ResourceHooks + Send>> {
        Some(Box::new(*self))
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        client.reply_as_it_came(message);
    }
}

/// Application `Bar` as shipped with PHP-WebSockets-Server. It ignores all messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl ResourceHooks for Silent {
    fn protocol(&self) -> Protocol {
        Protocol::Echo
    }

    fn on_message(&mut self, _: &mut ClientHandle<'_>, _: Message<'_>) {}
}

/// Resource for an unknown subprotocol. PHP-WebSockets-Server accepts any name and fails at the
/// first message, so this resource closes the connection at the first message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nameless;

impl ResourceHooks for Nameless {
    fn protocol(&self) -> Protocol {
        Protocol::Echo
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, _: Message<'_>) {
        client.close(NO_APPLICATION);
    }
}

const NO_APPLICATION: CloseReason =
    CloseReason::new(CloseCode::POLICY, "the subprotocol names no application");
