//! Events that a backend receives about a client, and effects of its commands.

use super::*;
use crate::auth::uuid::{Signer, UuidForm};
use crate::auth::{AuthBasis, Grant, Permissions, Right};
use crate::protocol::ProtocolOptions;
use crate::resource::Effect;
use crate::session::{Session, SessionRules};
use crate::types::{AddressLimit, Client, ClientClass, Recipients, TagEdit, TagRef};
use crate::webhook::parse;
use serde_json::Value;

const ME: ClientUuid = ClientUuid([9; 16]);

fn rules() -> SessionRules {
    SessionRules {
        signer: Signer::new(&[1; 32], UuidForm::Signed),
        access: Permissions::everything(),
        message_bytes_max: 100,
        chunks_max: 3,
        topics_max: 3,
        protocols: ProtocolOptions::default(),
    }
}

fn backed(events: &[WebhookEventName]) -> WebhookResource {
    WebhookResource::new(WebhookOptions {
        name: "/chat".to_owned(),
        tenant: Tenant("mine".into()),
        events: events.to_vec(),
        every: None,
        when_down: "{}".to_owned(),
        open_when_down: OpenWhenDown::Refuse,
    })
    .unwrap()
}

fn with_client<T>(call: impl FnOnce(&mut ClientHandle<'_>) -> T) -> (T, Vec<Effect>) {
    let grant =
        Grant { tenant: Tenant("mine".into()), right: Right::Listen, basis: AuthBasis::NOTHING };
    let session = Session::new(ME, grant, ClientClass::Web, Protocol::Plain);
    let client = Client {
        tenant: Tenant("mine".into()),
        uuid: ME,
        ident: None,
        tags: Tags::new([Tag::new("room", "1").unwrap()]).unwrap(),
        class: ClientClass::Web,
        takes_publications: true,
        counted: AddressLimit::ByAddress,
        application: None,
        ip: core::net::Ipv4Addr::LOCALHOST.into(),
    };
    let rules = rules();
    let mut handle = ClientHandle::new(&session, &client, &rules);
    let result = call(&mut handle);
    (result, handle.into_effects())
}

fn body(effects: &[Effect]) -> Value {
    match effects {
        [Effect::Post(post)] => serde_json::from_str(&post.body).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn answer(text: &str) -> (Result<(), InvalidAnswer>, Vec<Effect>) {
    let commands = parse(text.as_bytes()).unwrap();
    with_client(|client| backed(&[]).carry_out(client, commands))
}

#[test]
fn a_message_is_posted_with_its_text_and_binary_as_base64() {
    let mut resource = backed(&[WebhookEventName::Message]);
    let ((), effects) = with_client(|client| resource.on_message(client, Message::Text("h\u{e9}")));
    let event = body(&effects);
    assert_eq!((&event["event"], &event["text"]), (&"message".into(), &"h\u{e9}".into()));
    assert_eq!(event["tags"]["room"], "1");
    assert_eq!(event["uuid"], rules().signer.text(ME));
    let ((), effects) =
        with_client(|client| resource.on_message(client, Message::Binary(&[0, 255])));
    assert_eq!(body(&effects)["binary"], "AP8=");
}

#[test]
fn what_the_backend_does_not_want_is_not_posted() {
    let mut resource = backed(&[WebhookEventName::Open]);
    let ((), effects) = with_client(|client| {
        resource.on_message(client, Message::Text("x"));
        resource.on_connection_lost(client, &NEVER);
        resource.on_close(client, &NEVER);
    });
    assert_eq!(effects, []);
}

#[test]
fn commands_become_effects_in_their_order() {
    let (result, effects) = answer(
        r#"[{"command":"tag","set":{"room":"2"}},{"command":"publish","to":"others","text":"x"},
            {"command":"publish","to":"resource","message":[1]},{"command":"close","code":4000}]"#,
    );
    result.unwrap();
    let [
        Effect::Retag(edit),
        Effect::Publish { address, form, .. },
        Effect::Publish { address: all, tenant, .. },
        Effect::Close(reason),
    ] = effects.as_slice()
    else {
        panic!("{effects:?}");
    };
    assert_eq!(*edit, TagEdit::setting(Tag::new("room", "2").unwrap()));
    assert_eq!((address, *form), (&Address::everyone_but(ME), PayloadForm::Text));
    let Recipients::Matching(query) = &all.recipients else { panic!("{all:?}") };
    assert_eq!(query.iter().next().map(TagRef::value), Some("/chat"));
    assert_eq!((tenant.0.as_ref(), reason.code.0), ("mine", 4000));
}

#[test]
fn a_uuid_that_is_not_ours_and_an_accept_out_of_place_are_wrong() {
    let forged =
        r#"{"command":"publish","to":{"uuid":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},"text":"x"}"#;
    assert!(answer(forged).0.unwrap_err().to_string().contains("was not issued by this server"));
    assert!(answer(r#"{"command":"accept"}"#).0.unwrap_err().to_string().contains("`open` only"));
}

#[test]
fn without_a_client_publications_are_left_and_what_was_its_own_is_not() {
    let commands = || {
        parse(br#"[{"command":"reply","text":"x"},{"command":"publish","to":"others","text":"y"}]"#)
            .unwrap()
    };
    let rules = rules();
    let mut context = ResourceContext::new(&rules, Duration::ZERO);
    backed(&[]).carry_out_alone(&mut context, Some(ME), commands()).unwrap();
    let effects = context.into_effects();
    let [Effect::Publish { address, tenant, .. }] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!((address, tenant.0.as_ref()), (&Address::everyone_but(ME), "mine"));
    let mut context = ResourceContext::new(&rules, Duration::ZERO);
    let wrong = backed(&[]).carry_out_alone(&mut context, None, commands()).unwrap_err();
    assert!(wrong.to_string().contains("a tick has no client"));
}
