//! Limits of the rate of requests: of each application, and of each address.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use hyper::HeaderMap;
use tokio::time::Instant;

use super::access::ApiApplication;
use super::config::ApiConfig;
use super::error::{ApiError, ErrorCode};
use crate::http::effective_address_by;
use crate::link::fairness::ApplicationCharge;
use crate::rate_limit::{AddressBuckets, BYTES, RateBucket, ReachedLimit, SharedBuckets};
use crate::types::RateLimitedCounts;

/// The names of the limits in errors.
const REQUESTS: &str = "requests";
const REQUESTS_PER_IP: &str = "requests_per_ip";

/// What an application may still send at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestRoom {
    /// Requests that are allowed at once.
    pub(super) limit: u64,
    /// How many of them are left.
    pub(super) remaining: u64,
}

/// The buckets of an application.
#[derive(Debug, Default)]
struct ApplicationBuckets {
    requests: Option<RateBucket>,
    publications: SharedBuckets,
}

/// The buckets of all applications and addresses.
#[derive(Debug)]
pub(super) struct RequestLimits {
    started: Instant,
    /// The applications with a limit. They are in auth.yml, which bounds them.
    by_application: RefCell<HashMap<Box<str>, ApplicationBuckets>>,
    by_address: RefCell<Option<AddressBuckets>>,
    counts: Cell<RateLimitedCounts>,
    /// Live hosts, which share the rates of applications.
    hosts: Cell<u32>,
    /// What the other processes have to know about publications of this one.
    charges: RefCell<Vec<ApplicationCharge>>,
}

impl RequestLimits {
    /// With full buckets.
    pub(super) fn new(config: &ApiConfig) -> Self {
        let limits = Self {
            started: Instant::now(),
            by_application: RefCell::default(),
            by_address: RefCell::default(),
            counts: Cell::default(),
            hosts: Cell::new(1),
            charges: RefCell::default(),
        };
        limits.configure(config);
        limits
    }

    /// Applies the limits of another configuration. What was taken before still counts.
    pub(super) fn configure(&self, config: &ApiConfig) {
        let now = self.now();
        let mut former = self.by_application.take();
        let mut buckets = self.by_application.borrow_mut();
        for application in config.access.applications() {
            let (limits, all) = (application.limits, application.limits.of_all());
            if limits.requests.limit().is_none() && all.is_empty() {
                continue;
            }
            let mut own = former.remove(&application.key).unwrap_or_default();
            let hosts = self.hosts.get();
            own.requests = limits.requests.limit().map(|limit| {
                let limit = limit.shared_by(hosts);
                let mut bucket = own.requests.take().unwrap_or_else(|| RateBucket::new(limit));
                bucket.set_limit(limit, now);
                bucket
            });
            let [publications, bytes] = all.shared_by(hosts);
            own.publications.set_limits(publications, bytes, now);
            buckets.insert(application.key.clone(), own);
        }
        let mut by_address = self.by_address.borrow_mut();
        match (config.requests_per_ip, by_address.as_mut()) {
            (None, _) => *by_address = None,
            (Some(limit), Some(buckets)) => buckets.set_limit(limit, now),
            (Some(limit), None) => *by_address = Some(AddressBuckets::new(limit)),
        }
    }

    /// So many hosts are live, and share the rates of applications.
    pub(super) fn share(&self, hosts: u32, config: &ApiConfig) {
        if self.hosts.replace(hosts) != hosts {
            self.configure(config);
        }
    }

    /// Counts a request of an application. `room` gets what is left.
    ///
    /// # Errors
    ///
    /// 429 if there are too many.
    pub(super) fn take(
        &self,
        application: &ApiApplication,
        room: &Cell<Option<RequestRoom>>,
    ) -> Result<(), ApiError> {
        let mut buckets = self.by_application.borrow_mut();
        let own = buckets.get_mut(&application.key).and_then(|own| own.requests.as_mut());
        let Some(bucket) = own else { return Ok(()) };
        let (now, limit) = (self.now(), bucket.limit());
        let taken = bucket.take(1, now);
        room.set(Some(RequestRoom { limit: limit.burst(), remaining: bucket.remaining(now) }));
        taken.map_err(|wait| {
            self.note(|counts| counts.requests += 1);
            ApiError::rate_limited(REQUESTS, limit, wait)
        })
    }

    /// Counts a publication of an application.
    ///
    /// # Errors
    ///
    /// 429 if there are too many, or too many bytes.
    pub(super) fn take_publication(
        &self,
        application: &ApiApplication,
        bytes: usize,
    ) -> Result<(), ApiError> {
        let mut buckets = self.by_application.borrow_mut();
        let Some(own) = buckets.get_mut(&application.key) else { return Ok(()) };
        let taken = own.publications.take(bytes, self.now());
        let charged = taken.map_err(|ReachedLimit { name, limit, wait }| {
            self.note(|counts| match name {
                BYTES => counts.bytes += 1,
                _ => counts.publications += 1,
            });
            ApiError::rate_limited(name, limit, wait)
        })?;
        let application = || application.key.clone();
        let report = charged.map(|amount| ApplicationCharge { application: application(), amount });
        self.charges.borrow_mut().extend(report);
        Ok(())
    }

    /// Counts what another process has accepted of an application.
    pub(super) fn charge_of_others(&self, charge: &ApplicationCharge) {
        if let Some(own) = self.by_application.borrow_mut().get_mut(&charge.application) {
            own.publications.charge_of_others(charge.amount, self.now());
        }
    }

    /// Returns what the other processes have to know, once.
    pub(super) fn take_charges(&self) -> Vec<ApplicationCharge> {
        self.charges.take()
    }

    /// Counts a request of the address of its client. Clients of Unix sockets have no address.
    ///
    /// # Errors
    ///
    /// 429 if there are too many, or 400 if a trusted proxy does not say which address it is.
    pub(super) fn take_of_address(
        &self,
        config: &ApiConfig,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        let mut by_address = self.by_address.borrow_mut();
        let Some(buckets) = by_address.as_mut().filter(|_| !peer.is_unspecified()) else {
            return Ok(());
        };
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let entries = lines.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
        let entries = entries.map(<[u8]>::trim_ascii);
        let Some(ip) = effective_address_by(peer, entries, &config.trusted_proxies) else {
            let message = "X-Forwarded-For of a trusted proxy does not end in an address: have the \
                           proxy add the address of its client";
            return Err(ApiError::new(ErrorCode::BadRequest, message));
        };
        let limit = buckets.limit();
        let taken = buckets.take(ip, self.now());
        taken.map_err(|wait| {
            self.note(|counts| counts.requests_per_ip += 1);
            ApiError::rate_limited(REQUESTS_PER_IP, limit, wait)
        })
    }

    /// Returns how often each limit was reached.
    pub(super) fn counts(&self) -> RateLimitedCounts {
        self.counts.get()
    }

    fn note(&self, count: impl FnOnce(&mut RateLimitedCounts)) {
        let mut counts = self.counts.get();
        count(&mut counts);
        self.counts.set(counts);
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}
