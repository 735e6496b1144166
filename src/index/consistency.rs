//! Checks that each fact that the index stores twice is the same in both places.

use std::collections::{BTreeMap, BTreeSet};

use super::Index;
use super::columns::Column;
use super::directory::{IndexEntry, Reach};
use super::interner::NameId;
use super::match_groups::MatchGroups;
use super::posting_list::PostingList;
use crate::types::{ConnectionRef, Slot, is_topic_name, topic_tag_name};

/// Checks the whole index. Only tests call this, because it reads every entry.
///
/// # Errors
///
/// A description of the first disagreement.
pub(super) fn check(index: &Index) -> Result<(), String> {
    let mut tenants: BTreeMap<NameId, usize> = BTreeMap::new();
    let (mut clients, mut memberships, mut reached, mut named) = (0, 0, 0, 0);
    for (place, entry) in index.places.iter() {
        check_entry(index, place, entry)
            .map_err(|fault| format!("{place:?}, {:?}: {fault}", entry.uuid))?;
        *tenants.entry(entry.tenant).or_default() += 1;
        clients += 1;
        memberships += u64::try_from(entry.rows.len()).unwrap_or(u64::MAX);
        let topics = index.topics.of(place).iter().filter(|row| !entry.rows.contains(row));
        memberships += u64::try_from(topics.count()).unwrap_or(u64::MAX);
        reached += u64::from(entry.reach == Reach::Tags);
        named += usize::from(entry.ident.is_some());
    }
    equal("clients and UUIDs", &clients, &index.uuids.len())?;
    equal("clients and their count", &clients, &index.clients())?;
    equal("clients with idents", &named, &index.idents.order().len())?;
    check_aliases(index)?;
    check_topics(index)?;
    if let Some(groups) = index.groups.get()
        && *groups != MatchGroups::of(&index.places, &index.idents)
    {
        return Err("match groups and the index disagree about the clients".into());
    }
    let rows: u64 = index.rows.iter().map(|(_, _, members)| members.len()).sum();
    equal("rows of clients and members of rows", &memberships, &rows)?;
    let counted = index.tenants.iter().map(|(id, _, space)| (id, space.clients)).collect();
    equal("clients of tenants", &tenants, &counted)?;
    let everyone: u64 = index.tenants.iter().map(|(_, _, space)| space.everyone.len()).sum();
    equal("clients that tags reach and members of everyone", &reached, &everyone)?;
    check_columns(index)?;
    check_leftovers(index)
}

/// Each row is in the column of its tag name, at the position that it knows. The list of a column has the
/// clients of its rows.
fn check_columns(index: &Index) -> Result<(), String> {
    let mut columns: BTreeMap<(NameId, &[u8]), BTreeSet<NameId>> = BTreeMap::new();
    for (id, name, _) in index.rows.iter() {
        columns.entry((name.tenant_id(), name.tag_name())).or_default().insert(id);
    }
    let of = |column: &Column| column.rows().collect::<BTreeSet<_>>();
    let known = index.columns.iter();
    let known = known.map(|(name, column)| ((name.tenant_id(), name.tag_name()), of(column)));
    equal("rows by tag name and columns", &columns, &known.collect())?;
    for (_, column) in index.columns.iter() {
        let mut clients: BTreeSet<ConnectionRef> = BTreeSet::new();
        equal("rows of a column and their count", &column.rows().count(), &column.len())?;
        for row in column.rows() {
            let members = index.rows.get(row).ok_or_else(|| format!("no {row:?}"))?;
            let place = members.column();
            equal("row at its position", &Some(row), &column.at(place.position()))?;
            equal("list of a column", &column.clients().is_some(), &place.needs_column())?;
            clients.extend(places(members));
        }
        if let Some(list) = column.clients() {
            equal("clients of a column", &clients, &places(list).collect())?;
        }
    }
    Ok(())
}

fn places(list: &PostingList) -> impl Iterator<Item = ConnectionRef> {
    let sets = list.sets().into_iter();
    sets.flat_map(|(worker, slots)| {
        let slots: Vec<Slot> = slots.iter().collect();
        slots.into_iter().map(move |slot| ConnectionRef { worker, slot })
    })
}

/// Checks that the data of one entry can be found through the other tables.
fn check_entry(index: &Index, place: ConnectionRef, entry: &IndexEntry) -> Result<(), String> {
    let by_uuid = index.uuids.find(entry.tenant, entry.uuid, &index.places);
    equal("its UUID leads to", &Some(place), &by_uuid)?;
    let space = index.tenants.get(entry.tenant).ok_or("no tenant")?;
    let expected = entry.reach == Reach::Tags;
    equal("among everyone", &expected, &space.everyone.contains(place))?;
    if !expected && !entry.rows.is_empty() {
        return Err("rows without reach".into());
    }
    for row in &*entry.rows {
        let members = index.rows.get(*row).ok_or_else(|| format!("no {row:?}"))?;
        if !members.contains(place) {
            return Err(format!("absent from {row:?}"));
        }
    }
    match entry.ident {
        Some(_) if entry.reach == Reach::Nothing => Err("an ident without reach".into()),
        Some(ident) if !index.idents.order().contains(&(ident, entry.number, place)) => {
            Err(format!("absent from ident {ident:?}"))
        }
        _ => Ok(()),
    }
}

/// Checks that each topic is a row of its client, which tags reach.
fn check_topics(index: &Index) -> Result<(), String> {
    for (place, rows) in index.topics.iter() {
        let entry = index.places.get(place).ok_or_else(|| format!("topics at {place:?}"))?;
        if entry.reach != Reach::Tags || rows.is_empty() {
            return Err(format!("{place:?}: topics without reach, or none"));
        }
        let topics: Vec<&str> = rows.iter().filter_map(|row| topic(index, *row)).collect();
        if topics.len() != rows.len() || !topics.is_sorted_by(|one, next| one < next) {
            return Err(format!("{place:?}: rows are not topics in order: {topics:?}"));
        }
        for row in rows {
            if !index.rows.get(*row).is_some_and(|members| members.contains(place)) {
                return Err(format!("{place:?}: absent from topic {row:?}"));
            }
        }
    }
    Ok(())
}

fn topic(index: &Index, row: NameId) -> Option<&str> {
    let name = index.rows.name_of(row)?;
    let topic = str::from_utf8(name.tag_value()).ok().filter(|topic| is_topic_name(topic))?;
    (name.tag_name() == topic_tag_name(topic).as_bytes()).then_some(topic)
}

/// Checks that each alias belongs to exactly one client, and that publications can reach that client.
fn check_aliases(index: &Index) -> Result<(), String> {
    let order = index.aliases.order.order();
    equal("aliases and their order", &index.aliases.len(), &order.len())?;
    for (place, id) in index.aliases.iter() {
        let entry = index.places.get(place).ok_or_else(|| format!("an alias at {place:?}"))?;
        if entry.reach == Reach::Nothing || !order.contains(&(id, entry.number, place)) {
            return Err(format!("{place:?}: its alias is out of order"));
        }
    }
    let is_web = |place| index.places.get(place).is_some_and(|it| it.reach == Reach::Tags);
    let web = index.aliases.iter().filter(|(place, _)| is_web(*place)).count();
    equal("aliases of web-type clients", &web, &index.aliases.web.order().len())
}

fn check_leftovers(index: &Index) -> Result<(), String> {
    for (id, name, members) in index.rows.iter() {
        if members.is_empty() || index.tenants.get(name.tenant_id()).is_none() {
            return Err(format!("row {id:?} ({name:?}) is empty or without a tenant"));
        }
    }
    let used: BTreeSet<NameId> = index.idents.order().iter().map(|(id, _, _)| *id).collect();
    for (id, tenant) in index.idents.tenants() {
        if !used.contains(&id) || index.tenants.get(tenant).is_none() {
            return Err(format!("ident {id:?} is unused or without a tenant"));
        }
    }
    Ok(())
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, left: &T, right: &T) -> Result<(), String> {
    if left == right { Ok(()) } else { Err(format!("{what}: {left:?}, not {right:?}")) }
}
