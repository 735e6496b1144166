//! Publications with `ack: written`: the counts agree, whatever becomes of the sockets and the processes.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::api::{AUTH, Clients, PUBLISH, SHOP, head, post, setup};
use crate::harness::processes::send_signal;
use crate::harness::tls::{ALL_VERSIONS, certificate_in};
use crate::harness::{Folder, Open, Raw, Server, eventually};

const WORDS: [&str; 5] = ["matched", "written", "slow", "closed", "waiting"];

/// The counts of an answer, which must agree.
#[track_caller]
fn counts((status, answer): (u16, Value)) -> [u64; 5] {
    assert_eq!(status, 200, "{answer}");
    let counts = WORDS.map(|word| answer[word].as_u64().unwrap_or_else(|| panic!("{answer}")));
    assert_eq!(counts[0], counts[1..].iter().sum::<u64>(), "{answer}");
    counts
}

fn publish(server: &Server, body: &str) -> (u16, Value) {
    let answer = server.post(PUBLISH, SHOP, body);
    (answer.status(), answer.json())
}

/// A client that reads nothing until its test does, with what the kernel holds for it full.
fn full_client(server: &Server) -> Raw {
    let client = server.open(&Open::at(r#"/web?key=shop&tags={"room":"full"}"#));
    fill(server, 5);
    client
}

/// Publishes some megabytes to that client.
fn fill(server: &Server, megabytes: usize) {
    let long = "x".repeat(1_000_000);
    let body = format!(r#"{{"to":{{"tags":{{"room":"full"}}}},"message":"{long}"}}"#);
    for _ in 0..megabytes {
        assert_eq!(publish(server, &body).0, 200);
    }
}

/// Waits until the workers have this many deliveries. All but those to the full client are done.
fn is_under_way(server: &Server, deliveries: u64) {
    eventually("the publication has reached its workers", || {
        (server.counts().matched == deliveries).then_some(())
    });
}

/// A183; the same for feedback.
#[test]
fn what_sockets_have_taken_is_counted() {
    let server = setup().workers(1).start();
    let mut clients = Clients::open(&server);
    let all = r#"{"to":"all","message":1,"ack":"written"}"#;
    let (status, answer) = publish(&server, all);
    let right =
        json!({"matched": 3, "workers": 1, "written": 3, "slow": 0, "closed": 0, "waiting": 0});
    assert_eq!((status, &answer), (200, &right));
    let f = clients.f.uuid.clone();
    let but_f = format!(r#"{{"to":"all","except":["{f}"],"message":2,"ack":"written"}}"#);
    assert_eq!(counts(publish(&server, &but_f)), [2, 2, 0, 0, 0]);
    let none = r#"{"to":{"tags":{"room":"9"}},"message":3,"ack":"written"}"#;
    assert_eq!(counts(publish(&server, none)), [0; 5]);
    let feedback = format!("/v1/apps/shop/connections/{f}/feedback");
    let answer = server.post(&feedback, SHOP, r#"{"message":4,"ack":"written","timeout_ms":5000}"#);
    assert_eq!(counts((answer.status(), answer.json())), [1, 1, 0, 0, 0]);
    let php = r#"{"to":{"ident":"job"},"message":5,"ack":"written"}"#;
    assert_eq!(counts(publish(&server, php)), [1, 1, 0, 0, 0]);
    let one = r#"{"opcode":"broadcast","message":1}"#;
    let four = r#"{"opcode":"feedback","message":4}"#;
    let two = r#"{"opcode":"broadcast","message":2}"#;
    let five = r#"{"opcode":"feedback","message":5}"#;
    clients.expect_frames(&server, [&[one, four], &["1", "2"], &[one, two], &[five], &[]]);
}

#[test]
fn a_publication_with_a_report_keeps_its_place_in_the_order() {
    let server = setup().workers(2).start();
    let mut clients = Clients::open(&server);
    let mut client = Raw::connect(server.port);
    for number in 0..60 {
        let ack = ["accepted", "written", "none"][number % 3];
        let body = format!(r#"{{"to":"all","message":{number},"ack":"{ack}"}}"#);
        client.send(post(PUBLISH, &[SHOP], &body));
    }
    for number in 0..60 {
        let answer = client.read_answer();
        match number % 3 {
            1 => assert_eq!(counts((answer.status(), answer.json())), [3, 3, 0, 0, 0]),
            2 => assert_eq!(answer.status(), 202),
            _ => assert_eq!(answer.json()["matched"], 3),
        }
    }
    for number in 0..60 {
        assert_eq!(clients.e.frame().as_text(), number.to_string());
    }
}

/// Inside TLS the socket has taken a frame when it has taken its ciphertext.
#[test]
fn a_report_counts_clients_inside_tls() {
    let folder = Folder::new();
    certificate_in(&folder);
    folder.write("auth.yml", AUTH);
    let ini = "adress = wss://127.0.0.1:0\nworkers = 1\ncertFile = cert.pem\npkFile = key.pem\n";
    folder.write("websock.ini", ini);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let connect = || Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
    let mut page = Open::at("/web?key=shop").upgrade_over(connect());
    page.expect_ready();
    let all = r#"{"to":"all","message":1,"ack":"written"}"#;
    let answer = connect().request(post(PUBLISH, &[SHOP], all));
    assert_eq!(counts((answer.status(), answer.json())), [1, 1, 0, 0, 0]);
    assert_eq!(page.frame().as_text(), r#"{"opcode":"broadcast","message":1}"#);
}

/// A184.
#[test]
fn what_waits_when_the_time_is_over_is_counted_as_waiting() {
    let server = setup().workers(1).start();
    let mut readers = [(); 2].map(|()| server.open(&Open::at("/web?key=shop")));
    let mut full = full_client(&server);
    let sent = Instant::now();
    let body = r#"{"to":"all","message":1,"ack":"written","timeout_ms":500}"#;
    assert_eq!(counts(publish(&server, body)), [3, 2, 0, 0, 1]);
    assert!(sent.elapsed() >= Duration::from_millis(500));
    for reader in &mut readers {
        assert_eq!(reader.frame().as_text(), r#"{"opcode":"broadcast","message":1}"#);
    }
    for _ in 0..5 {
        assert!(full.frame().payload.len() > 1_000_000);
    }
    assert_eq!(full.frame().as_text(), r#"{"opcode":"broadcast","message":1}"#);
}

/// A185. The client is over the limit of its outbox, which is quicker than ten seconds without progress.
#[test]
fn a_client_that_is_closed_as_slow_is_counted_as_slow() {
    let server = setup().workers(1).start();
    let _readers = [(); 2].map(|()| server.open(&Open::at("/web?key=shop")));
    let _full = full_client(&server);
    let mut client = Raw::connect(server.port);
    let body = r#"{"to":"all","message":1,"ack":"written","timeout_ms":20000}"#;
    client.send(post(PUBLISH, &[SHOP], body));
    is_under_way(&server, 8);
    fill(&server, 5);
    let answer = client.read_answer();
    assert_eq!(counts((answer.status(), answer.json())), [3, 2, 1, 0, 0]);
}

#[test]
fn a_client_that_leaves_before_its_socket_takes_all_is_counted_as_closed() {
    let server = setup().workers(1).start();
    let _reader = server.open(&Open::at("/web?key=shop"));
    let full = full_client(&server);
    let mut client = Raw::connect(server.port);
    client.send(post(
        PUBLISH,
        &[SHOP],
        r#"{"to":"all","message":1,"ack":"written","timeout_ms":20000}"#,
    ));
    is_under_way(&server, 7);
    drop(full);
    let answer = client.read_answer();
    assert_eq!(counts((answer.status(), answer.json())), [2, 1, 0, 1, 0]);
}

/// A186.
#[test]
fn the_part_of_a_worker_that_dies_is_counted_as_closed() {
    let server = setup().workers(2).start();
    let clients: Vec<Raw> = (0..999).map(|_| server.open(&Open::at("/web?key=shop"))).collect();
    let full = full_client(&server);
    let mut client = Raw::connect(server.port);
    client.send(post(
        PUBLISH,
        &[SHOP],
        r#"{"to":"all","message":1,"ack":"written","timeout_ms":30000}"#,
    ));
    is_under_way(&server, 1005);
    send_signal(server.worker_of(&full), Signal::KILL);
    let answer = client.read_answer();
    let [matched, written, slow, closed, waiting] = counts((answer.status(), answer.json()));
    assert_eq!((matched, slow, waiting), (1000, 0, 0));
    assert!((1..=1000).contains(&closed) && written + closed == 1000);
    drop((clients, full));
}

/// A187.
#[test]
fn the_death_of_the_broker_leaves_the_sums_or_202() {
    let server = setup().workers(2).start();
    let _readers = [(); 3].map(|()| server.open(&Open::at("/web?key=shop")));
    let _full = full_client(&server);
    let mut client = Raw::connect(server.port);
    let body = r#"{"to":"all","message":1,"ack":"written","timeout_ms":30000}"#;
    client.send(post(PUBLISH, &[SHOP], body));
    is_under_way(&server, 9);
    server.kill_broker();
    let answer = client.read_answer();
    assert_eq!((answer.status(), answer.json()), (202, json!({"accepted": true})));
    for _ in 0..20 {
        server.kill_broker();
        let (status, answer) =
            publish(&server, r#"{"to":"all","message":2,"ack":"written","timeout_ms":300}"#);
        match status {
            202 => assert_eq!(answer, json!({"accepted": true})),
            _ => assert_eq!(counts((status, answer))[0], 4),
        }
    }
}

#[test]
fn a_worker_that_hangs_is_waited_for_no_longer_than_it_may() {
    let server = setup().workers(1).start();
    let _reader = server.open(&Open::at("/web?key=shop"));
    let mut client = Raw::connect(server.port);
    assert_eq!(client.request(head("GET", "/v1/info", &[])).status(), 200);
    let worker = server.workers(1)[0];
    send_signal(worker, Signal::STOP);
    let body = r#"{"to":"all","message":1,"ack":"written","timeout_ms":100}"#;
    let answer = client.request(post(PUBLISH, &[SHOP], body));
    send_signal(worker, Signal::CONT);
    assert_eq!(counts((answer.status(), answer.json())), [1, 0, 0, 0, 1]);
}

#[test]
fn a_report_has_a_time_and_a_batch_has_none() {
    let server = setup().start();
    let _clients = Clients::open(&server);
    for wrong in ["99", "30001"] {
        let body = format!(r#"{{"to":"all","message":1,"ack":"written","timeout_ms":{wrong}}}"#);
        let answer = server.post(PUBLISH, SHOP, &body);
        assert_eq!(answer.error(), (400, "invalid_value".into(), "/timeout_ms".into()));
    }
    let body = r#"{"publications":[{"to":"all","message":1,"ack":"written"}]}"#;
    let answer = server.post("/v1/apps/shop/publish:batch", SHOP, body);
    assert_eq!(answer.error(), (400, "invalid_value".into(), "/publications/0/ack".into()));
    let many = AUTH.replace("clientPublish: true", "clientPublish: true, maxRecipients: 0");
    let limited = setup().auth(&many).start();
    let _page = limited.open(&Open::at("/web?key=shop"));
    let answer = limited.post(PUBLISH, SHOP, r#"{"to":"all","message":1,"ack":"written"}"#);
    answer.is_error(409, "too_many_recipients");
}

/// A188.
#[test]
fn matched_is_the_number_of_frames_that_sockets_receive() {
    let server = setup().workers(2).start();
    let mut pages: Vec<Raw> = (0..100)
        .map(|n| {
            server.open(&Open::at(&format!(
                r#"/web?key=shop&tags={{"a":"{}","b":"{}"}}"#,
                n % 3,
                n % 5
            )))
        })
        .collect();
    let mut client = Raw::connect(server.port);
    let (mut matched, mut heard) = (0, 0);
    for n in 0..1000_u64 {
        let to = match n % 4 {
            0 => format!(r#"{{"tags":{{"a":"{}"}}}}"#, n % 3),
            1 => format!(r#"{{"expr":"a={} | b={}"}}"#, n % 3, n % 7),
            2 => format!(r#"{{"expr":"!a={}"}}"#, n % 4),
            _ => format!(r#"{{"uuid":"{}"}}"#, pages[usize::try_from(n).unwrap() % 100].uuid),
        };
        let ack = if n % 2 == 0 { "written" } else { "accepted" };
        let body = format!(r#"{{"to":{to},"message":{n},"ack":"{ack}"}}"#);
        let answer = client.request(post(PUBLISH, &[SHOP], &body)).json();
        matched += answer["matched"].as_u64().unwrap();
        assert!(ack == "accepted" || answer["written"] == answer["matched"], "{answer}");
    }
    assert_eq!(server.post(PUBLISH, SHOP, r#"{"to":"all","message":"last"}"#).status(), 200);
    for page in &mut pages {
        while page.frame().as_text() != r#"{"opcode":"broadcast","message":"last"}"# {
            heard += 1;
        }
    }
    assert_eq!(matched, heard);
}
