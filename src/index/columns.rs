//! The rows of each tag name of a tenant, which tests of existence and of prefixes search.

use super::interner::{InternedName, Interner, NameId};
use super::posting_list::{ColumnPlace, PostingList};
use super::unions::union;
use crate::types::ConnectionRef;

/// Values of a tag name up to which the clients with the tag are the union of its rows. Beyond it the column
/// has a list of them. Tests and fuzz targets use a smaller value, so that short inputs also reach the list.
const UNION_MAX: usize = if cfg!(any(test, fuzzing)) { 3 } else { 1000 };

/// Positions of a column up to which vacant ones are not closed. Tests and fuzz targets use a smaller value.
const SPARSE_MIN: usize = if cfg!(any(test, fuzzing)) { 4 } else { 1024 };

/// One column for each tag name of each tenant.
#[derive(Debug)]
pub(super) struct Columns {
    names: Interner<Column>,
    /// [`UNION_MAX`], but for tests of that number itself.
    pub(super) union_max: usize,
}

/// The rows of one tag name of a tenant.
///
/// A row that is removed leaves a vacant position for the next one. Moving another row into the gap
/// would require an update of that row, which is rarely in a cache.
#[derive(Debug)]
pub(super) struct Column {
    /// Rows and vacant positions, in no order. Each row knows its position here.
    positions: Vec<ColumnEntry>,
    /// The vacant position that is filled next.
    vacant: u32,
    /// Number of rows.
    rows: u32,
    /// All clients with the tag, if there are more rows than a union may have.
    clients: Option<Box<PostingList>>,
}

/// A row, or the next vacant position, which [`ColumnEntry::IS_VACANT`] marks.
#[derive(Clone, Copy, Debug)]
struct ColumnEntry(u32);

impl ColumnEntry {
    /// Row ids stay below it, because two billion rows need 100 GB.
    const IS_VACANT: u32 = 1 << 31;
    /// The end of the vacant positions.
    const END: u32 = Self::IS_VACANT - 1;

    fn row(self) -> Option<NameId> {
        (self.0 & Self::IS_VACANT == 0).then_some(NameId(self.0))
    }
}

impl Default for Column {
    fn default() -> Self {
        Self { positions: Vec::new(), vacant: ColumnEntry::END, rows: 0, clients: None }
    }
}

impl Default for Columns {
    fn default() -> Self {
        Self { names: Interner::default(), union_max: UNION_MAX }
    }
}

impl Column {
    /// Returns the rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = NameId> + '_ {
        self.positions.iter().filter_map(|entry| entry.row())
    }

    /// Returns the number of rows: the values of the tag.
    pub(super) fn len(&self) -> usize {
        // lossless: the crate is built for targets of 32 bits and more
        usize::try_from(self.rows).unwrap_or(usize::MAX)
    }

    /// Returns the row at a position.
    pub(super) fn at(&self, position: u32) -> Option<NameId> {
        self.positions.get(usize::try_from(position).ok()?)?.row()
    }

    /// Returns the position that follows the last one.
    pub(super) fn end(&self) -> u32 {
        u32::try_from(self.positions.len()).unwrap_or(u32::MAX)
    }

    /// Returns the list of the clients with the tag, if the column has one.
    pub(super) fn clients(&self) -> Option<&PostingList> {
        self.clients.as_deref()
    }

    /// Adds a row, at a vacant position if there is one.
    fn add(&mut self, row: NameId, rows: &mut Interner<PostingList>) {
        debug_assert!(row.0 < ColumnEntry::IS_VACANT, "fewer rows than 2^31");
        self.rows += 1;
        let position = self.fill(row);
        let place = ColumnPlace::at(position);
        let place = if self.clients.is_some() { place.listed() } else { place };
        set_place(rows, row, |_| place);
    }

    fn fill(&mut self, row: NameId) -> u32 {
        let position = self.vacant;
        match usize::try_from(position).ok().and_then(|at| self.positions.get_mut(at)) {
            Some(entry) => {
                self.vacant = entry.0 & !ColumnEntry::IS_VACANT;
                *entry = ColumnEntry(row.0);
                position
            }
            None => {
                self.positions.push(ColumnEntry(row.0));
                u32::try_from(self.positions.len() - 1).unwrap_or(u32::MAX)
            }
        }
    }

    /// Removes a row.
    fn remove(&mut self, place: ColumnPlace, rows: &mut Interner<PostingList>) {
        let position = place.position();
        let entry = usize::try_from(position).ok().and_then(|at| self.positions.get_mut(at));
        let Some(entry) = entry else { return };
        *entry = ColumnEntry(ColumnEntry::IS_VACANT | self.vacant);
        self.vacant = position;
        self.rows -= 1;
        if self.positions.len() > SPARSE_MIN && self.positions.len() / 4 > self.len() {
            self.compact(rows);
        }
    }

    /// Closes the gaps when three of four positions are vacant, because a search visits vacant
    /// positions and they take memory. The cost is covered by the rows that have left since.
    fn compact(&mut self, rows: &mut Interner<PostingList>) {
        self.positions.retain(|entry| entry.row().is_some());
        self.positions.shrink_to_fit();
        self.vacant = ColumnEntry::END;
        for (position, row) in (0..).zip(self.rows()) {
            let place = ColumnPlace::at(position);
            let place = if self.clients.is_some() { place.listed() } else { place };
            set_place(rows, row, |_| place);
        }
    }

    /// Builds the list of all clients with the tag.
    fn list(&mut self, rows: &mut Interner<PostingList>) {
        let own: Vec<&PostingList> = self.rows().filter_map(|row| rows.get(row)).collect();
        self.clients = Some(Box::new(PostingList::of(union(&own))));
        self.rows().for_each(|row| set_place(rows, row, ColumnPlace::listed));
    }

    fn unlist(&mut self, rows: &mut Interner<PostingList>) {
        self.clients = None;
        self.rows().for_each(|row| set_place(rows, row, ColumnPlace::unlisted));
    }
}

fn set_place(
    rows: &mut Interner<PostingList>,
    row: NameId,
    change: impl FnOnce(ColumnPlace) -> ColumnPlace,
) {
    if let Some(members) = rows.get_mut(row) {
        members.set_column(change(members.column()));
    }
}

impl Columns {
    /// Returns the column of a tag name.
    pub(super) fn find(&self, tenant: NameId, name: &str) -> Option<&Column> {
        self.names.get(self.names.find(InternedName::tag_name_of(tenant, name))?)
    }

    /// Records a client that has joined a row. The row is new, or its column has a list.
    pub(super) fn join(
        &mut self,
        row: NameId,
        place: ConnectionRef,
        rows: &mut Interner<PostingList>,
    ) {
        let Some((name, members)) = rows.name_of(row).zip(rows.get(row)) else { return };
        let is_new = members.column() == ColumnPlace::NONE;
        let id = self.names.intern(name.to_tag_name());
        let Some(column) = self.names.get_mut(id) else { return };
        if is_new {
            column.add(row, rows);
        }
        if let Some(clients) = &mut column.clients {
            clients.insert(place);
        } else if column.len() > self.union_max {
            column.list(rows);
        }
    }

    /// Records a client that has left a row. The row is now empty, or its column has a list. An
    /// empty row leaves its column; the caller removes the row itself.
    pub(super) fn leave(
        &mut self,
        row: NameId,
        place: ConnectionRef,
        rows: &mut Interner<PostingList>,
    ) {
        let Some((name, members)) = rows.name_of(row).zip(rows.get(row)) else { return };
        let (is_empty, own) = (members.is_empty(), members.column());
        let Some(id) = self.names.find(name.to_tag_name()) else { return };
        let Some(column) = self.names.get_mut(id) else { return };
        if let Some(clients) = &mut column.clients {
            clients.remove(place);
        }
        if !is_empty {
            return;
        }
        column.remove(own, rows);
        if column.rows == 0 {
            self.names.remove(id);
        } else if column.clients.is_some() && column.len() <= self.union_max / 2 {
            // The threshold is far below the one for building the list, so the list is not built
            // again and again.
            column.unlist(rows);
        }
    }

    /// Returns the number of names, counted separately for each tenant.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns the id that follows the last one of a name.
    pub(super) fn names_end(&self) -> u32 {
        self.names.end()
    }

    /// Returns the name of a tenant with this id, and the number of its values.
    pub(super) fn name_at(&self, tenant: NameId, id: u32) -> Option<(&[u8], u64)> {
        let name = self.names.name_of(NameId(id)).filter(|name| name.tenant_id() == tenant)?;
        let values = self.names.get(NameId(id))?.rows;
        Some((name.tag_name(), u64::from(values)))
    }

    /// Returns every column with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (InternedName<'_>, &Column)> {
        self.names.iter().map(|(_, name, column)| (name, column))
    }
}
