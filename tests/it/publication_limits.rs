//! Limits of publications: a backend gets 429, and a WebSocket publisher waits without losing anything.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tagcast::config::{ConfigSources, load};
use tagcast::server::InProcess;

use crate::harness::api::{AUTH, OTHER, PUBLISH, SHOP, head, post, setup};
use crate::harness::{
    Finished, Folder, Open, Raw, Server, broadcast, eventually, frames, run_to_end,
};

/// `shop` with these limits.
fn auth(limits: &str) -> String {
    AUTH.replace("clientPublish: true", &format!("clientPublish: true, limits: {limits}"))
}

fn start(limits: &str) -> Server {
    setup().auth(&auth(limits)).workers(1).start()
}

fn page(server: &Server) -> Raw {
    server.open(&Open::at("/web?key=shop"))
}

fn packets(count: usize) -> Vec<String> {
    (0..count).map(|number| broadcast(&format!("number {number}"))).collect()
}

fn send_all(page: &mut Raw, packets: &[String]) {
    page.send(packets.iter().flat_map(frames::text).collect::<Vec<_>>());
}

/// Case A228.
#[test]
fn a_page_above_the_limit_waits_and_nothing_is_lost() {
    let server = start("{ publications: 10/s }");
    let (mut sender, mut receiver) = (page(&server), page(&server));
    let packets = packets(100);
    let begun = Instant::now();
    send_all(&mut sender, &packets);
    for packet in &packets {
        receiver.expect_text(packet);
    }
    for _ in &packets {
        sender.expect_next();
    }
    // Ninety of them at 10/s. The clock of the server may have begun its turn earlier.
    let took = begun.elapsed();
    assert!(Duration::from_millis(8950) <= took && took < Duration::from_secs(12), "{took:?}");
    // Case A236.
    let counts = server.counts();
    assert!((1..=90).contains(&counts.throttled), "{}", counts.throttled);
    assert!((8_900..12_000).contains(&counts.throttled_ms), "{}", counts.throttled_ms);
    sender.send(frames::ping(b"still here"));
    sender.expect_pong(b"still here");
}

#[test]
fn the_bytes_of_publications_are_limited_too() {
    let server = start("{ bytes: 100K/s }");
    let (mut sender, mut receiver) = (page(&server), page(&server));
    let large = broadcast(&"x".repeat(60_000));
    let begun = Instant::now();
    send_all(&mut sender, &vec![large.clone(); 4]);
    (0..4).for_each(|_| drop(receiver.expect_text(&large)));
    assert!(begun.elapsed() >= Duration::from_millis(650), "{:?}", begun.elapsed());
}

/// Case A230.
#[test]
fn a_page_with_its_own_limit_waits_and_others_do_not() {
    let server = start("{ perConnection: { publications: 1/s burst 2 } }");
    let (mut busy, mut other, mut receiver) = (page(&server), page(&server), page(&server));
    send_all(&mut busy, &packets(4));
    receiver.expect_text(&packets(1)[0]);
    busy.expect_next();
    other.text(broadcast("from the other"));
    let mut received: Vec<String> = (0..4).map(|_| receiver.frame().as_text().to_owned()).collect();
    let place = received.iter().position(|it| *it == broadcast("from the other")).unwrap();
    assert!(place < 3, "it waited for the busy one: {received:?}");
    received.remove(place);
    assert_eq!(received, packets(4)[1..]);
}

#[test]
fn a_page_that_waits_is_pinged_and_not_closed_for_its_silence() {
    let limits = auth("{ publications: 1/s burst 1 }");
    let server = setup().auth(&limits).workers(1).ini("pingInterval = 150ms").start();
    let (mut sender, mut receiver) = (page(&server), page(&server));
    send_all(&mut sender, &packets(3));
    // The receiver sends pongs, because it does not wait. The sender sends none.
    let mut received = Vec::new();
    while received.len() < 3 {
        let frame = receiver.frame();
        match frame.first {
            0x89 => receiver.send(frames::masked(0x8a, &frame.payload)),
            _ => received.push(frame.as_text().to_owned()),
        }
    }
    assert_eq!(received, packets(3));
    let (mut nexts, mut pings) = (0, 0);
    while nexts < 3 {
        let frame = sender.frame();
        match frame.first {
            0x89 => pings += 1,
            _ => nexts += usize::from(frame.as_text().contains("next")),
        }
    }
    assert!(pings > 2, "{pings}");
}

/// Case A227.
#[test]
fn of_many_requests_at_once_those_within_the_limit_are_accepted() {
    let server = start("{ publications: 10/s }");
    let one = post(PUBLISH, &[SHOP], r#"{"to":"all","message":1}"#);
    // The API process is ready, and has no debt.
    assert_eq!(server.call("GET", "/v1/apps/shop/stats", &[SHOP]).status(), 200);
    let mut backends: Vec<Raw> = (0..100).map(|_| Raw::connect(server.port)).collect();
    let begun = Instant::now();
    backends.iter_mut().for_each(|backend| backend.send(&one));
    let statuses: Vec<u16> =
        backends.iter_mut().map(|backend| backend.read_answer().status()).collect();
    let accepted = statuses.iter().filter(|status| **status == 200).count();
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    // One more for each tenth of a second that the machine needs.
    let more = begun.elapsed().as_millis() as usize / 100;
    assert!((10..=11 + more).contains(&accepted), "{accepted}, {more} more");
    eventually("another burst", || {
        let answers = (0..10).map(|_| Raw::connect(server.port).request(&one).status());
        Some(()).filter(|()| answers.filter(|status| *status == 200).count() > 0)
    });
}

/// Case A227, for bytes and batches.
#[test]
fn a_backend_above_a_limit_gets_429_with_its_name_and_time() {
    let server = start("{ publications: 1/s burst 3, bytes: 1K/s }");
    let publish = |message: &str| {
        server.post(PUBLISH, SHOP, &format!(r#"{{"to":"all","message":"{message}"}}"#))
    };
    let large = "x".repeat(1000);
    assert_eq!(publish(&large).status(), 200);
    let refused = publish(&large);
    refused.is_error(429, "rate_limited");
    assert_eq!(refused.json()["error"]["name"], "bytes");
    let answers: Vec<_> = (0..12).map(|_| publish("a")).collect();
    let refused = answers.iter().find(|answer| answer.status() == 429).unwrap();
    assert_eq!(refused.json()["error"]["name"], "publications");
    assert_eq!(refused.head.header("Retry-After"), Some("1"));
    let dry = r#"{"to":"all","message":1,"dry_run":true}"#;
    assert_eq!(server.post(PUBLISH, SHOP, dry).status(), 200);
    let item = r#"{"to":"all","message":1}"#;
    let batch = format!(r#"{{"publications":[{}]}}"#, [item; 8].join(","));
    let results = server.post("/v1/apps/shop/publish:batch", SHOP, &batch).json();
    let statuses: Vec<_> = results["results"].as_array().unwrap().iter().collect();
    assert!(statuses.iter().any(|it| it["error"]["name"] == "publications"), "{results}");
    let other = server.post("/v1/apps/other/publish", OTHER, item);
    assert_eq!(other.status(), 200);
}

#[test]
fn an_application_may_have_a_smaller_largest_message() {
    let server = start("{ message: 1K }");
    let large = "x".repeat(1024);
    let answer = server.post(PUBLISH, SHOP, &format!(r#"{{"to":"all","message":"{large}"}}"#));
    answer.is_error(413, "payload_too_large");
    assert_eq!(answer.json()["error"]["setting"], "message");
    let mut page = page(&server);
    page.text(broadcast(&large));
    page.expect_close(1009);
    let mut other = server.open(&Open::at("/web?key=other"));
    other.text(broadcast(&large));
    other.expect_next();
}

/// Case A232.
#[test]
fn a_reload_without_the_limit_releases_what_waits() {
    let server = start("{ publications: 1/s burst 1 }");
    let (mut sender, mut receiver) = (page(&server), page(&server));
    let packets = packets(40);
    send_all(&mut sender, &packets);
    receiver.expect_text(&packets[0]);
    server.folder.write("auth.yml", AUTH);
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    let begun = Instant::now();
    for packet in &packets[1..] {
        receiver.expect_text(packet);
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Case A233.
#[test]
fn a_page_that_closes_while_it_waits_frees_its_slot() {
    let server = start("{ publications: 2/s burst 1 }");
    for waiting in 1..=3 {
        let mut sender = page(&server);
        send_all(&mut sender, &packets(3));
        eventually("a sender that waits", || {
            Some(()).filter(|()| server.counts().throttled >= waiting)
        });
    }
    server.wait_until_empty();
}

/// Ends a publisher, also when a check fails.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Publishes by HTTP without a pause. Returns how many requests were accepted.
fn publish_until(port: u16, is_over: &AtomicBool) -> usize {
    let mut backend = Raw::connect(port);
    let mut accepted = 0;
    while !is_over.load(Ordering::Relaxed) {
        let answer = backend.request(post(PUBLISH, &[SHOP], r#"{"to":"all","message":1}"#));
        accepted += usize::from(answer.status() == 200);
    }
    accepted
}

/// Case A229: ten pages on two workers and a backend, for eight seconds.
#[test]
fn the_rate_holds_for_all_processes_together() {
    const SECONDS: u32 = 8;
    const RATE: u32 = 200;
    let limits = auth("{ publications: 200/s burst 20 }");
    let server = setup().auth(&limits).workers(2).ini("apiAddress = http://127.0.0.1:0").start();
    let mut receiver = page(&server);
    let of_shop = Open::at("/web?key=shop");
    let places = server.workers(2).into_iter().flat_map(|worker| [worker; 5]);
    let mut senders: Vec<Raw> = places.map(|worker| server.open_on(worker, &of_shop)).collect();
    let port = server.api_port("http");
    let is_over = AtomicBool::new(false);
    let (received, by_http) = thread::scope(|scope| {
        let _end = EndOnDrop(&is_over);
        for (name, sender) in senders.iter_mut().enumerate() {
            send_all(
                sender,
                &vec![broadcast(&format!("from {name}")); (RATE * SECONDS) as usize / 5],
            );
        }
        let backend = scope.spawn(|| publish_until(port, &is_over));
        let mut received = vec![receiver.frame().as_text().to_owned()];
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(SECONDS.into()) {
            received.push(receiver.frame().as_text().to_owned());
        }
        is_over.store(true, Ordering::Relaxed);
        (received, backend.join().unwrap())
    });
    let (sum, allowed) = (received.len() as u32, RATE * SECONDS + 20);
    let within = allowed * 95 / 100..=allowed * 105 / 100;
    assert!(within.contains(&sum), "{sum} of {allowed}, {by_http} by HTTP");
    let publishers: BTreeSet<String> = received.into_iter().collect();
    assert_eq!((publishers.len(), by_http > 0), (11, true), "{publishers:?}, {by_http} by HTTP");
}

#[test]
fn publishers_of_one_application_wait_in_turn() {
    let server = start("{ publications: 20/s burst 2 }");
    let mut receiver = page(&server);
    let mut senders: Vec<Raw> = (0..4).map(|_| page(&server)).collect();
    for (number, sender) in senders.iter_mut().enumerate() {
        let own: Vec<String> =
            (0..5).map(|at| broadcast(&format!("{number} sends {at}"))).collect();
        send_all(sender, &own);
    }
    let received: Vec<String> = (0..20).map(|_| receiver.frame().as_text().to_owned()).collect();
    for number in 0..4 {
        let own = received.iter().filter(|it| it.contains(&format!("\"{number} sends")));
        let expected = (0..5).map(|at| broadcast(&format!("{number} sends {at}")));
        assert!(own.eq(expected.collect::<Vec<_>>().iter()), "{received:?}");
    }
    // After the bursts each turn is one message, so all have sent something before one has sent all.
    let last = received.last().unwrap();
    let first_half = &received[..14];
    assert!(
        (0..4).all(|it| first_half.iter().any(|text| text.contains(&format!("\"{it} ")))),
        "{last}"
    );
}

#[test]
fn a_server_in_one_process_limits_publications_too() {
    let folder = Folder::new();
    folder.write("websock.ini", "adress = ws://127.0.0.1:0\nworkers = 1\n");
    folder.write("auth.yml", &auth("{ publications: 10/s burst 1 }"));
    let sources = ConfigSources { folder: folder.path(""), ..ConfigSources::default() };
    let server = InProcess::start(load(&sources).unwrap().config).unwrap();
    let port = server.addresses()[0].port();
    let [mut sender, mut receiver] = [(); 2].map(|()| Open::at("/web?key=shop").ready(port));
    let begun = Instant::now();
    send_all(&mut sender, &packets(5));
    for packet in packets(5) {
        receiver.expect_text(&packet);
    }
    assert!(begun.elapsed() >= Duration::from_millis(350), "{:?}", begun.elapsed());
    let refused = eventually("a refused publication", || {
        let body = r#"{"to":"all","message":1}"#;
        let answer = Raw::connect(port).request(post(PUBLISH, &[SHOP], body));
        Some(answer).filter(|answer| answer.status() == 429)
    });
    assert_eq!(refused.json()["error"]["name"], "publications");
    let stats = Raw::connect(port).request(head("GET", "/v1/apps/shop/stats", &[SHOP]));
    assert!(stats.json()["counters"]["rate_limited"].as_u64().unwrap() > 0);
    server.stop();
}
