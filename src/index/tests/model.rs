//! The index against a naive model: a list of clients that is read from end to end.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::{Index, JoinError};
use super::{place, places};
use crate::types::{
    Address, Client, ClientClass, ClientUuid, Ident, JoinNumber, Place, Recipients, Tag, Tags,
    Tenant, WorkerId,
};

const WORKERS: [u16; 3] = [0, 1, 40];
const SLOTS: [u32; 12] = [0, 1, 2, 3, 4, 5, 254, 255, 256, 65_535, 65_536, u32::MAX];

/// Every client with its place and join number.
#[derive(Default)]
struct Model(Vec<(Place, JoinNumber, Client)>);

impl Model {
    fn join(&mut self, place: Place, number: JoinNumber, client: &Client) -> Result<(), JoinError> {
        if self.0.iter().any(|(taken, _, _)| *taken == place) {
            return Err(JoinError::PlaceTaken { place });
        }
        let same = |known: &Client| known.tenant == client.tenant && known.uuid == client.uuid;
        if self.0.iter().any(|(_, _, known)| same(known)) {
            return Err(JoinError::UuidKnown { uuid: client.uuid });
        }
        self.0.push((place, number, client.clone()));
        Ok(())
    }

    fn leave(&mut self, place: Place) -> Option<JoinNumber> {
        let at = self.0.iter().position(|(taken, _, _)| *taken == place)?;
        Some(self.0.remove(at).1)
    }

    fn retag(&mut self, place: Place, tags: &Tags) -> bool {
        let Some(found) = self.0.iter_mut().find(|(taken, _, _)| *taken == place) else {
            return false;
        };
        found.2.tags = tags.clone();
        true
    }

    fn remove_worker(&mut self, worker: WorkerId) -> usize {
        let before = self.0.len();
        self.0.retain(|(place, _, _)| place.worker != worker);
        before - self.0.len()
    }

    /// The places named, the excepted one not taken out, and the excepted one among them.
    fn resolve(&self, tenant: &Tenant, address: &Address) -> (Vec<Place>, Option<Place>) {
        let inside =
            self.0.iter().filter(|(_, _, it)| it.tenant == *tenant && it.takes_publications);
        let excepted = |client: &Client| Some(client.uuid) == address.except;
        match &address.recipients {
            Recipients::First { uuid, ident } => {
                let first = inside
                    .filter(|(_, _, it)| {
                        Some(it.uuid) == *uuid || (ident.is_some() && it.ident == *ident)
                    })
                    .min_by_key(|(place, number, _)| (*number, *place))
                    .filter(|(_, _, client)| !excepted(client));
                (first.iter().map(|(place, _, _)| *place).collect(), None)
            }
            Recipients::Matching(query) => {
                let carries =
                    |it: &Client| query.iter().all(|tag| it.tags.iter().any(|own| own == tag));
                let mut all: Vec<_> = inside
                    .filter(|(_, _, it)| it.class == ClientClass::Web && carries(it))
                    .collect();
                all.sort_by_key(|(place, _, _)| *place);
                let except = all.iter().find(|(_, _, it)| excepted(it)).map(|(place, _, _)| *place);
                (all.into_iter().map(|(place, _, _)| *place).collect(), except)
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Join(Place, JoinNumber, Client),
    Leave(Place),
    Retag(Place, Tags),
    RemoveWorker(WorkerId),
    /// Sixty clients at once: rows grow from lists to bitmaps.
    Crowd(WorkerId, Client),
}

fn any_place() -> impl Strategy<Value = Place> {
    (select(&WORKERS[..]), select(&SLOTS[..])).prop_map(|(worker, slot)| place(worker, slot))
}

fn any_tags() -> impl Strategy<Value = Tags> {
    let all = vec!["a", "b", "c"];
    (subsequence(all, 0..=3), vec(select(&["1", "2"][..]), 3)).prop_map(|(names, values)| {
        let tags = names.iter().zip(values).map(|(name, value)| Tag::new(name, value).unwrap());
        Tags::new(tags).unwrap()
    })
}

fn any_tenant() -> impl Strategy<Value = Tenant> {
    select(&["", "other"][..]).prop_map(|name| Tenant(name.into()))
}

fn any_ident() -> impl Strategy<Value = Option<Ident>> {
    select(&["", "x", "y"][..]).prop_map(|text| Ident::new(text).ok())
}

fn any_uuid() -> impl Strategy<Value = ClientUuid> {
    (0..20_u8).prop_map(|number| ClientUuid([number; 16]))
}

prop_compose! {
    fn any_client()(
        tenant in any_tenant(),
        uuid in any_uuid(),
        ident in any_ident(),
        tags in any_tags(),
        class in select(&[ClientClass::Web, ClientClass::Web, ClientClass::Php][..]),
        takes_publications in prop::bool::weighted(0.8),
    ) -> Client {
        let ip = "192.0.2.1".parse().unwrap();
        Client { tenant, uuid, ident, tags, class, takes_publications, ip }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let worker = || select(&WORKERS[..]).prop_map(WorkerId);
    prop_oneof![
        12 => (any_place(), 0..50_u64, any_client())
            .prop_map(|(place, number, client)| Step::Join(place, JoinNumber(number), client)),
        6 => any_place().prop_map(Step::Leave),
        3 => (any_place(), any_tags()).prop_map(|(place, tags)| Step::Retag(place, tags)),
        1 => worker().prop_map(Step::RemoveWorker),
        1 => (worker(), any_client()).prop_map(|(worker, client)| Step::Crowd(worker, client)),
    ]
}

fn any_address() -> impl Strategy<Value = Address> {
    let recipients = prop_oneof![
        (prop::option::of(any_uuid()), any_ident())
            .prop_map(|(uuid, ident)| Recipients::First { uuid, ident }),
        any_tags().prop_map(Recipients::Matching),
    ];
    (recipients, prop::option::of(any_uuid()))
        .prop_map(|(recipients, except)| Address { recipients, except })
}

fn take(step: &Step, index: &mut Index, model: &mut Model) {
    match step {
        Step::Join(place, number, client) => {
            assert_eq!(index.join(*place, *number, client), model.join(*place, *number, client));
        }
        Step::Leave(place) => assert_eq!(index.leave(*place), model.leave(*place)),
        Step::Retag(place, tags) => {
            assert_eq!(index.retag(*place, tags), model.retag(*place, tags));
        }
        Step::RemoveWorker(worker) => {
            assert_eq!(index.remove_worker(*worker), model.remove_worker(*worker));
        }
        Step::Crowd(worker, client) => {
            for slot in 1_000..1_060 {
                let uuid =
                    ClientUuid((u128::from(worker.0) << 64 | u128::from(slot)).to_be_bytes());
                let (place, client) = (place(worker.0, slot), Client { uuid, ..client.clone() });
                let number = JoinNumber(slot.into());
                let joined = index.join(place, number, &client);
                assert_eq!(joined, model.join(place, number, &client));
            }
        }
    }
}

fn compare(index: &Index, model: &Model, addresses: &[(Tenant, Address)]) {
    index.is_consistent().unwrap();
    assert_eq!(index.clients(), model.0.len());
    for worker in WORKERS.map(WorkerId) {
        let own = model.0.iter().filter(|(place, _, _)| place.worker == worker).count();
        assert_eq!(index.clients_of(worker), own);
    }
    for (tenant, address) in addresses {
        let resolved = index.resolve(tenant, address);
        let (expected, except) = model.resolve(tenant, address);
        assert_eq!((places(&resolved), resolved.except), (expected, except), "{address:?}");
        assert!(resolved.sets.is_sorted_by_key(|(worker, _)| *worker));
        assert!(resolved.sets.iter().all(|(_, slots)| !slots.is_empty()));
        let single = matches!(address.recipients, Recipients::First { .. });
        assert_eq!(resolved.single, single);
    }
}

proptest! {
    #[test]
    fn the_index_says_what_a_list_of_all_clients_says(
        steps in vec(any_step(), 1..60),
        addresses in vec((any_tenant(), any_address()), 12),
    ) {
        let (mut index, mut model) = (Index::default(), Model::default());
        for step in &steps {
            take(step, &mut index, &mut model);
            compare(&index, &model, &addresses);
        }
        for worker in WORKERS.map(WorkerId) {
            assert_eq!(index.remove_worker(worker), model.remove_worker(worker));
        }
        super::assert_empty(&index);
    }
}
