//! Revoked tokens over several hosts.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cluster_queries::signal_all;
use crate::harness::api::SHOP;
use crate::harness::nats::{Nats, host, wait_until_joined};
use crate::harness::tokens::{auth, with_token};
use crate::harness::{Server, eventually};

const REVOKE: &str = "/v1/apps/shop/tokens:revoke";

fn start(nats: &Nats) -> Server {
    host(nats).auth(&auth("")).start()
}

fn revoke(server: &Server, body: &Value) -> Value {
    let answer = server.post(REVOKE, SHOP, &body.to_string());
    assert_eq!(answer.status(), 200, "{}", answer.body);
    answer.json()
}

/// Returns whether a token opens no connection.
fn is_refused(server: &Server, claims: &Value) -> bool {
    with_token(claims).ask(server.port).read_head().status() == 401
}

/// Returns the file of a host.
fn stored(server: &Server) -> String {
    std::fs::read_to_string(server.folder.path("state/revoked")).unwrap()
}

pub fn a_token_that_one_host_revokes_is_refused_by_all() {
    let nats = Nats::start("");
    let hosts = [start(&nats), start(&nats), start(&nats)];
    wait_until_joined(&hosts);
    let [a, b, c] = &hosts;
    let claims = json!({"sub": "1", "jti": "t-1"});
    let mut clients = [b.open(&with_token(&claims)), c.open(&with_token(&claims))];
    let mut stays = c.open(&with_token(&json!({"sub": "1", "jti": "t-2"})));
    let answer = revoke(a, &json!({"jti": "t-1"}));
    let all = json!({"asked": 3, "answered": 3});
    assert_eq!(answer, json!({"revoked": true, "hosts": all, "partial": false}));
    for client in &mut clients {
        let close = client.expect_close(1008);
        assert_eq!(&close.payload[2..], b"token revoked");
    }
    assert!(hosts.iter().all(|host| is_refused(host, &claims)), "at once");
    assert!(stored(c).contains("\"t-1\""));
    // The command shows the same.
    let done = b.command(&["token", "revoke", "--app", "shop", "--jti", "t-2"]);
    assert_eq!(done.code, Some(0), "{}", done.text);
    assert!(done.text.contains("on no host of the cluster"), "{}", done.text);
    stays.expect_close(1008);
}

pub fn a_host_that_joins_later_gets_the_list() {
    let nats = Nats::start("");
    let hosts = [start(&nats), start(&nats)];
    wait_until_joined(&hosts);
    let claims = |number: usize| json!({"sub": "1", "jti": format!("t-{number}")});
    for number in 0..20 {
        revoke(&hosts[number % 2], &json!({"jti": format!("t-{number}")}));
    }
    let late = start(&nats);
    eventually("a list that is complete", || {
        (0..20).all(|number| is_refused(&late, &claims(number))).then_some(())
    });
    assert!(!is_refused(&late, &claims(99)));
    // It has all of them also after a restart without the others.
    let text = stored(&late);
    assert!((0..20).all(|number| text.contains(&format!("\"t-{number}\""))), "{text}");
}

pub fn a_host_that_hangs_makes_a_revocation_partial_and_gets_it_later() {
    let nats = Nats::start("");
    let hosts = [start(&nats), start(&nats)];
    wait_until_joined(&hosts);
    let claims = json!({"sub": "1", "jti": "t-1"});
    let mut client = hosts[1].open(&with_token(&claims));
    signal_all(&hosts[1], Signal::STOP);
    let answer = revoke(&hosts[0], &json!({"jti": "t-1"}));
    let one = json!({"asked": 2, "answered": 1});
    assert_eq!(answer, json!({"revoked": true, "hosts": one, "partial": true}));
    assert!(is_refused(&hosts[0], &claims));
    signal_all(&hosts[1], Signal::CONT);
    client.expect_close(1008);
    eventually("a token that is refused", || is_refused(&hosts[1], &claims).then_some(()));
}
