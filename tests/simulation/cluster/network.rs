//! A network that loses, repeats and overtakes messages, restarts, and separates hosts.

use std::collections::{BTreeMap, VecDeque};

use tagcast::cluster::{ClusterName, ClusterSubject, OutgoingMessage};

use crate::rng::Rng;

/// One message in a thousand, for probabilities.
pub const THOUSAND: u64 = 1000;

/// The messages of one subject on the way to one host arrive in order. Others may overtake them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Path {
    to: usize,
    subject: String,
}

/// A message on its way.
#[derive(Clone, Debug)]
struct Sent {
    order: u64,
    bytes: Vec<u8>,
}

/// A NATS server and the connections of all hosts.
#[derive(Debug)]
pub struct Network {
    name: ClusterName,
    paths: BTreeMap<Path, VecDeque<Sent>>,
    /// Counts the messages.
    sent: u64,
    /// Of a thousand messages, how many are lost on the way to a host.
    pub lost: u64,
    /// How many come twice.
    pub doubled: u64,
    /// Pairs of hosts of which the first does not reach the second.
    pub cut: Vec<(usize, usize)>,
    connected: Vec<bool>,
}

impl Network {
    pub fn new(name: ClusterName, hosts: usize) -> Self {
        let (paths, cut, connected) = (BTreeMap::new(), Vec::new(), vec![false; hosts]);
        Self { name, paths, sent: 0, lost: 0, doubled: 0, cut, connected }
    }

    pub fn is_connected(&self, host: usize) -> bool {
        self.connected[host]
    }

    pub fn connect(&mut self, host: usize) {
        self.connected[host] = true;
    }

    /// Drops what is on its way to a host.
    pub fn disconnect(&mut self, host: usize) {
        self.connected[host] = false;
        self.paths.retain(|path, _| path.to != host);
    }

    /// Takes a message of a host. `ids` has the ids of the hosts.
    pub fn publish(&mut self, from: usize, message: &OutgoingMessage, ids: &[u32], rng: &mut Rng) {
        let subject = message.subject.text(&self.name);
        for (to, id) in ids.iter().enumerate() {
            let is_subscribed = match message.subject {
                ClusterSubject::Common(_) => to != from,
                ClusterSubject::Private { to: host, .. }
                | ClusterSubject::Control(host)
                | ClusterSubject::Echo(host) => host.0 == *id,
                ClusterSubject::Heartbeats => true,
            };
            let is_cut = self.cut.contains(&(from, to));
            if !is_subscribed || is_cut || !self.connected[to] || rng.below(THOUSAND) < self.lost {
                continue;
            }
            let path = Path { to, subject: subject.clone() };
            let queue = self.paths.entry(path).or_default();
            self.sent += 1;
            let sent = Sent { order: self.sent, bytes: message.bytes.clone() };
            if rng.below(THOUSAND) < self.doubled {
                queue.push_back(sent.clone());
            }
            queue.push_back(sent);
        }
    }

    /// Returns the next message of any path. A network that loses nothing keeps the order of all messages to a
    /// host.
    pub fn take(&mut self, rng: &mut Rng) -> Option<Arrived> {
        self.paths.retain(|_, queue| !queue.is_empty());
        let place = rng.place(self.paths.len());
        let mut path = self.paths.keys().nth(place)?.clone();
        if self.lost == 0 {
            let to_host = self.paths.iter().filter(|(it, _)| it.to == path.to);
            let order = |queue: &VecDeque<Sent>| queue.front().map(|sent| sent.order);
            path = to_host.min_by_key(|(_, queue)| order(queue))?.0.clone();
        }
        let bytes = self.paths.get_mut(&path)?.pop_front()?.bytes;
        Some(Arrived { to: path.to, subject: path.subject, bytes })
    }
}

/// A message at its subscriber.
#[derive(Debug)]
pub struct Arrived {
    pub to: usize,
    pub subject: String,
    pub bytes: Vec<u8>,
}
