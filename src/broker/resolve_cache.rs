//! Addresses that were resolved in this turn. Publishers often use the same address repeatedly, so a later
//! publication to the same tags needs no second search, and the set is sent only once on each link.

use std::collections::{BTreeMap, HashMap};

use smallvec::SmallVec;

use super::worker_state::WorkerState;
use crate::index::Index;
use crate::link::message::{DeliverTo, SetName};
use crate::types::{Address, ConnectionRef, Recipients, TagQuery, Tenant, WorkerId};

/// The sets of this turn. They are dropped at its end and whenever a client joins, leaves or changes its
/// tags: a set that outlived the batch would send publications to the wrong clients.
#[derive(Debug, Default)]
pub(super) struct ResolveCache {
    sets: HashMap<Tenant, HashMap<TagQuery, Vec<(WorkerId, SetName)>>>,
}

impl ResolveCache {
    pub(super) fn forget(&mut self) {
        if !self.sets.is_empty() {
            self.sets.clear();
        }
    }

    /// Returns the recipients of an address by worker. Sends new sets to the workers as needed.
    pub(super) fn resolve(
        &mut self,
        index: &Index,
        tenant: &Tenant,
        address: &Address,
        members: &mut BTreeMap<WorkerId, WorkerState>,
    ) -> SmallVec<[(WorkerId, DeliverTo); 4]> {
        let query = match &address.recipients {
            Recipients::Matching(query) => Some(query),
            // Only one compatibility flag uses tag sequences, so they are not cached.
            Recipients::TagSequence(_) => None,
            Recipients::First { .. } | Recipients::Named(_) => {
                let one = index.resolve_one(tenant, address);
                let target = |place: ConnectionRef| (place.worker, DeliverTo::One(place.slot));
                return one.map(target).into_iter().collect();
            }
        };
        let except = address.except.and_then(|uuid| index.place_of(tenant, uuid));
        let known = query.and_then(|query| self.sets.get(tenant)?.get(query));
        if let Some(sets) = known {
            return targets(sets, except);
        }
        let mut sets = Vec::new();
        for (worker, slots) in index.resolve(tenant, address).sets {
            if let Some(member) = members.get_mut(&worker) {
                sets.push((worker, member.name_set(slots)));
            }
        }
        let to = targets(&sets, except);
        if let Some(query) = query {
            self.sets.entry(tenant.clone()).or_default().insert(query.clone(), sets);
        }
        to
    }
}

fn targets(
    sets: &[(WorkerId, SetName)],
    except: Option<ConnectionRef>,
) -> SmallVec<[(WorkerId, DeliverTo); 4]> {
    let target = |(worker, name): &(WorkerId, SetName)| {
        let except = except.filter(|place| place.worker == *worker).map(|place| place.slot);
        (*worker, DeliverTo::Set { name: *name, except })
    };
    sets.iter().map(target).collect()
}
