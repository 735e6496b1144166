//! Every message back to its sender, as it came; and what PHP-WebSockets-Server had in its place.

use crate::protocol::Protocol;
use crate::resource::{ClientHandle, ResourceHooks};
use crate::session::Message;
use crate::types::{CloseCode, CloseReason};

/// The resource `echo`: text as text, binary as binary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl ResourceHooks for Echo {
    fn protocol(&self) -> Protocol {
        Protocol::Echo
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        client.reply_as_it_came(message);
    }
}

/// The application `Bar` as PHP-WebSockets-Server shipped it: it hears and says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl ResourceHooks for Silent {
    fn protocol(&self) -> Protocol {
        Protocol::Echo
    }

    fn on_message(&mut self, _: &mut ClientHandle<'_>, _: Message<'_>) {}
}

/// An application that is none: PHP-WebSockets-Server agreed to any name, and found out at the first
/// message.
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
