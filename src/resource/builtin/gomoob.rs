//! Resource `gomoob`: publishes each request's message to the clients that have all of its tags.

use std::borrow::Cow;

use crate::protocol::gomoob::{
    GomoobMessages, GomoobOptions, InvalidRequest, TagMatch, parse_with, typed,
};
use crate::protocol::php_json::{Objects, reencoded};
use crate::protocol::{Encoding, Protocol};
use crate::resource::v1_client::GUARDED_TOPIC;
use crate::resource::{ClientHandle, ResourceHooks};
use crate::session::Message;
use crate::types::{Address, ClientUuid, CloseCode, CloseReason, PayloadForm};

/// Resource `gomoob`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gomoob;

impl ResourceHooks for Gomoob {
    fn protocol(&self) -> Protocol {
        Protocol::Gomoob
    }

    fn detached(&self, _: ClientUuid) -> Option<Box<dyn ResourceHooks + Send>> {
        Some(Box::new(*self))
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        let Some(text) = message.text() else {
            return client.close(NOT_UTF8);
        };
        let rules = client.rules().protocols.gomoob;
        let request = match parse_with(text, rules.messages) {
            Ok(request) => request,
            Err(InvalidRequest(why)) => return client.close(rules.close.reason(why)),
        };
        let json =
            || Cow::Borrowed(text.as_bytes().get(request.message.clone()).unwrap_or_default());
        if let Some(token) = &request.token
            && client.takes_token()
            && let Err(error) = client.refresh_token(token)
        {
            return client.deny(error.fault.close_reason());
        }
        let shown = request.credentials.as_ref();
        let Some(tenant) = client.permitted(shown, json) else { return };
        let address = match rules.matching {
            TagMatch::Strict => Address::matching(request.query),
            TagMatch::Legacy => Address::tag_sequence(request.tags_in_order()),
        };
        if !client.may_address(&address, shown) {
            return client.deny(GUARDED_TOPIC);
        }
        let message = text.get(request.message.clone()).unwrap_or_default();
        match made_of(message, rules) {
            None => client.forward(tenant, address, PayloadForm::Message, request.message),
            Some(Ok(made)) => {
                client.forward_changed(tenant, address, PayloadForm::Message, made);
            }
            Some(Err(InvalidRequest(why))) => client.close(rules.close.reason(why)),
        }
    }
}

/// Returns the converted message, or `None` if the options forward it unchanged.
fn made_of(message: &str, rules: GomoobOptions) -> Option<Result<String, InvalidRequest>> {
    if rules.messages == GomoobMessages::Typed && !message.starts_with('"') {
        return Some(typed::rebuilt(message));
    }
    match rules.encoding {
        Encoding::AsItCame => None,
        Encoding::Php => {
            let made = reencoded(message, Objects::Arrays);
            Some(made.map_err(|why| why.to_string().into()))
        }
    }
}

const NOT_UTF8: CloseReason = CloseReason::new(CloseCode::DATA, "the message is no UTF-8");
