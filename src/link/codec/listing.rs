//! Encodes lists of clients: which clients a list contains, a position in it, and its entries.

use bytes::BufMut;

use super::Malformed;
use super::decode::FieldReader;
use super::encode::{put_tags, put_text};
use super::expression::put_expression;
use crate::types::{
    ClientClass, ClientUuid, ConnectionRef, Ident, JoinNumber, ListFilter, ListPosition,
    ListedClient, TagVersion, WorkerId,
};

pub(super) fn put_list_filter(out: &mut Vec<u8>, filter: &ListFilter) {
    match filter {
        ListFilter::Everyone => out.put_u8(1),
        ListFilter::Expression(expression) => {
            out.put_u8(2);
            put_expression(out, expression);
        }
        ListFilter::Ident(ident) => {
            out.put_u8(3);
            put_text(out, ident.as_str());
        }
    }
}

pub(super) fn put_position(out: &mut Vec<u8>, ListPosition { number, place }: ListPosition) {
    out.put_u64_le(number.0);
    out.put_u16_le(place.worker.0);
    out.put_u32_le(place.slot.0);
}

pub(super) fn put_listed(out: &mut Vec<u8>, client: &ListedClient) {
    let ListedClient { position, uuid, ident, class, tags, version } = client;
    put_position(out, *position);
    out.put_slice(&uuid.0);
    put_text(out, ident.as_ref().map_or("", Ident::as_str));
    out.put_u8(u8::from(*class == ClientClass::Php));
    put_tags(out, tags);
    out.put_u64_le(version.0);
}

pub(super) fn read_list_filter(fields: &mut FieldReader<'_>) -> Result<ListFilter, Malformed> {
    match fields.u8()? {
        1 => Ok(ListFilter::Everyone),
        2 => Ok(ListFilter::Expression(fields.expression()?)),
        3 => fields.ident()?.map(ListFilter::Ident).ok_or(Malformed::Invalid("ident")),
        filter => Err(Malformed::Unknown("list", filter)),
    }
}

pub(super) fn read_position(fields: &mut FieldReader<'_>) -> Result<ListPosition, Malformed> {
    Ok(ListPosition {
        number: JoinNumber(fields.u64()?),
        place: ConnectionRef { worker: WorkerId(fields.u16()?), slot: fields.slot()? },
    })
}

pub(super) fn read_listed(fields: &mut FieldReader<'_>) -> Result<ListedClient, Malformed> {
    Ok(ListedClient {
        position: read_position(fields)?,
        uuid: ClientUuid(fields.array()?),
        ident: fields.ident()?,
        class: if fields.flag()? { ClientClass::Php } else { ClientClass::Web },
        tags: fields.tags()?,
        version: TagVersion(fields.u64()?),
    })
}
