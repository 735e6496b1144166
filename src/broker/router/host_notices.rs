//! What workers and the API process learn about other hosts: whether publications pass between them and this host, and
//! which are lost.

use super::{LinkState, Router};
use crate::link::bridge::HostsNotice;
use crate::link::message::ToWorker;
use crate::types::WorkerId;

/// Tells a process that has announced its clients whether publications pass between hosts.
pub(super) fn greet(router: &mut Router, worker: WorkerId) {
    let reach = router.hosts.as_ref().map(|hosts| hosts.reach);
    if let Some(reach) = reach.filter(|_| !worker.is_bridge()) {
        router.send(worker, &ToWorker::Hosts(reach));
    }
}

/// Publications pass between hosts from now on, or no longer.
pub(super) fn set_reach(router: &mut Router, reach: HostsNotice) {
    if let Some(hosts) = &mut router.hosts
        && hosts.reach != reach
    {
        hosts.reach = reach;
        tell_all(router, reach);
    }
}

/// Publications of another host will not arrive.
pub(super) fn report_gap(router: &mut Router, items: Option<u64>) {
    tell_all(router, HostsNotice::Missed { items });
}

fn tell_all(router: &mut Router, notice: HostsNotice) {
    for (worker, member) in &mut router.workers {
        if !worker.is_bridge() && member.link_state == LinkState::Announced {
            member.out.send(&ToWorker::Hosts(notice));
        }
    }
}
