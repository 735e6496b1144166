//! A publication with an id takes effect once (rule L11).

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::api::{ApiAnswer, Clients, OTHER, PUBLISH, SHOP, post, setup};
use crate::harness::processes::send_signal;
use crate::harness::{DEADLINE, Folder, Raw, Server, eventually, pause};

const BATCH: &str = "/v1/apps/shop/publish:batch";

fn body(more: &str) -> String {
    format!(r#"{{"to":{{"tags":{{"language":"FR"}}}},{more}}}"#)
}

fn publish(server: &Server, more: &str) -> ApiAnswer {
    server.post(PUBLISH, SHOP, &body(more))
}

fn with_key(server: &Server, key: &str, body: &str) -> ApiAnswer {
    let headers = [SHOP, ("Idempotency-Key", key)];
    Raw::connect(server.port).request(post(PUBLISH, &headers, body))
}

/// Whether the server knew the id `o-1` of a successful publication.
#[track_caller]
fn knew_the_id(answer: &ApiAnswer) -> bool {
    let json = answer.json();
    let shown = (answer.status(), json["id"].as_str(), json["matched"].as_u64());
    assert_eq!(shown, (200, Some("o-1"), Some(1)), "{}", answer.body);
    let is_repeated = json["repeated"].as_bool().unwrap();
    assert_eq!(answer.head.header("Idempotent-Replayed"), is_repeated.then_some("true"));
    is_repeated
}

#[track_caller]
fn is_first(answer: &ApiAnswer) {
    assert!(!knew_the_id(answer), "{}", answer.body);
}

#[track_caller]
fn is_repeated(answer: &ApiAnswer) {
    assert!(knew_the_id(answer), "{}", answer.body);
}

fn broadcast(message: &str) -> String {
    format!(r#"{{"opcode":"broadcast","message":"{message}"}}"#)
}

/// The tagged client has received these messages, and the others none.
#[track_caller]
fn f_heard(server: &Server, clients: &mut Clients, messages: &[&str]) {
    let frames: Vec<_> = messages.iter().map(|message| broadcast(message)).collect();
    let frames: Vec<_> = frames.iter().map(String::as_str).collect();
    clients.expect_frames(server, [&frames, &[], &[], &[], &[]]);
}

/// A189, A190, A191, A193, A197.
#[test]
fn a_repeat_gets_the_answer_of_the_first_and_is_not_delivered() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    is_first(&publish(&server, r#""message":"a","id":"o-1""#));
    is_repeated(&publish(&server, r#""message":"a","id":"o-1""#));
    is_repeated(&with_key(&server, "\"o-1\"", &body(r#""message":"a""#)));
    is_repeated(&with_key(&server, "o-1", &body(r#""message":"a","id":"o-1""#)));
    let later = body(r#""message":"a","ack":"none","timeout_ms":500,"max_recipients":7"#);
    is_repeated(&with_key(&server, "o-1", &later));
    let differing = with_key(&server, "o-2", &body(r#""message":"a","id":"o-1""#));
    differing.is_error(400, "invalid_header");
    f_heard(&server, &mut clients, &["a"]);
    // A dry run neither takes an id nor is answered from one.
    let dry = publish(&server, r#""message":"a","id":"o-1","dry_run":true"#);
    assert!(dry.json()["dry_run"] == true && dry.json()["repeated"].is_null(), "{}", dry.body);
    // Another application has ids of its own.
    let to_others = r#"{"to":{"tags":{"language":"FR"}},"message":"o","id":"o-1"}"#;
    is_first(&server.post("/v1/apps/other/publish", OTHER, to_others));
    assert!(clients.o.frame().as_text().contains("\"o\""));
    f_heard(&server, &mut clients, &[]);
}

/// A193.
#[test]
fn the_same_recipients_may_be_written_in_another_way() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let (f, n) = (clients.f.uuid.clone(), clients.n.uuid.clone());
    let send = |to: &str, more: &str| {
        server.post(PUBLISH, SHOP, &format!(r#"{{"to":{to},"message":"a"{more}}}"#)).json()
    };
    let many = |uuids: [&str; 2]| format!(r#","except":["{}","{}"]"#, uuids[0], uuids[1]);
    for (id, first, second) in [
        (
            "tags",
            (r#"{"tags":{"a":1,"b":2}}"#, String::new()),
            (r#"{"tags":{"b":"2","a":1}}"#, String::new()),
        ),
        (
            "expr",
            (r#"{"expr":"a=1 & b=2"}"#, String::new()),
            (r#"{"expr":"b=2&(a=1)"}"#, String::new()),
        ),
        (
            "except",
            (r#"{"tags":{"a":1}}"#, many([&f, &n])),
            (r#"{"tags":{"a":1}}"#, many([&n, &f])),
        ),
    ] {
        let first = send(first.0, &format!(r#"{},"id":"{id}""#, first.1));
        let second = send(second.0, &format!(r#"{},"id":"{id}""#, second.1));
        assert_eq!(
            (&first["repeated"], &second["repeated"]),
            (&false.into(), &true.into()),
            "{id}"
        );
    }
    f_heard(&server, &mut clients, &[]);
}

/// A192.
#[test]
fn an_id_belongs_to_one_content() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    is_first(&publish(&server, r#""message":"a","id":"o-1""#));
    for other in [
        body(r#""message":"b","id":"o-1""#),
        body(r#""message": "a" ,"text":null,"event":"e","id":"o-1""#),
        body(r#""text":"a","id":"o-1""#),
        r#"{"to":{"tags":{"language":"EN"}},"message":"a","id":"o-1"}"#.to_owned(),
        r#"{"to":{"expr":"language=FR"},"message":"a","id":"o-1"}"#.to_owned(),
        format!(
            r#"{{"to":{{"tags":{{"language":"FR"}}}},"except":["{}"],"message":"a","id":"o-1"}}"#,
            clients.n.uuid
        ),
    ] {
        server.post(PUBLISH, SHOP, &other).is_error(422, "id_reused");
    }
    let blank = body(r#""message":["a", 1],"id":"o-2""#);
    assert_eq!(server.post(PUBLISH, SHOP, &blank).status(), 200);
    let without = body(r#""message":["a",1],"id":"o-2""#);
    server.post(PUBLISH, SHOP, &without).is_error(422, "id_reused");
    for wrong in ["", "é", "\\u0000", "\\n", &"a".repeat(129)] {
        let answer = publish(&server, &format!(r#""message":"a","id":"{wrong}""#));
        assert_eq!(answer.error(), (400, "invalid_value".into(), "/id".into()), "{wrong}");
    }
    let longest = "~".repeat(128);
    let answer = publish(&server, &format!(r#""message":"b","id":"{longest}""#));
    assert_eq!(answer.json()["id"], longest.as_str());
    assert_eq!(clients.f.frame().as_text(), broadcast("a"));
    assert_eq!(clients.f.frame().as_text(), r#"{"opcode":"broadcast","message":["a", 1]}"#);
    f_heard(&server, &mut clients, &["b"]);
}

/// A194.
#[test]
fn a_hundred_connections_with_one_id_cause_one_delivery() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let bytes = post(PUBLISH, &[SHOP], &body(r#""message":"a","id":"o-1""#));
    let mut all: Vec<_> = (0..100).map(|_| Raw::connect(server.port)).collect();
    all.iter_mut().for_each(|client| client.send(&bytes));
    let answers: Vec<_> = all.iter_mut().map(Raw::read_answer).collect();
    let first = answers.iter().filter(|answer| answer.json()["repeated"] == false).count();
    assert!(answers.iter().all(|answer| answer.status() == 200));
    assert_eq!(first, 1);
    f_heard(&server, &mut clients, &["a"]);
}

/// A195.
#[test]
fn a_refused_publication_does_not_use_its_id() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let refused = publish(&server, r#""message":"a","id":"o-1","max_recipients":0"#);
    refused.is_error(409, "too_many_recipients");
    is_first(&publish(&server, r#""message":"a","id":"o-1""#));
    is_repeated(&publish(&server, r#""message":"a","id":"o-1","max_recipients":0"#));
    f_heard(&server, &mut clients, &["a"]);
    let gone = server.open(&crate::harness::Open::at("/web?key=shop"));
    let uuid = gone.uuid.clone();
    let path = format!("/v1/apps/shop/connections/{uuid}/feedback");
    drop(gone);
    let feedback = r#"{"message":"f","id":"f-1"}"#;
    let gone = || server.post(&path, SHOP, r#"{"message":"f"}"#).status() == 404;
    eventually("the end of the client", || gone().then_some(()));
    server.post(&path, SHOP, feedback).is_error(404, "connection_not_found");
    // The same as a publication, to which an address without a client is no error.
    let to_gone = format!(r#"{{"to":{{"uuid":"{uuid}"}},"message":"f","id":"f-1"}}"#);
    assert_eq!(server.post(PUBLISH, SHOP, &to_gone).json()["repeated"], false);
    let path = format!("/v1/apps/shop/connections/{}/feedback", clients.f.uuid);
    for expected in [false, true] {
        let key = [SHOP, ("Idempotency-Key", "f-2")];
        let answer = Raw::connect(server.port).request(post(&path, &key, r#"{"message":"f"}"#));
        assert_eq!(answer.json()["repeated"], expected);
    }
    assert_eq!(clients.f.frame().as_text(), r#"{"opcode":"feedback","message":"f"}"#);
    f_heard(&server, &mut clients, &[]);
}

/// A198.
#[test]
fn the_header_is_never_ignored() {
    let server = setup().start();
    let key = ("Idempotency-Key", "o-1");
    let send = |bytes: Vec<u8>| Raw::connect(server.port).request(bytes);
    for (target, body) in [
        (BATCH, r#"{"publications":[{"to":"all","message":1}]}"#),
        ("/v1/apps/shop/explain", r#"{"expr":"a"}"#),
    ] {
        send(post(target, &[SHOP, key], body)).is_error(400, "invalid_header");
    }
    let uuid = server.open(&crate::harness::Open::at("/web?key=shop")).uuid.clone();
    let change = post(
        &format!("/v1/apps/shop/connections/{uuid}/tags"),
        &[SHOP, key],
        r#"{"set":{"a":"b"}}"#,
    );
    let change = String::from_utf8(change).unwrap().replacen("POST", "PATCH", 1);
    send(change.into_bytes()).is_error(400, "invalid_header");
    let list = crate::harness::api::head("GET", "/v1/apps/shop/tags", &[SHOP, key]);
    send(list).is_error(400, "invalid_header");
    let twice = [SHOP, key, key];
    let twice = post(PUBLISH, &twice, &body(r#""message":1"#));
    send(twice).is_error(400, "invalid_header");
}

/// A76.
#[test]
fn a_batch_can_be_sent_again() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let item = |message: &str, id: &str| body(&format!(r#""message":"{message}","id":"{id}""#));
    let items = [item("a", "b-1"), item("a", "b-1"), item("c", "b-1"), item("d", "b-2")];
    let batch = format!(r#"{{"publications":[{}]}}"#, items.join(","));
    let shown = |result: &Value| (result["status"].as_u64(), result["repeated"].as_bool());
    for [first, last] in [[false, false], [true, true]] {
        let answer = server.post(BATCH, SHOP, &batch).json();
        let results: Vec<_> = answer["results"].as_array().unwrap().iter().map(shown).collect();
        let expected = [
            (Some(200), Some(first)),
            (Some(200), Some(true)),
            (Some(422), None),
            (Some(200), Some(last)),
        ];
        assert_eq!(results, expected, "{answer}");
    }
    f_heard(&server, &mut clients, &["a", "d"]);
}

#[test]
fn a_repeat_waits_for_the_answer_of_the_first_within_a_time() {
    let server = setup().ini("apiTimeout = 300ms").start();
    let mut clients = Clients::open(&server);
    let broker = server.broker();
    send_signal(broker, Signal::STOP);
    let first = publish(&server, r#""message":"a","id":"o-1""#);
    assert_eq!((first.status(), &first.json()["accepted"]), (202, &true.into()));
    let second = publish(&server, r#""message":"a","id":"o-1""#);
    second.is_error(409, "in_progress");
    assert_eq!(second.head.header("Retry-After"), Some("1"));
    publish(&server, r#""message":"b","id":"o-1""#).is_error(422, "id_reused");
    send_signal(broker, Signal::CONT);
    eventually("the answer of the first", || {
        (publish(&server, r#""message":"a","id":"o-1""#).status() == 200).then_some(())
    });
    is_repeated(&publish(&server, r#""message":"a","id":"o-1""#));
    f_heard(&server, &mut clients, &["a"]);
}

#[test]
fn counts_of_sockets_are_repeated_where_the_first_asked_for_them() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let written = r#""message":"a","id":"o-1","ack":"written""#;
    let first = publish(&server, written);
    assert_eq!(first.json()["written"], 1, "{}", first.body);
    let second = publish(&server, written);
    is_repeated(&second);
    assert_eq!(second.json()["written"], 1, "{}", second.body);
    assert!(publish(&server, r#""message":"a","id":"o-1""#).json()["written"].is_null());
    assert_eq!(publish(&server, r#""message":"b","id":"o-2""#).status(), 200);
    let third = publish(&server, r#""message":"b","id":"o-2","ack":"written""#).json();
    assert!(third["repeated"] == true && third["written"].is_null(), "{third}");
    // The next API process knows the counts too.
    send_signal(server.api_process(), Signal::KILL);
    assert_eq!(publish(&server, written).json()["written"], 1);
    f_heard(&server, &mut clients, &["a", "b"]);
}

/// A199, A200.
#[test]
fn an_id_is_forgotten_after_its_window_and_counted_if_earlier() {
    let server = setup().ini("idempotencyWindow = 1s\nidempotencyMax = 100").start();
    let mut clients = Clients::open(&server);
    is_first(&publish(&server, r#""message":"a","id":"o-1""#));
    pause(Duration::from_millis(2100));
    is_first(&publish(&server, r#""message":"a","id":"o-1""#));
    f_heard(&server, &mut clients, &["a", "a"]);
    let server = setup().ini("idempotencyMax = 100").start();
    let mut client = Raw::connect(server.port);
    let mut send = |id: usize| {
        let body = format!(r#"{{"to":{{"tags":{{"a":1}}}},"message":1,"id":"{id}"}}"#);
        client.request(post(PUBLISH, &[SHOP], &body)).json()["repeated"] == true
    };
    (0..150).for_each(|id| assert!(!send(id)));
    assert!((50..150).all(&mut send));
    assert_eq!(server.status().api().unwrap().ids_evicted, 50);
    server.wait_for_output("event=ids_evicted");
    // The next API process knows as many.
    send_signal(server.api_process(), Signal::KILL);
    let mut client = Raw::connect(server.port);
    let body = r#"{"to":{"tags":{"a":1}},"message":1,"id":"50"}"#;
    assert_eq!(client.request(post(PUBLISH, &[SHOP], body)).json()["repeated"], true);
}

/// A196.
#[test]
fn an_id_is_used_once_whichever_process_dies() {
    let folder = Folder::new();
    let state = format!("stateDir = {}", folder.path("state").display());
    let server = setup().ini(&state).start();
    let mut clients = Clients::open(&server);
    let send = |server: &Server| publish(server, r#""message":"a","id":"o-1""#);
    let again = |server: &Server| is_repeated(&send(server));
    let kill_api = || {
        let api = server.api_process();
        send_signal(api, Signal::KILL);
        eventually("another API process", || (server.api_process() != api).then_some(()));
    };
    is_first(&send(&server));
    let broker = server.kill_broker();
    eventually("another broker", || (server.broker() != broker).then_some(()));
    again(&server);
    // Two that die within the same moments may forget ids. The answer of the next broker shows that it knows them.
    let answered = publish(&server, r#""message":"b","dry_run":true"#);
    assert_eq!(answered.status(), 200, "{}", answered.body);
    kill_api();
    again(&server);
    kill_api();
    again(&server);
    let broker = server.kill_broker();
    eventually("another broker", || (server.broker() != broker).then_some(()));
    again(&server);
    f_heard(&server, &mut clients, &["a"]);
    let workers = server.workers(2);
    send_signal(workers[0], Signal::KILL);
    eventually("another worker", || (!server.workers(2).contains(&workers[0])).then_some(()));
    again(&server);
    drop(clients);
    server.term();
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    let server = setup().ini(&state).start();
    again(&server);
    publish(&server, r#""message":"b","id":"o-1""#).is_error(422, "id_reused");
}
