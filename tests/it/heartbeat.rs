//! Processes that hang (stopped by SIGSTOP, so alive but not answering) are detected and replaced. Processes
//! that were stopped together with their supervisor are not replaced (faults 26 and 34).

use std::time::Duration;

use crate::harness::processes::{is_alive, send_signal};
use crate::harness::{
    Bystander, Open, Raw, Server, Setup, broadcast, echo, eventually, pause, received_nothing,
};
use rustix::process::Signal;

#[test]
fn a_hung_worker_is_replaced_and_takes_only_its_own_connections_with_it() {
    let server = Server::start();
    let (mut here, mut there) = server.open_apart(&Open::web(), &Open::web());
    let (doomed, survivor) = (server.worker_of(&here), server.worker_of(&there));
    let mut other_client = server.open_on(survivor, &Open::web());
    send_signal(doomed, Signal::STOP);
    // The other processes continue meanwhile, even with publications to the clients of the hung worker.
    for number in 0..100 {
        let packet = broadcast(&format!("meanwhile {number}"));
        there.text(&packet);
        there.expect_next();
        other_client.expect_text(&packet);
    }
    let printed = server.wait_for_output("event=child_unresponsive");
    assert!(printed.contains("ERROR") && printed.contains("worker"), "{printed}");
    here.wait_for_end();
    eventually("the end of the hung worker", || (!is_alive(doomed)).then_some(()));
    let workers = server.workers(2);
    assert!(workers.contains(&survivor) && !workers.contains(&doomed), "{workers:?}");
    received_nothing(&mut there, &mut other_client);
    Bystander::connect(&server).is_served();
}

#[test]
fn publications_during_a_hang_of_the_broker_arrive_once_in_order() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::web());
    let workers = server.workers(2);
    let hung = server.broker();
    send_signal(hung, Signal::STOP);
    let packets: Vec<_> = (0..500).map(|number| broadcast(&format!("hung {number}"))).collect();
    for packet in &packets {
        publisher.text(packet);
        publisher.expect_next();
    }
    let mut new_client = Open::web().ask(server.port);
    let printed = server.wait_for_output("event=child_unresponsive");
    assert!(printed.contains("ERROR") && printed.contains("broker"), "{printed}");
    for packet in &packets {
        receiver.expect_text(packet);
    }
    new_client.expect_upgrade();
    new_client.expect_ready();
    received_nothing(&mut publisher, &mut receiver);
    assert_ne!(server.broker(), hung);
    assert_eq!(server.workers(2), workers, "the workers outlive their broker");
}

/// A sleeping laptop, a debugger, a machine that swaps: time in which the supervisor did not run does not
/// count against any child.
#[test]
fn a_server_stopped_for_five_seconds_closes_and_kills_nothing() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server);
    let mut php = server.open(&Open::php());
    let (workers, broker) = (server.workers(2), server.broker());
    let children = [&[broker], &workers[..]].concat();
    // Children are stopped one after another, as by hand. The supervisor finds them silent before and after,
    // and must not add the time in between.
    let a_while = Duration::from_millis(800);
    children.iter().for_each(|pid| send_signal(*pid, Signal::STOP));
    pause(a_while);
    server.signal(Signal::STOP);
    pause(Duration::from_secs(5));
    server.signal(Signal::CONT);
    pause(a_while);
    children.iter().for_each(|pid| send_signal(*pid, Signal::CONT));
    bystander.is_served();
    // Longer than a hung child may live.
    pause(Duration::from_secs(3));
    bystander.is_served();
    php.text(echo("still here"));
    php.expect_next();
    php.expect_text(&echo("still here"));
    assert_eq!((server.workers(2), server.broker()), (workers, broker));
    let printed = server.output();
    assert!(
        !printed.contains("event=child_unresponsive") && !printed.contains("event=child_died"),
        "{printed}"
    );
}

/// `pkill -HUP tagcast` is meant for the supervisor.
#[test]
fn a_hangup_signal_ends_no_child() {
    let server = Server::start();
    let mut bystander = Bystander::connect(&server);
    let before = server.children();
    before.iter().for_each(|(pid, _)| send_signal(*pid, Signal::HUP));
    bystander.is_served();
    assert_eq!(server.children(), before);
}

/// A process that hangs during a shutdown is killed when the drain time is over.
#[test]
fn a_hung_worker_or_broker_holds_up_the_end_only_for_the_drain_time() {
    ends_in_time(|server, client| server.worker_of(client));
    ends_in_time(|server, _| server.broker());
}

fn ends_in_time(choose: impl FnOnce(&Server, &Raw) -> u32) {
    let server = Setup::new().ini("drainTime = 2s").start();
    let (mut here, there) = server.open_apart(&Open::web(), &Open::web());
    let hung = choose(&server, &there);
    send_signal(hung, Signal::STOP);
    here.text(broadcast("before the end"));
    here.expect_next();
    server.term();
    assert_eq!(server.wait_exit(Duration::from_secs(5)).code(), Some(0));
    eventually("the end of the hung one", || (!is_alive(hung)).then_some(()));
}
