//! Requests of `tagcast.v1`, on any path. On a path without a resource they are all that a client can send.

use std::borrow::Cow;

use crate::auth::Permit;
use crate::protocol::Protocol;
use crate::protocol::v1::{
    V1Ask, V1Error, V1ErrorCode, V1Fault, V1Frame, V1Headers, V1Op, V1Place, V1Publish,
    V1RequestId, V1Target, V1Watch, invalid_frame, parse,
};
use crate::resource::v1_client::GUARDED_TOPIC;
use crate::resource::{ClientHandle, RequestEffect, ResourceHooks};
use crate::session::Message;
use crate::types::limits::TAGS_MAX;
use crate::types::{
    Address, ClientUuid, CloseCode, CloseReason, PayloadForm, TagEdit, TagError, TagRef, WatchMode,
    WatchScope, WatchTerms,
};

/// Carries out the requests of clients of `tagcast.v1`.
#[derive(Clone, Copy, Debug, Default)]
pub struct V1Requests;

impl ResourceHooks for V1Requests {
    fn protocol(&self) -> Protocol {
        Protocol::V1
    }

    fn detached(&self, _: ClientUuid) -> Option<Box<dyn ResourceHooks + Send>> {
        Some(Box::new(*self))
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        let Message::Text(text) = message else { return client.close(NO_BINARY) };
        match parse(text) {
            Ok(frame) => on_frame(client, text, frame),
            Err(V1Fault::NoFrame(why)) => client.close(invalid_frame(&why)),
            Err(V1Fault::Refused { id, error }) => {
                client.request(RequestEffect::Refuse { id, error });
            }
        }
    }
}

const NO_BINARY: CloseReason =
    CloseReason::new(CloseCode::UNSUPPORTED, "binary messages have no meaning here");
const HELLO_AGAIN: &str = "`hello` may only be the first frame";
const NO_TOKENS: &str = "the application of this connection accepts no tokens";
const NO_TAGS: &str = "this client may not change its tags";
const NOT_LISTED: &str = "the token of this client does not allow to change this tag";
const NO_WATCH: &str = "this client may not watch these clients";
const FIXED_TAG: &str = "the token of this client fixes this tag";
const NO_TOPICS: &str = "this client may not join this topic";
const NO_REPORT: &str = "a report needs a connection that has shown the application's secret";

fn on_frame(client: &mut ClientHandle<'_>, text: &str, V1Frame { id, op }: V1Frame<'_>) {
    let refused = match op {
        V1Op::Hello => return client.close(invalid_frame(HELLO_AGAIN)),
        V1Op::Bye => return client.close(CloseReason::BYE),
        V1Op::Ping => return client.request(RequestEffect::Pong(id)),
        V1Op::Pong => return client.request(RequestEffect::Alive),
        V1Op::Send(data) => {
            let data = crate::protocol::v1::place(text, data);
            return client.request(RequestEffect::Send { id, data });
        }
        V1Op::Publish(publish) => publish_data(client, text, id, &publish),
        V1Op::Ask(ask) => ask_client(client, text, id, &ask),
        // The worker has taken those to open questions.
        V1Op::Answer => return client.request(RequestEffect::DropAnswer),
        V1Op::Tag(edit) => change_tags(client, id, edit),
        V1Op::Token(token) => refresh_token(client, id, &token),
        V1Op::Watch(watch) => watch_query(client, id, *watch),
        V1Op::Unwatch(watch) => {
            id.into_iter().for_each(|id| client.request(RequestEffect::Unwatch { id, watch }));
            Ok(())
        }
    };
    if let Err(error) = refused {
        client.request(RequestEffect::Refuse { id, error });
    }
}

fn publish_data(
    client: &mut ClientHandle<'_>,
    text: &str,
    id: Option<V1RequestId>,
    publish: &V1Publish<'_>,
) -> Result<(), Box<V1Error>> {
    let denied = |why: &'static str| V1Error::new(V1ErrorCode::PermissionDenied, why);
    if publish.is_counted && client.authorise(None).is_ok() && !client.may_see_counts() {
        return Err(denied(NO_REPORT).at(V1Place::Pointer("/report".into())));
    }
    let Permit { tenant, .. } = permit(client, publish.data)?;
    let address = address_of(client, publish);
    if !client.may_address(&address, None) {
        client.note_denied("permission");
        return Err(denied(GUARDED_TOPIC).at(V1Place::Pointer("/to".into())));
    }
    if let Some(id) = id {
        client.request(RequestEffect::Begin(id));
    }
    let is_expression = matches!(publish.to, V1Target::Expression(_));
    if publish.is_counted || is_expression {
        // The broker does not evaluate an expression that is too expensive. Its count says so.
        client.request(RequestEffect::CountNext);
    }
    let sender = if publish.shows_sender { client.uuid() } else { String::new() };
    let topic = address.recipients.topic().unwrap_or_default().to_owned();
    let headers = V1Headers { event: &publish.event, topic: &topic, from: &sender };
    if headers.is_empty() {
        client.forward(tenant, address, PayloadForm::Message, publish.place_in(text));
    } else {
        let payload = headers.payload(PayloadForm::Message, publish.data);
        client.forward_changed(tenant, address, PayloadForm::WithHeaders, payload);
    }
    let is_reported = publish.is_counted;
    client.request(RequestEffect::Acknowledge { id, is_reported });
    Ok(())
}

fn ask_client(
    client: &mut ClientHandle<'_>,
    text: &str,
    id: Option<V1RequestId>,
    ask: &V1Ask<'_>,
) -> Result<(), Box<V1Error>> {
    // The parser has refused a request without an id.
    let Some(id) = id else { return Ok(()) };
    let Permit { tenant, .. } = permit(client, ask.data)?;
    client.request(RequestEffect::Ask { id, within: ask.within });
    let address = address_to(client, &ask.to);
    let headers = V1Headers { event: &ask.event, ..V1Headers::default() };
    if headers.is_empty() {
        client.forward(tenant, address, PayloadForm::Message, ask.place_in(text));
    } else {
        let payload = headers.payload(PayloadForm::Message, ask.data);
        client.forward_changed(tenant, address, PayloadForm::WithHeaders, payload);
    }
    client.request(RequestEffect::Asked(id));
    Ok(())
}

/// Checks whether the client may publish data, and what they count towards.
fn permit<'c>(client: &mut ClientHandle<'c>, data: &str) -> Result<Permit<'c>, Box<V1Error>> {
    let permit = client.authorise(None).map_err(|why| {
        client.note_denied("permission");
        V1Error::new(V1ErrorCode::PermissionDenied, why.text())
    })?;
    if let Some(misfit) = permit.check.and_then(|check| check.check(data.as_bytes()).err()) {
        client.note_denied("schema");
        return Err(schema_violation(misfit));
    }
    client.charge_to(permit.application);
    Ok(permit)
}

fn schema_violation(misfit: String) -> Box<V1Error> {
    let place = misfit.split_once(" at /").and_then(|(_, rest)| rest.split(": ").next());
    let place = place.map(|place| format!("/{place}")).unwrap_or_default();
    V1Error::new(V1ErrorCode::SchemaViolation, misfit).at(V1Place::Pointer(Cow::Owned(place)))
}

fn address_to(client: &ClientHandle<'_>, to: &V1Target<'_>) -> Address {
    match to {
        V1Target::Tags(query) => Address::matching(query.clone()),
        V1Target::Expression(expression) => Address::expr(expression.clone()),
        // A forged UUID names no client.
        V1Target::Uuid(uuid) => Address::first(client.verified(uuid), None),
        V1Target::Ident(ident) => Address::first(None, Some(ident.clone())),
    }
}

fn address_of(client: &ClientHandle<'_>, publish: &V1Publish<'_>) -> Address {
    let address = address_to(client, &publish.to);
    let mut except: Vec<ClientUuid> = Vec::new();
    for name in &publish.except {
        let excluded = if name == "self" { Some(client.id()) } else { client.verified(name) };
        except.extend(excluded.filter(|uuid| !except.contains(uuid)));
    }
    address.without(&except)
}

fn refresh_token(
    client: &mut ClientHandle<'_>,
    id: Option<V1RequestId>,
    token: &str,
) -> Result<(), Box<V1Error>> {
    if !client.takes_token() {
        return Err(V1Error::new(V1ErrorCode::Unsupported, NO_TOKENS));
    }
    client
        .refresh_token(token)
        .map_err(|error| V1Error::new(V1ErrorCode::PermissionDenied, error.fault.close_reason()))?;
    client.request(RequestEffect::Acknowledge { id, is_reported: false });
    Ok(())
}

fn watch_query(
    client: &mut ClientHandle<'_>,
    id: Option<V1RequestId>,
    V1Watch { query, has_members, is_once }: V1Watch,
) -> Result<(), Box<V1Error>> {
    // The parser has refused a request without an id.
    let Some(id) = id else { return Ok(()) };
    let scope = client.watch_scope(&query);
    if scope == WatchScope::Nothing {
        return Err(V1Error::new(V1ErrorCode::PermissionDenied, NO_WATCH));
    }
    let most = client.members_max();
    let mode = if has_members { WatchMode::Members(most) } else { WatchMode::Count };
    let terms = Box::new(WatchTerms { query, mode, is_once, scope });
    client.request(RequestEffect::Watch { id, terms });
    Ok(())
}

fn change_tags(
    client: &mut ClientHandle<'_>,
    id: Option<V1RequestId>,
    edit: TagEdit,
) -> Result<(), Box<V1Error>> {
    // The parser has refused a request without an id.
    let Some(id) = id else { return Ok(()) };
    let denied = |why: &'static str| V1Error::new(V1ErrorCode::PermissionDenied, why);
    let TagEdit::Update { set, remove, .. } = &edit else { return Ok(()) };
    let is_about_tags = !set.is_empty() || !remove.is_empty() || !edit.changes_topics();
    if is_about_tags && !client.may_choose_tags() {
        return Err(denied(NO_TAGS));
    }
    if let Some(allowed) = client.retag_names()
        && !set.iter().map(TagRef::name).chain(remove.iter()).all(|name| allowed.has(name))
    {
        return Err(denied(NOT_LISTED));
    }
    if edit.join().iter().any(|topic| !client.may_join(topic)) {
        return Err(denied(NO_TOPICS).at(V1Place::Pointer("/join".into())));
    }
    let fixed = client.fixed_tags();
    if fixed.is_some_and(|fixed| fixed.iter().any(|tag| !edit.keeps(tag.name()))) {
        return Err(denied(FIXED_TAG));
    }
    check_limits(client, &edit)?;
    client.request(RequestEffect::Tag { id, edit });
    Ok(())
}

/// Checks that the client would not have too many tags or topics. One that leaves topics may still be in too many.
fn check_limits(client: &ClientHandle<'_>, edit: &TagEdit) -> Result<(), Box<V1Error>> {
    let topics_max = client.rules().topics_max;
    let too_many_topics = || {
        let why = format!("a client may be in {topics_max} topics");
        V1Error::new(V1ErrorCode::LimitExceeded, why).over(topics_max)
    };
    let tags = edit.apply(client.tags()).map_err(|error| match error {
        TagError::TooManyTopics => too_many_topics(),
        error => V1Error::new(V1ErrorCode::LimitExceeded, error.to_string()).over(TAGS_MAX),
    })?;
    if !edit.join().is_empty() && tags.topics().len() > topics_max {
        return Err(too_many_topics().at(V1Place::Pointer("/join".into())));
    }
    Ok(())
}
