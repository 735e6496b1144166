//! What the hosts of a cluster promise, checked with every publication that arrives.

use std::collections::{BTreeMap, BTreeSet};

use tagcast::cluster::{Arrival, GapReason, LaneKey, LostItems};

use super::host::{Published, Target, WORKERS};

/// Whether a run may report gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gaps {
    /// It can lose nothing.
    Never,
    Allowed,
}

/// A pair of hosts, by the lives of their supervisors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub from: u64,
    pub to: u64,
}

/// What one host has received of another one.
#[derive(Debug, Default)]
struct Received {
    /// The first publication that the promise covers: both have accepted each other.
    since: Option<u64>,
    ids: BTreeSet<u64>,
    /// The last number of each worker, in the common lane, the private lane, and over both.
    last: BTreeMap<(usize, usize), u64>,
    /// Items that are reported as lost, and whether the number of some is not known. Only those for clients count where
    /// publications are missing.
    lost: LostItems,
    is_unknown: bool,
}

/// The publications of a host.
#[derive(Debug, Default)]
struct Origin {
    published: Vec<Published>,
}

/// All publications, and all deliveries.
#[derive(Debug, Default)]
pub struct Model {
    origins: BTreeMap<u64, Origin>,
    pairs: BTreeMap<Pair, Received>,
    /// Hosts of which bridge and broker have died together: a publication may be delivered twice.
    pub may_repeat: BTreeSet<u64>,
    next_id: u64,
    pub delivered: u64,
    pub gaps: u64,
}

impl Model {
    /// Returns the next id of a publication.
    pub fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub fn publish(&mut self, run: u64, published: Published) {
        self.origins.entry(run).or_default().published.push(published);
    }

    /// Both hosts have accepted each other. What the first publishes from now on reaches the second, or is a gap.
    pub fn join(&mut self, pair: Pair) {
        let next = self.next_id + 1;
        self.pairs.entry(pair).or_default().since.get_or_insert(next);
    }

    pub fn gap(&mut self, pair: Pair, lost: Option<LostItems>, reason: GapReason) {
        let is_gap = lost.is_none_or(|lost| lost.all > 0 && lost.for_clients <= lost.all);
        assert!(is_gap, "{lost:?} {reason:?}");
        self.gaps += 1;
        let received = self.pairs.entry(pair).or_default();
        match lost {
            Some(lost) => received.lost = received.lost.and(lost),
            None => received.is_unknown = true,
        }
    }

    /// A publication has arrived at the host in this place, with this run.
    pub fn deliver(&mut self, to: u64, place: usize, arrival: &Arrival) -> Result<(), String> {
        let payload = &arrival.publication.payload;
        let id = u64::from_le_bytes(payload[..8].try_into().unwrap());
        let is_intact = payload[8..].iter().all(|byte| *byte == 1);
        let find = |origin: &Origin| origin.published.iter().find(|it| it.id == id).copied();
        let found = self.origins.iter().find_map(|(run, origin)| Some((*run, find(origin)?)));
        let (from, published) = found.ok_or_else(|| format!("{id} was not published"))?;
        let pair = Pair { from, to };
        if !is_intact || payload.len() != 8 + published.size {
            return Err(format!("{id} has arrived with {} other bytes", payload.len()));
        }
        if !matches_host(published.target, place) {
            // The broker finds no client for it. This happens to what is for a UUID of another host.
            return Ok(());
        }
        let received = self.pairs.entry(pair).or_default();
        if !received.ids.insert(id) {
            let may_repeat = [pair.from, pair.to].iter().any(|run| self.may_repeat.contains(run));
            let text = format!("{id} has reached {place} twice (P2)");
            return if may_repeat { Ok(()) } else { Err(text) };
        }
        self.delivered += 1;
        let lane = usize::from(arrival.taken.point.lane != LaneKey::COMMON);
        let has_gap = received.lost.all > 0 || received.is_unknown;
        for (kind, is_checked) in [(lane, true), (2, !has_gap)] {
            let last = received.last.entry((published.worker, kind)).or_default();
            let may_repeat = [pair.from, pair.to].iter().any(|run| self.may_repeat.contains(run));
            if published.number < *last && is_checked && !may_repeat {
                let text = format!("{id} has reached {place} after a later one of its worker (P1)");
                return Err(text);
            }
            *last = published.number.max(*last);
        }
        Ok(())
    }

    /// Nothing is on its way any more: what is missing was reported as a gap, if gaps are `allowed` at all. `places` has
    /// the living runs.
    pub fn check_all(&self, places: &[u64], allowed: Gaps) -> Result<(), String> {
        for (pair, received) in &self.pairs {
            let place = places.iter().position(|run| *run == pair.to);
            let (Some(place), true) = (place, places.contains(&pair.from)) else { continue };
            let lost = received.lost.for_clients;
            if allowed == Gaps::Never && (received.lost.all > 0 || received.is_unknown) {
                return Err(format!("a gap of {lost} at {place}, and nothing can be lost"));
            }
            let Some(since) = received.since else { continue };
            let published = self.origins.get(&pair.from).map_or(&[][..], |it| &it.published);
            let missing: Vec<u64> = published
                .iter()
                .filter(|it| it.id >= since && matches_host(it.target, place))
                .filter(|it| !received.ids.contains(&it.id))
                .map(|it| it.id)
                .collect();
            if !received.is_unknown && missing.len() as u64 > lost {
                let missing: Vec<_> = missing.iter().take(9).collect();
                return Err(format!(
                    "{missing:?} are missing at {place}, reported are {lost} (P3)"
                ));
            }
        }
        Ok(())
    }

    /// Returns whether a publication has reached a host.
    pub fn has(&self, pair: Pair, id: u64) -> bool {
        self.pairs.get(&pair).is_some_and(|received| received.ids.contains(&id))
    }
}

fn matches_host(target: Target, place: usize) -> bool {
    match target {
        Target::All => true,
        Target::One(one) => one == place,
        // They are checked apart.
        Target::Name(_) => false,
    }
}

const _: () = assert!(WORKERS > 1, "the order is that of one worker");
