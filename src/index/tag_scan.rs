//! Lists of tag names and of their values, a part at a time.

use super::directory::Reach;
use super::interner::{InternedName, NameId};
use super::{Index, list};
use crate::types::limits::TAG_SCAN_STEP;
use crate::types::{
    ClientTags, ClientUuid, ConnectionRef, ScannedTags, TagCount, TagScan, TenantStatistics,
};

/// Returns the tags of a client by its UUID.
pub(super) fn client_tags(index: &Index, tenant: NameId, uuid: ClientUuid) -> ClientTags {
    let place = index.uuids.find(tenant, uuid, &index.places);
    match place.and_then(|place| Some((place, index.places.get(place)?))) {
        None => ClientTags::Unknown,
        Some((place, entry)) if entry.reach == Reach::Tags => {
            ClientTags::Reached(list::tags_and_topics(index, place, entry))
        }
        Some(_) => ClientTags::NotReached,
    }
}

/// Returns a client's value of a tag, or the first topic that the tag matches. Rows are in the order of their tags, which
/// is that of their names.
pub(super) fn value_of(index: &Index, place: ConnectionRef, tag: &str) -> Option<Box<str>> {
    let rows = &index.places.get(place)?.rows;
    let name = |row: &NameId| index.rows.name_of(*row).map(InternedName::tag_name);
    let at = rows.partition_point(|row| name(row).is_some_and(|it| it < tag.as_bytes()));
    let value = |row: &NameId| index.rows.name_of(*row)?.value_of_tag(tag);
    let own = rows.get(at).and_then(value);
    let value = own.or_else(|| index.topics.of(place).iter().find_map(value))?;
    str::from_utf8(value).ok().map(Box::from)
}

/// Counts the clients of a tenant, and the tags in a part of the names.
pub(super) fn statistics(index: &Index, tenant: NameId, before: Option<u32>) -> TenantStatistics {
    let mut found = TenantStatistics::default();
    let Some(space) = index.tenants.get(tenant) else { return found };
    let count = |clients: usize| u64::try_from(clients).unwrap_or(u64::MAX);
    found.web = space.everyone.len();
    found.php = count(space.by_name);
    found.send_only = count(space.clients) - found.web - found.php;
    let end = before.unwrap_or(u32::MAX).min(index.columns.names_end());
    let start = end.saturating_sub(TAG_SCAN_STEP);
    for (_, values) in (start..end).filter_map(|id| index.columns.name_at(tenant, id)) {
        found.tag_names += 1;
        found.tag_values += values;
    }
    found.rest = (start > 0).then_some(start);
    found
}

/// Searches a part of the names of a tenant, or of the values of one name.
pub(super) fn scan(index: &Index, tenant: NameId, scan: &TagScan) -> ScannedTags {
    let Some(name) = scan.name.as_deref() else {
        return step(scan, index.columns.names_end(), |id| index.columns.name_at(tenant, id));
    };
    let Some(column) = index.columns.find(tenant, name) else { return ScannedTags::default() };
    step(scan, column.end(), |position| {
        let row = column.at(position)?;
        Some((index.rows.name_of(row)?.tag_value(), index.rows.get(row)?.len()))
    })
}

/// Looks at entries in descending order, and keeps the smallest texts that are wanted.
fn step<'i>(
    scan: &TagScan,
    end: u32,
    entry: impl Fn(u32) -> Option<(&'i [u8], u64)>,
) -> ScannedTags {
    let TagScan { prefix, after, limit, before, .. } = scan;
    let end = before.unwrap_or(end).min(end);
    let start = end.saturating_sub(TAG_SCAN_STEP);
    let is_wanted = |(text, _): &(&[u8], u64)| {
        text.starts_with(prefix.as_bytes())
            && after.as_ref().is_none_or(|after| *text > after.as_bytes())
    };
    let mut found: Vec<(&[u8], u64)> =
        (start..end).rev().filter_map(entry).filter(is_wanted).collect();
    if *limit < found.len() {
        found.select_nth_unstable(*limit);
        found.truncate(*limit);
    }
    found.sort_unstable();
    let count = |(text, count): (&[u8], u64)| {
        Some(TagCount { text: str::from_utf8(text).ok()?.into(), count })
    };
    let found = found.into_iter().filter_map(count).collect();
    ScannedTags { found, rest: (start > 0).then_some(start) }
}
