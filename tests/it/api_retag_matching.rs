//! `POST …/connections:retag`: the tags of all clients that match an expression change at once.

use std::thread;

use serde_json::{Value, json};

use crate::harness::api::{ApiAnswer, Clients, LIST, PUBLISH, SHOP, listed, post, setup};
use crate::harness::{Open, Raw, Server};

fn retag(server: &Server, body: &Value) -> ApiAnswer {
    server.post(&format!("{LIST}:retag"), SHOP, &body.to_string())
}

#[test]
fn the_tags_of_all_clients_that_match_change_at_once() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let body = |more: Value| {
        let mut body = json!({"expr": "language?", "set": {"wave": 1}, "remove": ["room"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let dry = retag(&server, &body(json!({"dry_run": true}))).json();
    assert_eq!((&dry["dry_run"], &dry["matched"]), (&json!(true), &json!(2)));
    let refused = retag(&server, &body(json!({"max_recipients": 1})));
    assert_eq!(refused.is_error(409, "too_many_recipients").json()["error"]["matched"], 2);
    let count = |expr: &str| {
        server.call("GET", &format!("{LIST}?limit=0&expr={expr}"), &[SHOP]).json()["matched"]
            .clone()
    };
    assert_eq!(count("wave%3F"), 0);
    let answer = retag(&server, &body(json!({})));
    assert_eq!((answer.status(), &answer.json()["matched"]), (200, &json!(2)), "{}", answer.body);
    assert_eq!((count("wave%3D1"), count("room%3F")), (json!(2), json!(0)));
    assert_eq!(listed(&server, &clients.f.uuid).1, json!({"language": "FR", "wave": "1"}));
    server.post(PUBLISH, SHOP, r#"{"to":{"tags":{"wave":"1"}},"message":1}"#);
    clients.f.expect_text(r#"{"opcode":"broadcast","message":1}"#);
    assert_eq!(clients.e.frame().as_text(), "1");
    server.kill_broker();
    assert_eq!(
        (count("wave%3D1"), count("room%3F")),
        (json!(2), json!(0)),
        "it survives the broker"
    );
    for (body, status, code, at) in [
        (json!({"set": {"a": 1}}), 400, "missing_member", "/expr"),
        (json!({"expr": "a?"}), 400, "missing_member", "/set"),
        (json!({"expr": "a?", "set": {"@a": 1}}), 422, "invalid_tags", "/set"),
        (json!({"expr": "a?", "set": {}, "if_version": 1}), 400, "unknown_member", "/if_version"),
        (
            json!({"expr": {"tag": "a", "is": 1.5}, "set": {}}),
            422,
            "invalid_expression",
            "/expr/is",
        ),
    ] {
        let error = retag(&server, &body).error();
        assert_eq!(error, (status, code.into(), at.into()), "{body}");
    }
    let many: serde_json::Map<String, Value> =
        (0..128).map(|n| (format!("n{n}"), json!("x"))).collect();
    let full = retag(&server, &json!({"expr": "language?", "set": many}));
    full.is_error(422, "too_many_tags");
    assert_eq!(count("n0%3F"), 0, "none was changed");
}

/// A107: a thousand publications, to the clients with the new tag and to those without it.
#[test]
fn a_publication_reaches_all_clients_of_a_change_or_none() {
    const CLIENTS: usize = 20;
    const PUBLICATIONS: usize = 50;
    let server = setup().start();
    let open = |_| server.open(&Open::at(r#"/web?key=shop&tags={"language":"FR"}"#));
    let mut clients: Vec<Raw> = (0..CLIENTS).map(open).collect();
    let received = |clients: &mut Vec<Raw>, wave: u64| {
        let each = clients.iter_mut().map(|client| {
            let mut got = Vec::new();
            loop {
                let text = client.frame().as_text().to_owned();
                if text.contains("last") {
                    return got;
                }
                got.push(text);
            }
        });
        let each: Vec<Vec<String>> = each.collect();
        for other in &each[1..] {
            assert_eq!(
                &each[0], other,
                "wave {wave}: some clients got a publication, others did not"
            );
        }
        each[0].len()
    };
    let (mut reached, mut mixed) = (0, 0);
    // Ten waves, and more until a change falls between two publications.
    for wave in 0..200_u64 {
        if wave >= 10 && mixed > 0 {
            break;
        }
        thread::scope(|scope| {
            let publishing = [
                format!(r#"{{"tags":{{"wave":"{wave}"}}}}"#),
                format!(r#"{{"expr":"!wave={wave}"}}"#),
            ]
            .map(|to| {
                let server = &server;
                scope.spawn(move || {
                    let mut backend = Raw::connect(server.port);
                    let mut counts = [0; 2];
                    for n in 0..PUBLICATIONS {
                        let body = format!(r#"{{"to":{to},"message":{n}}}"#);
                        let answer = backend.request(post(PUBLISH, &[SHOP], &body));
                        match (answer.status(), answer.json()["matched"].as_u64().unwrap()) {
                            (200, 0) => counts[0] += 1,
                            (200, matched) if matched == CLIENTS as u64 => counts[1] += 1,
                            (status, matched) => panic!("{status}, {matched} matched"),
                        }
                    }
                    counts
                })
            });
            let change = json!({"expr": "language?", "set": {"wave": wave}});
            let answer = retag(&server, &change);
            assert_eq!((answer.status(), &answer.json()["matched"]), (200, &json!(CLIENTS)));
            for publisher in publishing {
                let [none, all] = publisher.join().unwrap();
                reached += all;
                mixed += usize::from(none > 0 && all > 0);
            }
        });
        server.post(PUBLISH, SHOP, r#"{"to":"all","message":"last"}"#);
        assert_eq!(received(&mut clients, wave), std::mem::take(&mut reached));
    }
    assert!(mixed > 0, "no change was made between two publications");
}
