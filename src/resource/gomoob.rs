//! Gomoob's requests: a message for everyone who carries all its tags.

use std::borrow::Cow;

use super::{Handle, Resource};
use crate::dialect::gomoob::{NoRequest, parse};
use crate::session::{Message, Speech};
use crate::types::{Address, CloseCode, CloseReason, Form};

/// The resource `gomoob`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gomoob;

impl Resource for Gomoob {
    fn speech(&self) -> Speech {
        Speech::Gomoob
    }

    fn on_message(&mut self, client: &mut Handle<'_>, message: Message<'_>) {
        let Some(text) = message.text() else {
            return client.close(NOT_UTF8);
        };
        let request = match parse(text) {
            Ok(request) => request,
            Err(NoRequest(why)) => {
                return client.close(CloseReason { code: CloseCode::POLICY, text: why });
            }
        };
        let json =
            || Cow::Borrowed(text.as_bytes().get(request.message.clone()).unwrap_or_default());
        let shown = request.credentials.as_ref();
        let Some(tenant) = client.permitted(shown, json) else { return };
        let address = Address::matching(request.query);
        client.forward((tenant, address), (Form::Message, request.message));
    }
}

const NOT_UTF8: CloseReason = CloseReason::new(CloseCode::DATA, "the message is no UTF-8");
