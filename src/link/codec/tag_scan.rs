//! Encodes questions about a part of the tags of a tenant.

use bytes::BufMut;

use super::Malformed;
use super::decode::FieldReader;
use super::encode::{put_length, put_text};
use crate::types::TagScan;

pub(super) fn put_scan(out: &mut Vec<u8>, scan: &TagScan) {
    let TagScan { name, prefix, after, limit, before } = scan;
    put_optional(out, name.as_deref());
    put_text(out, prefix);
    put_optional(out, after.as_deref());
    put_length(out, *limit);
    put_position_in_scan(out, *before);
}

pub(super) fn put_position_in_scan(out: &mut Vec<u8>, position: Option<u32>) {
    out.put_u8(u8::from(position.is_some()));
    out.put_u32_le(position.unwrap_or_default());
}

pub(super) fn put_optional(out: &mut Vec<u8>, text: Option<&str>) {
    out.put_u8(u8::from(text.is_some()));
    put_text(out, text.unwrap_or_default());
}

pub(super) fn read_scan(fields: &mut FieldReader<'_>) -> Result<TagScan, Malformed> {
    Ok(TagScan {
        name: read_optional(fields)?.map(Into::into),
        prefix: fields.text()?.into(),
        after: read_optional(fields)?.map(Into::into),
        limit: read_length(fields)?,
        before: read_position_in_scan(fields)?,
    })
}

/// An absent value is followed by zero, so that each value has one form.
pub(super) fn read_position_in_scan(
    fields: &mut FieldReader<'_>,
) -> Result<Option<u32>, Malformed> {
    match (fields.flag()?, fields.u32()?) {
        (true, position) => Ok(Some(position)),
        (false, 0) => Ok(None),
        (false, _) => Err(Malformed::Invalid("position")),
    }
}

pub(super) fn read_optional<'b>(
    fields: &mut FieldReader<'b>,
) -> Result<Option<&'b str>, Malformed> {
    match (fields.flag()?, fields.text()?) {
        (true, text) => Ok(Some(text)),
        (false, "") => Ok(None),
        (false, _) => Err(Malformed::Invalid("text")),
    }
}

pub(super) fn read_length(fields: &mut FieldReader<'_>) -> Result<usize, Malformed> {
    usize::try_from(fields.u32()?).map_err(|_| Malformed::Invalid("length"))
}
