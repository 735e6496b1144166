//! phpWebSocketServer's packets: broadcast, feedback, echo, quit.

use std::borrow::Cow;

use super::{Handle, Resource};
use crate::dialect::php::{NotForPhp, Objects, reencoded};
use crate::dialect::phpws::old::LooseName;
use crate::dialect::phpws::{Command, Discretion, Packet, parse, without_credentials};
use crate::dialect::tags;
use crate::session::{Encoding, Message, PhpwsRules, Speech};
use crate::types::{Address, Alias, CloseCode, CloseReason, Form, Ident, Laxity, Named, Switch};

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
        let rules = client.rules().phpws;
        match &packet.command {
            Command::JsonError if rules.switches.has(Switch::CloseOnJsonError) => {
                client.close(NOT_JSON);
            }
            Command::Nothing | Command::JsonError => {
                if rules.switches.has(Switch::BroadcastWithoutOpcode) {
                    let address = Address::everyone_but(client.id());
                    publish(client, &packet, text, (Some(address), Encoding::AsItCame));
                }
            }
            Command::Register => {
                // Where there are no aliases, nothing of it is looked at.
                if rules.aliases.is_some()
                    && let Some(name) = packet.registered()
                {
                    client.register(&name);
                }
            }
            Command::Quit => client.close(QUIT),
            Command::Echo if rules.switches.has(Switch::PhpReencode) => {
                match reencoded(text, Objects::Objects) {
                    Ok(text) => client.reply_text(text),
                    Err(why) => client.close(not_for_php(&why)),
                }
            }
            Command::Echo => client.reply_as_it_came(Message::Text(text)),
            Command::Broadcast => match audience(client, &packet) {
                Ok(address) => publish(client, &packet, text, (Some(address), Encoding::AsItCame)),
                Err(why) => client.deny(why),
            },
            Command::Feedback { uuid, ident } => {
                let address = recipient(client, &packet, (uuid.as_deref(), ident.as_deref()));
                let encoding = match rules.switches.has(Switch::PhpReencode) {
                    false => Encoding::AsItCame,
                    true => Encoding::Php,
                };
                publish(client, &packet, text, (address, encoding));
            }
        }
    }
}

/// Whom a broadcast is for: its `tags` say so where that is wanted.
fn audience(client: &mut Handle<'_>, packet: &Packet<'_>) -> Result<Address, Cow<'static, str>> {
    let Some(tags) = packet.tags else { return Ok(Address::everyone_but(client.id())) };
    if client.rules().phpws.switches.has(Switch::BroadcastByTags) {
        return Ok(Address::matching(tags::of_request(tags)?).but(client.id()));
    }
    client.note_ignored_tags();
    Ok(Address::everyone_but(client.id()))
}

/// Whom a feedback is for.
fn recipient(
    client: &Handle<'_>,
    packet: &Packet<'_>,
    (uuid, ident): (Option<&str>, Option<&str>),
) -> Option<Address> {
    let PhpwsRules { aliases, switches } = client.rules().phpws;
    let genuine = uuid.and_then(|text| client.verified(text));
    // A UUID without a signature may be the alias of somebody who made it.
    let may_be_alias =
        aliases.is_some() && (genuine.is_none() || !client.rules().signer.is_signed());
    let alias = uuid.filter(|_| may_be_alias).and_then(|text| Alias::new(text).ok());
    let ident = ident.and_then(|text| Ident::new(text).ok());
    let mut laxity = Laxity::default();
    if switches.has(Switch::UuidMissesPhp) {
        laxity = laxity.and(Laxity::WEB_ONLY);
    }
    let named = Named { uuid: genuine, alias, ident, laxity };
    let named = if switches.has(Switch::LooseCompare) { loosely(packet, named) } else { named };
    match named {
        Named { uuid: None, alias: None, ident: None, laxity } if !laxity.names_somebody() => None,
        Named { uuid, alias: None, ident, laxity } if laxity == Laxity::default() => {
            Some(Address::first(uuid, ident))
        }
        named => Some(Address::named(named)),
    }
}

/// Names as PHP compares them.
fn loosely(packet: &Packet<'_>, named: Named) -> Named {
    let (uuid, ident) = packet.loose_names();
    let mut named = named;
    match uuid {
        LooseName::Anybody => named.laxity = named.laxity.and(Laxity::ANY_WEB),
        LooseName::Text(text) if named.uuid.is_none() => named.alias = Alias::new(&text).ok(),
        LooseName::Text(_) | LooseName::Nobody => {}
    }
    match ident {
        LooseName::Anybody => named.laxity = named.laxity.and(Laxity::ANY_IDENT),
        LooseName::Text(text) => {
            named.ident = Ident::new(&text).ok();
            named.laxity = named.laxity.and(Laxity::SAME_NUMBER);
        }
        LooseName::Nobody => {}
    }
    named
}

/// Publishes a packet, if it is allowed and addresses somebody.
fn publish(
    client: &mut Handle<'_>,
    packet: &Packet<'_>,
    text: &str,
    (address, encoding): (Option<Address>, Encoding),
) {
    let message = || Cow::Borrowed(packet.message().as_bytes());
    let Some(tenant) = client.permitted(packet.credentials.as_ref(), message) else { return };
    let Some(address) = address else { return };
    let text = match (packet.discretion, encoding) {
        (Discretion::AsItCame, Encoding::AsItCame) => {
            return client.forward((tenant, address), (Form::PhpwsPacket, 0..text.len()));
        }
        (Discretion::Stripped, Encoding::AsItCame) => Ok(without_credentials(text)),
        (Discretion::AsItCame, Encoding::Php) => reencoded(text, Objects::Objects),
        (Discretion::Stripped, Encoding::Php) => {
            reencoded(&without_credentials(text), Objects::Objects)
        }
    };
    match text {
        Ok(text) => client.forward_changed((tenant, address), (Form::PhpwsPacket, text)),
        Err(why) => client.close(not_for_php(&why)),
    }
}

fn not_for_php(why: &NotForPhp) -> CloseReason {
    CloseReason { code: CloseCode::DATA, text: why.to_string().into() }
}

const QUIT: CloseReason = CloseReason::new(CloseCode::NORMAL, "quit");
const EMPTY: CloseReason = CloseReason::new(CloseCode::DATA, "an empty message is no JSON");
const NOT_JSON: CloseReason = CloseReason::new(CloseCode::DATA, "the message is no JSON");
