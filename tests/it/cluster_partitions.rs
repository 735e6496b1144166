//! A host that cannot reach NATS, while others can.

use std::time::Duration;

use crate::harness::link_proxy::LinkProxy;
use crate::harness::nats::{Nats, host, wait_until_joined};
use crate::harness::{Open, Raw, Server, broadcast, eventually, feedback_to, pause};

/// Publications in each direction during a partition.
const MESSAGES: usize = 300;

/// Two hosts, of which the second reaches NATS through a proxy.
fn partitioned_hosts(nats: &Nats) -> ([Server; 2], LinkProxy) {
    let proxy = LinkProxy::start(nats.port);
    let url = format!("nats://127.0.0.1:{}", proxy.port);
    let hosts = [host(nats).start(), host(nats).variable("TAGCAST_CLUSTER_NATS", &url).start()];
    wait_until_joined(&hosts);
    (hosts, proxy)
}

fn page(server: &Server) -> Raw {
    server.open(&Open::at("/web?key=shop"))
}

/// Publications to all, and to one client in between.
fn packets(receiver: &Raw) -> Vec<String> {
    let packet = |number: usize| match number % 3 {
        0 => feedback_to(&receiver.uuid, &number.to_string()),
        _ => broadcast(&number.to_string()),
    };
    (0..MESSAGES).map(packet).collect()
}

fn publish(publisher: &mut Raw, packets: &[String]) {
    for packet in packets {
        publisher.text(packet);
        publisher.expect_next();
    }
}

#[track_caller]
fn receive(receiver: &mut Raw, packets: &[String]) {
    for packet in packets {
        receiver.expect_text(packet);
    }
}

/// Waits until a host takes the other one for gone.
#[track_caller]
fn wait_until_alone(host: &Server) {
    eventually("the other host to be gone", || {
        (host.bridge_counts()?.hosts_gone == 1).then_some(())
    });
}

#[track_caller]
fn has_no_gap(hosts: &[Server]) {
    for host in hosts {
        let counts = eventually("the counters", || host.bridge_counts());
        assert_eq!((counts.gaps, counts.evicted_unconfirmed), (0, 0), "{counts:?}");
    }
}

/// Fault 44. Neither host gets anything of the other one meanwhile, and everything once, in order, afterwards.
pub fn hosts_that_are_cut_off_from_each_other_catch_up() {
    let nats = Nats::start("");
    let (hosts, proxy) = partitioned_hosts(&nats);
    let [mut near, mut far] = [&hosts[0], &hosts[1]].map(page);
    let [mut from_near, mut from_far] = [&hosts[0], &hosts[1]].map(page);
    let [to_near, to_far] = [&near, &far].map(packets);
    proxy.cut();
    let (first, rest) = to_far.split_at(MESSAGES / 2);
    publish(&mut from_near, first);
    wait_until_alone(&hosts[0]);
    // A host that is cut off declares no other one gone. The NATS server may have closed its connection.
    publish(&mut from_near, rest);
    publish(&mut from_far, &to_near);
    // What is published on a host reaches its own clients at once.
    let own = |packets: &[String]| -> Vec<String> {
        packets.iter().filter(|packet| packet.contains("broadcast")).cloned().collect()
    };
    receive(&mut near, &own(&to_far));
    receive(&mut far, &own(&to_near));
    proxy.heal();
    receive(&mut near, &to_near);
    receive(&mut far, &to_far);
    wait_until_joined(&hosts);
    has_no_gap(&hosts);
}

/// Fault 45. The host still gets what the other one publishes.
pub fn a_host_that_reaches_no_other_one_reports_it_and_catches_up() {
    let nats = Nats::start("");
    let (hosts, proxy) = partitioned_hosts(&nats);
    let [mut near, mut far] = [&hosts[0], &hosts[1]].map(page);
    let [mut from_near, mut from_far] = [&hosts[0], &hosts[1]].map(page);
    proxy.cut_requests();
    let to_near: Vec<String> = (0..MESSAGES).map(|number| broadcast(&number.to_string())).collect();
    publish(&mut from_far, &to_near);
    receive(&mut far, &to_near);
    wait_until_alone(&hosts[0]);
    from_near.text(broadcast("still arrives"));
    near.expect_text(&broadcast("still arrives"));
    hosts[1].wait_for_output("cluster_cannot");
    proxy.heal();
    receive(&mut near, &to_near);
    far.expect_text(&broadcast("still arrives"));
    wait_until_joined(&hosts);
    has_no_gap(&hosts);
    pause(Duration::from_millis(50));
    from_near.text(broadcast("again"));
    far.expect_text(&broadcast("again"));
}
