//! `/echo`: sends each client's text to all clients as a plain text frame.

use super::{BloatlessApp, Room};
use crate::protocol::Protocol;
use crate::protocol::bloatless::NO_BINARY;
use crate::resource::ClientHandle;
use crate::session::Message;
use crate::types::PayloadForm;

/// Application `echo`.
#[derive(Clone, Copy, Debug)]
pub(super) struct EchoApp;

impl BloatlessApp for EchoApp {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn protocol(&self) -> Protocol {
        Protocol::Plain
    }

    fn on_message(&self, room: &Room, client: &mut ClientHandle<'_>, message: Message<'_>) {
        match message {
            Message::Text(text) => room.publish(client, PayloadForm::Text, text.to_owned()),
            Message::Binary(_) => client.close(NO_BINARY),
        }
    }
}
