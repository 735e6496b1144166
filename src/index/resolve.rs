//! Resolves an address to the places of its recipients.

use std::collections::BTreeSet;

use super::Index;
use super::directory::{IndexEntry, Reach};
use super::expression::evaluate;
use super::interner::{InternedName, NameId};
use super::list::{self, PageStart};
use super::match_groups::MatchGroups;
use super::posting_list::{PostingList, intersection};
use super::slot_sets::{has_place, keep_common, remove};
use super::tag_changes::versioned_tags;
use super::tag_scan;
use super::tag_sequence::narrowed;
use crate::types::limits::ANSWER_LOOKS_MAX;
use crate::types::{
    Address, AsTag, ClientFilter, ClientPage, ClientTags, ClientUuid, ConnectionRef, Expression,
    Ident, JoinNumber, ListFilter, ListPosition, MatchOptions, NamedClient, PageSize, Recipients,
    ScannedTags, SlotSet, Tag, TagQuery, TagRef, TagScan, Tenant, TenantStatistics, TooExpensive,
    WorkerId,
};

/// The recipients of a publication, by worker.
///
/// ```
/// use tagcast::index::{Index, Resolved};
/// use tagcast::types::{Address, Tenant};
///
/// let found = Index::default().resolve(&Tenant::shared(), &Address::everyone());
/// assert_eq!(found, Resolved::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// The recipient slots of each worker. Workers are in ascending order, and no set is empty.
    pub sets: Vec<(WorkerId, SlotSet)>,
    /// The one place that is excluded. The sets still contain it, so that publications whose publishers
    /// exclude different clients have equal sets.
    pub except: Option<ConnectionRef>,
    /// Whether the address names at most one client (rule L6: a repeated publication must not reach another
    /// client).
    pub single: bool,
    /// Why an expression was not evaluated. The address then reaches no client.
    pub refused: Option<TooExpensive>,
}

impl Resolved {
    /// Returns the number of recipients.
    #[must_use]
    pub fn clients(&self) -> u64 {
        let all: u64 = self.sets.iter().map(|(_, slots)| slots.0.len()).sum();
        all.saturating_sub(u64::from(self.except.is_some()))
    }

    /// Removes the clients of these workers from the result.
    #[must_use]
    pub(crate) fn without(mut self, workers: &BTreeSet<WorkerId>) -> Self {
        self.sets.retain(|(worker, _)| !workers.contains(worker));
        self.except = self.except.filter(|place| !workers.contains(&place.worker));
        self
    }

    /// Returns the number of clients, and the number of workers that they are on.
    #[must_use]
    pub fn counts(&self) -> (u64, u32) {
        (self.clients(), self.workers())
    }

    fn workers(&self) -> u32 {
        let is_except = |(worker, slots): &&(WorkerId, SlotSet)| {
            slots.0.len() == 1 && self.except.is_some_and(|place| place.worker == *worker)
        };
        let reached = self.sets.len() - self.sets.iter().filter(is_except).count();
        u32::try_from(reached).unwrap_or(u32::MAX)
    }
}

/// The result of [`Index::values`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Number of clients that match.
    pub clients: u64,
    /// Values of the requested tag.
    pub values: Vec<Box<str>>,
}

/// A matching client. The smallest one, which joined first, is the recipient.
type FirstMatch = (JoinNumber, ConnectionRef, ClientUuid);

impl Index {
    /// Returns the clients of the tenant that an address reaches at this moment.
    ///
    /// The cost of a tag query depends on the tag with the fewest clients. The cost of an address to everyone
    /// depends on the bitmap of all clients. The cost of a UUID or an ident is constant or logarithmic. An
    /// expression that is too expensive reaches no client ([`Resolved::refused`]).
    #[must_use]
    pub fn resolve(&self, tenant: &Tenant, address: &Address) -> Resolved {
        if address.recipients.is_single() {
            let one = |place: ConnectionRef| (place.worker, SlotSet::one(place.slot));
            let sets = self.resolve_one(tenant, address).map(one).into_iter().collect();
            return Resolved { sets, except: None, single: true, refused: None };
        }
        let Some(tenant) = self.tenants.find(InternedName::tenant(tenant)) else {
            return Resolved::default();
        };
        let (sets, refused) = match self.sets(tenant, &address.recipients) {
            Ok(sets) => (sets, None),
            Err(refused) => (Vec::new(), Some(refused)),
        };
        let except = address
            .except
            .and_then(|uuid| self.uuids.find(tenant, uuid, &self.places))
            .filter(|place| has_place(&sets, *place));
        Resolved { sets, except, single: false, refused }
    }

    /// Returns the clients of the tenant that an expression matches, by worker: workers in ascending order, no
    /// set empty.
    ///
    /// # Errors
    ///
    /// If the prefixes would scan more values than [`Index::limit_scan`] allows.
    pub fn evaluate(
        &self,
        tenant: &Tenant,
        expression: &Expression,
    ) -> Result<Vec<(WorkerId, SlotSet)>, TooExpensive> {
        let tenant = self.tenants.find(InternedName::tenant(tenant));
        tenant.map_or_else(|| Ok(Vec::new()), |tenant| evaluate(self, tenant, expression))
    }

    /// Returns the clients of the tenant that an address of several clients reaches, whatever its expression
    /// costs.
    #[must_use]
    pub fn evaluate_all(&mut self, tenant: &Tenant, address: &Address) -> Vec<(WorkerId, SlotSet)> {
        let limit = std::mem::replace(&mut self.scan_max, u64::MAX);
        let sets = self.resolve(tenant, address).sets;
        self.scan_max = limit;
        sets
    }

    /// Returns the clients of a list that follow a position, up to the size of a page.
    ///
    /// # Errors
    ///
    /// If the filter is an expression that is too expensive.
    pub fn page(
        &self,
        tenant: &Tenant,
        filter: &ListFilter,
        after: Option<ListPosition>,
        size: PageSize,
    ) -> Result<ClientPage, TooExpensive> {
        let tenant = self.tenants.find(InternedName::tenant(tenant));
        let start = PageStart { after, size };
        tenant.map_or_else(|| Ok(ClientPage::default()), |it| list::page(self, it, filter, start))
    }

    /// Searches a part of the tag names of a tenant, or of the values of one name.
    #[must_use]
    pub fn scan_tags(&self, tenant: &Tenant, scan: &TagScan) -> ScannedTags {
        let tenant = self.tenants.find(InternedName::tenant(tenant));
        tenant.map_or_else(ScannedTags::default, |tenant| tag_scan::scan(self, tenant, scan))
    }

    /// Counts the clients of a tenant, and the tags in a part of all tag names.
    #[must_use]
    pub fn statistics(&self, tenant: &Tenant, before: Option<u32>) -> TenantStatistics {
        let tenant = self.tenants.find(InternedName::tenant(tenant));
        tenant.map_or_else(TenantStatistics::default, |it| tag_scan::statistics(self, it, before))
    }

    /// Returns the tags of the client with this UUID.
    #[must_use]
    pub fn tags_of(&self, tenant: &Tenant, uuid: ClientUuid) -> ClientTags {
        let tenant = self.tenants.find(InternedName::tenant(tenant));
        tenant.map_or(ClientTags::Unknown, |it| tag_scan::client_tags(self, it, uuid))
    }

    /// Returns the clients of recipients that may be several.
    fn sets(
        &self,
        tenant: NameId,
        recipients: &Recipients,
    ) -> Result<Vec<(WorkerId, SlotSet)>, TooExpensive> {
        Ok(match recipients {
            Recipients::Matching(query) => self.matching(tenant, query),
            Recipients::TagSequence(tags) => self.tag_sequence(tenant, tags),
            Recipients::Expression(it) => return evaluate(self, tenant, it),
            Recipients::Without(it) => {
                let mut sets = self.sets(tenant, &it.recipients)?;
                for uuid in &it.uuids {
                    if let Some(place) = self.uuids.find(tenant, *uuid, &self.places) {
                        remove(&mut sets, place);
                    }
                }
                sets
            }
            Recipients::Among(it) => {
                let mut sets = self.sets(tenant, &it.recipients)?;
                keep_common(&mut sets, &evaluate(self, tenant, &it.expression)?);
                sets
            }
            Recipients::First { .. } | Recipients::Named(_) => Vec::new(),
        })
    }

    /// Returns the place of the one client that an address names; `None` for an address that may name several
    /// clients.
    ///
    /// Finds the same client as [`Index::resolve`], but without building a set.
    #[must_use]
    pub fn resolve_one(&self, tenant: &Tenant, address: &Address) -> Option<ConnectionRef> {
        if !address.recipients.is_single() {
            return None;
        }
        let tenant = self.tenants.find(InternedName::tenant(tenant))?;
        let (_, place, uuid) = self.first_of(tenant, &address.recipients)?;
        // if the first client is excluded, no other client replaces it
        (Some(uuid) != address.except).then_some(place)
    }

    fn first_of(&self, tenant: NameId, recipients: &Recipients) -> Option<FirstMatch> {
        match recipients {
            Recipients::First { uuid, ident } => self.first(tenant, *uuid, ident.as_ref()),
            Recipients::Named(named) => self.first_named(tenant, named),
            // an excluded client is not replaced by another one
            Recipients::Without(it) => {
                self.first_of(tenant, &it.recipients).filter(|(.., uuid)| !it.uuids.contains(uuid))
            }
            // One that does not match is not replaced either.
            Recipients::Among(it) => {
                self.first_of(tenant, &it.recipients).filter(|(_, place, _)| {
                    versioned_tags(self, *place).is_some_and(|own| it.expression.matches(&own.tags))
                })
            }
            Recipients::Matching(_) | Recipients::TagSequence(_) | Recipients::Expression(_) => {
                None
            }
        }
    }

    /// Returns the place of the client with this UUID, even if publications cannot reach the client.
    #[must_use]
    pub fn place_of(&self, tenant: &Tenant, uuid: ClientUuid) -> Option<ConnectionRef> {
        let tenant = self.tenants.find(InternedName::tenant(tenant))?;
        self.uuids.find(tenant, uuid, &self.places)
    }

    /// Counts the clients that match a tag query, and returns their values of another tag: one value for each
    /// client that carries that tag, in no particular order, at most `wanted` of them. Only the first
    /// [`ANSWER_LOOKS_MAX`] clients are searched for values. If `tag` is empty, clients are only counted.
    ///
    /// The cost is proportional to the result: the number of clients of one tag is stored, and a value is
    /// found by a binary search in the sorted tags of its client.
    #[must_use]
    pub fn values(&self, tenant: &Tenant, query: &TagQuery, tag: &str, wanted: usize) -> Carried {
        let Some(tenant) = self.tenants.find(InternedName::tenant(tenant)) else {
            return Carried::default();
        };
        if tag.is_empty()
            && let Some(clients) = self.count(tenant, query)
        {
            return Carried { clients, values: Vec::new() };
        }
        self.carried(&self.matching(tenant, query), tag, wanted)
    }

    /// Returns what [`Index::values`] does, for any filter.
    ///
    /// # Errors
    ///
    /// If the filter is an expression that is too expensive.
    pub fn values_of(
        &self,
        tenant: &Tenant,
        filter: &ClientFilter,
        tag: &str,
        wanted: usize,
    ) -> Result<Carried, TooExpensive> {
        match filter {
            ClientFilter::Tags(query) => Ok(self.values(tenant, query, tag, wanted)),
            ClientFilter::Expression(expression) => {
                Ok(self.carried(&self.evaluate(tenant, expression)?, tag, wanted))
            }
        }
    }

    fn carried(&self, sets: &[(WorkerId, SlotSet)], tag: &str, wanted: usize) -> Carried {
        let clients = sets.iter().map(|(_, slots)| slots.0.len()).sum();
        if tag.is_empty() {
            return Carried { clients, values: Vec::new() };
        }
        let places = sets
            .iter()
            .flat_map(|(w, slots)| slots.iter().map(|slot| ConnectionRef { worker: *w, slot }));
        let values =
            places.take(ANSWER_LOOKS_MAX).filter_map(|place| tag_scan::value_of(self, place, tag));
        Carried { clients, values: values.take(wanted).collect() }
    }

    /// Returns the number of clients that match, without visiting them; `None` for a query of several tags.
    fn count(&self, tenant: NameId, query: &TagQuery) -> Option<u64> {
        match query.len() {
            0 => Some(self.tenants.get(tenant)?.everyone.len()),
            1 => {
                let row = query.iter().next().and_then(|tag| self.row(tenant, tag));
                Some(row.map_or(0, PostingList::len))
            }
            _ => None,
        }
    }

    /// Returns the client with this UUID or this ident that joined first.
    fn first(
        &self,
        tenant: NameId,
        uuid: Option<ClientUuid>,
        ident: Option<&Ident>,
    ) -> Option<FirstMatch> {
        let by_uuid = uuid.and_then(|uuid| self.uuids.find(tenant, uuid, &self.places));
        let by_ident = ident.and_then(|ident| self.idents.first(tenant, ident));
        [by_uuid, by_ident]
            .into_iter()
            .flatten()
            .filter_map(|place| Some((place, self.places.get(place)?)))
            .filter(|(_, entry)| entry.reach != Reach::Nothing)
            .map(|(place, entry)| number(place, entry))
            .min()
    }

    /// Returns the matching client that joined first. The cost is that of a few lookups, however many clients
    /// share a name. Only the first lookup by options builds the groups, which visits all clients.
    fn first_named(&self, tenant: NameId, named: &NamedClient) -> Option<FirstMatch> {
        let NamedClient { uuid, alias, ident, options } = named;
        let by_uuid = uuid.and_then(|uuid| self.uuids.find(tenant, uuid, &self.places));
        let aliases = match options.has(MatchOptions::WEB_ONLY) {
            true => &self.aliases.web,
            false => &self.aliases.order,
        };
        let by_alias = alias.as_ref().and_then(|alias| aliases.first(tenant, alias.as_ident()));
        let by_ident = ident.as_ref().and_then(|ident| self.idents.first(tenant, ident));
        let found = |place: ConnectionRef| Some((place, self.places.get(place)?));
        let by_id = by_uuid
            .into_iter()
            .chain(by_alias)
            .filter_map(found)
            .filter(|(_, it)| it.reach == Reach::Tags || !options.has(MatchOptions::WEB_ONLY))
            .filter(|(_, it)| it.reach != Reach::Nothing)
            .map(|(place, entry)| number(place, entry));
        let by_ident = by_ident.and_then(found).filter(|(_, it)| it.reach != Reach::Nothing);
        let by_ident = by_ident.map(|(place, entry)| number(place, entry));
        by_id.chain(by_ident).chain(self.first_by_options(tenant, named)).min()
    }

    fn first_by_options(&self, tenant: NameId, named: &NamedClient) -> Option<FirstMatch> {
        let options = named.options;
        let is_lax = [MatchOptions::ANY_WEB, MatchOptions::ANY_IDENT, MatchOptions::SAME_NUMBER];
        if !is_lax.iter().any(|lax| options.has(*lax)) {
            return None;
        }
        let ident = named.ident.as_ref().map(|ident| ident.as_str().as_bytes());
        let groups = self.groups.get_or_init(|| MatchGroups::of(&self.places, &self.idents));
        let place = groups.first(tenant, options, ident)?;
        Some(number(place, self.places.get(place)?))
    }

    fn matching(&self, tenant: NameId, query: &TagQuery) -> Vec<(WorkerId, SlotSet)> {
        if query.is_empty() {
            return self.tenants.get(tenant).map_or_else(Vec::new, |space| space.everyone.sets());
        }
        // a tag without a row is a tag that no client carries
        let rows: Option<Vec<&PostingList>> =
            query.iter().map(|tag| self.row(tenant, tag)).collect();
        rows.map_or_else(Vec::new, intersection)
    }

    fn tag_sequence(&self, tenant: NameId, tags: &[Tag]) -> Vec<(WorkerId, SlotSet)> {
        if tags.is_empty() {
            return self.matching(tenant, &TagQuery::default());
        }
        let rows: Vec<&PostingList> =
            tags.iter().filter_map(|tag| self.row(tenant, tag.as_tag())).collect();
        narrowed(&rows)
    }

    fn row(&self, tenant: NameId, tag: TagRef<'_>) -> Option<&PostingList> {
        self.rows.get(self.rows.find(InternedName::tag(tenant, tag))?)
    }
}

fn number(place: ConnectionRef, entry: &IndexEntry) -> FirstMatch {
    (entry.number, place, entry.uuid)
}
