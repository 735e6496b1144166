//! Presence of `tagcast.v1` while connections break and processes die.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::Raw;
use crate::harness::processes::send_signal;
use crate::v1_presence::{Watcher, watched};
use crate::v1_resume::{break_off, come_back, hello, open};

fn members() -> Value {
    json!({"tags": {"room": "1"}, "mode": "members"})
}

/// V123: a cut that is followed by a resume, and the death of a worker, are not seen. What comes first is the leave of a
/// client that stays away for as long.
#[test]
fn members_that_resume_in_time_never_leave() {
    let server = watched("presenceLinger: 3s").workers(2).start();
    // The worker of the watcher, and of the client that stays away, lives.
    let watcher = server.open_v1("/", hello(&json!({})));
    let stays = server.worker_of(&watcher);
    let open_on = |is_there: bool| loop {
        let (mut client, welcome) = open(&server, &json!({"tags": {"room": "1"}}));
        if (server.worker_of(&client) == stays) == is_there {
            return (client, welcome);
        }
        client.say(json!({"op": "bye"}));
        client.wait_for_end();
    };
    let ((gone, of_gone), (mut client, mut welcome)) = (open_on(true), open_on(false));
    let mut watcher = Watcher::begin(watcher, 5, &members());
    while watcher.count != 2 {
        // Clients that were on the wrong worker.
        watcher.reads();
    }
    loop {
        break_off(&server, client, &welcome["uuid"]);
        (client, welcome) = come_back(&server, &welcome, &json!({}));
        if server.worker_of(&client) != stays {
            break;
        }
    }
    send_signal(server.worker_of(&client), Signal::KILL);
    client.wait_for_end();
    let (client, back) = come_back(&server, &welcome, &json!({}));
    assert_eq!(back["resumed"], true, "{back}");
    break_off(&server, gone, &of_gone["uuid"]);
    let left = watcher.reads();
    assert_eq!(
        (left["left"].as_array().map(Vec::len), left.get("joined")),
        (Some(1), None),
        "{left}"
    );
    assert_eq!((watcher.count, watcher.list.len()), (1, 1));
    drop(client);
}

/// V131.
#[test]
fn every_watcher_gets_a_new_list_from_the_next_broker() {
    let server = watched("mailbox: 3").workers(2).start();
    let clients: Vec<Raw> =
        (0..20).map(|_| open(&server, &json!({"tags": {"room": "1"}})).0).collect();
    let mut watchers: Vec<Watcher> =
        (0..10).map(|_| Watcher::begin(open(&server, &json!({})).0, 5, &members())).collect();
    for _ in 0..2 {
        server.kill_broker();
        let killed = Instant::now();
        for watcher in &mut watchers {
            let sync = watcher.reads();
            assert_eq!((&sync["sync"], watcher.list.len()), (&json!(true), 20), "{sync}");
        }
        assert!(killed.elapsed() < Duration::from_secs(4), "{:?}", killed.elapsed());
    }
    drop(clients);
    for watcher in &mut watchers {
        watcher.reads_up_to(0);
    }
}

/// V134: all members watch, and all of them are cut and come back.
#[test]
fn members_that_all_watch_and_are_all_cut_see_no_change() {
    const COUNT: u64 = 1000;
    let server = watched("presenceMembers: 1000, presenceLinger: 60s").workers(2).start();
    let clients: Vec<(Raw, Value)> =
        (0..COUNT).map(|_| open(&server, &json!({"tags": {"room": "1"}}))).collect();
    let mut welcomes = Vec::new();
    let mut watching = Vec::new();
    for (client, welcome) in clients {
        watching.push(client);
        welcomes.push(welcome);
    }
    let watch_all = |mut clients: Vec<Raw>| -> Vec<Watcher> {
        let mut frame = members();
        (frame["op"], frame["id"]) = (json!("watch"), json!(5));
        clients.iter_mut().for_each(|client| client.say(frame.clone()));
        let first = |mut client: Raw| {
            client.expect_ack(5);
            let mut watcher = Watcher::of(client, 5);
            watcher.reads();
            assert_eq!((watcher.count, watcher.list.len() as u64), (COUNT, COUNT));
            watcher
        };
        clients.into_iter().map(first).collect()
    };
    drop(watch_all(watching));
    let back = welcomes.iter().map(|welcome| {
        let (mut client, next) = come_back(&server, welcome, &json!({}));
        assert_eq!(next["resumed"], true, "{next}");
        assert_eq!(client.json()["op"], "recovery");
        client
    });
    let mut watchers = watch_all(back.collect());
    // What comes first is the leave of one of them.
    let mut leaving = watchers.pop().unwrap();
    leaving.client.say(json!({"op": "bye"}));
    for watcher in &mut watchers {
        let left = watcher.reads();
        let one = left["left"].as_array().map(Vec::len);
        assert_eq!((one, watcher.count, left.get("joined")), (Some(1), COUNT - 1, None), "{left}");
    }
}
