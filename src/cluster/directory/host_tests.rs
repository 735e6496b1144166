//! Hosts that miss items, separate and get new brokers: all have all names in the end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;

use super::tests::{any_name, name};
use super::*;
use crate::cluster::ForwardReach;
use crate::types::{HostId, JoinNumber};

/// A host of the model: its clients, and what the others have sent it.
struct ModelHost {
    directory: SharedDirectory,
    /// The numbers of the clients with each name.
    clients: BTreeMap<DirectoryName, BTreeSet<u64>>,
    /// Items of other hosts in their order. `None` is a gap.
    queue: VecDeque<(HostId, Option<DirectoryItem>)>,
    joins: u64,
}

/// Something that happens to hosts.
#[derive(Clone, Debug)]
enum HostEvent {
    Join(usize, DirectoryName),
    LeaveFirst(usize, DirectoryName),
    /// A host reads so many items.
    Read(usize, usize),
    Send(usize),
    /// The next item of a host is lost.
    Lose(usize),
    /// Two hosts get nothing of each other for a while.
    Separate(usize, usize),
    Meet(usize, usize),
    NewBroker(usize),
}

const HOSTS: usize = 3;

fn any_event() -> impl Strategy<Value = HostEvent> {
    let place = || 0..HOSTS;
    prop_oneof![
        6 => (place(), any_name()).prop_map(|(place, name)| HostEvent::Join(place, name)),
        4 => (place(), any_name()).prop_map(|(place, name)| HostEvent::LeaveFirst(place, name)),
        8 => (place(), 1..6_usize).prop_map(|(place, most)| HostEvent::Read(place, most)),
        8 => place().prop_map(HostEvent::Send),
        1 => place().prop_map(HostEvent::Lose),
        1 => (place(), place()).prop_map(|(one, other)| HostEvent::Separate(one, other)),
        2 => (place(), place()).prop_map(|(one, other)| HostEvent::Meet(one, other)),
        1 => place().prop_map(HostEvent::NewBroker),
    ]
}

fn id(place: usize) -> HostId {
    HostId(u32::try_from(place).unwrap() + 1)
}

/// Hosts whose items arrive in order, or are reported as lost.
struct ModelCluster {
    hosts: Vec<ModelHost>,
    now: Duration,
}

impl ModelCluster {
    fn new() -> Self {
        let host = |place: usize| ModelHost {
            directory: SharedDirectory::new(id(place), DirectoryBounds::default()),
            clients: BTreeMap::new(),
            queue: VecDeque::new(),
            joins: 0,
        };
        Self { hosts: (0..HOSTS).map(host).collect(), now: Duration::ZERO }
    }

    fn check(&mut self, place: usize, name: &DirectoryName) {
        let unix_ms = u64::try_from(self.now.as_millis()).unwrap();
        let host = &mut self.hosts[place];
        let first = host.clients.get(name).and_then(|it| it.first().copied()).map(JoinNumber);
        assert!(host.directory.note_first(name, first, unix_ms));
    }

    fn pass_on(&mut self, from: usize, item: SharedItem) {
        let decoded = DirectoryItem::decode(item.body).unwrap();
        for place in (0..HOSTS).filter(|place| *place != from) {
            let is_reached = match item.reach {
                ForwardReach::All => true,
                ForwardReach::One(host) => host == id(place),
            };
            if is_reached {
                self.hosts[place].queue.push_back((id(from), Some(decoded.clone())));
            }
        }
    }

    fn send(&mut self, place: usize) {
        while let Some(name) = self.hosts[place].directory.next_unchecked() {
            self.check(place, &name);
        }
        let now = self.now;
        let changes = self.hosts[place].directory.take_changes();
        changes.into_iter().for_each(|item| self.pass_on(place, item));
        let part = self.hosts[place].directory.next_part();
        part.into_iter().for_each(|item| self.pass_on(place, item));
        let request = self.hosts[place].directory.next_request(now);
        request.into_iter().for_each(|item| self.pass_on(place, item));
    }

    fn read(&mut self, place: usize, most: usize) {
        for _ in 0..most {
            let host = &mut self.hosts[place];
            match host.queue.pop_front() {
                None => return,
                Some((from, None)) => host.directory.note_gap(from, self.now),
                Some((from, Some(item))) => {
                    host.directory.take(from, item, self.now);
                }
            }
        }
    }

    fn meet(&mut self, one: usize, other: usize) {
        self.hosts[one].directory.host_live(id(other), self.now);
        self.hosts[other].directory.host_live(id(one), self.now);
    }

    fn happen(&mut self, event: &HostEvent) {
        self.now += Duration::from_millis(1);
        match event {
            HostEvent::Join(place, name) => {
                let unix_ms = u64::try_from(self.now.as_millis()).unwrap();
                let host = &mut self.hosts[*place];
                host.joins += 1;
                host.clients.entry(name.clone()).or_default().insert(host.joins);
                host.directory.joined(JoinNumber(host.joins), unix_ms);
                self.check(*place, name);
            }
            HostEvent::LeaveFirst(place, name) => {
                let host = &mut self.hosts[*place];
                let first = host.clients.get_mut(name).and_then(BTreeSet::pop_first);
                first.into_iter().for_each(|number| host.directory.left(JoinNumber(number)));
                self.check(*place, name);
            }
            HostEvent::Read(place, most) => self.read(*place, *most),
            HostEvent::Send(place) => self.send(*place),
            HostEvent::Lose(place) => {
                if let Some((_, item)) = self.hosts[*place].queue.front_mut() {
                    *item = None;
                }
            }
            HostEvent::Separate(one, other) if one != other => {
                self.hosts[*one].directory.host_gone(id(*other));
                self.hosts[*other].directory.host_gone(id(*one));
            }
            HostEvent::Meet(one, other) if one != other => self.meet(*one, *other),
            HostEvent::Separate(..) | HostEvent::Meet(..) => {}
            HostEvent::NewBroker(place) => self.replace_broker(*place),
        }
    }

    /// The broker of a host is replaced. The bridge has what was sent.
    fn replace_broker(&mut self, place: usize) {
        let host = &mut self.hosts[place];
        let bounds = DirectoryBounds::default();
        let old = std::mem::replace(
            &mut host.directory,
            SharedDirectory::of_later_broker(id(place), bounds),
        );
        // What was not sent, the bridge does not have.
        if !old.has_changes() && !old.has_parts() {
            let range = old.records().part(id(place), 0, None, usize::MAX);
            host.directory.announced(id(place), &range);
        }
        let names: Vec<DirectoryName> = host.clients.keys().cloned().collect();
        names.into_iter().for_each(|name| host.directory.check_later(name));
        host.directory.begin();
        let others = old.records().hosts().filter(|host| *host != id(place));
        others.for_each(|other| host.directory.host_live(other, self.now));
    }
}

proptest! {
    #[test]
    fn all_hosts_have_all_names_once_everything_has_arrived(
        events in proptest::collection::vec(any_event(), 0..150),
    ) {
        let mut model = ModelCluster::new();
        for event in &events {
            model.happen(event);
        }
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            model.meet(one, other);
        }
        for _ in 0..40 {
            model.now += Duration::from_millis(500);
            (0..HOSTS).for_each(|place| model.send(place));
            (0..HOSTS).for_each(|place| model.read(place, usize::MAX));
        }
        let truth = |place: usize| {
            let clients = model.hosts[place].clients.iter();
            let firsts = clients.filter_map(|(name, it)| Some((name.clone(), *it.first()?)));
            firsts.collect::<Vec<_>>()
        };
        for host in &model.hosts {
            prop_assert!(host.directory.is_idle());
            prop_assert_eq!(host.directory.records().check(), Ok(()));
            for place in 0..HOSTS {
                let known = host.directory.records().names_of(id(place));
                let known: Vec<_> = known.map(|(name, at)| (name.clone(), at.number)).collect();
                prop_assert_eq!(known, truth(place), "names of {}", place);
            }
            for name in (0..12).map(name) {
                let first = model.hosts[0].directory.records().first(&name);
                prop_assert_eq!(host.directory.records().first(&name), first);
            }
        }
    }
}
