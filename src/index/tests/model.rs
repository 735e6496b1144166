//! Compares the index with a naive model: a list of clients that is searched from end to end.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::{Index, JoinError};
use super::addresses::{VALUES, any_address};
use super::{place, places};
use crate::types::{
    Address, AddressLimit, Alias, Claim, Client, ClientClass, ClientUuid, ConnectionRef,
    Exclusivity, GrantNumber, Ident, JoinNumber, MatchOptions, NamedClient, Recipients, Tag, Tags,
    Tenant, WorkerId,
};

const WORKERS: [u16; 3] = [0, 1, 40];
const ALIASES: [&str; 3] = ["x", "u1", "u2"];
const SLOTS: [u32; 12] = [0, 1, 2, 3, 4, 5, 254, 255, 256, 65_535, 65_536, u32::MAX];

/// Every client with its place and join number, and every alias with its place and grant.
#[derive(Default)]
struct Model(Vec<(ConnectionRef, JoinNumber, Client)>, Vec<(ConnectionRef, Claim, GrantNumber)>);

impl Model {
    fn join(
        &mut self,
        place: ConnectionRef,
        number: JoinNumber,
        client: &Client,
    ) -> Result<(), JoinError> {
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

    fn leave(&mut self, place: ConnectionRef) -> Option<JoinNumber> {
        let at = self.0.iter().position(|(taken, _, _)| *taken == place)?;
        self.1.retain(|(holder, _, _)| *holder != place);
        Some(self.0.remove(at).1)
    }

    fn retag(&mut self, place: ConnectionRef, tags: &Tags) -> bool {
        let Some(found) = self.0.iter_mut().find(|(taken, _, _)| *taken == place) else {
            return false;
        };
        found.2.tags = tags.clone();
        true
    }

    fn remove_worker(&mut self, worker: WorkerId) -> usize {
        let before = self.0.len();
        self.0.retain(|(place, _, _)| place.worker != worker);
        self.1.retain(|(place, _, _)| place.worker != worker);
        before - self.0.len()
    }

    fn client(&self, place: ConnectionRef) -> Option<&Client> {
        self.0.iter().find(|(taken, _, _)| *taken == place).map(|(_, _, client)| client)
    }

    /// Returns the other clients of the same tenant that have this alias.
    fn others(&self, place: ConnectionRef, alias: &Alias) -> Vec<ConnectionRef> {
        let tenant = self.client(place).map(|it| &it.tenant);
        let holders = self.1.iter().filter(|(holder, claim, _)| {
            *holder != place
                && claim.alias == *alias
                && self.client(*holder).map(|it| &it.tenant) == tenant
        });
        holders.map(|(holder, _, _)| *holder).collect()
    }

    fn claim(&mut self, place: ConnectionRef, claim: &Claim, grant: GrantNumber) -> bool {
        let Some(client) = self.client(place) else { return false };
        let is_anothers = claim.alias.as_uuid().is_some_and(|uuid| {
            self.0.iter().any(|(other, _, it)| {
                *other != place && it.tenant == client.tenant && it.uuid == uuid
            })
        });
        let is_taken =
            claim.keeping == Exclusivity::Alone && !self.others(place, &claim.alias).is_empty();
        if !client.takes_publications || is_anothers || is_taken {
            return false;
        }
        self.1.retain(|(holder, _, _)| *holder != place);
        self.1.push((place, claim.clone(), grant));
        true
    }

    fn restore(&mut self, place: ConnectionRef, claim: &Claim, grant: GrantNumber) {
        if !self.client(place).is_some_and(|it| it.takes_publications) {
            return;
        }
        if claim.keeping == Exclusivity::Alone {
            let rivals = self.others(place, &claim.alias);
            let of_rivals = |(holder, claim, _): &&(ConnectionRef, Claim, GrantNumber)| {
                rivals.contains(holder) && claim.keeping == Exclusivity::Alone
            };
            if self.1.iter().filter(of_rivals).any(|(_, _, later)| *later > grant) {
                return;
            }
            self.1.retain(|held| !of_rivals(&held));
        }
        self.1.retain(|(holder, _, _)| *holder != place);
        self.1.push((place, claim.clone(), grant));
    }

    /// Returns whether a client matches a [`NamedClient`].
    fn fits(&self, place: ConnectionRef, client: &Client, named: &NamedClient) -> bool {
        let NamedClient { uuid, alias, ident, options } = named;
        let is_web = client.class == ClientClass::Web;
        let has_alias = |alias: &Alias| {
            self.1.iter().any(|(holder, claim, _)| *holder == place && claim.alias == *alias)
        };
        let by_id = Some(client.uuid) == *uuid || alias.as_ref().is_some_and(has_alias);
        (by_id && (is_web || !options.has(MatchOptions::WEB_ONLY)))
            || (ident.is_some() && client.ident == *ident)
            || (options.has(MatchOptions::ANY_WEB) && is_web)
            || (options.has(MatchOptions::ANY_IDENT) && client.ident.is_some())
    }

    /// Resolves tags in their order.
    fn tag_sequence(
        &self,
        inside: &[(ConnectionRef, &Client)],
        tags: &[Tag],
    ) -> Vec<ConnectionRef> {
        if tags.is_empty() {
            return inside.iter().map(|(place, _)| *place).collect();
        }
        let mut found: Vec<ConnectionRef> = Vec::new();
        for tag in tags {
            let carry = inside.iter().filter(|(_, it)| it.tags.have(tag));
            let carry: Vec<ConnectionRef> = carry.map(|(place, _)| *place).collect();
            if carry.is_empty() {
                continue;
            }
            if found.is_empty() {
                found = carry;
            } else {
                found.retain(|place| carry.contains(place));
            }
        }
        found
    }

    /// Returns the recipients, including the excluded client, and the excluded client if it is one of them.
    fn resolve(
        &self,
        tenant: &Tenant,
        address: &Address,
    ) -> (Vec<ConnectionRef>, Option<ConnectionRef>) {
        let Recipients::Among(among) = &address.recipients else {
            return self.resolve_without(tenant, address);
        };
        let inner = Address { recipients: among.recipients.clone(), except: address.except };
        let (mut all, except) = self.resolve_without(tenant, &inner);
        let matches =
            |it: &Client| it.class == ClientClass::Web && among.expression.matches(&it.tags);
        all.retain(|place| self.client(*place).is_some_and(matches));
        let except = except.filter(|place| all.contains(place));
        (all, except)
    }

    fn resolve_without(
        &self,
        tenant: &Tenant,
        address: &Address,
    ) -> (Vec<ConnectionRef>, Option<ConnectionRef>) {
        let recipients = match &address.recipients {
            Recipients::Without(it) => &it.recipients,
            recipients => recipients,
        };
        let (mut all, except) = self.resolve_recipients(tenant, recipients, address.except);
        if let Recipients::Without(it) = &address.recipients {
            all.retain(|place| {
                !self.client(*place).is_some_and(|client| it.uuids.contains(&client.uuid))
            });
        }
        (all, except)
    }

    fn resolve_recipients(
        &self,
        tenant: &Tenant,
        recipients: &Recipients,
        except: Option<ClientUuid>,
    ) -> (Vec<ConnectionRef>, Option<ConnectionRef>) {
        let inside =
            self.0.iter().filter(|(_, _, it)| it.tenant == *tenant && it.takes_publications);
        let excepted = |client: &Client| Some(client.uuid) == except;
        match recipients {
            Recipients::First { uuid, ident } => {
                let first = inside
                    .filter(|(_, _, it)| {
                        Some(it.uuid) == *uuid || (ident.is_some() && it.ident == *ident)
                    })
                    .min_by_key(|(place, number, _)| (*number, *place))
                    .filter(|(_, _, client)| !excepted(client));
                (first.iter().map(|(place, _, _)| *place).collect(), None)
            }
            Recipients::Named(named) => {
                let first = inside
                    .filter(|(place, _, it)| self.fits(*place, it, named))
                    .min_by_key(|(place, number, _)| (*number, *place))
                    .filter(|(_, _, client)| !excepted(client));
                (first.iter().map(|(place, _, _)| *place).collect(), None)
            }
            Recipients::TagSequence(tags) => {
                let web = inside.filter(|(_, _, it)| it.class == ClientClass::Web);
                let web: Vec<_> = web.map(|(place, _, it)| (*place, it)).collect();
                let mut all = self.tag_sequence(&web, tags);
                all.sort_unstable();
                let except = web.iter().find(|(place, it)| excepted(it) && all.contains(place));
                let except = except.map(|(place, _)| *place);
                (all, except)
            }
            Recipients::Without(_) | Recipients::Among(_) => (Vec::new(), None),
            Recipients::Expression(expression) => {
                let mut all: Vec<_> = inside
                    .filter(|(_, _, it)| {
                        it.class == ClientClass::Web && expression.matches(&it.tags)
                    })
                    .collect();
                all.sort_by_key(|(place, _, _)| *place);
                let except = all.iter().find(|(_, _, it)| excepted(it)).map(|(place, _, _)| *place);
                (all.into_iter().map(|(place, _, _)| *place).collect(), except)
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
    Join(ConnectionRef, JoinNumber, Client),
    Leave(ConnectionRef),
    Retag(ConnectionRef, Tags),
    RemoveWorker(WorkerId),
    Claim(ConnectionRef, Claim, GrantNumber),
    Restore(ConnectionRef, Claim, GrantNumber),
    /// Sixty clients at once, so that rows grow from lists to bitmaps.
    Crowd(WorkerId, Client),
}

fn any_place() -> impl Strategy<Value = ConnectionRef> {
    (select(&WORKERS[..]), select(&SLOTS[..])).prop_map(|(worker, slot)| place(worker, slot))
}

pub(super) fn any_tags() -> impl Strategy<Value = Tags> {
    let all = vec!["a", "b", "c"];
    (subsequence(all, 0..=3), vec(select(&VALUES[..]), 3)).prop_map(|(names, values)| {
        let tags = names.iter().zip(values).map(|(name, value)| Tag::new(name, value).unwrap());
        Tags::new(tags).unwrap()
    })
}

fn any_tenant() -> impl Strategy<Value = Tenant> {
    select(&["", "other"][..]).prop_map(|name| Tenant(name.into()))
}

pub(super) fn any_ident() -> impl Strategy<Value = Option<Ident>> {
    select(&["", "x", "y"][..]).prop_map(|text| Ident::new(text).ok())
}

pub(super) fn any_uuid() -> impl Strategy<Value = ClientUuid> {
    (0..20_u8).prop_map(|number| ClientUuid([number; 16]))
}

/// Generates two plain aliases and two that are spelled like UUIDs of clients.
pub(super) fn any_alias() -> impl Strategy<Value = Alias> {
    let uuids = (0..20_u8).prop_map(|number| ClientUuid([number; 16]).text());
    prop_oneof![3 => select(&ALIASES[..]).prop_map(str::to_owned), 1 => uuids]
        .prop_map(|text| Alias::new(&text).unwrap())
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let keeping = select(&[Exclusivity::Alone, Exclusivity::Alone, Exclusivity::Shared][..]);
    (any_alias(), keeping).prop_map(|(alias, keeping)| Claim { alias, keeping })
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
        Client { tenant, uuid, ident, tags, class, takes_publications, counted: AddressLimit::ByAddress, application: None, ip }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let worker = || select(&WORKERS[..]).prop_map(WorkerId);
    prop_oneof![
        12 => (any_place(), 0..50_u64, any_client())
            .prop_map(|(place, number, client)| Step::Join(place, JoinNumber(number), client)),
        6 => any_place().prop_map(Step::Leave),
        3 => (any_place(), any_tags()).prop_map(|(place, tags)| Step::Retag(place, tags)),
        4 => (any_place(), any_claim(), 0..9_u64)
            .prop_map(|(place, claim, grant)| Step::Claim(place, claim, GrantNumber(grant))),
        2 => (any_place(), any_claim(), 0..9_u64)
            .prop_map(|(place, claim, grant)| Step::Restore(place, claim, GrantNumber(grant))),
        1 => worker().prop_map(Step::RemoveWorker),
        1 => (worker(), any_client()).prop_map(|(worker, client)| Step::Crowd(worker, client)),
    ]
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
        Step::Claim(place, claim, grant) => {
            assert_eq!(index.claim(*place, claim, *grant), model.claim(*place, claim, *grant));
        }
        Step::Restore(place, claim, grant) => {
            index.restore(*place, claim, *grant);
            model.restore(*place, claim, *grant);
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
    let names = ["", "other"].into_iter().flat_map(|tenant| ALIASES.map(|alias| (tenant, alias)));
    for (tenant, alias) in names {
        let (tenant, alias) = (Tenant(tenant.into()), Alias::new(alias).ok());
        let address = Address::named(NamedClient { alias, ..NamedClient::default() });
        assert_eq!(places(&index.resolve(&tenant, &address)), model.resolve(&tenant, &address).0);
    }
    for (tenant, address) in addresses {
        let resolved = index.resolve(tenant, address);
        let (expected, except) = model.resolve(tenant, address);
        assert_eq!((places(&resolved), resolved.except), (expected, except), "{address:?}");
        assert!(resolved.sets.is_sorted_by_key(|(worker, _)| *worker));
        assert!(resolved.sets.iter().all(|(_, slots)| !slots.is_empty()));
        let single = address.recipients.is_single();
        assert_eq!(resolved.single, single);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_index_agrees_with_a_plain_list_of_clients(
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
