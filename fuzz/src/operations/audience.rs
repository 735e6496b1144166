//! Plain list of all clients, the model of the index.

use tagcast::index::{Index, JoinError};
use tagcast::types::{
    Address, Client, ClientClass, ConnectionRef, JoinNumber, Recipients, Slot, Tags, Tenant,
    WorkerId,
};

/// All clients with their connections and join numbers.
#[derive(Default)]
pub struct Audience(Vec<(ConnectionRef, JoinNumber, Client)>);

/// Number of clients above which more would only take time.
const CLIENTS: usize = 60;

pub fn place(worker: u16, slot: u32) -> ConnectionRef {
    ConnectionRef { worker: WorkerId(worker), slot: Slot(slot) }
}

impl Audience {
    pub fn is_crowded(&self) -> bool {
        self.0.len() >= CLIENTS
    }

    pub fn join(
        &mut self,
        place: ConnectionRef,
        number: JoinNumber,
        client: &Client,
    ) -> Result<(), JoinError> {
        let Client { uuid, tenant, .. } = client;
        if self.0.iter().any(|(taken, ..)| *taken == place) {
            return Err(JoinError::PlaceTaken { place });
        }
        if self.0.iter().any(|(_, _, it)| it.uuid == *uuid && it.tenant == *tenant) {
            return Err(JoinError::UuidKnown { uuid: *uuid });
        }
        self.0.push((place, number, client.clone()));
        Ok(())
    }

    pub fn leave(&mut self, place: ConnectionRef) -> Option<JoinNumber> {
        let at = self.0.iter().position(|(taken, ..)| *taken == place)?;
        Some(self.0.remove(at).1)
    }

    pub fn retag(&mut self, place: ConnectionRef, tags: &Tags) -> bool {
        let found = self.0.iter_mut().find(|(taken, ..)| *taken == place);
        found.map(|(_, _, client)| client.tags = tags.clone()).is_some()
    }

    pub fn remove_worker(&mut self, worker: WorkerId) -> usize {
        let before = self.0.len();
        self.0.retain(|(place, ..)| place.worker != worker);
        before - self.0.len()
    }

    /// Returns the connections that an address names, in ascending order, including the excepted
    /// one.
    fn named(&self, tenant: &Tenant, address: &Address) -> Vec<ConnectionRef> {
        let inside =
            self.0.iter().filter(|(_, _, it)| it.tenant == *tenant && it.takes_publications);
        let mut named: Vec<ConnectionRef> = match &address.recipients {
            Recipients::First { uuid, ident } => inside
                .filter(|(_, _, it)| {
                    Some(it.uuid) == *uuid || (ident.is_some() && it.ident == *ident)
                })
                .min_by_key(|(place, number, _)| (*number, *place))
                .filter(|(_, _, it)| Some(it.uuid) != address.except)
                .map(|(place, ..)| *place)
                .into_iter()
                .collect(),
            Recipients::Matching(query) => inside
                .filter(|(_, _, it)| it.class == ClientClass::Web)
                .filter(|(_, _, it)| query.iter().all(|tag| it.tags.iter().any(|own| own == tag)))
                .map(|(place, ..)| *place)
                .collect(),
            Recipients::Expression(expression) => inside
                .filter(|(_, _, it)| it.class == ClientClass::Web && expression.matches(&it.tags))
                .map(|(place, ..)| *place)
                .collect(),
            Recipients::Named(_)
            | Recipients::TagSequence(_)
            | Recipients::Among(_)
            | Recipients::Without(_) => {
                panic!("nobody says that here")
            }
        };
        named.sort_unstable();
        named
    }

    /// Returns the connection of the client that an address excepts.
    fn left_out(&self, tenant: &Tenant, address: &Address) -> Option<ConnectionRef> {
        let is_it = |it: &Client| it.tenant == *tenant && Some(it.uuid) == address.except;
        self.0.iter().find(|(_, _, it)| is_it(it)).map(|(place, ..)| *place)
    }
}

/// Checks that index and list count the same clients, and that the index is consistent.
pub fn compare(index: &Index, audience: &Audience, workers: [WorkerId; 3]) {
    index.is_consistent().expect("an index that agrees with itself");
    assert_eq!(index.clients(), audience.0.len());
    for worker in workers {
        let own = audience.0.iter().filter(|(place, ..)| place.worker == worker).count();
        assert_eq!(index.clients_of(worker), own);
    }
}

/// Checks that index and list find the same recipients. Returns the connections that receive a
/// publication.
pub fn compare_one(
    index: &Index,
    audience: &Audience,
    tenant: &Tenant,
    address: &Address,
) -> Vec<ConnectionRef> {
    let resolved = index.resolve(tenant, address);
    let of = |(worker, slots): &(WorkerId, tagcast::types::SlotSet)| {
        slots.iter().map(|slot| place(worker.0, slot.0)).collect::<Vec<_>>()
    };
    let mut places: Vec<ConnectionRef> = resolved.sets.iter().flat_map(of).collect();
    assert_eq!(places, audience.named(tenant, address), "{address:?}");
    assert!(resolved.sets.iter().all(|(_, slots)| !slots.is_empty()));
    let left_out = audience.left_out(tenant, address).filter(|place| places.contains(place));
    assert_eq!(resolved.except, left_out, "{address:?}");
    match &address.recipients {
        Recipients::First { .. } => {
            assert!(resolved.single && places.len() <= 1);
            assert_eq!(index.resolve_one(tenant, address), places.first().copied());
        }
        Recipients::Matching(query) => {
            assert!(!resolved.single);
            let carried = index.values(tenant, query, "a", 1000);
            assert_eq!(carried.clients, places.len() as u64);
            assert!(carried.values.len() <= places.len());
        }
        Recipients::Expression(_) => assert!(!resolved.single),
        Recipients::Named(_)
        | Recipients::TagSequence(_)
        | Recipients::Among(_)
        | Recipients::Without(_) => {
            panic!("nobody says that here")
        }
    }
    places.retain(|place| Some(*place) != resolved.except);
    places
}
