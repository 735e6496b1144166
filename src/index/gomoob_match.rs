//! Whom Gomoob's server finds by tags, where it is asked to find them its way.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::Index;
use super::interner::NameId;
use crate::types::{SlotSet, Tag, WorkerId};

impl Index {
    /// The tags are gone through in their order: one that nobody carries is skipped; while nobody
    /// is found the next one begins; otherwise those stay who carry it too.
    pub(super) fn loosely(&self, tenant: NameId, tags: &[Tag]) -> Vec<(WorkerId, SlotSet)> {
        if tags.is_empty() {
            return self.tenants.get(tenant).map_or_else(Vec::new, |space| space.everyone.sets());
        }
        let mut found: BTreeMap<WorkerId, RoaringBitmap> = BTreeMap::new();
        for row in tags.iter().filter_map(|tag| self.row(tenant, tag)) {
            let carry = row.sets().into_iter().map(|(worker, slots)| (worker, slots.0));
            if found.is_empty() {
                found = carry.collect();
            } else {
                let carry: BTreeMap<_, _> = carry.collect();
                found.retain(|worker, slots| {
                    *slots &= carry.get(worker).cloned().unwrap_or_default();
                    !slots.is_empty()
                });
            }
        }
        found.into_iter().map(|(worker, slots)| (worker, SlotSet(slots))).collect()
    }
}
