//! Limits of connections over all hosts.

use crate::harness::api::{AUTH, PUBLISH, SHOP};
use crate::harness::nats::{Nats, host_with, wait_until_joined};
use crate::harness::{Open, Raw, Server, eventually};

const FULL: &str = r#"{"opcode":"close","error":"Too many connections"}"#;
const FULL_FROM: &str = r#"{"opcode":"close","error":"Too many connections from: 127.0.0.1"}"#;

fn page() -> Open {
    Open::at("/web?key=shop")
}

/// Two hosts with these keys of `[cluster]`.
fn limited(nats: &Nats, keys: &str) -> [Server; 2] {
    let both = [host_with(nats, keys).start(), host_with(nats, keys).start()];
    wait_until_joined(&both);
    both
}

/// Waits until a host refuses a client with these words.
#[track_caller]
fn refuses(server: &Server, words: &str) {
    eventually("a refused client", || {
        let mut client = page().upgrade(server.port);
        (client.frame().as_text() == words).then(|| drop(client.expect_closed(1013)))
    });
}

/// Opens a client as soon as there is room for one more.
#[track_caller]
fn open_in_the_end(server: &Server) -> Raw {
    eventually("room for one more", || {
        let mut client = page().upgrade(server.port);
        client.frame().as_text().contains("ready").then_some(client)
    })
}

pub fn all_hosts_together_have_so_many_clients() {
    let nats = Nats::start("");
    let [a, b] = limited(&nats, "maxClients = 4\n");
    let _stay = [a.open(&page()), a.open(&page()), b.open(&page())];
    let last = b.open(&page());
    for host in [&a, &b] {
        refuses(host, FULL);
    }
    // A new broker and a new bridge learn of the others' clients again.
    let dead = a.kill_broker();
    eventually("another broker", || (a.broker() != dead).then_some(()));
    b.kill_bridge();
    for host in [&a, &b] {
        refuses(host, FULL);
    }
    drop(last);
    let _new = open_in_the_end(&a);
    refuses(&b, FULL);
}

pub fn all_hosts_together_have_so_many_clients_of_an_address() {
    let nats = Nats::start("");
    let [a, b] = limited(&nats, "maxPerIP = 3\n");
    let stay = [a.open(&page()), a.open(&page()), b.open(&page())];
    for host in [&a, &b] {
        refuses(host, FULL_FROM);
        page().upgrade_over(Raw::connect_from("127.0.0.7", host.port)).expect_ready();
    }
    drop(stay);
    let _new = [open_in_the_end(&b), open_in_the_end(&a)];
    // A reload takes the limit away, and sets another one.
    let ini = std::fs::read_to_string(a.folder.path("websock.ini")).unwrap();
    a.folder.write("websock.ini", &ini.replace("maxPerIP = 3", "maxPerIP = 0"));
    assert_eq!(a.command(&["reload"]).code, Some(0));
    let _more: Vec<Raw> = (0..4).map(|_| a.open(&page())).collect();
    a.folder.write("websock.ini", &ini.replace("maxPerIP = 3", "maxClients = 3"));
    assert_eq!(a.command(&["reload"]).code, Some(0));
    refuses(&a, FULL);
}

pub fn a_host_that_is_gone_counts_no_longer() {
    let nats = Nats::start("");
    let [a, b] = limited(&nats, "maxClients = 2\n");
    let _stay = [a.open(&page()), b.open(&page())];
    refuses(&a, FULL);
    b.term();
    let _new = open_in_the_end(&a);
}

pub fn hosts_share_the_rate_of_an_application() {
    let nats = Nats::start("");
    let limits = "clientPublish: true, limits: { requests: 10/s burst 60 }";
    let auth = AUTH.replace("clientPublish: true", limits);
    let both: [Server; 2] = std::array::from_fn(|_| host_with(&nats, "").auth(&auth).start());
    wait_until_joined(&both);
    let limit = |server: &Server| {
        let answer = server.post(PUBLISH, SHOP, r#"{"to":"all","message":1}"#);
        answer.head.header("X-RateLimit-Limit").map(str::to_owned)
    };
    for host in &both {
        eventually("half of the rate", || (limit(host)? == "30").then_some(()));
    }
    let [a, b] = both;
    // A new broker says it again.
    let dead = a.kill_broker();
    eventually("another broker", || (a.broker() != dead).then_some(()));
    eventually("half of the rate", || (limit(&a)? == "30").then_some(()));
    b.term();
    eventually("the whole rate", || (limit(&a)? == "60").then_some(()));
}
