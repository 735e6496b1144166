//! The rows of each tag name of a tenant: what a test of existence and a prefix search.

use super::interner::{InternedName, Interner, NameId};
use super::posting_list::{ColumnPlace, PostingList};
use super::unions::union;
use crate::types::ConnectionRef;

/// Values of a tag name up to which the clients with the tag are the union of its rows. Beyond it the column
/// has a list of them. Tests and fuzz targets use a smaller value, so that short inputs also reach the list.
const UNION_MAX: usize = if cfg!(any(test, fuzzing)) { 3 } else { 1000 };

/// One column for each tag name of each tenant.
#[derive(Debug)]
pub(super) struct Columns {
    names: Interner<Column>,
    /// [`UNION_MAX`], but for tests of that number itself.
    pub(super) union_max: usize,
}

/// The rows of one tag name of a tenant.
#[derive(Debug, Default)]
pub(super) struct Column {
    /// In no order. Each row knows its position here.
    rows: Vec<NameId>,
    /// All clients with the tag, if there are more rows than a union may have.
    clients: Option<Box<PostingList>>,
}

impl Default for Columns {
    fn default() -> Self {
        Self { names: Interner::default(), union_max: UNION_MAX }
    }
}

impl Column {
    /// Returns the rows.
    pub(super) fn rows(&self) -> &[NameId] {
        &self.rows
    }

    /// Returns the clients with the tag, if they have a list of their own.
    pub(super) fn clients(&self) -> Option<&PostingList> {
        self.clients.as_deref()
    }

    /// Adds a row.
    fn add(&mut self, row: NameId, rows: &mut Interner<PostingList>) {
        let position = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.rows.push(row);
        let place = ColumnPlace::at(position);
        let place = if self.clients.is_some() { place.listed() } else { place };
        set_place(rows, row, |_| place);
    }

    /// Removes a row. The last row of the column takes its position.
    fn remove(&mut self, place: ColumnPlace, rows: &mut Interner<PostingList>) {
        let position = usize::try_from(place.position()).unwrap_or(usize::MAX);
        if position >= self.rows.len() {
            return;
        }
        self.rows.swap_remove(position);
        if let Some(moved) = self.rows.get(position) {
            set_place(rows, *moved, |_| place);
        }
    }

    /// Makes the list of all clients with the tag.
    fn list(&mut self, rows: &mut Interner<PostingList>) {
        let own: Vec<&PostingList> = self.rows.iter().filter_map(|row| rows.get(*row)).collect();
        self.clients = Some(Box::new(PostingList::of(union(&own))));
        self.rows.iter().for_each(|row| set_place(rows, *row, ColumnPlace::listed));
    }

    fn unlist(&mut self, rows: &mut Interner<PostingList>) {
        self.clients = None;
        self.rows.iter().for_each(|row| set_place(rows, *row, ColumnPlace::unlisted));
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

    /// Takes note of a client that has joined a row. The row is new, or its column has a list.
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
        match &mut column.clients {
            Some(clients) => clients.insert(place),
            None if column.rows.len() > self.union_max => column.list(rows),
            None => {}
        }
    }

    /// Takes note of a client that has left a row, which is empty now or whose column has a list. An empty row
    /// leaves its column; the caller removes the row itself.
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
        if column.rows.is_empty() {
            self.names.remove(id);
        } else if column.clients.is_some() && column.rows.len() <= self.union_max / 2 {
            // Far below the limit at which it is made, so that it is not made again and again.
            column.unlist(rows);
        }
    }

    /// Returns every column with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (InternedName<'_>, &Column)> {
        self.names.iter().map(|(_, name, column)| (name, column))
    }
}
