//! Encodes the fields of a message.

use std::net::IpAddr;

use bytes::BufMut;

use super::expression::put_expression;
use super::tracking::put_tracking;
use super::{DELIVER, KEPT, PUBLISH};
use crate::link::message::{CountedPublication, Deliver, DeliverTo, NewPublication, SetName};
use crate::types::{
    Address, AddressLimit, Alias, Claim, Client, ClientClass, ClientUuid, Content, Exclusivity,
    GrantNumber, Ident, NamedClient, Number, PayloadForm, Publication, Recipients, SlotSet, Tags,
    Tenant, Topics, Tracking, WorkerIncarnation,
};

/// Kind of recipients without several clients. The kind of the other recipients follows.
pub(super) const WITHOUT: u8 = 6;
/// Kind of recipients among those that an expression matches.
pub(super) const AMONG: u8 = 7;
/// An expression.
pub(super) const EXPRESSION: u8 = 5;

/// Usual size of the fields before the payload of a `Publish` or `Deliver`, rounded up.
const FIELDS_BYTES: usize = 96;

/// Appends a `Publish` without building a message value, so that the payload is copied only once.
pub fn encode_publish(out: &mut Vec<u8>, number: Number, publication: NewPublication<'_>) {
    let NewPublication { tenant, address, form, payload } = publication;
    out.reserve(payload.len() + FIELDS_BYTES);
    with_length(out, |out| {
        out.put_u8(PUBLISH);
        out.put_u64_le(number.0);
        put_route(out, tenant, address);
        put_content(out, Content { form, payload });
    });
}

/// Appends a `Publish` up to its payload, which the caller sends next from memory of its own.
pub fn encode_publish_head(out: &mut Vec<u8>, number: Number, publication: NewPublication<'_>) {
    let start = out.len();
    let payload = publication.payload.len();
    encode_publish(out, number, NewPublication { payload: b"", ..publication });
    if let Some(head) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        let fields = u32::from_le_bytes(*head) as usize;
        *head = u32::try_from(fields + payload).unwrap_or(u32::MAX).to_le_bytes();
    }
}

/// Appends a `Deliver` without taking ownership of its payload.
pub fn encode_deliver<P: AsRef<[u8]>>(out: &mut Vec<u8>, deliver: &Deliver<P>) {
    let payload = deliver.content.as_ref().map_or(0, |content| content.payload.as_ref().len());
    out.reserve(payload + FIELDS_BYTES);
    with_length(out, |out| put_deliver(out, deliver));
}

/// Appends fields, preceded by their length.
#[inline]
pub(super) fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.put_u32_le(0);
    write(out);
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(head) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut) {
        *head = length.to_le_bytes();
    }
}

pub(super) fn put_length(out: &mut Vec<u8>, length: usize) {
    out.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.put_slice(text.as_bytes());
}

pub(super) fn put_source(out: &mut Vec<u8>, source: WorkerIncarnation) {
    out.put_u16_le(source.worker.0);
    out.put_u32_le(source.generation.0);
}

/// Mark in the number of tags: topics follow.
pub(super) const HAS_TOPICS: usize = 1 << 31;

pub(super) fn put_tags(out: &mut Vec<u8>, tags: &Tags) {
    // No list is so long.
    let has_topics = !tags.topics().is_empty();
    put_length(out, tags.len() | if has_topics { HAS_TOPICS } else { 0 });
    for tag in tags {
        put_text(out, tag.name());
        put_text(out, tag.value());
    }
    if has_topics {
        put_topics(out, tags.topics());
    }
}

pub(super) fn put_topics(out: &mut Vec<u8>, topics: &Topics) {
    put_length(out, topics.len());
    topics.iter().for_each(|topic| put_text(out, topic));
}

pub(super) fn put_client(out: &mut Vec<u8>, client: &Client) {
    put_text(out, &client.tenant.0);
    out.put_slice(&client.uuid.0);
    put_text(out, client.ident.as_ref().map_or("", Ident::as_str));
    put_tags(out, &client.tags);
    out.put_u8(match client.class {
        ClientClass::Web => 1,
        ClientClass::Php => 2,
    });
    out.put_u8(u8::from(client.takes_publications));
    out.put_u8(u8::from(client.counted == AddressLimit::InAll));
    put_text(out, client.application.as_ref().map_or("", |it| &it.0));
    put_ip(out, client.ip);
}

pub(super) fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            out.put_u8(4);
            out.put_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.put_u8(6);
            out.put_slice(&ip.octets());
        }
    }
}

fn put_uuid(out: &mut Vec<u8>, uuid: Option<ClientUuid>) {
    out.put_u8(u8::from(uuid.is_some()));
    if let Some(uuid) = uuid {
        out.put_slice(&uuid.0);
    }
}

pub(super) fn put_address(out: &mut Vec<u8>, address: &Address) {
    put_recipients(out, &address.recipients);
    put_uuid(out, address.except);
}

fn put_recipients(out: &mut Vec<u8>, recipients: &Recipients) {
    match recipients {
        Recipients::First { uuid, ident } => {
            out.put_u8(1);
            put_uuid(out, *uuid);
            put_text(out, ident.as_ref().map_or("", Ident::as_str));
        }
        Recipients::Matching(query) => {
            out.put_u8(2);
            put_tags(out, query);
        }
        Recipients::Named(named) => {
            out.put_u8(3);
            put_named(out, named);
        }
        Recipients::TagSequence(tags) => {
            out.put_u8(4);
            put_length(out, tags.len());
            for tag in tags {
                put_text(out, tag.name());
                put_text(out, tag.value());
            }
        }
        Recipients::Expression(expression) => {
            out.put_u8(EXPRESSION);
            put_expression(out, expression);
        }
        Recipients::Among(it) => {
            out.put_u8(AMONG);
            put_expression(out, &it.expression);
            put_recipients(out, &it.recipients);
        }
        Recipients::Without(it) => {
            out.put_u8(WITHOUT);
            put_length(out, it.uuids.len());
            it.uuids.iter().for_each(|uuid| out.put_slice(&uuid.0));
            put_recipients(out, &it.recipients);
        }
    }
}

fn put_named(out: &mut Vec<u8>, named: &NamedClient) {
    put_uuid(out, named.uuid);
    put_text(out, named.alias.as_ref().map_or("", Alias::as_str));
    put_text(out, named.ident.as_ref().map_or("", Ident::as_str));
    out.put_u8(named.options.bits());
}

/// Writes the request for a count. No server has as many clients as stand for no limit.
pub(super) fn put_count(out: &mut Vec<u8>, clients_max: Option<u64>, tracking: Option<Tracking>) {
    out.put_u8(13);
    out.put_u64_le(clients_max.unwrap_or(u64::MAX));
    put_tracking(out, tracking);
}

pub(super) fn put_claim(out: &mut Vec<u8>, claim: &Claim) {
    put_text(out, claim.alias.as_str());
    out.put_u8(match claim.keeping {
        Exclusivity::Alone => 1,
        Exclusivity::Shared => 2,
    });
}

pub(super) fn put_grant(out: &mut Vec<u8>, granted: Option<GrantNumber>) {
    out.put_u8(u8::from(granted.is_some()));
    if let Some(grant) = granted {
        out.put_u64_le(grant.0);
    }
}

/// Appends tenant and address, preceded by their length, so that a reader that knows this route skips it.
pub(super) fn put_route(out: &mut Vec<u8>, tenant: &Tenant, address: &Address) {
    with_length(out, |out| {
        put_text(out, &tenant.0);
        put_address(out, address);
    });
}

/// Returns tenant and address as a publication has them.
#[must_use]
pub fn encode_route(tenant: &Tenant, address: &Address) -> Vec<u8> {
    let mut out = Vec::with_capacity(FIELDS_BYTES);
    put_text(&mut out, &tenant.0);
    put_address(&mut out, address);
    out
}

fn put_content(out: &mut Vec<u8>, content: Content<&[u8]>) {
    out.put_u8(form_byte(content.form));
    out.put_slice(content.payload);
}

#[inline]
pub(super) fn form_byte(form: PayloadForm) -> u8 {
    match form {
        PayloadForm::Packet => 1,
        PayloadForm::Message => 2,
        PayloadForm::Text => 3,
        PayloadForm::WithHeaders => 4,
    }
}

pub(super) fn put_publication(out: &mut Vec<u8>, publication: &Publication) {
    let Publication { tenant, address, content } = publication;
    put_route(out, tenant, address);
    put_content(out, content.borrowed());
}

pub(super) fn put_counted(out: &mut Vec<u8>, counted: CountedPublication) {
    let CountedPublication { number, clients, workers, scan_values, away, is_forwarded } = counted;
    out.put_u8(11);
    out.put_u64_le(number.0);
    out.put_u64_le(clients);
    out.put_u32_le(workers);
    out.put_u64_le(scan_values);
    out.put_u8(away.map_or(0, |is_away| 1 + u8::from(is_away)));
    out.put_u8(u8::from(is_forwarded));
}

/// Appends a [`ToWorker::Set`](crate::link::message::ToWorker::Set), whose slots stay with the caller.
pub fn encode_set(out: &mut Vec<u8>, name: SetName, slots: &SlotSet) {
    with_length(out, |out| put_set(out, name, slots));
}

pub(super) fn put_set(out: &mut Vec<u8>, name: SetName, slots: &SlotSet) {
    out.put_u8(2);
    out.put_u32_le(name.0);
    put_slots(out, slots);
}

pub(super) fn put_slots(out: &mut Vec<u8>, slots: &SlotSet) {
    out.reserve(slots.0.serialized_size());
    // Writing to memory cannot fail.
    let written = slots.0.serialize_into(&mut *out);
    debug_assert!(written.is_ok());
}

#[inline]
pub(super) fn put_deliver<P: AsRef<[u8]>>(out: &mut Vec<u8>, deliver: &Deliver<P>) {
    out.put_u8(DELIVER);
    put_source(out, deliver.source);
    out.put_u64_le(deliver.number.0);
    out.put_u64_le(deliver.sequence.0);
    match deliver.target {
        DeliverTo::One(slot) => {
            out.put_u8(1);
            out.put_u32_le(slot.0);
        }
        DeliverTo::Set { name, except: None } => {
            out.put_u8(2);
            out.put_u32_le(name.0);
        }
        DeliverTo::Set { name, except: Some(slot) } => {
            out.put_u8(3);
            out.put_u32_le(name.0);
            out.put_u32_le(slot.0);
        }
    }
    match &deliver.content {
        Some(content) => put_content(out, content.borrowed()),
        None => out.put_u8(KEPT),
    }
}
