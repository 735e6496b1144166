//! Idents and aliases of clients on several hosts, over a real NATS server.

use rustix::process::Signal;

use crate::harness::api::{LIST, SHOP};
use crate::harness::nats::{Nats, host, wait_until_joined};
use crate::harness::processes::send_signal;
use crate::harness::{Open, Raw, Server, eventually, feedback_to, feedback_to_ident};
use crate::metrics::wait_for;

fn page(server: &Server) -> Raw {
    server.open(&Open::at("/web?key=shop"))
}

fn script(server: &Server, ident: &str) -> Raw {
    server.open(&Open::php().target("/php?key=shop").ident(ident))
}

/// Starts hosts whose metrics are served.
#[track_caller]
fn hosts<const N: usize>(nats: &Nats) -> [Server; N] {
    let start = || host(nats).variable("TAGCAST_API_ADDRESS", "http://127.0.0.1:0").start();
    let hosts = [(); N].map(|()| start());
    wait_until_joined(&hosts);
    hosts
}

/// Waits until hosts know this number of names of a kind.
#[track_caller]
fn wait_for_names<'a>(hosts: impl IntoIterator<Item = &'a Server>, kind: &str, count: u32) {
    let name = format!("tagcast_cluster_directory_entries{{kind=\"{kind}\"}}");
    for host in hosts {
        wait_for(host, &[(&name, count.into())]);
    }
}

/// Publishes to an ident on a host. The first of these clients gets it, the others do not.
#[track_caller]
fn reaches_first(publisher: &mut Raw, ident: &str, text: &str, clients: &mut [&mut Raw]) {
    let packet = feedback_to_ident(ident, text);
    publisher.text(&packet);
    publisher.expect_next();
    let (first, others) = clients.split_first_mut().unwrap();
    first.expect_text(&packet);
    // What the same publisher publishes next comes after it.
    for client in others {
        let mark = feedback_to(&client.uuid, &format!("after {text}"));
        publisher.text(&mark);
        publisher.expect_next();
        client.expect_text(&mark);
    }
}

/// Kills all processes of a host at once.
fn kill_host(host: &Server) {
    // It starts no process again.
    host.signal(Signal::STOP);
    for (process, _) in host.children() {
        send_signal(process, Signal::KILL);
    }
    host.signal(Signal::KILL);
}

/// Fault 66: the ident is on two hosts. Its first client leaves, comes back, and the next one dies with its host.
pub fn fault_66_the_first_client_with_an_ident_gets_it_on_every_host() {
    let nats = Nats::start("");
    let [a, b, c] = hosts(&nats);
    let mut first = script(&a, "job");
    wait_for_names([&a, &b, &c], "ident", 1);
    let mut second = script(&b, "job");
    wait_for_names([&a, &b, &c], "ident", 2);
    for (host, text) in [(&a, "one"), (&b, "two"), (&c, "three")] {
        reaches_first(&mut page(host), "job", text, &mut [&mut first, &mut second]);
    }
    drop(first);
    wait_for_names([&a, &b, &c], "ident", 1);
    for (host, text) in [(&a, "four"), (&b, "five"), (&c, "six")] {
        reaches_first(&mut page(host), "job", text, &mut [&mut second]);
    }
    let mut back = script(&a, "job");
    wait_for_names([&a, &b, &c], "ident", 2);
    for (host, text) in [(&a, "seven"), (&b, "eight"), (&c, "nine")] {
        reaches_first(&mut page(host), "job", text, &mut [&mut second, &mut back]);
    }
    kill_host(&b);
    wait_for_names([&a, &c], "ident", 1);
    for (host, text) in [(&a, "ten"), (&c, "eleven")] {
        reaches_first(&mut page(host), "job", text, &mut [&mut back]);
    }
}

/// Nothing has to be known beforehand: the name is looked for on all hosts.
pub fn a_script_that_has_just_connected_is_reached_by_its_ident() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    let mut publisher = page(&a);
    for number in 0..20 {
        let ident = format!("job-{number}");
        let mut new = script(&b, &ident);
        reaches_first(&mut publisher, &ident, "hello", &mut [&mut new]);
    }
}

pub fn names_outlive_bridges_and_brokers() {
    let nats = Nats::start("");
    let both @ [a, b] = &hosts(&nats);
    let mut first = script(a, "job");
    wait_for_names(both, "ident", 1);
    let mut second = script(b, "job");
    wait_for_names(both, "ident", 2);
    let mut publishers = both.each_ref().map(page);
    let mut number = 0;
    let mut check = |first: &mut Raw, second: &mut Raw| {
        for publisher in &mut publishers {
            number += 1;
            reaches_first(publisher, "job", &number.to_string(), &mut [first, second]);
        }
    };
    for host in both {
        host.kill_broker();
        check(&mut first, &mut second);
        wait_for_names(both, "ident", 2);
        host.kill_bridge();
        check(&mut first, &mut second);
        wait_until_joined(both);
        wait_for_names(both, "ident", 2);
    }
    drop(first);
    wait_for_names(both, "ident", 1);
    let mut third = script(a, "job");
    wait_for_names(both, "ident", 2);
    for host in both {
        host.kill_broker();
        check(&mut second, &mut third);
    }
}

fn register(client: &mut Raw, alias: &str) {
    client.text(format!(r#"{{"opcode":"uuid","message":"{alias}"}}"#));
    client.expect_text(r#"{"opcode":"next","fyi":"","uuid":""}"#);
}

/// Publishes to an alias on a host. A client gets it.
#[track_caller]
fn reaches(publisher: &mut Raw, alias: &str, text: &str, client: &mut Raw) {
    let packet = feedback_to(alias, text);
    publisher.text(&packet);
    publisher.expect_next();
    client.expect_text(&packet);
}

pub fn an_alias_has_one_client_on_all_hosts() {
    let nats = Nats::start("");
    let both @ [a, b] = &hosts(&nats);
    let (mut holder, mut other) = (page(a), page(b));
    register(&mut holder, "u1");
    wait_for_names(both, "alias", 1);
    register(&mut other, "u1");
    register_other(&mut other);
    for (host, text) in [(a, "on its host"), (b, "on another host")] {
        reaches(&mut page(host), "u1", text, &mut holder);
    }
    other.expect_silence();
    drop(holder);
    wait_for_names(both, "alias", 1);
    let mut next = page(b);
    register(&mut next, "u1");
    wait_for_names(both, "alias", 2);
    reaches(&mut page(a), "u1", "free again", &mut next);
}

/// A request that follows is granted, so the one before it was decided.
#[track_caller]
fn register_other(client: &mut Raw) {
    client.text(r#"{"opcode":"uuid","message":"u2"}"#);
    client.expect_text(r#"{"opcode":"next","fyi":"","uuid":"u1"}"#);
}

/// Without NATS both hosts grant the alias.
pub fn of_two_aliases_that_crossed_the_earlier_one_is_kept() {
    let mut nats = Nats::start("");
    let both @ [a, b] = &hosts(&nats);
    nats.kill();
    a.wait_for_output("nats_disconnected");
    b.wait_for_output("nats_disconnected");
    let (mut earlier, mut later) = (page(a), page(b));
    register(&mut earlier, "u1");
    wait_for_names([a], "alias", 1);
    register(&mut later, "u1");
    wait_for_names([b], "alias", 1);
    reaches(&mut page(b), "u1", "alone", &mut later);
    nats.restart();
    wait_until_joined(both);
    for (host, text) in [(a, "on its host"), (b, "on the other host")] {
        wait_for_names([host], "alias", 1);
        reaches(&mut page(host), "u1", text, &mut earlier);
    }
    later.expect_silence();
}

pub fn a_uuid_goes_before_an_ident() {
    let nats = Nats::start("");
    let both @ [a, b] = &hosts(&nats);
    let mut named = script(a, "job");
    wait_for_names(both, "ident", 1);
    let mut with_uuid = page(b);
    let packet = |uuid: &str, text: &str| {
        format!(
            r#"{{"opcode":"feedback","ident":"job","uuid":"{uuid}","message":"{text}","fromUUID":"x"}}"#
        )
    };
    for (host, text) in [(a, "from its host"), (b, "from the other")] {
        let mut publisher = page(host);
        let sent = packet(&with_uuid.uuid, text);
        publisher.text(&sent);
        publisher.expect_next();
        with_uuid.expect_text(&sent);
        named.expect_silence();
    }
    // A client that has left is looked for on its host, which passes it on to the ident.
    let uuid = with_uuid.uuid.clone();
    drop(with_uuid);
    eventually("the end of the connection", || {
        let answer = b.call("GET", &format!("{LIST}/{uuid}"), &[SHOP]);
        (answer.status() == 404).then_some(())
    });
    let mut publisher = page(a);
    let sent = packet(&uuid, "to the ident");
    publisher.text(&sent);
    publisher.expect_next();
    named.expect_text(&sent);
}
