//! What the HTTP API shows about one client, while workers and brokers die too.

use std::thread;
use std::time::SystemTime;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::backend::{Act, Backend};
use crate::harness::api::{AUTH, ApiAnswer, Clients, OTHER, SHOP, setup};
use crate::harness::processes::send_signal;
use crate::harness::{Open, Raw, Server, eventually};

fn target(uuid: &str) -> String {
    format!("/v1/apps/shop/connections/{uuid}")
}

fn ask(server: &Server, uuid: &str) -> ApiAnswer {
    server.call("GET", &target(uuid), &[SHOP, ("X-Request-Id", "one")])
}

#[track_caller]
fn show(server: &Server, uuid: &str) -> Value {
    let answer = ask(server, uuid);
    assert_eq!(answer.status(), 200, "{}", answer.body);
    answer.json()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// The worker process of a client.
fn worker_of(server: &Server, uuid: &str) -> u32 {
    let number = show(server, uuid)["worker"].as_u64().unwrap();
    let workers = server.workers(2);
    // The list is in the order of their numbers.
    workers[usize::try_from(number).unwrap()]
}

/// A97.
#[test]
fn a_client_is_shown_with_all_that_is_known_about_it() {
    let started = now();
    let server = setup().start();
    let clients = Clients::open(&server);
    let mut shown = show(&server, &clients.f.uuid);
    let opened = shown["opened_at"].as_u64().unwrap();
    assert!((started..=now()).contains(&opened), "{opened}");
    assert!(shown["worker"] == json!(0) || shown["worker"] == json!(1));
    assert!(shown["version"].is_u64());
    for varying in ["opened_at", "version", "worker"] {
        shown[varying] = Value::Null;
    }
    let right = json!({
        "uuid": clients.f.uuid, "ident": null, "kind": "web", "tags": {"language": "FR"},
        "version": null, "worker": null, "dialect": "phpws", "application": "shop", "ip": "127.0.0.1",
        "opened_at": null, "user": null, "outbox": {"bytes": 0, "waiting": 0}, "token": null
    });
    assert_eq!(shown, right);
    let php = show(&server, &clients.p.uuid);
    assert_eq!((&php["kind"], &php["ident"]), (&json!("php"), &json!("job")));
    let address = Raw::connect_from("127.0.0.9", server.port);
    let other = Open::at("/web?key=shop").upgrade_over(address);
    let listed = server.call("GET", "/v1/apps/shop/connections?limit=1000", &[SHOP]).json();
    let uuids = listed["connections"].as_array().unwrap().iter();
    let ips: Vec<Value> =
        uuids.map(|it| show(&server, it["uuid"].as_str().unwrap())["ip"].clone()).collect();
    assert!(ips.contains(&json!("127.0.0.9")), "{ips:?}");
    drop(other);
}

/// A98.
#[test]
fn a_client_of_another_tenant_is_unknown_like_one_that_has_left() {
    let server = setup().start();
    let clients = Clients::open(&server);
    let gone = server.open(&Open::at("/web?key=shop"));
    let uuid = gone.uuid.clone();
    drop(gone);
    let left = eventually("the client is gone", || {
        Some(ask(&server, &uuid)).filter(|answer| answer.status() == 404)
    });
    left.is_error(404, "connection_not_found");
    let foreign = ask(&server, &clients.o.uuid);
    assert_eq!(foreign.body, left.body);
    let own = format!("/v1/apps/other/connections/{}", clients.o.uuid);
    assert_eq!(server.call("GET", &own, &[OTHER]).json()["dialect"], "phpws");
    ask(&server, "none").is_error(400, "invalid_uuid");
    let answer = server.call("GET", &target(&format!("{}?x=1", clients.f.uuid)), &[SHOP]);
    answer.is_error(400, "unknown_parameter");
    let auth = AUTH.replace("clientPublish: true", "permissions: [publish]");
    let server = setup().auth(&auth).start();
    ask(&server, &clients.f.uuid).is_error(403, "permission_denied");
}

#[test]
fn the_user_that_a_backend_has_named_is_shown() {
    let accept = r#"{"command":"accept","user":{"id":7,"name":"Zoë"},"tags":{"vip":"1"}}"#;
    let backend = Backend::start(move |event| match event["event"].as_str() {
        Some("open") => Act::Commands(accept),
        _ => Act::Commands(""),
    });
    let bound =
        format!("[resource /chat]\nkind = http\nurl = {}\napplication = shop", backend.url());
    let server = setup().ini(&bound).start();
    let client = Open::at("/chat?key=shop").upgrade(server.port);
    let listed = server.call("GET", "/v1/apps/shop/connections", &[SHOP]).json();
    let shown = show(&server, listed["connections"][0]["uuid"].as_str().unwrap());
    assert_eq!(shown["user"], json!({"id": 7, "name": "Zoë"}));
    assert_eq!((&shown["dialect"], &shown["tags"]["vip"]), (&json!("plain"), &json!("1")));
    drop(client);
}

#[test]
fn a_worker_that_dies_before_it_answers_has_no_clients() {
    let server = setup().start();
    let client = server.open(&Open::at("/web?key=shop"));
    let worker = worker_of(&server, &client.uuid);
    send_signal(worker, Signal::STOP);
    let answer = thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&server, &client.uuid));
        send_signal(worker, Signal::KILL);
        asked.join().unwrap()
    });
    answer.is_error(404, "connection_not_found");
}

#[test]
fn a_new_broker_asks_the_worker_again() {
    let server = setup().start();
    let client = server.open(&Open::at("/web?key=shop"));
    for _ in 0..3 {
        let worker = worker_of(&server, &client.uuid);
        send_signal(worker, Signal::STOP);
        let answer = thread::scope(|scope| {
            let asked = scope.spawn(|| ask(&server, &client.uuid));
            server.kill_broker();
            send_signal(worker, Signal::CONT);
            asked.join().unwrap()
        });
        assert_eq!(answer.status(), 200, "{}", answer.body);
        assert_eq!(answer.json()["uuid"], client.uuid.as_str());
    }
}

#[test]
fn a_worker_that_hangs_makes_no_request_wait_longer_than_its_time() {
    let server = setup().ini("apiTimeout = 200ms").start();
    let client = server.open(&Open::at("/web?key=shop"));
    let worker = worker_of(&server, &client.uuid);
    send_signal(worker, Signal::STOP);
    ask(&server, &client.uuid).is_error(503, "broker_unavailable");
    send_signal(worker, Signal::CONT);
    let shown = eventually("the worker answers again", || {
        Some(ask(&server, &client.uuid)).filter(|answer| answer.status() == 200)
    });
    assert_eq!(shown.json()["uuid"], client.uuid.as_str());
}

#[test]
fn bytes_that_a_client_does_not_read_are_in_its_outbox() {
    let server = setup().start();
    let client = server.open(&Open::at("/web?key=shop"));
    let message = "x".repeat(64 * 1024);
    let body = format!(r#"{{"to":{{"uuid":"{}"}},"message":"{message}"}}"#, client.uuid);
    let outbox = eventually("the socket is full", || {
        assert_eq!(server.post("/v1/apps/shop/publish", SHOP, &body).status(), 200);
        let outbox = show(&server, &client.uuid)["outbox"].clone();
        (outbox["waiting"].as_u64().unwrap() > 0).then_some(outbox)
    });
    assert!(outbox["bytes"].as_u64().unwrap() > 0, "{outbox}");
}
