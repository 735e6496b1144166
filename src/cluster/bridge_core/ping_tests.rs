//! Pings between bridges.

use std::time::Duration;

use super::tests::Cluster;
use super::*;
use crate::types::limits::{CLUSTER_PING_WAIT, CLUSTER_PINGS_MAX};

#[test]
fn a_ping_passes_the_lanes_and_one_that_is_lost_ends() {
    let mut cluster = Cluster::new(3);
    let now = cluster.now;
    let first = pings::ping(&mut cluster.bridges[0], HostId(2), now);
    cluster.run(Duration::from_millis(100));
    let ended = pings::take_ended(&mut cluster.bridges[0]);
    let [pings::EndedPing { number, trip: Some(trip) }] = ended[..] else { panic!("{ended:?}") };
    assert_eq!(number, first);
    assert!(trip < Duration::from_millis(50), "{trip:?}");
    let items = cluster.bridges[0].lanes.last_order();
    assert_eq!(cluster.effects[1].len(), cluster.effects[2].len(), "the broker learns nothing");
    // What is for this host is lost.
    cluster.lost.insert("00000001 d.00000001.00000002".to_owned());
    let now = cluster.now;
    let second = pings::ping(&mut cluster.bridges[0], HostId(2), now);
    let unknown = pings::ping(&mut cluster.bridges[0], HostId(9), now);
    let ended = pings::take_ended(&mut cluster.bridges[0]);
    assert_eq!(ended, [pings::EndedPing { number: unknown, trip: None }], "no host is asked");
    assert_eq!(cluster.bridges[0].lanes.last_order(), items + 1);
    cluster.run(CLUSTER_PING_WAIT + Duration::from_millis(10));
    let ended = pings::take_ended(&mut cluster.bridges[0]);
    assert_eq!(ended, [pings::EndedPing { number: second, trip: None }]);
    cluster.lost.clear();
    cluster.run(Duration::from_secs(1));
    assert!(pings::take_ended(&mut cluster.bridges[0]).is_empty(), "a late answer is none");
    assert!(cluster.bridges.iter().all(BridgeCore::is_idle));
}

#[test]
fn open_pings_are_bounded() {
    let mut cluster = Cluster::new(2);
    let now = cluster.now;
    for _ in 0..=CLUSTER_PINGS_MAX {
        pings::ping(&mut cluster.bridges[0], HostId(2), now);
    }
    assert_eq!(pings::take_ended(&mut cluster.bridges[0]).len(), 1);
    cluster.run(Duration::from_millis(200));
    let ended = pings::take_ended(&mut cluster.bridges[0]);
    assert_eq!(ended.iter().filter(|it| it.trip.is_some()).count(), CLUSTER_PINGS_MAX);
}
