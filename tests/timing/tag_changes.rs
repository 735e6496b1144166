//! Ten thousand changes of tags by several writers, each with a condition, while publications go to the tags. Every
//! publication reaches the clients that had the tag at its point of the order, as far as answers show that point.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::api::{ApiAnswer, LIST, PUBLISH, SHOP, head, post, setup};
use crate::harness::{Open, Raw, Server, pause};

const CLIENTS: usize = 100;
const WRITERS: usize = 4;
const CHANGES: usize = 10_000;
/// Values of the tag that is changed.
const GROUPS: u64 = 4;
/// Time between two publications of a publisher.
const PERIOD: Duration = Duration::from_millis(4);
/// Brokers that are killed, after equal parts of the changes. After more of them in a minute the supervisor waits for
/// seconds before it starts the next one.
const DEATHS: usize = 9;
/// Time limit for one part, on a busy machine.
const PART: Duration = Duration::from_secs(120);

/// One change that was answered with 200. Its client has this group from some moment between the two times on.
struct Change {
    client: usize,
    /// Place of the change among those of its client, from 1.
    step: u64,
    sent: Instant,
    answered: Instant,
}

/// One publication and its recipients as its answer counts them.
struct Sent {
    number: usize,
    groups: BTreeSet<u64>,
    sent: Instant,
    answered: Instant,
    matched: u64,
}

/// What a writer knows about a client.
#[derive(Clone, Copy)]
struct Known {
    version: u64,
    step: u64,
}

fn step_of(tags: &Value) -> u64 {
    tags["step"].as_str().map_or(0, |step| step.parse().unwrap())
}

fn patch(backend: &mut Raw, uuid: &str, body: &Value) -> ApiAnswer {
    let body = body.to_string();
    let length = body.len().to_string();
    let own = [SHOP, ("Content-Type", "application/json"), ("Content-Length", &*length)];
    let target = format!("{LIST}/{uuid}/tags");
    backend.request([head("PATCH", &target, &own), body.into_bytes()].concat())
}

/// Moves clients to their next group, one after the other, until there were enough changes.
fn write(server: &Server, uuids: &[String], first: usize, made: &AtomicUsize) -> Vec<Change> {
    let mut backend = Raw::connect(server.port);
    let mut known = vec![Known { version: 0, step: 0 }; CLIENTS];
    let (mut changes, mut at) = (Vec::new(), first);
    while made.load(Ordering::Relaxed) < CHANGES {
        at = (at + 7) % CLIENTS;
        loop {
            let Known { version, step } = known[at];
            let step = step + 1;
            let set = json!({"step": step, "group": step % GROUPS});
            let sent = Instant::now();
            let answer =
                patch(&mut backend, &uuids[at], &json!({"set": set, "if_version": version}));
            let answered = Instant::now();
            let json = answer.json();
            let present = if answer.status() == 200 { &json } else { &json["error"] };
            let now = present["version"].as_u64().unwrap_or_else(|| panic!("{json}"));
            assert!(now >= known[at].version, "versions grow: {json}");
            known[at] = Known { version: now, step: step_of(&present["tags"]) };
            if answer.status() == 200 {
                assert!(known[at].step >= step, "step {step}: {json}");
                made.fetch_add(1, Ordering::Relaxed);
                changes.push(Change { client: at, step, sent, answered });
                break;
            }
            answer.is_error(409, "version_conflict");
        }
    }
    changes
}

/// Publishes to every combination of groups while the writers write.
fn publish(server: &Server, first: usize, is_over: &AtomicBool) -> Vec<Sent> {
    let mut backend = Raw::connect(server.port);
    let mut all = Vec::new();
    for number in (first..).step_by(2) {
        if is_over.load(Ordering::Acquire) {
            break;
        }
        let chosen = 1 + number as u64 / 2 % ((1 << GROUPS) - 1);
        let groups: BTreeSet<u64> =
            (0..GROUPS).filter(|group| chosen & (1 << group) != 0).collect();
        let values: Vec<String> = groups.iter().map(u64::to_string).collect();
        let to = match values.as_slice() {
            [one] => json!({"tags": {"group": one}}),
            many => json!({"expr": {"tag": "group", "in": many}}),
        };
        let sent = Instant::now();
        let body = json!({"to": to, "message": number}).to_string();
        let answer = backend.request(post(PUBLISH, &[SHOP], &body));
        let answered = Instant::now();
        assert_eq!(answer.status(), 200, "{}", answer.body);
        let matched = answer.json()["matched"].as_u64().unwrap();
        all.push(Sent { number, groups, sent, answered, matched });
        pause(PERIOD);
    }
    all
}

/// The numbers that a client receives before the last publication, each once.
fn receive(client: &mut Raw) -> BTreeSet<usize> {
    let mut received = BTreeSet::new();
    loop {
        let Ok(frame) = client.frame_or_end() else { panic!("the client was closed") };
        let message: Value = serde_json::from_str(frame.as_text()).unwrap();
        match message["message"].as_u64() {
            Some(number) => {
                let is_new = received.insert(usize::try_from(number).unwrap());
                assert!(is_new, "{number} comes twice");
            }
            None => return received,
        }
    }
}

/// Whether a client must, may or must not receive a publication.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Must,
    May,
    MustNot,
}

/// Looks at the groups that the client may have had during the publication. Its changes are in order.
fn due(changes: &[&Change], it: &Sent) -> Due {
    let before = changes.iter().filter(|change| change.answered < it.sent).count() as u64;
    let last = changes.iter().filter(|change| change.sent < it.answered).count() as u64;
    let (mut has, mut lacks) = (false, false);
    for step in before..=last {
        let is_reached = step > 0 && it.groups.contains(&(step % GROUPS));
        has |= is_reached;
        lacks |= !is_reached;
    }
    match (has, lacks) {
        (true, false) => Due::Must,
        (false, _) => Due::MustNot,
        (true, true) => Due::May,
    }
}

/// What was done, and what each client has received.
struct Played {
    changes: Vec<Change>,
    sent: Vec<Sent>,
    received: Vec<BTreeSet<usize>>,
    /// The last step of each client, as the server lists it in the end.
    listed: Vec<u64>,
    deaths: usize,
}

fn play(server: &Server, deaths: usize) -> Played {
    let mut clients: Vec<Raw> =
        (0..CLIENTS).map(|_| server.open(&Open::at("/web?key=shop"))).collect();
    let uuids: Vec<String> = clients.iter().map(|client| client.uuid.clone()).collect();
    let (made, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let readers: Vec<_> =
            clients.iter_mut().map(|client| scope.spawn(|| receive(client))).collect();
        let (made, is_over, uuids) = (&made, &is_over, &uuids);
        let writers: Vec<_> = (0..WRITERS)
            .map(|first| scope.spawn(move || write(server, uuids, first * 25, made)))
            .collect();
        let publishers = [0, 1].map(|first| scope.spawn(move || publish(server, first, is_over)));
        for death in 1..=deaths {
            let begun = Instant::now();
            while made.load(Ordering::Relaxed) < CHANGES * death / (deaths + 1) {
                assert!(begun.elapsed() < PART, "{} changes", made.load(Ordering::Relaxed));
                pause(PERIOD);
            }
            server.kill_broker();
        }
        let changes = writers.into_iter().flat_map(|it| it.join().unwrap()).collect();
        is_over.store(true, Ordering::Release);
        let sent = publishers.into_iter().flat_map(|it| it.join().unwrap()).collect();
        let last = server.post(PUBLISH, SHOP, r#"{"to":"all","message":"last"}"#);
        assert_eq!(last.status(), 200, "{}", last.body);
        let page = server.call("GET", &format!("{LIST}?limit={CLIENTS}"), &[SHOP]).json();
        let all = page["connections"].as_array().unwrap();
        let step =
            |uuid: &String| step_of(&all.iter().find(|it| it["uuid"] == **uuid).unwrap()["tags"]);
        let listed = uuids.iter().map(step).collect();
        let received = readers.into_iter().map(|it| it.join().unwrap()).collect();
        Played { changes, sent, received, listed, deaths }
    })
}

fn check(played: &Played) {
    let Played { changes, sent, received, listed, deaths } = played;
    let (mut must, mut may) = (0, 0);
    for client in 0..CLIENTS {
        let mut own: Vec<&Change> = changes.iter().filter(|it| it.client == client).collect();
        own.sort_unstable_by_key(|change| change.step);
        // Every change had seen the one before it, and none was lost.
        let steps: Vec<u64> = own.iter().map(|change| change.step).collect();
        assert_eq!(steps, (1..=own.len() as u64).collect::<Vec<_>>(), "client {client}");
        assert_eq!(listed[client], own.len() as u64, "client {client}");
        for it in sent {
            let has = received[client].contains(&it.number);
            match due(&own, it) {
                Due::May => may += 1,
                due => {
                    must += usize::from(due == Due::Must);
                    assert_eq!(has, due == Due::Must, "client {client}, {}: {due:?}", it.number);
                }
            }
        }
    }
    let delivered: usize = received.iter().map(BTreeSet::len).sum();
    let matched: u64 = sent.iter().map(|it| it.matched).sum();
    println!(
        "{} changes, {} publications, {delivered} deliveries, {must} certain, {may} open, {deaths} brokers",
        changes.len(),
        sent.len()
    );
    assert!(must > 1000, "{must}");
    // What a dead broker has counted may be counted again by the next one, at a later point.
    assert!(*deaths > 0 || delivered as u64 == matched, "{delivered} of {matched}");
}

fn run(deaths: usize) {
    let server = setup().ini("apiTimeout = 30s").start();
    let played = play(&server, deaths);
    check(&played);
    assert_eq!(server.counts().slow, 0);
}

/// A179.
#[test]
fn ten_thousand_changes_with_conditions_lose_nothing() {
    let _quiet = crate::harness::alone();
    run(0);
}

/// A180.
#[test]
fn ten_thousand_changes_lose_nothing_while_brokers_are_killed() {
    let _quiet = crate::harness::alone();
    run(DEATHS);
}
