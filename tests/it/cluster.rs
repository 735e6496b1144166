//! Several hosts share publications over a real NATS server.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::harness::api::{OTHER, PUBLISH, SHOP};
use crate::harness::nats::{CLUSTER, Nats, PROGRAM, host, hosts, wait_until_joined};
use crate::harness::{
    DEADLINE, Folder, Open, Raw, Server, broadcast, eventually, feedback_to, run_to_end,
};
use crate::metrics::{listed, scrape, wait_for};

fn page(server: &Server) -> Raw {
    server.open(&Open::at("/web?key=shop"))
}

/// Publishes by the API and expects that the host takes it.
#[track_caller]
fn publish(server: &Server, body: &str) {
    let answer = server.post(PUBLISH, SHOP, body);
    assert_eq!(answer.status(), 200, "{}", answer.body);
}

fn message(opcode: &str, text: &str) -> String {
    format!(r#"{{"opcode":"{opcode}","message":"{text}"}}"#)
}

pub fn a_publication_on_one_host_reaches_clients_on_others() {
    let nats = Nats::start("");
    let [a, b, c] = hosts(&nats);
    let mut publisher = page(&a);
    let mut pages = [page(&a), page(&b), page(&c)];
    publisher.text(broadcast("to all"));
    publisher.expect_next();
    for page in &mut pages {
        page.expect_text(&broadcast("to all"));
    }
    // A UUID says on which host its client is.
    for page in &mut pages {
        let packet = feedback_to(&page.uuid, "to one");
        publisher.text(&packet);
        publisher.expect_next();
        page.expect_text(&packet);
    }
    let mut french = b.open(&Open::at(r#"/web?key=shop&tags={"language":"FR"}"#));
    publish(&a, r#"{"to":{"tags":{"language":"FR"}},"message":"tag"}"#);
    french.expect_text(&message("broadcast", "tag"));
    publish(&c, r#"{"to":{"expr":"language=F*"},"message":"expression"}"#);
    french.expect_text(&message("broadcast", "expression"));
    let mut script = c.open(&Open::php().target("/php?key=shop").ident("job"));
    publish(&a, r#"{"to":{"ident":"job"},"message":"ident"}"#);
    script.expect_text(&message("feedback", "ident"));
    let uuid = pages[1].uuid.clone();
    publish(&c, &format!(r#"{{"to":{{"uuid":"{uuid}"}},"message":"by the API"}}"#));
    pages[1].expect_text(&message("feedback", "by the API"));
    publish(&b, r#"{"to":"all","message":"last"}"#);
    for page in pages.iter_mut().chain([&mut french]) {
        page.expect_text(&message("broadcast", "last"));
    }
    for host in [&a, &b, &c] {
        let counts = host.bridge_counts().unwrap();
        assert_eq!((counts.gaps, counts.evicted_unconfirmed), (0, 0), "{counts:?}");
    }
}

/// The other direction of what a script does: its page is known to no other host beforehand.
pub fn a_new_client_is_reached_from_another_host_at_once() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    for _ in 0..20 {
        let mut new = page(&b);
        publish(&a, &format!(r#"{{"to":{{"uuid":"{}"}},"message":"hello"}}"#, new.uuid));
        new.expect_text(&message("feedback", "hello"));
    }
}

pub fn the_order_of_one_publisher_is_kept_between_hosts() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    let mut publisher = page(&a);
    let mut receiver = page(&b);
    let packets: Vec<String> = (0..3000)
        .map(|number| match number % 3 {
            0 => feedback_to(&receiver.uuid, &number.to_string()),
            _ => broadcast(&number.to_string()),
        })
        .collect();
    let mut writer = publisher.writer();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for packet in &packets {
                let frame = crate::harness::frames::text(packet);
                std::io::Write::write_all(&mut writer, &frame).unwrap();
            }
        });
        scope.spawn(|| (0..packets.len()).for_each(|_| drop(publisher.expect_next())));
        for packet in &packets {
            receiver.expect_text(packet);
        }
    });
}

pub fn a_large_message_crosses_whole() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    let mut publisher = page(&a);
    let mut receiver = page(&b);
    let large = broadcast(&"large ".repeat(600_000));
    publisher.text(&large);
    publisher.expect_next();
    receiver.expect_text(&large);
    publisher.text(broadcast("small"));
    receiver.expect_text(&broadcast("small"));
}

pub fn tenants_and_clusters_are_apart_and_nothing_of_them_can_be_read() {
    let nats = Nats::start("");
    let mut sniffer = nats.sniff();
    let [a, b] = hosts(&nats);
    let stranger = host(&nats).variable("TAGCAST_CLUSTER_NAME", "other").start();
    let mut foreign = page(&stranger);
    let mut shop = page(&b);
    let mut other = b.open(&Open::at("/web?key=other"));
    let secret = "a-text-that-nobody-else-may-read".repeat(100);
    publish(&a, &format!(r#"{{"to":"all","message":"{secret}"}}"#));
    shop.expect_text(&message("broadcast", &secret));
    let own = r#"{"to":"all","message":"own"}"#;
    assert_eq!(a.post("/v1/apps/other/publish", OTHER, own).status(), 200);
    other.expect_text(&message("broadcast", "own"));
    foreign.expect_silence();
    let mut is_carried = false;
    while !is_carried {
        let (subject, bytes) = sniffer.message();
        let text = String::from_utf8_lossy(&bytes);
        for word in ["nobody-else", "shop", "broadcast", "message"] {
            assert!(!text.contains(word) && !subject.contains(word), "{subject}: {text}");
        }
        let is_of_lane = subject.starts_with(&format!("tagcast.{CLUSTER}.m."));
        is_carried = is_of_lane && bytes.len() > secret.len();
    }
}

pub fn what_is_not_of_a_host_is_dropped_and_counted() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    let mut sniffer = nats.sniff();
    let (subject, captured) = loop {
        let (subject, bytes) = sniffer.message();
        if subject.ends_with(".h") {
            break (subject, bytes);
        }
    };
    sniffer.publish(&subject, b"garbage");
    sniffer.publish(&format!("tagcast.{CLUSTER}.m.00000001"), &captured);
    sniffer.publish(&format!("tagcast.{CLUSTER}.m.00000001"), &vec![b'T'; 200_000]);
    eventually("three dropped messages", || {
        (a.bridge_counts()?.invalid_messages >= 3).then_some(())
    });
    a.wait_for_output("cluster_message_invalid");
    let (mut publisher, mut receiver) = (page(&a), page(&b));
    publisher.text(broadcast("on"));
    receiver.expect_text(&broadcast("on"));
}

pub fn a_host_that_stops_is_gone_at_once_and_loses_nothing() {
    let nats = Nats::start("");
    let [a, b] = hosts(&nats);
    let mut publisher = page(&a);
    let mut receiver = page(&b);
    for number in 0..200 {
        publisher.text(broadcast(&number.to_string()));
    }
    for _ in 0..200 {
        publisher.expect_next();
    }
    a.term();
    for number in 0..200 {
        receiver.expect_text(&broadcast(&number.to_string()));
    }
    a.wait_exit(DEADLINE);
    b.wait_for_output("cluster_host_gone");
    let again = host(&nats).start();
    let all = [again, b];
    wait_until_joined(&all);
    let mut publisher = page(&all[0]);
    publisher.text(broadcast("back"));
    receiver.expect_text(&broadcast("back"));
}

pub fn the_status_shows_the_cluster() {
    let mut nats = Nats::start("");
    let [a, _b] = hosts(&nats);
    let shown = a.command(&["status"]).text;
    for words in ["cluster test: connected to NATS, 2 hosts live, 0 gaps", "\nbridge "] {
        assert!(shown.contains(words), "no {words:?} in\n{shown}");
    }
    nats.kill();
    eventually("a host without NATS", || {
        let shown = a.command(&["status"]).text;
        shown.contains("the server cannot be reached").then_some(())
    });
}

pub fn the_metrics_show_the_cluster() {
    let nats = Nats::start("");
    let setup = host(&nats).variable("TAGCAST_API_ADDRESS", "http://127.0.0.1:0");
    let both = [setup.start(), host(&nats).start()];
    wait_until_joined(&both);
    let (mut publisher, mut far) = (page(&both[1]), page(&both[0]));
    publisher.text(broadcast("counted"));
    far.expect_text(&broadcast("counted"));
    wait_for(
        &both[0],
        &[
            ("tagcast_cluster_connected", 1.0),
            ("tagcast_cluster_degraded", 0.0),
            ("tagcast_cluster_hosts{state=\"live\"}", 2.0),
            (&items("in", "common", "publication"), 1.0),
            (&items("out", "common", "publication"), 0.0),
            ("tagcast_cluster_gaps_total{reason=\"replay_buffer\"}", 0.0),
            ("tagcast_cluster_configuration_mismatch{setting=\"auth.yml\"}", 0.0),
            ("tagcast_cluster_clients", 2.0),
        ],
    );
    // The error of a clock is known after two heartbeats.
    eventually("all families of a cluster", || {
        let samples = scrape(&both[0]);
        let mut names = listed().into_keys().filter(|name| name.starts_with("cluster_"));
        let is_served = |name: String| {
            samples.keys().any(|sample| sample.starts_with(&format!("tagcast_{name}")))
        };
        names.all(is_served).then_some(())
    });
}

/// Returns the name of a sample of items.
fn items(direction: &str, lane: &str, kind: &str) -> String {
    let labels = format!("direction=\"{direction}\",lane=\"{lane}\",kind=\"{kind}\"");
    format!("tagcast_cluster_items_total{{{labels}}}")
}

/// The sum of samples over hosts.
fn total(samples: &[BTreeMap<String, f64>], name: &str) -> f64 {
    samples.iter().map(|of_host| of_host.get(name).copied().unwrap_or_default()).sum()
}

/// Each item of a common lane has arrived at the two other hosts, and each of a private lane at one.
fn is_balanced(samples: &[BTreeMap<String, f64>]) -> bool {
    ["publication", "directive", "question", "records", "directory", "ping"].iter().all(|kind| {
        let sum = |direction, lane| total(samples, &items(direction, lane, kind));
        2.0 * sum("out", "common") == sum("in", "common")
            && sum("out", "private") == sum("in", "private")
    })
}

pub fn what_all_hosts_have_sent_is_what_they_have_received() {
    let mut nats = Nats::start("");
    let api = || host(&nats).variable("TAGCAST_API_ADDRESS", "http://127.0.0.1:0").start();
    let all: [Server; 3] = std::array::from_fn(|_| api());
    wait_until_joined(&all);
    let mut pages = [page(&all[0]), page(&all[1]), page(&all[2])];
    let uuids: Vec<String> = pages.iter().map(|page| page.uuid.clone()).collect();
    let round = |pages: &mut [Raw; 3], text: &str| {
        for (place, page) in pages.iter_mut().enumerate() {
            (0..20).for_each(|_| page.text(broadcast(text)));
            page.text(feedback_to(&uuids[(place + 1) % 3], text));
        }
        // From each of three pages 20 broadcasts, an echo of each publication, and one feedback.
        for page in pages.iter_mut() {
            (0..20 * 3 + 1 + 1).for_each(|_| drop(page.frame()));
        }
    };
    round(&mut pages, "with NATS");
    nats.kill();
    for page in &mut pages {
        page.text(broadcast("without NATS"));
    }
    nats.restart();
    wait_until_joined(&all);
    let mut script = all[0].open(&Open::php().target("/php?key=shop").ident("job"));
    wait_for(&all[1], &[("tagcast_cluster_directory_entries{kind=\"ident\"}", 1.0)]);
    let named = r#"{"to":{"ident":"job"},"message":"named"}"#;
    let request = crate::harness::api::post(PUBLISH, &[SHOP], named);
    assert_eq!(Raw::connect(all[1].api_port("http")).request(request).status(), 200);
    script.expect_text(&message("feedback", "named"));
    assert_eq!(all[2].command(&["cluster", "ping", "--count", "3"]).code, Some(0));
    let samples = eventually("a balance of all lanes", || {
        let samples: Vec<_> = all.iter().map(scrape).collect();
        is_balanced(&samples).then_some(samples)
    });
    let sum = |direction, lane, kind| total(&samples, &items(direction, lane, kind));
    assert_eq!(sum("out", "common", "publication"), 63.0);
    assert_eq!(sum("in", "common", "publication"), 126.0);
    assert_eq!((sum("out", "private", "publication"), sum("in", "private", "ping")), (4.0, 12.0));
    assert!(sum("out", "common", "directory") >= 1.0);
    let lost =
        samples.iter().map(|it| crate::metrics::sum_of(it, "tagcast_cluster_lost_items_total"));
    assert_eq!(lost.sum::<f64>(), 0.0);
    let bytes = |lane: &str| {
        total(
            &samples,
            &format!("tagcast_cluster_bytes_total{{direction=\"out\",lane=\"{lane}\"}}"),
        )
    };
    assert!(["common", "private", "none"].map(bytes).iter().all(|it| *it > 0.0));
}

pub fn the_example_runs() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cluster/run");
    let ports = [0, 1].map(|_| {
        let free = std::net::TcpListener::bind("127.0.0.11:0").unwrap();
        free.local_addr().unwrap().port().to_string()
    });
    let output = Command::new(script)
        .arg("--once")
        .env("TAGCAST", crate::harness::binary())
        .env("PORT", &ports[0])
        .env("NATS_PORT", &ports[1])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("127.0.0.13 received: \"hello from 127.0.0.11\""), "{text}");
}

/// Errors of the configuration need no NATS server.
#[test]
fn a_wrong_configuration_of_a_cluster_is_refused() {
    let key = "01".repeat(32);
    for (lines, words) in [
        ("[cluster]\nnats = nats://127.0.0.1:1\n", "cluster.name: is missing"),
        ("[cluster]\nnats = 127.0.0.1:4222\nname = a\n", "no scheme"),
        ("[cluster]\nnats = nats://a:b@c\nname = a\n", "userFile"),
        ("[cluster]\nnats = nats://c\nname = Big\n", "is not a name"),
        ("[cluster]\nnats = nats://c\nname = a\nuserFile = none.txt\n", "cannot be read"),
        ("[cluster]\nnats = nats://c\nname = a\ncertFile = websock.ini\n", "is set alone"),
        ("[cluster]\nnats = nats://c\nname = a\nreplayBytes = 4M\n", "maxMessage"),
        (
            "[cluster]\nnats = nats://c\nname = a\nuserFile = websock.ini\ntokenFile = websock.ini\n",
            "is set in addition to userFile",
        ),
    ] {
        let folder = Folder::new();
        folder.write("websock.ini", &format!("uuidKey = {key}\n{lines}"));
        let checked = run_to_end(&folder, &["check", "-i", "websock.ini"]);
        assert_eq!(checked.code, Some(78), "{lines}: {}", checked.text);
        assert!(checked.text.contains(words), "{lines}: no {words:?} in {}", checked.text);
        assert!(!checked.text.contains("a:b"), "{}", checked.text);
    }
    let folder = Folder::new();
    folder.write("websock.ini", "[cluster]\nnats = nats://c\nname = a\n");
    let checked = run_to_end(&folder, &["check", "-i", "websock.ini"]);
    assert!(checked.text.contains("uuidKeyFile"), "{}", checked.text);
}

/// The program that `.ci/install-nats-server` installs.
pub const LATEST_NATS: &str = "target/nats-server/nats-server";

/// All other tests of several hosts, with a NATS server that is three years younger than Debian's.
pub fn hosts_share_publications_over_the_latest_nats_server() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(LATEST_NATS);
    let tests = std::env::current_exe().unwrap();
    let finished = Command::new(tests)
        .args(["cluster", "--skip", "the_latest_nats_server", "--skip", "the_example_runs"])
        .env(PROGRAM, program)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&finished.stdout);
    assert!(finished.status.success(), "{text}");
    assert!(text.contains("test result: ok"), "{text}");
}
