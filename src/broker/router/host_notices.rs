//! What workers and the API process learn about other hosts: whether publications pass between them and this host, and
//! which are lost.

use super::{LinkState, Router};
use crate::link::bridge::HostsNotice;
use crate::link::message::ToWorker;
use crate::types::WorkerId;

/// Tells a process that has announced its clients whether publications pass between hosts, and how many are live.
pub(super) fn greet(router: &mut Router, worker: WorkerId) {
    let Some(hosts) = router.hosts.as_ref().filter(|_| !worker.is_bridge()) else { return };
    for notice in [hosts.reach, live(hosts.live())] {
        router.send(worker, &ToWorker::Hosts(notice));
    }
}

/// Tells all processes how many hosts are live, if that has changed.
pub(super) fn note_live(router: &mut Router) {
    if let Some(hosts) = &mut router.hosts
        && hosts.told_live != hosts.live()
    {
        hosts.told_live = hosts.live();
        let notice = live(hosts.told_live);
        tell_all(router, notice);
    }
}

fn live(others: usize) -> HostsNotice {
    HostsNotice::Live { hosts: u32::try_from(others).unwrap_or(u32::MAX).saturating_add(1) }
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

/// Items of another host will not arrive. `items` is how many of them may have been for clients. The API process learns
/// of it also if none was: they may have been nonces.
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
