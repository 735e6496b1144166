//! Every message back to its sender, as it came.

use super::{Handle, Resource};
use crate::session::{Message, Speech};

/// The resource `echo`: text as text, binary as binary.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Resource for Echo {
    fn speech(&self) -> Speech {
        Speech::Echo
    }

    fn on_message(&mut self, client: &mut Handle<'_>, message: Message<'_>) {
        client.reply_as_it_came(message);
    }
}
