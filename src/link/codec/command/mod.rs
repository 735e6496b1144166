//! Encodes and decodes commands about clients, and what becomes of them.

use std::borrow::Cow;
use std::time::Duration;

use bytes::BufMut;

use super::Malformed;
use super::decode::FieldReader;
use super::encode::{put_length, put_slots, put_source, put_tags, put_text, put_topics};
use super::query::{put_filter, read_filter};
use crate::link::command::{
    AnnouncedVersion, BulkChange, ClientCommand, CloseOrder, ClosedConnections, CommandKind,
    CommandOutcome, MatchedClients, NumberedCommand, RetaggedClient, RetaggedClients,
};
use crate::types::limits::TAGS_MAX;
use crate::types::{
    ClientUuid, CloseCode, CloseReason, Number, TagChange, TagEdit, TagNames, TagVersion,
    TooExpensive, VersionedTags,
};

pub(super) fn put_command(out: &mut Vec<u8>, numbered: &NumberedCommand) {
    let NumberedCommand { number, is_answered, command } = numbered;
    out.put_u8(8);
    out.put_u64_le(number.0);
    out.put_u8(u8::from(*is_answered));
    put_client_command(out, command);
}

fn put_client_command(out: &mut Vec<u8>, ClientCommand { tenant, kind }: &ClientCommand) {
    put_text(out, &tenant.0);
    match kind {
        CommandKind::ChangeTags { uuid, change: TagChange { edit, if_version } } => {
            out.put_u8(1);
            out.put_slice(&uuid.0);
            out.put_u8(u8::from(if_version.is_some()));
            if let Some(version) = if_version {
                out.put_u64_le(version.0);
            }
            put_edit(out, edit);
        }
        CommandKind::ChangeTagsMatching { clients, clients_max, edit } => {
            out.put_u8(4);
            put_filter(out, clients);
            put_clients_max(out, *clients_max);
            put_edit(out, edit);
        }
        CommandKind::Barrier => out.put_u8(5),
        CommandKind::Close { uuid, reason } => {
            out.put_u8(2);
            out.put_slice(&uuid.0);
            put_reason(out, reason);
        }
        CommandKind::CloseMatching { clients, clients_max, reason, spread } => {
            out.put_u8(3);
            put_filter(out, clients);
            put_clients_max(out, *clients_max);
            put_reason(out, reason);
            put_millis(out, *spread);
        }
    }
}

fn put_matched(out: &mut Vec<u8>, MatchedClients { clients, workers }: MatchedClients) {
    out.put_u64_le(clients);
    out.put_u32_le(workers);
}

fn read_matched(fields: &mut FieldReader<'_>) -> Result<MatchedClients, Malformed> {
    Ok(MatchedClients { clients: fields.u64()?, workers: fields.u32()? })
}

pub(super) fn put_last_bulk_change(out: &mut Vec<u8>, change: &BulkChange) {
    out.put_u8(15);
    put_bulk_change(out, change);
}

fn put_bulk_change(out: &mut Vec<u8>, change: &BulkChange) {
    let BulkChange { source, number, tenant, clients, edit, version, matched } = change;
    put_source(out, *source);
    out.put_u64_le(number.0);
    put_text(out, &tenant.0);
    put_filter(out, clients);
    put_edit(out, edit);
    out.put_u64_le(version.0);
    put_matched(out, *matched);
}

pub(super) fn read_bulk_change(fields: &mut FieldReader<'_>) -> Result<BulkChange, Malformed> {
    Ok(BulkChange {
        source: fields.source()?,
        number: Number(fields.u64()?),
        tenant: fields.tenant()?,
        clients: read_filter(fields)?,
        edit: read_edit(fields)?,
        version: TagVersion(fields.u64()?),
        matched: read_matched(fields)?,
    })
}

pub(super) fn put_retagged_clients(out: &mut Vec<u8>, retagged: &RetaggedClients) {
    let RetaggedClients { change, slots } = retagged;
    out.put_u8(35);
    put_bulk_change(out, change);
    put_slots(out, slots);
}

pub(super) fn read_retagged_clients(
    fields: &mut FieldReader<'_>,
) -> Result<RetaggedClients, Malformed> {
    Ok(RetaggedClients { change: read_bulk_change(fields)?, slots: fields.slots()? })
}

fn put_clients_max(out: &mut Vec<u8>, max: Option<u64>) {
    // No server has as many clients as stand for no limit.
    out.put_u64_le(max.unwrap_or(u64::MAX));
}

fn read_clients_max(fields: &mut FieldReader<'_>) -> Result<Option<u64>, Malformed> {
    Ok(Some(fields.u64()?).filter(|max| *max < u64::MAX))
}

fn put_millis(out: &mut Vec<u8>, time: Duration) {
    out.put_u32_le(u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
}

fn read_millis(fields: &mut FieldReader<'_>) -> Result<Duration, Malformed> {
    Ok(Duration::from_millis(fields.u32()?.into()))
}

fn put_reason(out: &mut Vec<u8>, CloseReason { code, text }: &CloseReason) {
    out.put_u16_le(code.0);
    put_text(out, text);
}

fn read_reason(fields: &mut FieldReader<'_>) -> Result<CloseReason, Malformed> {
    let code = CloseCode(fields.u16()?);
    Ok(CloseReason { code, text: Cow::Owned(fields.text()?.to_owned()) })
}

pub(super) fn put_close_order(out: &mut Vec<u8>, order: &CloseOrder) {
    let CloseOrder { source, number, connections, reason, spread } = order;
    out.put_u8(34);
    put_source(out, *source);
    out.put_u64_le(number.0);
    put_reason(out, reason);
    put_millis(out, *spread);
    match connections {
        ClosedConnections::One(slot) => {
            out.put_u8(1);
            out.put_u32_le(slot.0);
        }
        ClosedConnections::Set(slots) => {
            out.put_u8(2);
            put_slots(out, slots);
        }
    }
}

pub(super) fn read_close_order(fields: &mut FieldReader<'_>) -> Result<CloseOrder, Malformed> {
    let (source, number) = (fields.source()?, Number(fields.u64()?));
    let (reason, spread) = (read_reason(fields)?, read_millis(fields)?);
    let connections = match fields.u8()? {
        1 => ClosedConnections::One(fields.slot()?),
        2 => ClosedConnections::Set(fields.slots()?),
        kind => return Err(Malformed::Unknown("connections", kind)),
    };
    Ok(CloseOrder { source, number, connections, reason, spread })
}

pub(super) fn put_announced_version(out: &mut Vec<u8>, announced: AnnouncedVersion) {
    out.put_u8(14);
    out.put_u32_le(announced.slot.0);
    out.put_u64_le(announced.version.0);
}

pub(super) fn read_announced_version(
    fields: &mut FieldReader<'_>,
) -> Result<AnnouncedVersion, Malformed> {
    Ok(AnnouncedVersion { slot: fields.slot()?, version: TagVersion(fields.u64()?) })
}

pub(super) fn read_command(fields: &mut FieldReader<'_>) -> Result<NumberedCommand, Malformed> {
    let (number, is_answered) = (Number(fields.u64()?), fields.flag()?);
    Ok(NumberedCommand { number, is_answered, command: read_client_command(fields)? })
}

fn read_client_command(fields: &mut FieldReader<'_>) -> Result<ClientCommand, Malformed> {
    let tenant = fields.tenant()?;
    let kind = match fields.u8()? {
        1 => {
            let uuid = ClientUuid(fields.array()?);
            let if_version = if fields.flag()? { Some(TagVersion(fields.u64()?)) } else { None };
            let change = TagChange { if_version, edit: read_edit(fields)? };
            CommandKind::ChangeTags { uuid, change }
        }
        2 => CommandKind::Close { uuid: ClientUuid(fields.array()?), reason: read_reason(fields)? },
        4 => CommandKind::ChangeTagsMatching {
            clients: read_filter(fields)?,
            clients_max: read_clients_max(fields)?,
            edit: read_edit(fields)?,
        },
        5 => CommandKind::Barrier,
        3 => CommandKind::CloseMatching {
            clients: read_filter(fields)?,
            clients_max: read_clients_max(fields)?,
            reason: read_reason(fields)?,
            spread: read_millis(fields)?,
        },
        kind => return Err(Malformed::Unknown("command", kind)),
    };
    Ok(ClientCommand { tenant, kind })
}

/// Format of commands between hosts. It is raised when the meaning of their bytes changes.
const FORMAT: u8 = 1;

/// Returns a command as other hosts read it.
#[must_use]
pub fn encode_command(command: &ClientCommand) -> Vec<u8> {
    let mut out = vec![FORMAT];
    put_client_command(&mut out, command);
    out
}

/// Reads a command of another host.
///
/// # Errors
///
/// If it is not one, if it is of another version, or if it has no effect on clients.
pub fn decode_command(bytes: &[u8]) -> Result<ClientCommand, Malformed> {
    let mut fields = FieldReader::new(bytes);
    match fields.u8()? {
        FORMAT => {}
        format => return Err(Malformed::Unknown("format", format)),
    }
    let command = read_client_command(&mut fields)?;
    fields.end()?;
    match command.kind {
        CommandKind::Barrier => Err(Malformed::Invalid("command")),
        _ => Ok(command),
    }
}

fn put_edit(out: &mut Vec<u8>, edit: &TagEdit) {
    match edit {
        TagEdit::Update { set, remove, leave } => {
            out.put_u8(1);
            put_tags(out, set);
            put_length(out, remove.len());
            remove.iter().for_each(|name| put_text(out, name));
            put_topics(out, leave);
        }
        TagEdit::Replace(tags) => {
            out.put_u8(2);
            put_tags(out, tags);
        }
    }
}

fn read_edit(fields: &mut FieldReader<'_>) -> Result<TagEdit, Malformed> {
    match fields.u8()? {
        1 => {
            let (set, remove) = (fields.tags()?, read_names(fields)?);
            Ok(TagEdit::Update { set, remove, leave: fields.topics()? })
        }
        2 => Ok(TagEdit::Replace(fields.tags()?)),
        edit => Err(Malformed::Unknown("edit", edit)),
    }
}

fn read_names(fields: &mut FieldReader<'_>) -> Result<TagNames, Malformed> {
    let count = fields.u32()? as usize;
    if count > TAGS_MAX {
        return Err(Malformed::Invalid("number of names"));
    }
    let names = (0..count).map(|_| fields.text().map(Into::into));
    let names = names.collect::<Result<Vec<Box<str>>, _>>()?;
    TagNames::new(names).map_err(|_| Malformed::Invalid("name"))
}

pub(super) fn put_command_outcome(out: &mut Vec<u8>, number: Number, outcome: &CommandOutcome) {
    out.put_u8(32);
    out.put_u64_le(number.0);
    put_outcome_of_command(out, outcome);
}

/// Appends an outcome without its number.
pub(super) fn put_outcome_of_command(out: &mut Vec<u8>, outcome: &CommandOutcome) {
    match outcome {
        CommandOutcome::Forwarded(own) => {
            out.put_u8(9);
            put_outcome_of_command(out, own);
        }
        CommandOutcome::Unknown => out.put_u8(1),
        CommandOutcome::NotReached => out.put_u8(2),
        CommandOutcome::EndedAway => out.put_u8(8),
        CommandOutcome::Conflict(present) => {
            out.put_u8(3);
            put_versioned(out, present);
        }
        CommandOutcome::TooManyTags => out.put_u8(4),
        CommandOutcome::Tagged(tags) => {
            out.put_u8(5);
            put_versioned(out, tags);
        }
        CommandOutcome::Matched(matched) => {
            out.put_u8(6);
            put_matched(out, *matched);
        }
        CommandOutcome::TooExpensive(TooExpensive { values, limit }) => {
            out.put_u8(7);
            out.put_u64_le(*values);
            out.put_u64_le(*limit);
        }
    }
}

pub(super) fn read_command_outcome(
    fields: &mut FieldReader<'_>,
) -> Result<CommandOutcome, Malformed> {
    match fields.u8()? {
        9 => {
            let kind = fields.u8()?;
            Ok(CommandOutcome::Forwarded(Box::new(read_own_outcome(kind, fields)?)))
        }
        kind => read_own_outcome(kind, fields),
    }
}

/// Reads what has become of a command on one host.
fn read_own_outcome(kind: u8, fields: &mut FieldReader<'_>) -> Result<CommandOutcome, Malformed> {
    Ok(match kind {
        1 => CommandOutcome::Unknown,
        2 => CommandOutcome::NotReached,
        8 => CommandOutcome::EndedAway,
        3 => CommandOutcome::Conflict(read_versioned(fields)?),
        4 => CommandOutcome::TooManyTags,
        5 => CommandOutcome::Tagged(read_versioned(fields)?),
        6 => CommandOutcome::Matched(read_matched(fields)?),
        7 => CommandOutcome::TooExpensive(TooExpensive {
            values: fields.u64()?,
            limit: fields.u64()?,
        }),
        outcome => return Err(Malformed::Unknown("outcome", outcome)),
    })
}

pub(super) fn put_retagged(out: &mut Vec<u8>, retagged: &RetaggedClient) {
    let RetaggedClient { source, number, slot, tags } = retagged;
    out.put_u8(33);
    put_source(out, *source);
    out.put_u64_le(number.0);
    out.put_u32_le(slot.0);
    put_versioned(out, tags);
}

pub(super) fn read_retagged(fields: &mut FieldReader<'_>) -> Result<RetaggedClient, Malformed> {
    Ok(RetaggedClient {
        source: fields.source()?,
        number: Number(fields.u64()?),
        slot: fields.slot()?,
        tags: read_versioned(fields)?,
    })
}

fn put_versioned(out: &mut Vec<u8>, VersionedTags { version, tags }: &VersionedTags) {
    out.put_u64_le(version.0);
    put_tags(out, tags);
}

fn read_versioned(fields: &mut FieldReader<'_>) -> Result<VersionedTags, Malformed> {
    Ok(VersionedTags { version: TagVersion(fields.u64()?), tags: fields.tags()? })
}

#[cfg(test)]
mod tests;
