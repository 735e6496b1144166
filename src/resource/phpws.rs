//! phpWebSocketServer's packets: broadcast, feedback, echo, quit.

use std::borrow::Cow;

use super::{Handle, Resource};
use crate::dialect::gomoob::message_of;
use crate::dialect::phpws::{Command, Discretion, Packet, parse, without_credentials};
use crate::session::{Message, Speech};
use crate::types::{Address, CloseCode, CloseReason, Form, Ident};

/// The resource `phpws`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Phpws;

impl Resource for Phpws {
    fn speech(&self) -> Speech {
        Speech::Phpws
    }

    fn on_message(&mut self, client: &mut Handle<'_>, message: Message<'_>) {
        let Some(text) = message.text().filter(|text| !text.is_empty()) else {
            return client.close(EMPTY);
        };
        let Ok(packet) = parse(text) else { return client.close(NOT_JSON) };
        match &packet.command {
            Command::Nothing => {}
            Command::Quit => client.close(QUIT),
            Command::Echo => client.reply_as_it_came(Message::Text(text)),
            Command::Broadcast => {
                let address = Address::everyone_but(client.id());
                publish(client, &packet, text, Some(address));
            }
            Command::Feedback { uuid, ident } => {
                let uuid = uuid.as_deref().and_then(|text| client.verified(text));
                let ident = ident.as_deref().and_then(|text| Ident::new(text).ok());
                let is_somebody = uuid.is_some() || ident.is_some();
                let address = is_somebody.then(|| Address::first(uuid, ident));
                publish(client, &packet, text, address);
            }
        }
    }
}

/// Publishes a packet, if it is allowed and addresses somebody.
fn publish(client: &mut Handle<'_>, packet: &Packet<'_>, text: &str, address: Option<Address>) {
    let message = || Cow::Borrowed(message_of(text.as_bytes()));
    let Some(tenant) = client.permitted(packet.credentials.as_ref(), message) else { return };
    let Some(address) = address else { return };
    match packet.discretion {
        Discretion::AsItCame => {
            client.forward((tenant, address), (Form::PhpwsPacket, 0..text.len()));
        }
        Discretion::Stripped => {
            let packet = without_credentials(text);
            client.forward_changed((tenant, address), (Form::PhpwsPacket, packet));
        }
    }
}

const QUIT: CloseReason = CloseReason::new(CloseCode::NORMAL, "quit");
const EMPTY: CloseReason = CloseReason::new(CloseCode::DATA, "an empty message is no JSON");
const NOT_JSON: CloseReason = CloseReason::new(CloseCode::DATA, "the message is no JSON");
