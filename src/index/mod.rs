//! The clients of all workers: their tags, UUIDs and idents, and which of them an address reaches.

mod aliases;
mod bitmap_builder;
mod consistency;
mod directory;
mod idents;
mod inline_str;
mod interner;
mod match_groups;
mod posting_list;
mod resolve;
mod slot_bitmap;
mod tag_ids;
mod tag_sequence;
#[cfg(test)]
mod tests;
mod uuids;

use std::cell::OnceCell;
use std::fmt;
use std::hint::black_box;

use self::aliases::Aliases;
use self::directory::{Directory, IndexEntry, Reach};
use self::idents::Idents;
use self::interner::{InternedName, Interner, NameId};
use self::match_groups::MatchGroups;
use self::posting_list::PostingList;
pub use self::resolve::{Carried, Resolved};
use self::tag_ids::TagIds;
use self::uuids::Uuids;
use crate::types::{Client, ClientClass, ClientUuid, ConnectionRef, JoinNumber, Tags, WorkerId};

/// The clients of all workers.
///
/// Each tag of a tenant has a row with the places of the clients that carry it, and so has each tenant.
/// Rows contain only clients that tags reach: web-type clients that take publications.
/// What is no longer used (a row, an ident, a tenant) is removed with its last client.
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
#[derive(Default)]
pub struct Index {
    tenants: Interner<Space>,
    /// A row for each tag.
    rows: Interner<PostingList>,
    idents: Idents,
    aliases: Aliases,
    uuids: Uuids,
    places: Directory,
    /// Made when the first lookup by options asks for them.
    groups: OnceCell<MatchGroups>,
}

/// What is common to all clients of a tenant.
#[derive(Debug, Default)]
struct Space {
    clients: usize,
    /// Those whom tags reach: the answer to the query without tags.
    everyone: PostingList,
}

impl Index {
    /// Adds a client.
    ///
    /// Join numbers may come in any order: after a restart of the broker every worker announces
    /// its clients with the numbers that they had.
    ///
    /// # Errors
    ///
    /// When its place is taken or its UUID is known in its tenant; then nothing has changed.
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
        let reach = reach(client);
        if let Some(space) = self.tenants.get_mut(tenant) {
            space.clients += 1;
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
    }

    /// Enters a client into the rows of its tags; tells which ones.
    fn enter_rows(&mut self, place: ConnectionRef, tenant: NameId, tags: &Tags) -> TagIds {
        let names = tags.iter().map(|tag| InternedName::tag(tenant, tag));
        let rows: TagIds = names.map(|name| self.rows.intern(name)).collect();
        // in a loop of its own: short enough for the processor to wait for all rows at once
        for row in &*rows {
            if let Some(members) = self.rows.get_mut(*row) {
                members.insert(place);
            }
        }
        rows
    }

    fn leave_rows(&mut self, place: ConnectionRef, rows: &[NameId]) {
        for row in rows {
            let Some(members) = self.rows.get_mut(*row) else { continue };
            members.remove(place);
            if members.is_empty() {
                self.rows.remove(*row);
            }
        }
    }

    /// Removes the client of a place; `None` when there is none.
    pub fn leave(&mut self, place: ConnectionRef) -> Option<JoinNumber> {
        let entry = self.places.take(place)?;
        // all rows are asked for before the first is waited for: worth a twelfth of a leave
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
        self.leave_tenant(place, &entry);
        Some(entry.number)
    }

    fn leave_tenant(&mut self, place: ConnectionRef, entry: &IndexEntry) {
        let Some(space) = self.tenants.get_mut(entry.tenant) else { return };
        space.clients -= 1;
        if entry.reach == Reach::Tags {
            space.everyone.remove(place);
        }
        if space.clients == 0 {
            self.tenants.remove(entry.tenant);
        }
    }

    /// Gives the client of a place other tags; `false` when there is none.
    ///
    /// A client that tags do not reach has none in here, so nothing changes for it.
    pub fn retag(&mut self, place: ConnectionRef, tags: &Tags) -> bool {
        let Some(entry) = self.places.get(place) else { return false };
        if entry.reach != Reach::Tags {
            return true;
        }
        // first in, then out: a row that stays is not removed and made again
        let new = self.enter_rows(place, entry.tenant, tags);
        let Some(entry) = self.places.get_mut(place) else { return false };
        let old = std::mem::replace(&mut entry.rows, new.clone());
        let left: TagIds = old.iter().copied().filter(|row| !new.contains(row)).collect();
        self.leave_rows(place, &left);
        true
    }

    /// Removes all clients of a worker that is gone; tells how many they were.
    pub fn remove_worker(&mut self, worker: WorkerId) -> usize {
        let clients = self.clients_of(worker);
        // from the last to the first: bitmaps are then cut at their end, where it costs nothing
        while let Some(places) = self.places.last_of(worker) {
            for place in places {
                self.leave(place);
            }
        }
        clients
    }

    /// Whether each fact that is stored twice is the same in both places; for tests, as it reads everything.
    ///
    /// # Errors
    ///
    /// The first disagreement, in words.
    pub fn is_consistent(&self) -> Result<(), String> {
        consistency::check(self)
    }

    /// How many clients there are.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.places.clients()
    }

    /// How many different tags clients carry, tenant by tenant.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many clients one worker has.
    #[must_use]
    pub fn clients_of(&self, worker: WorkerId) -> usize {
        self.places.clients_of(worker)
    }
}

/// Sizes only: the content of an index is large, and names people.
impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("clients", &self.clients())
            .field("tenants", &self.tenants.len())
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

fn reach(client: &Client) -> Reach {
    match (client.takes_publications, client.class) {
        (false, _) => Reach::Nothing,
        (true, ClientClass::Php) => Reach::Name,
        (true, ClientClass::Web) => Reach::Tags,
    }
}

/// Why a client was not added.
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
    /// A client with this UUID is connected in this tenant.
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
