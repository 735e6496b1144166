//! The index of all clients: their tags, UUIDs and idents, and the clients that an address reaches.

mod aliases;
mod bitmap_builder;
mod columns;
mod consistency;
mod directory;
mod expression;
pub mod identity;
mod idents;
mod inline_str;
mod interner;
mod list;
mod match_groups;
mod meter;
mod posting_list;
mod resolve;
mod slot_bitmap;
mod slot_sets;
mod slot_union;
pub mod tag_changes;
mod tag_ids;
mod tag_scan;
mod tag_sequence;
#[cfg(test)]
mod tests;
mod topics;
mod unions;
mod uuids;

use std::cell::OnceCell;
use std::fmt;
use std::hint::black_box;
use std::ops::ControlFlow;

use self::aliases::Aliases;
use self::columns::Columns;
use self::directory::{Directory, IndexEntry, Reach};
use self::idents::Idents;
use self::interner::{InternedName, Interner, NameId};
use self::match_groups::MatchGroups;
pub use self::meter::{ExpressionCosts, ExpressionMeter};
use self::posting_list::PostingList;
pub use self::resolve::{Carried, Resolved};
use self::tag_ids::TagIds;
use self::topics::TopicRows;
use self::uuids::Uuids;
use crate::types::limits::EXPRESSION_SCAN_MAX;
use crate::types::{Client, ClientUuid, ConnectionRef, JoinNumber, Tags, WorkerId};

/// The index of the clients of all workers.
///
/// Each tag of a tenant has a row: the places of the clients that carry the tag. Each tenant has one more row
/// with all its clients. Rows contain only clients that tags can reach, which are web-type clients that
/// receive publications. A row, an ident and a tenant are removed with their last client.
///
/// ```
/// use tagcast::index::Index;
/// use tagcast::types::{
///     Address, Client, ClientClass, ClientUuid, ConnectionRef, JoinNumber, Slot, SlotSet, Tag, Tags, Tenant, WorkerId,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let place = ConnectionRef { worker: WorkerId(1), slot: Slot(7) };
/// let room = Tags::new([Tag::new("room", "12")?])?;
/// let client = Client {
///     tenant: Tenant::shared(),
///     uuid: ClientUuid([7; 16]),
///     ident: None,
///     tags: room.clone(),
///     class: ClientClass::Web,
///     takes_publications: true,
///     counted: tagcast::types::AddressLimit::ByAddress,
///     application: None,
///     ip: "192.0.2.1".parse()?,
/// };
/// let mut index = Index::default();
/// index.join(place, JoinNumber(1), &client)?;
///
/// let found = index.resolve(&Tenant::shared(), &Address::matching(room));
/// assert_eq!(found.sets, [(WorkerId(1), SlotSet::one(Slot(7)))]);
/// assert_eq!(index.leave(place), Some(JoinNumber(1)));
/// # Ok(())
/// # }
/// ```
pub struct Index {
    tenants: Interner<Space>,
    /// One row per tag.
    rows: Interner<PostingList>,
    /// The rows of each tag name.
    columns: Columns,
    /// Values that the prefixes of one expression may scan.
    scan_max: u64,
    /// What evaluated expressions cost.
    pub meter: ExpressionMeter,
    idents: Idents,
    aliases: Aliases,
    topics: TopicRows,
    uuids: Uuids,
    places: Directory,
    /// Built when the first lookup by [`MatchOptions`](crate::types::MatchOptions) needs them.
    groups: OnceCell<MatchGroups>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            tenants: Interner::default(),
            rows: Interner::default(),
            columns: Columns::default(),
            scan_max: EXPRESSION_SCAN_MAX,
            meter: ExpressionMeter::default(),
            idents: Idents::default(),
            aliases: Aliases::default(),
            topics: TopicRows::default(),
            uuids: Uuids::default(),
            places: Directory::default(),
            groups: OnceCell::default(),
        }
    }
}

/// Data that all clients of a tenant share.
#[derive(Debug, Default)]
struct Space {
    clients: usize,
    /// Those of them that a name can reach, and tags cannot.
    by_name: usize,
    /// The clients that tags can reach: the result of a query without tags.
    everyone: PostingList,
}

impl Index {
    /// Sets how many values the prefixes of one expression may scan.
    pub fn limit_scan(&mut self, values: u64) {
        self.scan_max = values;
    }

    /// Adds a client.
    ///
    /// Join numbers may arrive in any order: after the broker restarts, every worker announces its clients
    /// with the numbers that they already had.
    ///
    /// # Errors
    ///
    /// If the place is taken, or if the UUID is already known in the tenant. The index is then unchanged.
    pub fn join(
        &mut self,
        place: ConnectionRef,
        number: JoinNumber,
        client: &Client,
    ) -> Result<(), JoinError> {
        if self.places.get(place).is_some() {
            return Err(JoinError::PlaceTaken { place });
        }
        let tenant = self.tenants.find(InternedName::tenant(&client.tenant));
        if tenant.is_some_and(|it| self.uuids.find(it, client.uuid, &self.places).is_some()) {
            return Err(JoinError::UuidKnown { uuid: client.uuid });
        }
        let tenant =
            tenant.unwrap_or_else(|| self.tenants.intern(InternedName::tenant(&client.tenant)));
        self.admit(place, number, client, tenant);
        Ok(())
    }

    fn admit(&mut self, place: ConnectionRef, number: JoinNumber, client: &Client, tenant: NameId) {
        let reach = Reach::of(client);
        if let Some(space) = self.tenants.get_mut(tenant) {
            space.clients += 1;
            space.by_name += usize::from(reach == Reach::Name);
            if reach == Reach::Tags {
                space.everyone.insert(place);
            }
        }
        let rows = match reach {
            Reach::Tags => self.enter_rows(place, tenant, &client.tags),
            Reach::Name | Reach::Nothing => TagIds::default(),
        };
        let ident = client
            .ident
            .as_ref()
            .filter(|_| reach != Reach::Nothing)
            .map(|ident| self.idents.add(tenant, ident, number, place));
        self.uuids.add(client.uuid, place);
        let entry = IndexEntry { uuid: client.uuid, number, tenant, ident, rows, reach };
        if let Some(groups) = self.groups.get_mut() {
            groups.add(place, &entry, &self.idents);
        }
        self.places.put(place, entry);
        topics::set_topics(self, place, client.tags.topics());
    }

    /// Adds a client to the rows of its tags, and returns these rows.
    fn enter_rows(&mut self, place: ConnectionRef, tenant: NameId, tags: &Tags) -> TagIds {
        let names = tags.iter().map(|tag| InternedName::tag(tenant, tag));
        let rows: TagIds = names.map(|name| self.rows.intern(name)).collect();
        // a separate loop, short enough for the processor to fetch all rows in parallel
        let mut needs_columns = false;
        for row in &*rows {
            if let Some(members) = self.rows.get_mut(*row) {
                members.insert(place);
                needs_columns |= members.column().needs_column();
            }
        }
        if needs_columns {
            self.enter_columns(place, &rows);
        }
        rows
    }

    /// Adds new rows to their columns, and a client to the columns that have lists.
    fn enter_columns(&mut self, place: ConnectionRef, rows: &[NameId]) {
        for row in rows {
            if self.rows.get(*row).is_some_and(|members| members.column().needs_column()) {
                self.columns.join(*row, place, &mut self.rows);
            }
        }
    }

    fn leave_rows(&mut self, place: ConnectionRef, rows: &[NameId]) {
        for row in rows {
            let Some(members) = self.rows.get_mut(*row) else { continue };
            members.remove(place);
            let is_empty = members.is_empty();
            if is_empty || members.column().needs_column() {
                self.columns.leave(*row, place, &mut self.rows);
            }
            if is_empty {
                self.rows.remove(*row);
            }
        }
    }

    /// Removes the client at a place and returns its join number; `None` if the place is free.
    pub fn leave(&mut self, place: ConnectionRef) -> Option<JoinNumber> {
        let entry = self.places.take(place)?;
        // prefetches all rows before the first is used, which saves a twelfth of the time of a leave
        for row in &*entry.rows {
            black_box(self.rows.get(*row).is_some_and(PostingList::is_empty));
        }
        self.uuids.remove(entry.uuid, place);
        if let Some(groups) = self.groups.get_mut() {
            groups.remove(place, &entry, &self.idents);
        }
        if let Some(ident) = entry.ident {
            self.idents.remove(ident, entry.number, place);
        }
        self.aliases.release(place, entry.number);
        self.leave_rows(place, &entry.rows);
        topics::leave(self, place, &entry.rows);
        self.leave_tenant(place, &entry);
        Some(entry.number)
    }

    fn leave_tenant(&mut self, place: ConnectionRef, entry: &IndexEntry) {
        let Some(space) = self.tenants.get_mut(entry.tenant) else { return };
        space.clients -= 1;
        space.by_name -= usize::from(entry.reach == Reach::Name);
        if entry.reach == Reach::Tags {
            space.everyone.remove(place);
        }
        if space.clients == 0 {
            self.tenants.remove(entry.tenant);
        }
    }

    /// Replaces the tags of the client at a place, without its topics; returns `false` if the place is free.
    ///
    /// The index stores no tags for a client that tags cannot reach, so such a client stays unchanged.
    pub fn retag(&mut self, place: ConnectionRef, tags: &Tags) -> bool {
        let Some(entry) = self.places.get(place) else { return false };
        if entry.reach != Reach::Tags {
            return true;
        }
        // adds first and removes second, so that an unchanged row is not deleted and created again
        let new = self.enter_rows(place, entry.tenant, tags);
        let Some(entry) = self.places.get_mut(place) else { return false };
        let old = std::mem::replace(&mut entry.rows, new.clone());
        let topics = self.topics.of(place);
        let is_left = |row: &NameId| !new.contains(row) && !topics.contains(row);
        let left: TagIds = old.iter().copied().filter(is_left).collect();
        self.leave_rows(place, &left);
        // a column that has lost the client with an old value has it with a new one
        self.enter_columns(place, &new);
        topics::restore_columns(self, place);
        true
    }

    /// Removes all clients of a worker that is gone, and returns their number.
    pub fn remove_worker(&mut self, worker: WorkerId) -> usize {
        let clients = self.clients_of(worker);
        let _done: ControlFlow<()> = self.remove_some_of(worker, &mut || false);
        clients
    }

    /// Removes clients of a worker until `is_spent` returns true, which is called after each.
    pub fn remove_some_of(
        &mut self,
        worker: WorkerId,
        is_spent: &mut dyn FnMut() -> bool,
    ) -> ControlFlow<()> {
        // in descending order: bitmaps then shrink at their end, which is cheap
        while let Some(places) = self.places.last_of(worker) {
            for place in places {
                self.leave(place);
                if is_spent() {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Checks that each fact that is stored twice is the same in both places. For tests only, because the
    /// check reads the whole index.
    ///
    /// # Errors
    ///
    /// A description of the first disagreement.
    pub fn is_consistent(&self) -> Result<(), String> {
        consistency::check(self)
    }

    /// Returns the number of clients.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.places.clients()
    }

    /// Returns the number of different tags that clients carry, counted separately for each tenant.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Returns the number of different names of tags that clients carry, counted separately for each tenant.
    #[must_use]
    pub fn tag_names(&self) -> usize {
        self.columns.len()
    }

    /// Returns the number of clients of one worker.
    #[must_use]
    pub fn clients_of(&self, worker: WorkerId) -> usize {
        self.places.clients_of(worker)
    }
}

/// Prints sizes only, because an index is large and contains personal data.
impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("clients", &self.clients())
            .field("tenants", &self.tenants.len())
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

/// Reason why a client was not added.
///
/// ```
/// use tagcast::index::JoinError;
/// use tagcast::types::{ConnectionRef, Slot, WorkerId};
///
/// let taken = JoinError::PlaceTaken { place: ConnectionRef { worker: WorkerId(1), slot: Slot(7) } };
/// assert_eq!(taken.to_string(), "slot 7 of worker 1 has a client that has not left");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// The place has a client that has not left (rule L3).
    PlaceTaken {
        /// The place.
        place: ConnectionRef,
    },
    /// A client with this UUID is already connected in this tenant.
    UuidKnown {
        /// The UUID.
        uuid: ClientUuid,
    },
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlaceTaken { place: ConnectionRef { worker, slot } } => {
                write!(f, "slot {slot} of worker {worker} has a client that has not left")
            }
            Self::UuidKnown { uuid } => {
                write!(f, "a client with the UUID {uuid:?} is connected in this tenant")
            }
        }
    }
}

impl std::error::Error for JoinError {}
