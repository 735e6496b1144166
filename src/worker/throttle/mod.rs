//! Limits of publications: which publishers wait, and for how long.
//!
//! A message of a publisher is read only when its buckets have room. What it publishes is counted afterwards,
//! and may be more than there was room for: the rest is owed. So no publication is refused, and the rate is
//! exact over time. Publishers of one application wait in a line, and each turn in it is one message.

mod charges;
mod tenants;
mod waits;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::num::NonZeroU32;

use self::tenants::TenantWaiters;
use self::waits::Waiting;
pub(super) use self::waits::{AllWaits, WaitTotals};
use super::clock::Moment;
use crate::auth::{ApplicationLimits, Applications, DefaultLimits, PublisherLimits, TokenLimits};
use crate::link::fairness::ApplicationCharge;
use crate::rate_limit::{PublicationBuckets, SharedBuckets};
use crate::telemetry::LogThrottle;
use crate::types::limits::THROTTLE_LOG_EVERY;
use crate::types::{OPEN_APPLICATION, Slot, Tenant};

/// Index of an application in the configuration. `None`: the server has no applications.
type ApplicationIndex = Option<u32>;

/// Why a publisher waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) enum PublisherWait {
    /// For its application.
    Application(ApplicationIndex),
    /// For its own limit, until then.
    Own(Moment),
    /// Until its tenant is no longer throttled.
    Tenant(Tenant),
}

/// A connection that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::worker) struct ThrottledConnection {
    pub(in crate::worker) slot: Slot,
    /// Identifies the connection, because its slot may be reused.
    pub(in crate::worker) serial: u64,
}

/// The limits of all applications, and the publishers that wait for them or for their tenant.
#[derive(Debug, Default)]
pub(in crate::worker) struct Throttle {
    /// Live hosts, this one included. None: this host is alone.
    hosts: Option<NonZeroU32>,
    /// By index. Empty while no application has a limit.
    applications: Vec<Option<Box<ApplicationThrottle>>>,
    /// The index of each application with a limit, by its key.
    places: HashMap<Box<str>, u32>,
    /// What the other processes have to know about publications of this one.
    charges: Vec<ApplicationCharge>,
    /// That of a server without applications.
    open: Option<Box<ApplicationThrottle>>,
    /// Limits of single connections, by their tokens.
    lowered: HashMap<Slot, TokenLimits>,
    /// Connections that have published under a limit.
    publishers: HashMap<Slot, ThrottledPublisher>,
    /// Connections that wait for their own limit, by time.
    own: BinaryHeap<Reverse<(Moment, ThrottledConnection)>>,
    /// Connections that waited when the limits changed. They are looked at again.
    released: VecDeque<ThrottledConnection>,
    tenants: TenantWaiters,
    /// When a waiting connection may be served next.
    due: Option<Moment>,
    waits: AllWaits,
    log: WaitLog,
}

/// One log line a minute reports that publishers wait.
#[derive(Debug)]
struct WaitLog(LogThrottle);

impl Default for WaitLog {
    fn default() -> Self {
        Self(LogThrottle::new(1, THROTTLE_LOG_EVERY))
    }
}

#[derive(Debug)]
struct ApplicationThrottle {
    key: Box<str>,
    /// The limits of all publishers on all hosts together.
    of_all: PublisherLimits,
    all: SharedBuckets,
    per_connection: PublisherLimits,
    waiting: VecDeque<ThrottledConnection>,
}

#[derive(Debug)]
struct ThrottledPublisher {
    /// The application of its last publication.
    application: ApplicationIndex,
    own: Option<Box<PublicationBuckets>>,
    /// Present while it waits.
    waiting: Option<WaitingSince>,
}

#[derive(Clone, Copy, Debug)]
struct WaitingSince {
    serial: u64,
    since: Moment,
    waiting: Waiting,
}

/// A connection whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) struct ReadyPublisher {
    pub(in crate::worker) connection: ThrottledConnection,
    /// Its application has room. Otherwise it may have to wait for that.
    pub(in crate::worker) is_admitted: bool,
}

impl ApplicationThrottle {
    fn new(key: &str, limits: &ApplicationLimits, hosts: u32) -> Option<Box<Self>> {
        let (of_all, per_connection) = (limits.of_all(), limits.per_connection);
        (!of_all.is_empty() || !per_connection.is_empty()).then(|| {
            let [publications, bytes] = of_all.shared_by(hosts);
            let (all, waiting) = (SharedBuckets::new(publications, bytes), VecDeque::new());
            Box::new(Self { key: key.into(), of_all, all, per_connection, waiting })
        })
    }
}

fn own_buckets(limits: PublisherLimits) -> Option<Box<PublicationBuckets>> {
    let PublisherLimits { publications, bytes } = limits;
    let new = || Box::new(PublicationBuckets::new(publications.limit(), bytes.limit()));
    (!limits.is_empty()).then(new)
}

impl Throttle {
    /// Applies the limits of a configuration. What was published before still counts. `defaults` limit a
    /// server without applications.
    pub(in crate::worker) fn configure(
        &mut self,
        applications: Option<&Applications>,
        defaults: &DefaultLimits,
        now: Moment,
    ) {
        let mut former = std::mem::take(&mut self.applications);
        let former_keys: Vec<Option<Box<str>>> =
            former.iter().map(|it| it.as_ref().map(|it| it.key.clone())).collect();
        let mut former: HashMap<Box<str>, Box<ApplicationThrottle>> =
            former.drain(..).flatten().map(|it| (it.key.clone(), it)).collect();
        let hosts = self.hosts();
        let mut renewed = |before: Option<Box<ApplicationThrottle>>, key: &str, limits| {
            let new = ApplicationThrottle::new(key, limits, hosts);
            let Some(mut before) = before else { return new };
            self.released.append(&mut before.waiting);
            let new = new?;
            let [publications, bytes] = limits.of_all().shared_by(hosts);
            before.all.set_limits(publications, bytes, now.time());
            Some(Box::new(ApplicationThrottle { all: before.all, ..*new }))
        };
        let list = applications.iter().flat_map(|all| &all.list);
        let all: Vec<_> =
            list.map(|it| renewed(former.remove(&*it.key), &it.key, &it.limits)).collect();
        let none = ApplicationLimits::default();
        let open = if applications.is_none() { none.or(defaults) } else { none };
        self.open = renewed(self.open.take(), OPEN_APPLICATION, &open);
        for mut removed in former.into_values() {
            self.released.append(&mut removed.waiting);
        }
        self.released.extend(self.tenants.release_all());
        self.released.extend(self.own.drain().map(|Reverse((_, waiter))| waiter));
        if all.iter().any(Option::is_some) {
            self.applications = all;
        }
        let placed = self.applications.iter().zip(0..);
        self.places =
            placed.filter_map(|(it, place)| Some((it.as_ref()?.key.clone(), place))).collect();
        let places: Vec<Option<u32>> =
            former_keys.iter().map(|key| self.places.get(key.as_ref()?).copied()).collect();
        self.renew_publishers(&places, now);
        self.due = (!self.released.is_empty()).then_some(now);
    }

    /// Gives publishers the new index of their application, and its limits of each connection. `places` has
    /// the new index for each former one.
    fn renew_publishers(&mut self, places: &[Option<u32>], now: Moment) {
        let mut publishers = std::mem::take(&mut self.publishers);
        publishers.retain(|slot, publisher| {
            if let Some(index) = publisher.application {
                let place = places.get(index as usize).copied().flatten();
                if place.is_none() {
                    return false;
                }
                publisher.application = place;
            }
            let limits = self.limits_of(publisher.application, *slot);
            if limits.is_empty() && self.application(publisher.application).is_none() {
                return false;
            }
            let PublisherLimits { publications, bytes } = limits;
            if let Some(own) = &mut publisher.own {
                own.set_limits(publications.limit(), bytes.limit(), now.time());
            }
            // It is looked at again, and waits again if it has to.
            publisher.waiting = None;
            true
        });
        self.publishers = publishers;
    }

    /// Returns true if an application or a connection has a limit.
    pub(in crate::worker) fn is_on(&self) -> bool {
        !self.applications.is_empty() || self.open.is_some() || !self.lowered.is_empty()
    }

    /// Applies the limits of the token of a connection. They replace those of its former token.
    pub(in crate::worker) fn lower(&mut self, slot: Slot, limits: TokenLimits, now: Moment) {
        let was_lowered = match limits.limits_publications() {
            true => self.lowered.insert(slot, limits).is_some(),
            false => self.lowered.remove(&slot).is_some(),
        };
        if !was_lowered && !limits.limits_publications() {
            return;
        }
        let Some(application) = self.publishers.get(&slot).map(|it| it.application) else { return };
        let limits = self.limits_of(application, slot);
        let Some(publisher) = self.publishers.get_mut(&slot) else { return };
        match &mut publisher.own {
            Some(own) => {
                own.set_limits(limits.publications.limit(), limits.bytes.limit(), now.time());
            }
            None => publisher.own = own_buckets(limits),
        }
    }

    /// Returns the limits of one connection.
    fn limits_of(&self, index: ApplicationIndex, slot: Slot) -> PublisherLimits {
        let each = self.application(index).map(|it| it.per_connection).unwrap_or_default();
        self.lowered.get(&slot).map_or(each, |own| own.lowered(each))
    }

    fn application(&self, index: ApplicationIndex) -> Option<&ApplicationThrottle> {
        match index {
            None => self.open.as_deref(),
            Some(index) => self.applications.get(index as usize)?.as_deref(),
        }
    }

    fn application_mut(&mut self, index: ApplicationIndex) -> Option<&mut ApplicationThrottle> {
        match index {
            None => self.open.as_deref_mut(),
            Some(index) => self.applications.get_mut(index as usize)?.as_deref_mut(),
        }
    }

    /// Returns why the next message of a connection has to wait. `opened_by` returns the application that
    /// admitted it.
    pub(in crate::worker) fn wait_of(
        &self,
        slot: Slot,
        opened_by: impl FnOnce() -> ApplicationIndex,
        now: Moment,
    ) -> Option<PublisherWait> {
        let publisher = self.publishers.get(&slot);
        let own = publisher.and_then(|it| it.own.as_ref()).map(|own| own.wait(now.time()));
        if let Some(wait) = own.filter(|wait| !wait.is_zero()) {
            return Some(PublisherWait::Own(now.after(wait)));
        }
        let index = publisher.map_or_else(opened_by, |it| it.application);
        let application = self.application(index)?;
        let waits = !application.waiting.is_empty() || !application.all.wait(now.time()).is_zero();
        waits.then_some(PublisherWait::Application(index))
    }

    /// Queues a connection, which is at most once in the queue.
    pub(in crate::worker) fn push(
        &mut self,
        connection: ThrottledConnection,
        wait: PublisherWait,
        now: Moment,
    ) {
        let application = match wait {
            PublisherWait::Application(index) => Some(index),
            PublisherWait::Own(_) | PublisherWait::Tenant(_) => None,
        };
        let new = || ThrottledPublisher {
            application: application.unwrap_or_default(),
            own: None,
            waiting: None,
        };
        let publisher = self.publishers.entry(connection.slot).or_insert_with(new);
        let serial = connection.serial;
        if publisher.waiting.is_some_and(|it| it.serial == serial) {
            return;
        }
        let waiting = match wait {
            PublisherWait::Tenant(_) => Waiting::ForTenant,
            PublisherWait::Application(_) | PublisherWait::Own(_) => Waiting::ForLimit,
        };
        publisher.waiting = Some(WaitingSince { serial, since: now, waiting });
        self.waits.of(waiting).waits += 1;
        let due = match wait {
            PublisherWait::Own(at) => {
                self.own.push(Reverse((at, connection)));
                at
            }
            PublisherWait::Application(index) => {
                let Some(application) = self.application_mut(index) else { return };
                application.waiting.push_back(connection);
                now.after(application.all.wait(now.time()))
            }
            // The end of the throttle resumes it.
            PublisherWait::Tenant(tenant) => return self.tenants.push(tenant, connection),
        };
        self.due = Some(self.due.map_or(due, |at| at.min(due)));
    }

    /// Returns when a waiting connection may be served next.
    pub(in crate::worker) fn next_due(&self) -> Option<Moment> {
        self.due
    }

    /// Removes the next connection that may be served. `None`: all others have to wait.
    pub(in crate::worker) fn next_ready(&mut self, now: Moment) -> Option<ReadyPublisher> {
        let found = self.pop_ready(now);
        let Some(ReadyPublisher { connection, .. }) = found else {
            self.due = self.earliest(now);
            return None;
        };
        if let Some(publisher) = self.publishers.get_mut(&connection.slot)
            && let Some(WaitingSince { since, waiting, .. }) =
                publisher.waiting.take_if(|it| it.serial == connection.serial)
        {
            self.waits.of(waiting).waited += now.until_then(since);
        }
        found
    }

    fn pop_ready(&mut self, now: Moment) -> Option<ReadyPublisher> {
        let unchecked = |connection| ReadyPublisher { connection, is_admitted: false };
        if let Some(connection) = self.released.pop_front() {
            return Some(unchecked(connection));
        }
        if self.own.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            return self.own.pop().map(|Reverse((_, connection))| unchecked(connection));
        }
        let all = self.applications.iter_mut().flatten().chain(&mut self.open);
        let mut ready =
            all.filter(|it| !it.waiting.is_empty() && it.all.wait(now.time()).is_zero());
        let connection = ready.next()?.waiting.pop_front()?;
        Some(ReadyPublisher { connection, is_admitted: true })
    }

    fn earliest(&self, now: Moment) -> Option<Moment> {
        let own = self.own.peek().map(|Reverse((at, _))| *at);
        let all = self.applications.iter().flatten().chain(&self.open);
        let waiting = all.filter(|it| !it.waiting.is_empty());
        waiting.map(|it| now.after(it.all.wait(now.time()))).chain(own).min()
    }

    /// Returns true if a log line may report that a publisher waits.
    pub(in crate::worker) fn logs(&mut self, now: Moment) -> bool {
        self.log.0.admits(now.time())
    }

    /// Returns how often a connection had to wait, and for how long altogether.
    pub(in crate::worker) fn waits(&self) -> AllWaits {
        self.waits
    }

    /// Forgets a connection that has ended.
    pub(in crate::worker) fn forget(&mut self, slot: Slot) {
        self.tenants.forget(slot);
        if !self.publishers.is_empty() {
            self.publishers.remove(&slot);
        }
        if !self.lowered.is_empty() {
            self.lowered.remove(&slot);
        }
    }
}

#[cfg(test)]
mod tests;
