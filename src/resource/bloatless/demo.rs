//! `/demo`: what a client says to all of them.

use super::{Room, Talk};
use crate::dialect::bloatless;
use crate::resource::Handle;
use crate::session::Message;
use crate::types::Form;

/// The application `demo`.
#[derive(Clone, Copy, Debug)]
pub struct Demo;

impl Talk for Demo {
    fn name(&self) -> &'static str {
        "demo"
    }

    fn hear(&self, room: &Room, client: &mut Handle<'_>, message: Message<'_>) {
        let Message::Text(text) = message else {
            // The original stores files; here nobody may write any.
            return client.reply_text(bloatless::packet("echo", &"Error receiving file."));
        };
        if let Some(packet) = bloatless::parse(text)
            && matches!(packet.action.as_ref(), "echo" | "Echo")
        {
            room.say(client, (Form::Message, packet.data.to_owned()));
        }
    }
}
