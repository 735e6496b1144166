//! The index checks itself: every fact that stands in two places is the same in both.

use std::collections::{BTreeMap, BTreeSet};

use super::Index;
use super::directory::{IndexEntry, Reach};
use super::interner::NameId;
use super::match_groups::LooseGroups;
use crate::types::ConnectionRef;

impl Index {
    /// Sweeps through everything; for tests and debug builds, as it costs what the index holds.
    ///
    /// # Errors
    ///
    /// The first disagreement, in words.
    pub fn is_consistent(&self) -> Result<(), String> {
        let mut tenants: BTreeMap<NameId, usize> = BTreeMap::new();
        let (mut clients, mut memberships, mut reached, mut named) = (0, 0, 0, 0);
        for (place, entry) in self.places.iter() {
            self.entry_is_consistent(place, entry)
                .map_err(|fault| format!("{place:?}, {:?}: {fault}", entry.uuid))?;
            *tenants.entry(entry.tenant).or_default() += 1;
            clients += 1;
            memberships += u64::try_from(entry.rows.len()).unwrap_or(u64::MAX);
            reached += u64::from(entry.reach == Reach::Tags);
            named += usize::from(entry.ident.is_some());
        }
        equal("clients and UUIDs", &clients, &self.uuids.len())?;
        equal("clients and their count", &clients, &self.clients())?;
        equal("clients with idents", &named, &self.idents.order().len())?;
        self.aliases_are_consistent()?;
        if let Some(loose) = self.loose.get()
            && *loose != LooseGroups::of(&self.places, &self.idents)
        {
            return Err("loose comparisons look through other clients than there are".into());
        }
        let rows: u64 = self.rows.iter().map(|(_, _, members)| members.len()).sum();
        equal("rows of clients and members of rows", &memberships, &rows)?;
        let counted = self.tenants.iter().map(|(id, _, space)| (id, space.clients)).collect();
        equal("clients of tenants", &tenants, &counted)?;
        let everyone: u64 = self.tenants.iter().map(|(_, _, space)| space.everyone.len()).sum();
        equal("clients that tags reach and members of everyone", &reached, &everyone)?;
        self.nothing_is_left_over()
    }

    /// What one entry says is found again from the other side.
    fn entry_is_consistent(&self, place: ConnectionRef, entry: &IndexEntry) -> Result<(), String> {
        let by_uuid = self.uuids.find(entry.tenant, entry.uuid, &self.places);
        equal("its UUID leads to", &Some(place), &by_uuid)?;
        let space = self.tenants.get(entry.tenant).ok_or("no tenant")?;
        let expected = entry.reach == Reach::Tags;
        equal("among everyone", &expected, &space.everyone.contains(place))?;
        if !expected && !entry.rows.is_empty() {
            return Err("rows without reach".into());
        }
        for row in &*entry.rows {
            let members = self.rows.get(*row).ok_or_else(|| format!("no {row:?}"))?;
            if !members.contains(place) {
                return Err(format!("absent from {row:?}"));
            }
        }
        match entry.ident {
            Some(_) if entry.reach == Reach::Nothing => Err("an ident without reach".into()),
            Some(ident) if !self.idents.order().contains(&(ident, entry.number, place)) => {
                Err(format!("absent from ident {ident:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Each alias is held by a client that something reaches, once.
    fn aliases_are_consistent(&self) -> Result<(), String> {
        let order = self.aliases.order.order();
        equal("aliases and their order", &self.aliases.len(), &order.len())?;
        for (place, id) in self.aliases.iter() {
            let entry = self.places.get(place).ok_or_else(|| format!("an alias at {place:?}"))?;
            if entry.reach == Reach::Nothing || !order.contains(&(id, entry.number, place)) {
                return Err(format!("{place:?}: its alias is out of order"));
            }
        }
        let is_web = |place| self.places.get(place).is_some_and(|it| it.reach == Reach::Tags);
        let web = self.aliases.iter().filter(|(place, _)| is_web(*place)).count();
        equal("aliases of web-type clients", &web, &self.aliases.web.order().len())
    }

    fn nothing_is_left_over(&self) -> Result<(), String> {
        for (id, name, members) in self.rows.iter() {
            if members.is_empty() || self.tenants.get(name.tenant_id()).is_none() {
                return Err(format!("row {id:?} ({name:?}) is empty or without a tenant"));
            }
        }
        let used: BTreeSet<NameId> = self.idents.order().iter().map(|(id, _, _)| *id).collect();
        for (id, tenant) in self.idents.tenants() {
            if !used.contains(&id) || self.tenants.get(tenant).is_none() {
                return Err(format!("ident {id:?} is unused or without a tenant"));
            }
        }
        Ok(())
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, left: &T, right: &T) -> Result<(), String> {
    if left == right { Ok(()) } else { Err(format!("{what}: {left:?}, not {right:?}")) }
}
