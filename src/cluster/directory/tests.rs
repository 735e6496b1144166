//! The records against a naive model.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::cluster::ForwardReach;
use crate::types::{HostId, Ident, JoinNumber, Tenant};

const OWN: HostId = HostId(1);

pub(super) fn name(index: usize) -> DirectoryName {
    let tenant = if index.is_multiple_of(5) { "" } else { "shop" };
    let kind = if index.is_multiple_of(3) { NameKind::ALIAS } else { NameKind::IDENT };
    let text = Ident::new(&format!("n{index}")).unwrap();
    DirectoryName { tenant: Tenant(tenant.into()), kind, text }
}

pub(super) fn any_name() -> impl Strategy<Value = DirectoryName> {
    (0..12_usize).prop_map(name)
}

fn any_stamp() -> impl Strategy<Value = NameStamp> {
    (0..4_u64, 0..4_u64).prop_map(|(unix_ms, number)| NameStamp { unix_ms, number })
}

fn any_host() -> impl Strategy<Value = HostId> {
    (1..5_u32).prop_map(HostId)
}

/// A change of the records.
#[derive(Clone, Debug)]
enum Step {
    Live(HostId),
    Gone(HostId),
    Set(HostId, DirectoryName, Option<NameStamp>),
    Replace(HostId, NameRange),
    Free(usize),
}

fn any_range() -> impl Strategy<Value = NameRange> {
    let ends = (proptest::option::of(any_name()), proptest::option::of(any_name()));
    let names = proptest::collection::btree_map(any_name(), any_stamp(), 0..6);
    (ends, names).prop_map(|((one, other), names)| {
        let (after, up_to) = match (one, other) {
            (Some(one), Some(other)) if one > other => (Some(other), Some(one)),
            ends => ends,
        };
        let is_within = |name: &DirectoryName| {
            after.as_ref().is_none_or(|after| name > after)
                && up_to.as_ref().is_none_or(|up_to| name <= up_to)
        };
        let names = names.into_iter().filter(|(name, _)| is_within(name)).collect();
        NameRange { snapshot: 1, after, up_to, names }
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => any_host().prop_map(Step::Live),
        1 => any_host().prop_map(Step::Gone),
        8 => (any_host(), any_name(), proptest::option::of(any_stamp()))
            .prop_map(|(host, name, stamp)| Step::Set(host, name, stamp)),
        3 => (any_host(), any_range()).prop_map(|(host, range)| Step::Replace(host, range)),
        1 => (0..20_usize).prop_map(Step::Free),
    ]
}

/// The names of each live host.
type Naive = BTreeMap<HostId, BTreeMap<DirectoryName, NameStamp>>;

fn apply_naively(naive: &mut Naive, step: &Step) {
    match step {
        Step::Live(host) => {
            naive.entry(*host).or_default();
        }
        Step::Gone(host) => {
            naive.remove(host);
        }
        Step::Set(host, name, stamp) => {
            if let Some(names) = naive.get_mut(host) {
                names.remove(name);
                names.extend(stamp.map(|stamp| (name.clone(), stamp)));
            }
        }
        Step::Replace(host, NameRange { after, up_to, names, .. }) => {
            if let Some(known) = naive.get_mut(host) {
                known.retain(|name, _| {
                    after.as_ref().is_some_and(|after| name <= after)
                        || up_to.as_ref().is_some_and(|up_to| name > up_to)
                });
                known.extend(names.iter().cloned());
            }
        }
        Step::Free(_) => {}
    }
}

fn apply(directory: &mut NameDirectory, step: &Step) {
    match step {
        Step::Live(host) => directory.add_host(*host),
        Step::Gone(host) => directory.drop_host(*host),
        Step::Set(host, name, stamp) => assert!(directory.set(*host, name, *stamp)),
        Step::Replace(host, range) => {
            directory.replace(*host, range);
        }
        Step::Free(most) => {
            let mut left = *most;
            let _ = directory.free_dropped(&mut || {
                left = left.saturating_sub(1);
                left == 0
            });
        }
    }
}

fn first_naively(naive: &Naive, name: &DirectoryName) -> Option<HostId> {
    let holders = naive.iter().filter_map(|(host, names)| Some((names.get(name)?, *host)));
    holders.map(|(stamp, host)| (stamp.unix_ms, host)).min().map(|(_, host)| host)
}

proptest! {
    #[test]
    fn the_first_host_of_each_name_is_that_of_a_naive_model(
        steps in proptest::collection::vec(any_step(), 0..120),
    ) {
        let mut directory = NameDirectory::new(OWN, DirectoryBounds::default());
        let mut naive = Naive::from([(OWN, BTreeMap::new())]);
        for step in &steps {
            apply(&mut directory, step);
            apply_naively(&mut naive, step);
            prop_assert_eq!(directory.check(), Ok(()));
            for name in (0..12).map(name) {
                prop_assert_eq!(directory.first(&name), first_naively(&naive, &name), "{:?}", name);
            }
        }
        for (host, names) in &naive {
            let known: Vec<_> = directory.names_of(*host).map(|(name, at)| (name.clone(), at)).collect();
            let expected: Vec<_> = names.iter().map(|(name, at)| (name.clone(), *at)).collect();
            prop_assert_eq!(known, expected);
        }
        _ = directory.free_dropped(&mut || false);
        prop_assert_eq!(directory.check(), Ok(()));
    }
}

#[test]
fn names_beyond_the_bounds_are_not_known() {
    let bounds = DirectoryBounds { names: 2, bytes: 1 << 20 };
    let mut directory = NameDirectory::new(OWN, bounds);
    let stamp = Some(NameStamp { unix_ms: 1, number: 1 });
    assert!(directory.set(OWN, &name(1), stamp) && directory.set(OWN, &name(2), stamp));
    assert!(!directory.set(OWN, &name(3), stamp));
    assert!(directory.set(OWN, &name(2), None) && directory.set(OWN, &name(3), stamp));
    let counts = directory.counts();
    assert_eq!((counts.idents, counts.aliases, counts.refused), (1, 1, 1));
    let mut directory = NameDirectory::new(OWN, DirectoryBounds { names: 9, bytes: 300 });
    assert!(directory.set(OWN, &name(1), stamp));
    assert!(!directory.set(OWN, &name(2), stamp), "no memory");
}

#[test]
fn the_second_client_keeps_the_time_of_its_join() {
    let mut directory = SharedDirectory::new(OWN, DirectoryBounds::default());
    let ident = name(1);
    for (number, unix_ms) in [(1, 100), (2, 200)] {
        directory.joined(JoinNumber(number), unix_ms);
        assert!(directory.note_first(&ident, Some(JoinNumber(1)), unix_ms));
    }
    let other = HostId(2);
    directory.host_live(other, Duration::ZERO);
    let stamp = Some(NameStamp { unix_ms: 150, number: 1 });
    let changes = vec![NameChange { name: ident.clone(), stamp }];
    directory.take(other, DirectoryItem::Changes(changes), Duration::ZERO);
    assert_eq!(directory.records().first(&ident), Some(OWN));
    directory.left(JoinNumber(1));
    assert!(directory.note_first(&ident, Some(JoinNumber(2)), 300));
    assert_eq!(directory.records().first(&ident), Some(other), "it came before the second one");
    directory.host_gone(other);
    assert_eq!(directory.records().first(&ident), Some(OWN));
    let expected = NameStamp { unix_ms: 200, number: 2 };
    assert_eq!(directory.records().stamp(OWN, &ident), Some(expected));
}

#[test]
fn a_host_that_is_gone_has_no_names_until_it_is_back() {
    let mut directory = SharedDirectory::new(OWN, DirectoryBounds::default());
    let other = HostId(2);
    let stamp = Some(NameStamp { unix_ms: 1, number: 1 });
    let item = || DirectoryItem::Changes(vec![NameChange { name: name(3), stamp }]);
    directory.host_live(other, Duration::ZERO);
    let aliases = directory.take(other, item(), Duration::ZERO);
    assert_eq!(aliases, [name(3)]);
    directory.host_gone(other);
    assert_eq!(directory.records().first(&name(3)), None);
    assert!(directory.take(other, item(), Duration::ZERO).is_empty(), "it was sent before");
    assert_eq!(directory.records().first(&name(3)), None);
    directory.host_live(other, Duration::ZERO);
    let request = directory.next_request(Duration::ZERO).unwrap();
    assert_eq!(request.reach, ForwardReach::One(other));
}
