//! Fields as bytes.

use std::net::IpAddr;

use bytes::{BufMut, BytesMut};

use crate::link::message::{Deliver, Found, Question, Target};
use crate::types::{
    Address, Client, ClientClass, ClientUuid, Content, Form, Ident, Number, Publication,
    Recipients, SlotSet, Source, Tags, Tenant,
};

/// Appends a `Publish` without first building the message: the payload is copied once.
pub fn encode_publish(
    out: &mut BytesMut,
    number: Number,
    (tenant, address): (&Tenant, &Address),
    (form, payload): (Form, &[u8]),
) {
    framed(out, |out| {
        out.put_u8(7);
        out.put_u64_le(number.0);
        put_text(out, &tenant.0);
        put_address(out, address);
        out.put_u8(form_code(form));
        out.put_slice(payload);
    });
}

pub(super) fn framed(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32_le(0);
    write(out);
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(head) = out.get_mut(start..start + 4) {
        head.copy_from_slice(&length.to_le_bytes());
    }
}

pub(super) fn put_length(out: &mut BytesMut, length: usize) {
    out.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
}

fn put_text(out: &mut BytesMut, text: &str) {
    put_length(out, text.len());
    out.put_slice(text.as_bytes());
}

pub(super) fn put_source(out: &mut BytesMut, source: Source) {
    out.put_u16_le(source.worker.0);
    out.put_u32_le(source.generation.0);
}

pub(super) fn put_tags(out: &mut BytesMut, tags: &Tags) {
    put_length(out, tags.len());
    for tag in tags {
        put_text(out, tag.name());
        put_text(out, tag.value());
    }
}

pub(super) fn put_client(out: &mut BytesMut, client: &Client) {
    put_text(out, &client.tenant.0);
    out.put_slice(&client.uuid.0);
    put_text(out, client.ident.as_ref().map_or("", Ident::as_str));
    put_tags(out, &client.tags);
    out.put_u8(match client.class {
        ClientClass::Web => 1,
        ClientClass::Php => 2,
    });
    out.put_u8(u8::from(client.takes_publications));
    match client.ip {
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

pub(super) fn put_question(out: &mut BytesMut, question: &Question) {
    out.put_u32_le(question.number);
    put_text(out, &question.tenant.0);
    put_tags(out, &question.query);
    put_text(out, &question.tag);
}

pub(super) fn put_found(out: &mut BytesMut, found: &Found) {
    out.put_u64_le(found.clients);
    put_length(out, found.values.len());
    found.values.iter().for_each(|value| put_text(out, value));
}

fn put_uuid(out: &mut BytesMut, uuid: Option<ClientUuid>) {
    out.put_u8(u8::from(uuid.is_some()));
    if let Some(uuid) = uuid {
        out.put_slice(&uuid.0);
    }
}

fn put_address(out: &mut BytesMut, address: &Address) {
    match &address.recipients {
        Recipients::First { uuid, ident } => {
            out.put_u8(1);
            put_uuid(out, *uuid);
            put_text(out, ident.as_ref().map_or("", Ident::as_str));
        }
        Recipients::Matching(query) => {
            out.put_u8(2);
            put_tags(out, query);
        }
    }
    put_uuid(out, address.except);
}

fn form_code(form: Form) -> u8 {
    match form {
        Form::PhpwsPacket => 1,
        Form::Message => 2,
    }
}

fn put_content(out: &mut BytesMut, content: &Content) {
    out.put_u8(form_code(content.form));
    out.put_slice(&content.payload);
}

pub(super) fn put_publication(out: &mut BytesMut, publication: &Publication) {
    put_text(out, &publication.tenant.0);
    put_address(out, &publication.address);
    put_content(out, &publication.content);
}

pub(super) fn put_slots(out: &mut BytesMut, slots: &SlotSet) {
    out.reserve(slots.0.serialized_size());
    // Writing into memory has no way to fail.
    let written = slots.0.serialize_into(out.writer());
    debug_assert!(written.is_ok());
}

pub(super) fn put_deliver(out: &mut BytesMut, deliver: &Deliver) {
    put_source(out, deliver.source);
    out.put_u64_le(deliver.number.0);
    out.put_u64_le(deliver.sequence.0);
    match deliver.target {
        Target::One(slot) => {
            out.put_u8(1);
            out.put_u32_le(slot.0);
        }
        Target::Set { name, except: None } => {
            out.put_u8(2);
            out.put_u32_le(name.0);
        }
        Target::Set { name, except: Some(slot) } => {
            out.put_u8(3);
            out.put_u32_le(name.0);
            out.put_u32_le(slot.0);
        }
    }
    put_content(out, &deliver.content);
}
