//! Limits on the number and the addresses of clients: cases 61 to 66, 68 and 69 of the contract.

use std::time::{Duration, Instant};

use crate::harness::{
    Open, Raw, Server, Setup, broadcast, echo, eventually, frames, pause, processes,
    received_nothing, run_to_end_with,
};
use rustix::process::Signal;

const PING: &[u8] = br#"{"opcode":"PING"}"#;
const FULL: &str = r#"{"opcode":"close","error":"Too many connections"}"#;

fn full_from(address: &str) -> String {
    format!(r#"{{"opcode":"close","error":"Too many connections from: {address}"}}"#)
}

/// Connects from this address and expects a valid 101.
#[track_caller]
fn open_from(source: &str, server: &Server, open: &Open) -> Raw {
    open.upgrade_over(Raw::connect_from(source, server.port))
}

/// Expects that a web client is refused because of a limit, in the form of phpWebSocketServer.
#[track_caller]
fn expect_turned_away(server: &Server, open: &Open, word: &str) {
    let mut client = open.upgrade(server.port);
    client.expect_text(word);
    client.expect_closed(1013);
}

/// Opens a client as soon as there is space again.
#[track_caller]
fn open_in_the_end(server: &Server, open: &Open) -> Raw {
    eventually("room for one more", || {
        let mut client = open.upgrade(server.port);
        let first = client.frame();
        first.as_text().contains("ready").then_some(client)
    })
}

#[test]
fn case_61_an_address_has_so_many_web_clients_over_all_workers() {
    let server = Setup::new().ini("maxPerIP = 120").start();
    // Connections that were opened only to reach the other worker are closed again.
    let (one, other) = server.open_apart(&Open::web(), &Open::web());
    let mut clients = vec![one, other];
    clients.extend((0..118).map(|_| open_in_the_end(&server, &Open::web())));
    expect_turned_away(&server, &Open::web(), &full_from("127.0.0.1"));
    Open::at("/?tags={}").ask(server.port).expect_refusal(429);
    server.open(&Open::php());
    open_from("127.0.0.7", &server, &Open::web()).expect_ready();
    drop(clients);
    open_in_the_end(&server, &Open::web());
}

#[test]
fn case_62_refused_probes_make_no_room() {
    let server = Setup::new().ini("maxPerIP = 1").start();
    let _one = server.open(&Open::web());
    for _ in 0..3 {
        let mut probe = Open::at("/nope").upgrade(server.port);
        probe.expect_text(r#"{"opcode":"close"}"#);
        probe.expect_closed(1008);
        expect_turned_away(&server, &Open::web(), &full_from("127.0.0.1"));
    }
}

#[test]
fn case_63_there_are_so_many_clients_in_all() {
    let ini = "maxClients = 3\n[resource /echo]\nkind = echo";
    let server = Setup::new().ini(ini).start();
    let _web = server.open(&Open::web());
    let _php = server.open(&Open::php());
    let echo = Open::at("/echo").upgrade(server.port);
    expect_turned_away(&server, &Open::web(), FULL);
    expect_turned_away(&server, &Open::php(), FULL);
    Open::at("/?tags={}").ask(server.port).expect_refusal(503);
    Open::at("/echo").ask(server.port).expect_refusal(503);
    drop(echo);
    open_in_the_end(&server, &Open::web());
}

#[test]
fn a_new_broker_closes_no_client_and_counts_all_of_them() {
    let server = Setup::new().ini("maxClients = 4\nmaxPerIP = 4").start();
    let mut clients: Vec<Raw> = (0..4).map(|_| server.open(&Open::web())).collect();
    let dead = server.kill_broker();
    eventually("another broker", || (server.broker() != dead).then_some(()));
    expect_turned_away(&server, &Open::web(), FULL);
    clients[0].text(broadcast("still here"));
    clients[0].expect_next();
    for client in &mut clients[1..] {
        client.expect_text(&broadcast("still here"));
    }
}

#[test]
fn a_new_broker_counts_by_address_and_frees_the_place_of_a_leaver() {
    let server = Setup::new().ini("maxPerIP = 3").start();
    let mut clients: Vec<Raw> = (0..3).map(|_| server.open(&Open::web())).collect();
    let dead = server.kill_broker();
    eventually("another broker", || (server.broker() != dead).then_some(()));
    expect_turned_away(&server, &Open::web(), &full_from("127.0.0.1"));
    open_from("127.0.0.7", &server, &Open::web()).expect_ready();
    clients.pop();
    clients.push(open_in_the_end(&server, &Open::web()));
    expect_turned_away(&server, &Open::web(), &full_from("127.0.0.1"));
}

#[test]
fn a_dead_worker_leaves_room_for_others() {
    let server = Setup::new().ini("maxPerIP = 4").start();
    let mut clients: Vec<Raw> = (0..4).map(|_| server.open(&Open::web())).collect();
    let doomed = server.worker_of(&clients[0]);
    clients.retain(|client| server.worker_of(client) != doomed);
    processes::send_signal(doomed, Signal::KILL);
    while clients.len() < 4 {
        clients.push(open_in_the_end(&server, &Open::web()));
    }
    expect_turned_away(&server, &Open::web(), &full_from("127.0.0.1"));
}

#[test]
fn case_64_and_65_only_scripts_must_be_local() {
    let server = Server::start();
    let mut script = open_from("127.0.0.5", &server, &Open::php());
    script.expect_closed(1008);
    open_from("127.0.0.5", &server, &Open::web()).expect_ready();
    open_from("127.0.0.1", &server, &Open::php()).expect_ready();
}

#[test]
fn a_list_of_addresses_replaces_the_rule() {
    let server = Setup::new().ini("allowedIP = 127.0.0.5, 127.1.0.0/16").start();
    for allowed in ["127.0.0.5", "127.1.2.3"] {
        open_from(allowed, &server, &Open::php()).expect_ready();
    }
    for refused in ["127.0.0.1", "127.2.0.1"] {
        open_from(refused, &server, &Open::php()).expect_closed(1008);
    }
}

#[test]
fn case_66_a_forwarded_address_counts_only_from_a_trusted_proxy() {
    let forwarded = |from: &str| Open::php().header("X-Forwarded-For", from);
    let server = Server::start();
    open_from("127.0.0.5", &server, &forwarded("127.0.0.1")).expect_closed(1008);
    let server = Setup::new().ini("trustedProxies = 127.0.0.5, 10.0.0.0/8").start();
    open_from("127.0.0.5", &server, &forwarded("127.0.0.1")).expect_ready();
    open_from("127.0.0.5", &server, &forwarded("127.0.0.1, 192.0.2.1")).expect_closed(1008);
    open_from("127.0.0.5", &server, &forwarded("192.0.2.1, 127.0.0.1, 10.1.1.1")).expect_ready();
    open_from("127.0.0.6", &server, &forwarded("127.0.0.1")).expect_closed(1008);
}

#[test]
fn the_forwarded_address_is_counted_and_reported() {
    let server = Setup::new().ini("maxPerIP = 1\ntrustedProxies = 127.0.0.1").start();
    let from = |address: &str| Open::web().header("X-Forwarded-For", address);
    let _one = server.open(&from("192.0.2.1"));
    let _other = server.open(&from("192.0.2.2"));
    let _six = server.open(&from("2001:db8::1"));
    expect_turned_away(&server, &from("spoofed, 192.0.2.1"), &full_from("192.0.2.1"));
    expect_turned_away(&server, &from("2001:db8::2"), &full_from("2001:db8::2"));
    server.open(&from("2001:db8:0:1::1"));
}

/// A proxy may add a header line of its own instead of an entry. The last line was written last.
#[test]
fn addresses_in_several_lines_are_one_list() {
    let server = Setup::new().ini("maxPerIP = 1\ntrustedProxies = 127.0.0.1, 10.0.0.0/8").start();
    let from = |lines: &[&str]| {
        lines.iter().fold(Open::web(), |open, line| open.and_header("X-Forwarded-For", line))
    };
    let _one = server.open(&from(&["spoofed", "192.0.2.1"]));
    let _other = server.open(&from(&["192.0.2.1", "192.0.2.2, 10.1.1.1"]));
    expect_turned_away(&server, &from(&["192.0.2.9", "192.0.2.1"]), &full_from("192.0.2.1"));
    expect_turned_away(&server, &from(&["192.0.2.2", "10.1.1.1"]), &full_from("192.0.2.2"));
}

#[test]
fn limits_are_shared_by_tenants() {
    let application = |name: &str| {
        format!(
            "  - key: {name}\n    secret: {name}-secret\n    authorizeOpen: true\n    tenant: {name}\n"
        )
    };
    let auth = format!("applications:\n{}{}", application("shop"), application("desk"));
    let of = |name: &str| Open::at(&format!("/web?key={name}"));
    let server = Setup::new().ini("maxPerIP = 2").auth(&auth).start();
    let _shop = server.open(&of("shop"));
    let _desk = server.open(&of("desk"));
    expect_turned_away(&server, &of("desk"), &full_from("127.0.0.1"));
    let server = Setup::new().ini("maxClients = 2").auth(&auth).start();
    let _shop = server.open(&of("shop"));
    let _desk = server.open(&of("desk"));
    expect_turned_away(&server, &of("shop"), FULL);
}

#[test]
fn clients_that_show_a_valid_secret_on_opening_do_not_count_by_address() {
    let auth = "anonymous: shop\napplications:\n  - key: shop\n    secret: shop-secret-1\n    \
                authorizeOpen: true\n";
    let server = Setup::new().ini("maxPerIP = 2").auth(auth).start();
    let secret = "key=shop&secret=shop-secret-1";
    let mut backends: Vec<Raw> = ["/web", "/", "/any"]
        .map(|path| Open::at(&format!("{path}?{secret}")).without("Origin"))
        .map(|open| open.header("User-Agent", "websocket-client-php").upgrade(server.port))
        .into();
    backends.push(server.open(&Open::at(&format!("/web?{secret}"))));
    let mut page = server.open(&Open::web());
    let _key_alone = server.open(&Open::at("/web?key=shop"));
    expect_turned_away(&server, &Open::web(), &full_from("127.0.0.1"));
    expect_turned_away(&server, &Open::at("/web?key=shop"), &full_from("127.0.0.1"));
    backends.push(server.open(&Open::at(&format!("/web?{secret}"))));
    let arguments = ["publish", "--all", "--key", "shop", "--url"];
    let url = format!("ws://127.0.0.1:{}/", server.port);
    let arguments: Vec<&str> = arguments.into_iter().chain([&*url, "hello"]).collect();
    let done = run_to_end_with(&server.folder, &arguments, &[("TAGCAST_SECRET", "shop-secret-1")]);
    assert_eq!(done.code, Some(0), "{}", done.text);
    assert!(page.frame().as_text().contains("hello"));
}

#[test]
fn case_68_pings_flow_while_the_server_is_busy_and_scripts_get_none() {
    let server = Setup::new().ini("pingInterval = 200ms").start();
    let mut publisher = server.open(&Open::web());
    let mut page = server.open(&Open::web());
    let agent = Open::at("/").without("Origin").header("User-Agent", "websocket-client-php");
    let mut gomoob_php = agent.upgrade(server.port);
    let mut php = server.open(&Open::php());
    let (mut pings, mut published) = (0, 0);
    while pings < 3 {
        published += 1;
        publisher.text(broadcast(&published.to_string()));
        while publisher.frame().first & 0x0f == frames::PING {
            publisher.send(frames::masked(frames::FIN | frames::PONG, PING));
        }
        let frame = page.frame();
        if frame.first & 0x0f == frames::PING {
            assert_eq!(
                [&[frame.first, 17], frame.payload.as_slice()].concat(),
                [&[0x89, 0x11], PING].concat()
            );
            page.send(frames::masked(frames::FIN | frames::PONG, PING));
            pings += 1;
            page.frame();
        }
    }
    for number in 1..=published {
        gomoob_php.expect_text(&format!("\"{number}\""));
    }
    php.expect_silence();
}

#[test]
fn case_69_scripts_with_a_name_are_kept_alive_when_that_is_wanted() {
    let server = Setup::new().ini("pingInterval = 0\n[phpws]\nphpKeepalive = 200ms").start();
    let mut nameless = server.open(&Open::php());
    let mut named = server.open(&Open::php().ident("receiver"));
    for _ in 0..3 {
        let ping = named.frame();
        assert_eq!((ping.first & 0x0f, ping.payload.as_slice()), (frames::PING, PING));
        assert!(ping.alone);
    }
    let mut page = server.open(&Open::web());
    received_nothing(&mut page, &mut nameless);
}

/// If the machine itself paused for an interval, the round proves nothing and is repeated.
#[test]
fn case_69_a_script_that_gets_messages_is_not_pinged() {
    const INTERVAL: Duration = Duration::from_millis(400);
    let server = Setup::new().ini("pingInterval = 0\n[phpws]\nphpKeepalive = 400ms").start();
    for _ in 0..20 {
        let mut named = server.open(&Open::php().ident("receiver"));
        let (mut pings, mut longest) = (0, Duration::ZERO);
        let (begin, mut before) = (Instant::now(), Instant::now());
        while begin.elapsed() < 3 * INTERVAL {
            named.text(echo("still here"));
            let mut frames_due = 2;
            while frames_due > 0 {
                match named.frame().first & 0x0f {
                    frames::PING => pings += 1,
                    _ => frames_due -= 1,
                }
            }
            longest = longest.max(before.elapsed());
            before = Instant::now();
            pause(INTERVAL / 20);
        }
        if longest + INTERVAL / 10 < INTERVAL {
            assert_eq!(pings, 0, "with {longest:?} of silence at the most");
            return;
        }
    }
    panic!("the machine never kept up");
}
