//! `/echo`: bare texts to all of its clients.

use super::{Room, Talk};
use crate::dialect::bloatless::NO_BINARY;
use crate::resource::Handle;
use crate::session::{Message, Speech};
use crate::types::Form;

/// The application `echo`.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl Talk for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn speech(&self) -> Speech {
        Speech::Plain
    }

    fn hear(&self, room: &Room, client: &mut Handle<'_>, message: Message<'_>) {
        match message {
            Message::Text(text) => room.say(client, (Form::Text, text.to_owned())),
            Message::Binary(_) => client.close(NO_BINARY),
        }
    }
}
