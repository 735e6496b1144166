//! Pages of lists of clients.

use super::Index;
use super::directory::{IndexEntry, Reach};
use super::expression::evaluate;
use super::interner::NameId;
use super::topics;
use crate::types::{
    ClientClass, ClientPage, ConnectionRef, Ident, ListFilter, ListPosition, ListedClient,
    PageSize, SlotSet, Tag, Tags, TooExpensive, WorkerId,
};

/// Usual bytes of a client in addition to its names and values.
const CLIENT_BYTES: usize = 64;

/// Which part of a list is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageStart {
    /// The last client of the page before it.
    pub(super) after: Option<ListPosition>,
    pub(super) size: PageSize,
}

/// Returns a page of the clients of a tenant.
pub(super) fn page(
    index: &Index,
    tenant: NameId,
    filter: &ListFilter,
    start: PageStart,
) -> Result<ClientPage, TooExpensive> {
    let sets = match filter {
        ListFilter::Ident(ident) => return Ok(page_of_ident(index, tenant, ident, start)),
        ListFilter::Expression(expression) => evaluate(index, tenant, expression)?,
        ListFilter::Everyone => {
            index.tenants.get(tenant).map_or_else(Vec::new, |space| space.everyone.sets())
        }
    };
    let matched = sets.iter().map(|(_, slots)| slots.0.len()).sum();
    let places = places_after(&sets, start.after.map(|it| it.place));
    Ok(collect(index, matched, places, start.size))
}

fn page_of_ident(index: &Index, tenant: NameId, ident: &Ident, start: PageStart) -> ClientPage {
    let matched = index.idents.count(tenant, ident);
    let places = index.idents.after(tenant, ident, start.after);
    collect(index, matched, places, start.size)
}

/// Returns the places of sets in ascending order, from the one that follows a place.
fn places_after(
    sets: &[(WorkerId, SlotSet)],
    after: Option<ConnectionRef>,
) -> impl Iterator<Item = ConnectionRef> + '_ {
    let first = after.map_or(0, |place| sets.partition_point(|(w, _)| *w < place.worker));
    sets.iter().skip(first).flat_map(move |(worker, slots)| {
        let last = after.filter(|place| place.worker == *worker).map(|place| place.slot);
        slots.after(last).map(|slot| ConnectionRef { worker: *worker, slot })
    })
}

/// Reads clients until the page is full.
fn collect(
    index: &Index,
    matched: u64,
    places: impl Iterator<Item = ConnectionRef>,
    size: PageSize,
) -> ClientPage {
    let mut page = ClientPage { matched, ..ClientPage::default() };
    let mut bytes = 0;
    for place in places {
        if page.clients.len() >= size.clients || bytes > size.bytes {
            page.has_more = size.clients > 0;
            break;
        }
        let Some(client) = index.places.get(place).map(|entry| listed(index, place, entry)) else {
            continue;
        };
        bytes += CLIENT_BYTES + client.ident.as_ref().map_or(0, |ident| ident.as_str().len());
        bytes += client.tags.iter().map(|tag| tag.name().len() + tag.value().len()).sum::<usize>();
        page.clients.push(client);
    }
    page
}

fn listed(index: &Index, place: ConnectionRef, entry: &IndexEntry) -> ListedClient {
    let ident = entry.ident.and_then(|ident| index.idents.text(ident));
    ListedClient {
        position: ListPosition { number: entry.number, place },
        uuid: entry.uuid,
        ident: ident.and_then(|text| Ident::new(str::from_utf8(text).ok()?).ok()),
        class: if entry.reach == Reach::Name { ClientClass::Php } else { ClientClass::Web },
        tags: tags(index, entry),
        version: index.places.version(place).unwrap_or_default(),
    }
}

/// Returns the tags and topics of a client that tags reach.
pub(super) fn tags_and_topics(index: &Index, place: ConnectionRef, entry: &IndexEntry) -> Tags {
    tags(index, entry).with_topics(topics::topics_of(index, place))
}

/// Returns the tags of a client that tags reach, without its topics.
pub(super) fn tags(index: &Index, entry: &IndexEntry) -> Tags {
    let text = |bytes| str::from_utf8(bytes).ok();
    let tag = |row: &NameId| {
        let name = index.rows.name_of(*row)?;
        Tag::new(text(name.tag_name())?, text(name.tag_value())?).ok()
    };
    Tags::new(entry.rows.iter().filter_map(tag)).unwrap_or_default()
}
