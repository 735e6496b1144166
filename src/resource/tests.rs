//! Effects of messages, by resource.

use super::*;
use crate::auth::uuid::{Signer, UuidForm};
use crate::auth::{AuthBasis, Grant, Permissions, Right};
use crate::protocol::ProtocolOptions;
use crate::protocol::phpws::PhpwsOptions;
use crate::session::{Session, SessionRules};
use crate::types::{
    Address, AddressLimit, Alias, Client, ClientClass, ClientUuid, CloseCode, PayloadForm,
    Recipients, Tag, TagEdit, TagNames, Tags, Tenant,
};

fn rules(access: Permissions) -> SessionRules {
    SessionRules {
        signer: Signer::new(&[1; 32], UuidForm::Signed),
        access,
        message_bytes_max: 100,
        chunks_max: 3,
        topics_max: 3,
        protocols: ProtocolOptions::default(),
    }
}

fn open_server() -> SessionRules {
    rules(Permissions::everything())
}

/// Returns the rules of a server where only clients with the secret may publish.
fn locked_server() -> SessionRules {
    rules(Permissions::of_one("k", "s"))
}

/// Returns the effects of a message from a client that may only listen.
fn caused(
    resource: &mut dyn ResourceHooks,
    class: ClientClass,
    rules: &SessionRules,
    text: &str,
) -> Effects {
    let grant = Grant { tenant: Tenant::shared(), right: Right::Listen, basis: AuthBasis::NOTHING };
    let session = Session::new(ClientUuid([9; 16]), grant, class, resource.protocol());
    let client = Client {
        tenant: Tenant::shared(),
        uuid: session.uuid,
        ident: None,
        tags: Tags::default(),
        class,
        takes_publications: true,
        counted: AddressLimit::ByAddress,
        application: None,
        ip: core::net::Ipv4Addr::LOCALHOST.into(),
    };
    let mut handle = ClientHandle::new(&session, &client, rules);
    resource.on_message(&mut handle, Message::Text(text));
    handle.into_effects()
}

fn phpws(text: &str) -> Effects {
    caused(&mut Phpws, ClientClass::Web, &open_server(), text)
}

fn code(effects: &Effects) -> Option<CloseCode> {
    match effects.as_slice() {
        [Effect::Close(reason)] => Some(reason.code),
        _ => None,
    }
}

#[test]
fn a_broadcast_goes_unchanged_to_all_clients_but_its_sender() {
    let text = r#"{ "opcode":"broadcast" , "message":"x" }"#;
    let effects = phpws(text);
    let [Effect::Publish { address, form, payload, .. }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!(*address, Address::everyone_but(ClientUuid([9; 16])));
    assert_eq!((*form, payload.bytes(text.as_bytes())), (PayloadForm::Packet, text.as_bytes()));
}

#[test]
fn feedback_to_a_forged_uuid_reaches_no_client() {
    let genuine = open_server().signer.text(ClientUuid([5; 16]));
    let effects = phpws(&format!(r#"{{"opcode":"feedback","uuid":"{genuine}"}}"#));
    assert!(matches!(effects.as_slice(), [Effect::Publish { .. }]));
    let forged = format!(r#"{{"opcode":"feedback","uuid":"{}"}}"#, &genuine[..36]);
    let no_aliases = SessionRules {
        protocols: ProtocolOptions {
            phpws: PhpwsOptions { aliases: None, ..PhpwsOptions::default() },
            ..ProtocolOptions::default()
        },
        ..open_server()
    };
    assert!(caused(&mut Phpws, ClientClass::Web, &no_aliases, &forged).is_empty());
    // The text may be an alias of a client, but it is not a valid UUID of one.
    let effects = phpws(&forged);
    let [Effect::Publish { address, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    let Recipients::Named(named) = &address.recipients else { panic!("{address:?}") };
    assert!(named.uuid.is_none() && named.ident.is_none());
    assert_eq!(named.alias.as_ref().map(Alias::as_str), Some(&genuine[..36]));
}

#[test]
fn invalid_json_closes_with_1007_and_quit_with_1000() {
    for text in ["", "not json"] {
        assert_eq!(code(&phpws(text)), Some(CloseCode::DATA), "{text}");
    }
    assert_eq!(code(&phpws(r#"{"opcode":"quit"}"#)), Some(CloseCode::NORMAL));
    assert!(phpws(r#"{"opcode":"whatever"}"#).is_empty());
}

#[test]
fn publishing_needs_the_secret_and_the_secret_is_not_passed_on() {
    let rules = locked_server();
    for (class, text) in [
        (ClientClass::Web, r#"{"opcode":"broadcast"}"#),
        (ClientClass::Web, r#"{"opcode":"feedback","uuid":"nobody"}"#),
        (ClientClass::Web, r#"{"opcode":"broadcast","key":"k","secret":"x"}"#),
    ] {
        let effects = caused(&mut Phpws, class, &rules, text);
        let error = r#"{"opcode":"error","error":"Message sending is not authorized !"}"#;
        let reply = Effect::ReplyText(Payload::Made(error.as_bytes().to_vec()));
        assert_eq!(effects.as_slice(), [reply], "{text}");
    }
    let denied = caused(&mut Phpws, ClientClass::Php, &rules, r#"{"opcode":"broadcast"}"#);
    assert_eq!(code(&denied), Some(CloseCode::POLICY));
    let text = r#"{"opcode":"broadcast","message":1,"key":"k","secret":"s"}"#;
    let effects = caused(&mut Phpws, ClientClass::Web, &rules, text);
    let [Effect::Publish { payload, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(payload.bytes(text.as_bytes()), br#"{"opcode":"broadcast","message":1}"#);
    let echo = r#"{"opcode":"echo","message":1}"#;
    let effects = caused(&mut Phpws, ClientClass::Web, &rules, echo);
    assert_eq!(effects.as_slice(), [Effect::ReplyText(Payload::Received(0..echo.len()))]);
}

#[test]
fn a_request_publishes_its_message_to_its_tags() {
    let text = r#"{"message": {"a":1} ,"tags":{"n":12}}"#;
    let effects = caused(&mut Gomoob, ClientClass::Web, &open_server(), text);
    let [Effect::Publish { address, form, payload, .. }] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    let query = Tags::new([Tag::new("n", "12").unwrap()]).unwrap();
    assert_eq!(*address, Address::matching(query));
    assert_eq!((*form, payload.bytes(text.as_bytes())), (PayloadForm::Message, &br#"{"a":1}"#[..]));
    let locked = |text| caused(&mut Gomoob, ClientClass::Web, &locked_server(), text);
    assert_eq!(code(&locked(r#"{"message":1}"#)), Some(CloseCode::POLICY));
    assert_eq!(code(&locked("hello")), Some(CloseCode::POLICY));
    let proven = locked(r#"{"message":1,"metadata":{"key":"k","secret":"s"}}"#);
    assert!(matches!(proven.as_slice(), [Effect::Publish { .. }]));
}

#[test]
fn tags_set_in_a_call_are_visible_in_it_and_reported_once() {
    struct Tagger;

    impl ResourceHooks for Tagger {
        fn on_message(&mut self, client: &mut ClientHandle<'_>, _: Message<'_>) {
            client.set_tag("room", "1").unwrap();
            client.set_tag("room", "2").unwrap();
            client.set_tag("nick", "anna").unwrap();
            client.remove_tag("nick");
            assert_eq!((client.tag("room"), client.tag("nick")), (Some("2"), None));
            client.publish(Address::matching(client.tags().clone()), "hi").unwrap();
            let error = client.publish(Address::everyone(), &"x".repeat(101)).unwrap_err();
            assert_eq!(error.to_string(), "103 bytes are more than maxMessage");
        }
    }

    let effects = caused(&mut Tagger, ClientClass::Web, &open_server(), "");
    let room = Tags::new([Tag::new("room", "2").unwrap()]).unwrap();
    let remove = TagNames::new(["nick".into()]).unwrap();
    let edit = TagEdit::Update { set: room.clone(), remove, leave: Default::default() };
    assert_eq!(effects.first(), Some(&Effect::Retag(edit)));
    let Some(Effect::Publish { address, payload, .. }) = effects.get(1) else { panic!() };
    assert_eq!((address, payload.bytes(b"")), (&Address::matching(room), &b"\"hi\""[..]));
    assert_eq!(effects.len(), 2);
}
