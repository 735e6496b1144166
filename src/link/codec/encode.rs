//! Encodes the fields of a message.

use std::net::IpAddr;

use bytes::{BufMut, BytesMut};

use crate::link::message::{Deliver, DeliverTo, NewPublication, PresenceQuery, PresenceResult};
use crate::types::{
    Address, AddressLimit, Alias, Claim, Client, ClientClass, ClientUuid, Exclusivity, GrantNumber,
    Ident, NamedClient, Number, PayloadForm, Publication, Recipients, SlotSet, Tags,
    WorkerIncarnation,
};

/// Appends the fields of a message. Small fields are collected in an array first, because each append to a
/// `BytesMut` is a call that the compiler does not inline (6 ns).
pub(super) struct FieldWriter<'o> {
    out: &'o mut BytesMut,
    small: [u8; SMALL_BYTES],
    gathered: usize,
}

/// Usual size of the fields before the payload of a `Publish` or `Deliver`, rounded up.
const SMALL_BYTES: usize = 96;

/// Appends a `Publish` without building a message value, so that the payload is copied only once.
pub fn encode_publish(out: &mut BytesMut, number: Number, publication: NewPublication<'_>) {
    let NewPublication { tenant, address, form, payload } = publication;
    framed(out, |out| {
        out.put_u8(7);
        out.put_u64_le(number.0);
        put_text(out, &tenant.0);
        put_address(out, address);
        put_content(out, form, payload);
    });
}

/// Appends a `Deliver` without taking ownership of its payload.
pub fn encode_deliver(out: &mut BytesMut, deliver: &Deliver) {
    framed(out, |out| put_deliver(out, deliver));
}

pub(super) fn framed(out: &mut BytesMut, write: impl FnOnce(&mut FieldWriter<'_>)) {
    let start = out.len();
    let mut record = FieldWriter { out, small: [0; SMALL_BYTES], gathered: 0 };
    record.put_u32_le(0);
    write(&mut record);
    record.flush();
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    if let Some(head) = out.get_mut(start..start + 4) {
        head.copy_from_slice(&length.to_le_bytes());
    }
}

impl FieldWriter<'_> {
    pub(super) fn put_u8(&mut self, field: u8) {
        self.put([field]);
    }

    pub(super) fn put_u16_le(&mut self, field: u16) {
        self.put(field.to_le_bytes());
    }

    pub(super) fn put_u32_le(&mut self, field: u32) {
        self.put(field.to_le_bytes());
    }

    pub(super) fn put_u64_le(&mut self, field: u64) {
        self.put(field.to_le_bytes());
    }

    fn put<const N: usize>(&mut self, field: [u8; N]) {
        const { assert!(N <= SMALL_BYTES, "a field fits into what is gathered") };
        if self.gathered + N > SMALL_BYTES {
            self.flush();
        }
        let free = self.small.get_mut(self.gathered..).unwrap_or_default();
        if let Some(place) = free.first_chunk_mut() {
            *place = field;
            self.gathered += N;
        }
    }

    fn put_slice(&mut self, bytes: &[u8]) {
        let free = self.small.get_mut(self.gathered..).unwrap_or_default();
        if let Some(place) = free.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
            self.gathered += bytes.len();
        } else {
            self.flush();
            self.out.put_slice(bytes);
        }
    }

    fn flush(&mut self) {
        self.out.put_slice(self.small.get(..self.gathered).unwrap_or_default());
        self.gathered = 0;
    }
}

pub(super) fn put_length(out: &mut FieldWriter<'_>, length: usize) {
    out.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
}

fn put_text(out: &mut FieldWriter<'_>, text: &str) {
    put_length(out, text.len());
    out.put_slice(text.as_bytes());
}

pub(super) fn put_source(out: &mut FieldWriter<'_>, source: WorkerIncarnation) {
    out.put_u16_le(source.worker.0);
    out.put_u32_le(source.generation.0);
}

pub(super) fn put_tags(out: &mut FieldWriter<'_>, tags: &Tags) {
    put_length(out, tags.len());
    for tag in tags {
        put_text(out, tag.name());
        put_text(out, tag.value());
    }
}

pub(super) fn put_client(out: &mut FieldWriter<'_>, client: &Client) {
    put_text(out, &client.tenant.0);
    out.put(client.uuid.0);
    put_text(out, client.ident.as_ref().map_or("", Ident::as_str));
    put_tags(out, &client.tags);
    out.put_u8(match client.class {
        ClientClass::Web => 1,
        ClientClass::Php => 2,
    });
    out.put_u8(u8::from(client.takes_publications));
    out.put_u8(u8::from(client.counted == AddressLimit::InAll));
    put_ip(out, client.ip);
}

pub(super) fn put_ip(out: &mut FieldWriter<'_>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            out.put_u8(4);
            out.put(ip.octets());
        }
        IpAddr::V6(ip) => {
            out.put_u8(6);
            out.put(ip.octets());
        }
    }
}

pub(super) fn put_question(out: &mut FieldWriter<'_>, question: &PresenceQuery) {
    out.put_u32_le(question.number);
    put_text(out, &question.tenant.0);
    put_tags(out, &question.query);
    put_text(out, &question.tag);
}

pub(super) fn put_found(out: &mut FieldWriter<'_>, found: &PresenceResult) {
    out.put_u64_le(found.clients);
    put_length(out, found.values.len());
    found.values.iter().for_each(|value| put_text(out, value));
}

fn put_uuid(out: &mut FieldWriter<'_>, uuid: Option<ClientUuid>) {
    out.put_u8(u8::from(uuid.is_some()));
    if let Some(uuid) = uuid {
        out.put(uuid.0);
    }
}

fn put_address(out: &mut FieldWriter<'_>, address: &Address) {
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
    }
    put_uuid(out, address.except);
}

fn put_named(out: &mut FieldWriter<'_>, named: &NamedClient) {
    put_uuid(out, named.uuid);
    put_text(out, named.alias.as_ref().map_or("", Alias::as_str));
    put_text(out, named.ident.as_ref().map_or("", Ident::as_str));
    out.put_u8(named.options.bits());
}

pub(super) fn put_claim(out: &mut FieldWriter<'_>, claim: &Claim) {
    put_text(out, claim.alias.as_str());
    out.put_u8(match claim.keeping {
        Exclusivity::Alone => 1,
        Exclusivity::Shared => 2,
    });
}

pub(super) fn put_grant(out: &mut FieldWriter<'_>, granted: Option<GrantNumber>) {
    out.put_u8(u8::from(granted.is_some()));
    if let Some(grant) = granted {
        out.put_u64_le(grant.0);
    }
}

fn put_content(out: &mut FieldWriter<'_>, form: PayloadForm, payload: &[u8]) {
    out.put_u8(match form {
        PayloadForm::Packet => 1,
        PayloadForm::Message => 2,
        PayloadForm::Text => 3,
    });
    out.put_slice(payload);
}

pub(super) fn put_publication(out: &mut FieldWriter<'_>, publication: &Publication) {
    let Publication { tenant, address, content } = publication;
    put_text(out, &tenant.0);
    put_address(out, address);
    put_content(out, content.form, &content.payload);
}

pub(super) fn put_slots(out: &mut FieldWriter<'_>, slots: &SlotSet) {
    out.flush();
    out.out.reserve(slots.0.serialized_size());
    // Writing to memory cannot fail.
    let written = slots.0.serialize_into((&mut *out.out).writer());
    debug_assert!(written.is_ok());
}

pub(super) fn put_deliver(out: &mut FieldWriter<'_>, deliver: &Deliver) {
    out.put_u8(3);
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
    put_content(out, deliver.content.form, &deliver.content.payload);
}
