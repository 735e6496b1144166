//! Pings and the end of connections of `tagcast.v1`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::api::{SHOP, SHOP_SECRET, setup};
use crate::harness::{End, Finished, Open, Raw, Server, Setup, eventually, frames, run_to_end};
use rustix::net::sockopt::set_socket_recv_buffer_size;

fn pinged() -> Server {
    Setup::new().ini("pingInterval = 300ms").start()
}

/// V63.
#[test]
fn a_client_that_answers_pings_stays_connected() {
    let server = pinged();
    let mut client = server.open_v1("/", json!({}));
    for _ in 0..10 {
        client.expect_json(json!({"op": "ping"}));
        client.say(json!({"op": "pong"}));
    }
}

/// V64.
#[test]
fn a_client_that_answers_no_ping_is_closed() {
    let server = pinged();
    let began = Instant::now();
    let mut client = server.open_v1("/", json!({}));
    client.expect_json(json!({"op": "ping"}));
    client.expect_json(json!({"op": "ping"}));
    let bye = client.expect_bye(4201);
    assert_eq!(bye["reason"], "ping timeout");
    assert!(began.elapsed() >= Duration::from_millis(600), "{:?}", began.elapsed());
}

/// V65.
#[test]
fn any_frame_answers_a_ping() {
    let server = pinged();
    let mut client = server.open_v1("/", json!({}));
    for id in 0..6 {
        client.expect_json(json!({"op": "ping"}));
        client.request_v1(id, json!({"op": "pub", "to": {"tags": {"no": "1"}}, "data": 1}));
    }
}

/// V66.
#[test]
fn a_ping_of_a_client_is_answered_with_the_time() {
    let server = Server::start();
    let mut client = server.open_v1("/", json!({}));
    client.say(json!({"op": "ping", "id": 9}));
    let pong = client.json();
    assert_eq!((&pong["op"], &pong["id"]), (&json!("pong"), &json!(9)));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    assert!(now.abs_diff(pong["time"].as_u64().unwrap()) < 60_000);
    client.send(frames::ping("rfc"));
    client.expect_pong(b"rfc");
    client.say(json!({"op": "ping"}));
    assert_eq!(client.json().get("id"), None);
}

/// V67.
#[test]
fn a_shutdown_spreads_the_clients_that_come_back() {
    let server = Setup::new().ini("drainTime = 5s").start();
    let mut clients: Vec<Raw> = (0..60).map(|_| server.open_v1("/", json!({}))).collect();
    server.term();
    let mut times: Vec<u64> = clients
        .iter_mut()
        .map(|client| {
            let bye = client.expect_bye(4200);
            client.send(frames::close(4200, ""));
            bye["retry_after_ms"].as_u64().unwrap()
        })
        .collect();
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 50, "{times:?}");
    assert!(times[times.len() - 1] - times[0] >= 2000, "{times:?}");
}

/// V70.
#[test]
fn too_many_control_frames_close() {
    let server = Server::start();
    let flood = |bytes: Vec<u8>| {
        let mut client = server.open_v1("/", json!({}));
        client.send(bytes.repeat(250));
        loop {
            let frame = client.frame();
            if frame.is_close() {
                assert_eq!(frame.close_code(), Some(4103));
                return;
            }
        }
    };
    flood(frames::ping("x"));
    flood(frames::text(r#"{"op":"ping","id":1}"#));
    flood(frames::text(r#"{"op":"pong"}"#));
}

/// V71.
#[test]
fn a_reload_that_removes_the_application_closes() {
    let server = setup().start();
    let mut client = server.open_v1("/", json!({"key": "shop"}));
    server.folder.write(
        "auth.yml",
        "applications:\n  - {key: new, secret: k3y-for-tests-only-0123456789abcdef, authorizeOpen: true}\n",
    );
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    let bye = client.expect_bye(4003);
    assert_eq!(bye["reason"], "application removed or changed");
}

/// V74: what the client reads before the Close depends on the room in its socket, and the `bye` too.
#[test]
fn a_close_after_a_full_outbox_has_its_code_and_reason() {
    let server = Server::start();
    let mut client = Open::v1("/").upgrade(server.port);
    set_socket_recv_buffer_size(client.stream(), 65_536).unwrap();
    client.hello(json!({}));
    let uuid = client.expect_welcome()["uuid"].as_str().unwrap().to_owned();
    let body = json!({"to": {"uuid": uuid}, "message": "x".repeat(200_000)}).to_string();
    for _ in 0..30 {
        assert_eq!(server.post("/v1/apps/-/publish", ("X", "1"), &body).status(), 200);
    }
    let path = format!("/v1/apps/-/connections/{uuid}?code=4202&reason=reconnect");
    assert_eq!(server.call("DELETE", &path, &[]).status(), 200);
    let close = loop {
        let frame = client.frame();
        if frame.is_close() {
            break frame;
        }
    };
    assert_eq!((close.close_code(), &close.payload[2..]), (Some(4202), &b"reconnect"[..]));
}

/// V72, as far as there are no records.
#[test]
fn a_client_ends_its_connection() {
    let server = setup().start();
    let members = json!({"key": "shop", "secret": SHOP_SECRET});
    let mut publisher = server.open_v1("/", members);
    let ends: [fn(&mut Raw); 4] = [
        |client| {
            client.say(json!({"op": "bye"}));
            client.expect_closed(1000);
        },
        |client| {
            client.send(frames::close(1000, ""));
            client.expect_close(1000);
        },
        |client| {
            client.send(frames::close(1001, "left"));
            client.expect_close(1001);
        },
        |client| {
            client.send(frames::masked(0x88, b""));
            client.expect_close(1000);
        },
    ];
    for end in ends {
        let mut client = server.open_v1("/", json!({"key": "shop"}));
        end(&mut client);
        let to = json!({"uuid": client.uuid});
        // The broker may learn of the end after the client.
        eventually("the end of the client", || {
            publisher.say(json!({"op": "pub", "id": 1, "to": to, "report": true, "data": 1}));
            (publisher.json()["matched"] == 0).then_some(())
        });
    }
    let output = server.output();
    assert!(output.contains("by=client code=1000") && !output.contains("by=server"), "{output}");
}

#[test]
fn a_backend_closes_a_client_with_its_own_code() {
    let server = setup().start();
    let mut client = server.open_v1("/", json!({"key": "shop", "tags": {"a": "1"}}));
    let body = json!({"expr": "a=1", "code": 4900, "reason": "slow client"});
    let answer = server.post("/v1/apps/shop/connections:disconnect", SHOP, &body.to_string());
    assert_eq!(answer.status(), 200, "{}", answer.body);
    let bye = client.expect_bye(4900);
    assert_eq!(bye, json!({"op": "bye", "code": 4900, "reason": "slow client"}));
}

/// V69, without what a record would keep.
#[test]
fn a_client_that_does_not_read_is_closed_and_others_are_served() {
    let server = Setup::new().ini("maxMessage = 1M\noutboxLimit = 1M").start();
    let mut slow = server.open_v1("/", json!({}));
    let mut publisher = server.open_v1("/", json!({}));
    let data = "x".repeat(100_000);
    for id in 0..200 {
        let to = json!({"uuid": slow.uuid});
        publisher.request_v1(id, json!({"op": "pub", "to": to, "data": data}));
    }
    server.wait_for_output("slow client");
    let end: Result<Value, End> = loop {
        match slow.frame_or_end() {
            Ok(frame) if frame.is_close() => break Ok(json!(frame.close_code())),
            Ok(_) => {}
            Err(end) => break Err(end),
        }
    };
    assert!(matches!(end, Err(End::Reset)) || end == Ok(json!(4102)), "{end:?}");
}
