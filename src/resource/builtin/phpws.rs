//! Resource `phpws`: phpWebSocketServer's packets (broadcast, feedback, echo, quit).

use std::borrow::Cow;

use crate::protocol::php_json::{NotForPhp, Objects, reencoded};
use crate::protocol::phpws::old::LooseName;
use crate::protocol::phpws::{
    CompatFlag, PhpwsCommand, PhpwsOptions, PhpwsPacket, parse, token_in, token_taken,
    without_credentials,
};
use crate::protocol::{Encoding, Protocol, tags};
use crate::resource::v1_client::GUARDED_TOPIC;
use crate::resource::{ClientHandle, ResourceHooks};
use crate::session::Message;
use crate::types::{
    Address, Alias, ClientClass, ClientUuid, CloseCode, CloseReason, Ident, MatchOptions,
    NamedClient, PayloadForm,
};

/// Resource `phpws`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Phpws;

impl ResourceHooks for Phpws {
    fn protocol(&self) -> Protocol {
        Protocol::Phpws
    }

    fn detached(&self, _: ClientUuid) -> Option<Box<dyn ResourceHooks + Send>> {
        Some(Box::new(*self))
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        let Some(text) = message.text().filter(|text| !text.is_empty()) else {
            return client.close(EMPTY);
        };
        let Ok(packet) = parse(text) else { return client.close(NOT_JSON) };
        let rules = client.rules().protocols.phpws;
        match &packet.command {
            PhpwsCommand::JsonError if rules.switches.has(CompatFlag::CloseOnJsonError) => {
                client.close(NOT_JSON);
            }
            PhpwsCommand::Token if client.takes_token() => refresh(client, text),
            PhpwsCommand::Nothing | PhpwsCommand::JsonError | PhpwsCommand::Token => {
                if rules.switches.has(CompatFlag::BroadcastWithoutOpcode) {
                    let address = Address::everyone_but(client.id());
                    publish(client, &packet, text, Some(address), Encoding::AsItCame);
                }
            }
            PhpwsCommand::Register => {
                // Without aliases the packet is ignored.
                if rules.aliases.is_some()
                    && let Some(name) = packet.registered()
                {
                    client.register(&name);
                }
            }
            // The backend has stopped waiting. Its answer is not for other clients.
            PhpwsCommand::Answer => {}
            PhpwsCommand::Quit => client.close(QUIT),
            PhpwsCommand::Echo if rules.switches.has(CompatFlag::PhpReencode) => {
                match reencoded(text, Objects::Objects) {
                    Ok(text) => client.reply_text(text),
                    Err(why) => client.close(not_for_php(&why)),
                }
            }
            PhpwsCommand::Echo => client.reply_as_it_came(Message::Text(text)),
            PhpwsCommand::Broadcast => match audience(client, &packet) {
                Ok(address) => publish(client, &packet, text, Some(address), Encoding::AsItCame),
                Err(why) => client.deny(why),
            },
            PhpwsCommand::Feedback { uuid, ident } => {
                let address = recipient(client, &packet, uuid.as_deref(), ident.as_deref());
                let encoding = match rules.switches.has(CompatFlag::PhpReencode) {
                    false => Encoding::AsItCame,
                    true => Encoding::Php,
                };
                publish(client, &packet, text, address, encoding);
            }
        }
    }
}

/// Gives the client the token of its packet. Only a web-type client can read an answer next to `next`.
fn refresh(client: &mut ClientHandle<'_>, packet: &str) {
    match client.refresh_token(&token_in(packet)) {
        Ok(expires) if client.class() == ClientClass::Web => {
            client.reply_text(token_taken(expires));
        }
        Ok(_) => {}
        Err(error) => client.deny(error.fault.close_reason()),
    }
}

/// Returns the recipients of a broadcast. Its `tags` select them if the option `BroadcastByTags` is
/// on.
fn audience(
    client: &mut ClientHandle<'_>,
    packet: &PhpwsPacket<'_>,
) -> Result<Address, Cow<'static, str>> {
    let Some(tags) = packet.tags else { return Ok(Address::everyone_but(client.id())) };
    if client.rules().protocols.phpws.switches.has(CompatFlag::BroadcastByTags) {
        return Ok(Address::matching(tags::of_request(tags)?).but(client.id()));
    }
    client.note_ignored_tags();
    Ok(Address::everyone_but(client.id()))
}

/// Returns the recipient of a feedback, or `None` if the packet names no client.
fn recipient(
    client: &ClientHandle<'_>,
    packet: &PhpwsPacket<'_>,
    uuid: Option<&str>,
    ident: Option<&str>,
) -> Option<Address> {
    let PhpwsOptions { aliases, switches } = client.rules().protocols.phpws;
    let genuine = uuid.and_then(|text| client.verified(text));
    // A UUID without a valid signature may be an alias that a client chose.
    let may_be_alias =
        aliases.is_some() && (genuine.is_none() || !client.rules().signer.is_signed());
    let alias = uuid.filter(|_| may_be_alias).and_then(|text| Alias::new(text).ok());
    let ident = ident.and_then(|text| Ident::new(text).ok());
    let mut options = MatchOptions::default();
    if switches.has(CompatFlag::UuidMissesPhp) {
        options = options.and(MatchOptions::WEB_ONLY);
    }
    let named = NamedClient { uuid: genuine, alias, ident, options };
    let named = if switches.has(CompatFlag::LooseCompare) { loosely(packet, named) } else { named };
    match named {
        NamedClient { uuid: None, alias: None, ident: None, options }
            if !options.selects_alone() =>
        {
            None
        }
        NamedClient { uuid, alias: None, ident, options } if options == MatchOptions::default() => {
            Some(Address::first(uuid, ident))
        }
        named => Some(Address::named(named)),
    }
}

/// Applies PHP's loose comparison to the names of a packet.
fn loosely(packet: &PhpwsPacket<'_>, named: NamedClient) -> NamedClient {
    let (uuid, ident) = packet.loose_names();
    let mut named = named;
    match uuid {
        LooseName::AnyName => named.options = named.options.and(MatchOptions::ANY_WEB),
        LooseName::Text(text) if named.uuid.is_none() => named.alias = Alias::new(&text).ok(),
        LooseName::Text(_) | LooseName::None => {}
    }
    match ident {
        LooseName::AnyName => named.options = named.options.and(MatchOptions::ANY_IDENT),
        LooseName::Text(text) => {
            named.ident = Ident::new(&text).ok();
            named.options = named.options.and(MatchOptions::SAME_NUMBER);
        }
        LooseName::None => {}
    }
    named
}

/// Publishes a packet if the client may publish and `address` is not `None`.
fn publish(
    client: &mut ClientHandle<'_>,
    packet: &PhpwsPacket<'_>,
    text: &str,
    address: Option<Address>,
    encoding: Encoding,
) {
    let message = || Cow::Borrowed(packet.message().as_bytes());
    let Some(tenant) = client.permitted(packet.credentials.as_ref(), message) else { return };
    let Some(address) = address else { return };
    if !client.may_address(&address, packet.credentials.as_ref()) {
        return client.deny(GUARDED_TOPIC);
    }
    let text = match (packet.has_secret, encoding) {
        (false, Encoding::AsItCame) => {
            return client.forward(tenant, address, PayloadForm::Packet, 0..text.len());
        }
        (true, Encoding::AsItCame) => Ok(without_credentials(text)),
        (false, Encoding::Php) => reencoded(text, Objects::Objects),
        (true, Encoding::Php) => reencoded(&without_credentials(text), Objects::Objects),
    };
    match text {
        Ok(text) => client.forward_changed(tenant, address, PayloadForm::Packet, text),
        Err(why) => client.close(not_for_php(&why)),
    }
}

fn not_for_php(why: &NotForPhp) -> CloseReason {
    CloseReason { code: CloseCode::DATA, text: why.to_string().into() }
}

const QUIT: CloseReason = CloseReason::new(CloseCode::NORMAL, "quit");
const EMPTY: CloseReason = CloseReason::new(CloseCode::DATA, "an empty message is no JSON");
const NOT_JSON: CloseReason = CloseReason::new(CloseCode::DATA, "the message is no JSON");
