//! What publications count towards limits: those of clients of this worker, and those that other processes accept.

use std::num::NonZeroU32;

use super::super::clock::Moment;
use super::{ApplicationIndex, Throttle, ThrottledPublisher, own_buckets};
use crate::link::fairness::ApplicationCharge;
use crate::types::{OPEN_APPLICATION, Slot};

impl Throttle {
    /// So many hosts are live, this one included. They share the rates of an application. Publishers that wait are
    /// looked at when they are due.
    pub(in crate::worker) fn share(&mut self, hosts: u32, now: Moment) {
        let former = self.hosts();
        self.hosts = NonZeroU32::new(hosts);
        let hosts = self.hosts();
        if hosts == former {
            return;
        }
        let open = self.open.as_mut();
        for application in self.applications.iter_mut().flatten().chain(open) {
            let [publications, bytes] = application.of_all.shared_by(hosts);
            application.all.set_limits(publications, bytes, now.time());
        }
    }

    pub(super) fn hosts(&self) -> u32 {
        self.hosts.map_or(1, NonZeroU32::get)
    }

    /// Counts a publication of a client.
    pub(in crate::worker) fn charge(
        &mut self,
        index: ApplicationIndex,
        slot: Slot,
        bytes: usize,
        now: Moment,
    ) {
        let limits = self.limits_of(index, slot);
        match self.application_mut(index) {
            Some(application) => {
                let charged = application.all.charge(bytes, now.time());
                let application = || application.key.clone();
                let report =
                    charged.map(|amount| ApplicationCharge { application: application(), amount });
                self.charges.extend(report);
            }
            None if limits.is_empty() => return,
            None => {}
        }
        let new = || ThrottledPublisher { application: index, own: None, waiting: None };
        let publisher = self.publishers.entry(slot).or_insert_with(new);
        publisher.application = index;
        if publisher.own.is_none() {
            publisher.own = own_buckets(limits);
        }
        if let Some(own) = &mut publisher.own {
            own.charge(bytes, now.time());
        }
    }

    /// Counts what another process has accepted of an application.
    pub(in crate::worker) fn charge_of_others(&mut self, charge: &ApplicationCharge, now: Moment) {
        let place = self.places.get(&charge.application).copied();
        if place.is_none() && *charge.application != *OPEN_APPLICATION {
            return;
        }
        if let Some(application) = self.application_mut(place) {
            application.all.charge_of_others(charge.amount, now.time());
        }
    }

    /// Returns what the other processes have to know, once.
    pub(in crate::worker) fn take_charges(&mut self) -> Vec<ApplicationCharge> {
        std::mem::take(&mut self.charges)
    }
}
