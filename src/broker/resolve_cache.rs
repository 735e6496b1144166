//! Addresses that were resolved in this turn. Publishers often use the same address repeatedly, so a later
//! publication to the same tags needs no second search, and the set is sent only once on each link.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use smallvec::SmallVec;

use super::tracking::ClientsByWorker;
use super::traffic::{TenantTraffic, TrafficByTenant};
use super::worker_state::WorkerState;
use crate::index::{Index, Resolved};
use crate::link::codec::{Malformed, encode_route};
use crate::link::message::{CountedPublication, DeliverTo, PublishFrame, SetName};
use crate::types::{
    Address, ConnectionRef, Expression, Histogram, HostId, Number, RECIPIENT_BOUNDS, Recipients,
    SlotSet, TagQuery, Tenant, WorkerId,
};

/// The sets of this turn. They are dropped at its end and whenever a client joins, leaves or changes its
/// tags: a set that outlived the batch would send publications to the wrong clients.
#[derive(Debug, Default)]
pub(super) struct ResolveCache {
    sets: HashMap<Tenant, HashMap<TagQuery, Vec<NamedSet>>>,
    expressions: HashMap<Tenant, HashMap<Expression, Vec<NamedSet>>>,
    /// The route of the last publication. The next publication usually has the same route.
    last: Option<Box<KnownRoute>>,
    /// Recipients of all publications.
    pub(super) recipients: Histogram,
}

/// A set that was sent to a worker in this turn.
#[derive(Debug)]
struct NamedSet {
    worker: WorkerId,
    name: SetName,
    slots: SlotSet,
}

/// The recipients of an address.
#[derive(Debug, Default)]
pub(super) struct Targets {
    pub(super) by_worker: SmallVec<[WorkerTarget; 4]>,
    /// Their number.
    clients: u64,
    /// The expression was too expensive, so that it reaches no client.
    is_refused: bool,
}

/// The recipients on one worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorkerTarget {
    pub(super) worker: WorkerId,
    pub(super) target: DeliverTo,
    /// Their number, the excluded one included.
    pub(super) clients: u64,
}

/// Tenant and address of publications, with the resolved recipients.
#[derive(Debug)]
pub(super) struct KnownRoute {
    /// Encoded form of tenant and address; empty if the message was already decoded.
    encoded: Box<[u8]>,
    pub(super) tenant: Tenant,
    pub(super) address: Address,
    /// A copy of the address for stored publications.
    shared_address: Option<Arc<Address>>,
    /// The recipients, while they are valid.
    targets: Option<Targets>,
    /// Their number, if it was requested and is still valid.
    counts: Option<RouteCounts>,
    /// The same by worker.
    by_worker: ClientsByWorker,
    /// The result of the count, for the delivery that follows.
    counted: Option<Resolved>,
    /// Another host that has the single client, so that none here gets the publication.
    holder: Option<HostId>,
    /// Publications that [`TrafficByTenant`] does not include yet.
    pub(super) traffic: TenantTraffic,
}

/// The number of recipients of an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteCounts {
    pub(super) clients: u64,
    pub(super) workers: u32,
    /// Not zero if the expression scans so many values that it was not evaluated.
    scan_values: u64,
}

impl KnownRoute {
    /// Creates a route whose encoded form is not known.
    pub(super) fn new(tenant: Tenant, address: Address) -> Self {
        Self {
            encoded: Box::default(),
            tenant,
            address,
            shared_address: None,
            targets: None,
            counts: None,
            by_worker: ClientsByWorker::new(),
            counted: None,
            holder: None,
            traffic: TenantTraffic::default(),
        }
    }

    /// Returns tenant and address in the encoding of the link.
    pub(super) fn encoded(&self) -> Cow<'_, [u8]> {
        match self.encoded.is_empty() {
            true => Cow::Owned(encode_route(&self.tenant, &self.address)),
            false => Cow::Borrowed(&self.encoded),
        }
    }

    /// Counts the clients and their workers, without workers that have departed, unless that is known.
    pub(super) fn count(&mut self, index: &Index, departed: &BTreeSet<WorkerId>) -> RouteCounts {
        let Self { tenant, address, counts, by_worker, counted, .. } = self;
        *counts.get_or_insert_with(|| {
            let resolved = counted.insert(index.resolve(tenant, address).without(departed));
            *by_worker = clients_by_worker(resolved);
            let (clients, workers) = resolved.counts();
            let scan_values = resolved.refused.map_or(0, |it| it.values);
            RouteCounts { clients, workers, scan_values }
        })
    }

    /// Sets which other host has the single client. What was resolved for another answer is void.
    pub(super) fn set_holder(&mut self, holder: Option<HostId>) {
        if self.holder != holder {
            (self.targets, self.counts, self.counted) = (None, None, None);
            self.holder = holder;
        }
        if holder.is_some() {
            self.by_worker.clear();
            self.targets.get_or_insert_default();
            self.counts.get_or_insert_with(|| RouteCounts::known(0, 0));
        }
    }

    /// Returns the other host that has the single client.
    pub(super) fn holder(&self) -> Option<HostId> {
        self.holder
    }

    /// Returns the number of clients by worker, once they are counted.
    pub(super) fn clients_by_worker(&self) -> &ClientsByWorker {
        &self.by_worker
    }

    /// Resolves the recipients of one more publication if that was not done in this turn.
    pub(super) fn resolve(
        &mut self,
        cache: &mut ResolveCache,
        index: &Index,
        members: &mut BTreeMap<WorkerId, WorkerState>,
    ) {
        let targets = match self.targets.take() {
            Some(targets) => targets,
            None => {
                let counted = self.counted.take();
                cache.resolve(index, self, counted, members)
            }
        };
        self.traffic.publications += 1;
        self.traffic.deliveries += targets.clients;
        cache.recipients.record(&RECIPIENT_BOUNDS, targets.clients);
        self.targets = Some(targets);
    }

    /// Returns the recipients by worker, once they are resolved.
    pub(super) fn targets(&self) -> &[WorkerTarget] {
        self.targets.as_ref().map_or(&[], |targets| &targets.by_worker)
    }

    /// Returns whether an expression was too expensive, once the recipients are resolved.
    pub(super) fn is_refused(&self) -> bool {
        self.targets.as_ref().is_some_and(|targets| targets.is_refused)
    }

    /// Returns the address for stored publications. Those with the same route share it.
    pub(super) fn shared_address(&mut self) -> &Arc<Address> {
        self.shared_address.get_or_insert_with(|| Arc::new(self.address.clone()))
    }
}

impl RouteCounts {
    /// The count of a repeated publication to one client that was already delivered.
    pub(super) const ONE: Self = Self { clients: 1, workers: 1, scan_values: 0 };

    /// The counts of an earlier publication.
    pub(super) fn known(clients: u64, workers: u32) -> Self {
        Self { clients, workers, scan_values: 0 }
    }

    /// Returns whether the address was resolved.
    pub(super) fn is_evaluated(self) -> bool {
        self.scan_values == 0
    }

    /// The counts as those of a publication.
    pub(super) fn of(self, number: Number) -> CountedPublication {
        let Self { clients, workers, scan_values } = self;
        let (away, is_forwarded) = (None, false);
        CountedPublication { number, clients, workers, scan_values, away, is_forwarded }
    }
}

impl ResolveCache {
    pub(super) fn forget(&mut self) {
        if !self.sets.is_empty() {
            self.sets.clear();
        }
        if !self.expressions.is_empty() {
            self.expressions.clear();
        }
        if let Some(last) = &mut self.last {
            (last.targets, last.counts, last.counted) = (None, None, None);
        }
    }

    /// Takes the route of a publication out of the cache. A new route is decoded.
    /// [`ResolveCache::keep_route`] puts it back.
    pub(super) fn take_route(
        &mut self,
        publish: &PublishFrame<'_>,
    ) -> Result<Box<KnownRoute>, Malformed> {
        if let Some(last) = self.last.take_if(|last| *last.encoded == *publish.route) {
            return Ok(last);
        }
        let (tenant, address) = publish.route()?;
        let route =
            KnownRoute { encoded: publish.route.into(), ..KnownRoute::new(tenant, address) };
        Ok(Box::new(route))
    }

    pub(super) fn keep_route(&mut self, route: Box<KnownRoute>, traffic: &mut TrafficByTenant) {
        self.count_last(traffic);
        self.last = Some(route);
    }

    /// Adds the publications of the last route to the traffic of its tenant.
    pub(super) fn count_last(&mut self, traffic: &mut TrafficByTenant) {
        if let Some(last) = &mut self.last {
            traffic.take_from(last);
        }
    }

    /// Returns the recipients of an address by worker, which may be `counted` already. Sends new sets to the
    /// workers as needed.
    fn resolve(
        &mut self,
        index: &Index,
        route: &KnownRoute,
        counted: Option<Resolved>,
        members: &mut BTreeMap<WorkerId, WorkerState>,
    ) -> Targets {
        let KnownRoute { tenant, address, .. } = route;
        let known = match &address.recipients {
            Recipients::Matching(query) => self.sets.get(tenant).and_then(|it| it.get(query)),
            Recipients::Expression(expression) => {
                self.expressions.get(tenant).and_then(|it| it.get(expression))
            }
            // Only one compatibility flag uses tag sequences, and a list of exceptions is rarely repeated,
            // so neither is cached.
            Recipients::TagSequence(_) => None,
            Recipients::Without(_) | Recipients::Among(_) if !address.recipients.is_single() => {
                None
            }
            Recipients::Without(_)
            | Recipients::Among(_)
            | Recipients::First { .. }
            | Recipients::Named(_) => {
                let one = index.resolve_one(tenant, address);
                let target = |ConnectionRef { worker, slot }: ConnectionRef| {
                    let target = DeliverTo::One(slot);
                    WorkerTarget { worker, target, clients: 1 }
                };
                let by_worker = one.map(target).into_iter().collect();
                return Targets { by_worker, clients: one.is_some().into(), is_refused: false };
            }
        };
        let except = address.except.and_then(|uuid| index.place_of(tenant, uuid));
        if let Some(sets) = known {
            return targets(sets, except);
        }
        let mut sets = Vec::new();
        let resolved = counted.unwrap_or_else(|| index.resolve(tenant, address));
        if resolved.refused.is_some() {
            return Targets { is_refused: true, ..Targets::default() };
        }
        for (worker, slots) in resolved.sets {
            if let Some(member) = members.get_mut(&worker) {
                sets.push(NamedSet { worker, name: member.name_set(tenant, &slots), slots });
            }
        }
        let to = targets(&sets, except);
        match &address.recipients {
            Recipients::Matching(query) => {
                self.sets.entry(tenant.clone()).or_default().insert(query.clone(), sets);
            }
            Recipients::Expression(expression) => {
                let own = self.expressions.entry(tenant.clone()).or_default();
                own.insert(expression.clone(), sets);
            }
            Recipients::TagSequence(_)
            | Recipients::Without(_)
            | Recipients::Among(_)
            | Recipients::First { .. }
            | Recipients::Named(_) => {}
        }
        to
    }
}

fn targets(sets: &[NamedSet], except: Option<ConnectionRef>) -> Targets {
    let mut targets = Targets::default();
    for NamedSet { worker, name, slots } in sets {
        let except = except.filter(|place| place.worker == *worker).map(|place| place.slot);
        let is_member = except.is_some_and(|slot| slots.contains(slot));
        let (worker, clients) = (*worker, slots.0.len());
        targets.clients += clients - u64::from(is_member);
        let target = DeliverTo::Set { name: *name, except };
        targets.by_worker.push(WorkerTarget { worker, target, clients });
    }
    targets
}

fn clients_by_worker(resolved: &Resolved) -> ClientsByWorker {
    let clients = |(worker, slots): &(WorkerId, SlotSet)| {
        let is_except = resolved.except.is_some_and(|place| place.worker == *worker);
        (*worker, slots.0.len().saturating_sub(u64::from(is_except)))
    };
    resolved.sets.iter().map(clients).collect()
}
