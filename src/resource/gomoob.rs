//! Gomoob's requests: a message for everyone who carries all its tags.

use std::borrow::Cow;

use super::{Handle, Resource};
use crate::dialect::gomoob::{Messages, NoRequest, parse_with, tags_in_order, typed};
use crate::dialect::php::{Objects, reencoded};
use crate::session::{Encoding, GomoobRules, Message, Speech, TagMatch};
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
        let rules = client.rules().gomoob;
        let request = match parse_with(text, rules.messages) {
            Ok(request) => request,
            Err(NoRequest(why)) => return client.close(rules.close.reason(why)),
        };
        let json =
            || Cow::Borrowed(text.as_bytes().get(request.message.clone()).unwrap_or_default());
        let shown = request.credentials.as_ref();
        let Some(tenant) = client.permitted(shown, json) else { return };
        let address = match rules.matching {
            TagMatch::Strict => Address::matching(request.query),
            TagMatch::Legacy => Address::loosely(tags_in_order(text)),
        };
        let message = text.get(request.message.clone()).unwrap_or_default();
        match made_of(message, rules) {
            None => client.forward((tenant, address), (Form::Message, request.message)),
            Some(made) => client.forward_changed((tenant, address), (Form::Message, made)),
        }
    }
}

/// What goes on in place of a message that does not go on as it came.
fn made_of(message: &str, rules: GomoobRules) -> Option<String> {
    if rules.messages == Messages::Typed && !message.starts_with('"') {
        return typed::rebuilt(message).ok();
    }
    match rules.encoding {
        Encoding::AsItCame => None,
        Encoding::Php => reencoded(message, Objects::Arrays).ok(),
    }
}

const NOT_UTF8: CloseReason = CloseReason::new(CloseCode::DATA, "the message is no UTF-8");
