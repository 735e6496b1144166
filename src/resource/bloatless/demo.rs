//! `/demo`: sends each client's text to all clients.

use super::{BloatlessApp, Room};
use crate::protocol::bloatless;
use crate::resource::ClientHandle;
use crate::session::Message;
use crate::types::PayloadForm;

/// Application `demo`.
#[derive(Clone, Copy, Debug)]
pub(super) struct DemoApp;

impl BloatlessApp for DemoApp {
    fn name(&self) -> &'static str {
        "demo"
    }

    fn on_message(&self, room: &Room, client: &mut ClientHandle<'_>, message: Message<'_>) {
        let Message::Text(text) = message else {
            // The original stores uploaded files. This server never lets a client write a file.
            return client.reply_text(bloatless::packet("echo", &"Error receiving file."));
        };
        if let Some(packet) = bloatless::parse(text)
            && matches!(packet.action.as_ref(), "echo" | "Echo")
        {
            room.publish(client, PayloadForm::Message, packet.data.to_owned());
        }
    }
}
