//! Revocation of tokens: over the HTTP API and on the command line, and what survives.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};
use tagcast::config::{ConfigSources, load};
use tagcast::server::InProcess;

use crate::harness::api::{SHOP, post, setup};
use crate::harness::processes::send_signal;
use crate::harness::tokens::{auth, now, show, token, with_token};
use crate::harness::{DEADLINE, Finished, Folder, Open, Raw, Server, eventually, run_to_end};

const REVOKE: &str = "/v1/apps/shop/tokens:revoke";

fn server() -> Server {
    setup().auth(&auth("")).start()
}

#[track_caller]
fn revoke(server: &Server, body: &Value) {
    let answer = server.post(REVOKE, SHOP, &body.to_string());
    assert_eq!((answer.status(), &*answer.body), (200, r#"{"revoked":true}"#));
}

#[track_caller]
fn expect_revoked(client: &mut Raw) {
    let close = client.expect_close(1008);
    assert_eq!(&close.payload[2..], b"token revoked");
}

/// Expects that a token opens nothing.
#[track_caller]
fn expect_refused(server: &Server, claims: &Value) {
    let mut client = with_token(claims).ask(server.port);
    let head = client.read_head();
    assert_eq!(head.status(), 401, "{claims}");
    let length = head.header("Content-Length").unwrap().parse().unwrap();
    let body: Value = serde_json::from_slice(&client.read_exactly(length)).unwrap();
    assert_eq!(body["code"], "token_revoked", "{claims}");
}

/// Starts a server that finds the revocations of the last one in the same state folder.
fn start_in(state: &Path) -> Server {
    setup().ini(&format!("stateDir = {}", state.display())).auth(&auth("")).start()
}

/// A223.
#[test]
fn a_revoked_token_is_refused_by_every_worker_now_and_later() {
    let folder = Folder::new();
    let state = folder.path("state");
    let server = start_in(&state);
    let claims = json!({"sub": "1", "jti": "t-1"});
    let mut clients: Vec<Raw> = (0..8).map(|_| server.open(&with_token(&claims))).collect();
    let mut stays = server.open(&with_token(&json!({"sub": "1", "jti": "t-2"})));
    revoke(&server, &json!({"jti": "t-1"}));
    // They were closed before the answer.
    clients.iter_mut().for_each(expect_revoked);
    expect_refused(&server, &claims);
    let mode = fs::metadata(state.join("revoked")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Its successor has the list before it accepts a connection.
    let former = server.workers(2);
    former.iter().for_each(|worker| send_signal(*worker, Signal::KILL));
    stays.wait_for_end();
    eventually("new workers", || {
        let workers = server.with_role("worker");
        (workers.len() == 2 && workers.iter().all(|it| !former.contains(it))).then_some(())
    });
    for _ in 0..8 {
        expect_refused(&server, &claims);
    }
    server.open(&with_token(&json!({"sub": "1", "jti": "t-2"})));
    server.term();
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
    let server = start_in(&state);
    expect_refused(&server, &claims);
    server.open(&with_token(&json!({"sub": "1", "jti": "t-2"})));
}

#[test]
fn tokens_of_a_user_and_all_older_ones_are_revoked_by_their_time() {
    let server = server();
    let time = now() - 100;
    let of = |sub: &str, iat: u64| with_token(&json!({"sub": sub, "iat": iat}));
    let mut old = server.open(&of("1", time - 1));
    let mut without = server.open(&with_token(&json!({"sub": "1"})));
    let new = server.open(&of("1", time));
    let mut other = server.open(&of("2", time - 1));
    revoke(&server, &json!({"sub": "1", "issued_before": time}));
    expect_revoked(&mut old);
    expect_revoked(&mut without);
    expect_refused(&server, &json!({"sub": "1", "iat": time - 1}));
    assert_eq!(show(&server, &new)["token"]["sub"], "1");
    assert_eq!(show(&server, &other)["token"]["sub"], "2");
    revoke(&server, &json!({"issued_before": time}));
    expect_revoked(&mut other);
    expect_refused(&server, &json!({"sub": "3"}));
    assert_eq!(show(&server, &new)["token"]["sub"], "1");
    server.open(&of("2", time));
}

/// A connection cannot get a revoked token either, and a reload forgets none.
#[test]
fn a_revoked_token_refreshes_nothing() {
    let server = server();
    revoke(&server, &json!({"jti": "t-1"}));
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    server.folder.write("auth.yml", &auth("    clientPublish: true"));
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    let mut client = server.open(&Open::at("/web?key=shop"));
    let revoked = token(&json!({"jti": "t-1"}));
    client.text(json!({"opcode": "token", "token": revoked}).to_string());
    client.expect_next();
    client.expect_text(r#"{"opcode":"error","error":"token revoked"}"#);
    assert_eq!(show(&server, &client)["token"], Value::Null);
}

#[test]
fn a_command_revokes_tokens() {
    let server = server();
    let mut client = server.open(&with_token(&json!({"sub": "1", "jti": "t-1"})));
    let revoke = |arguments: &[&str]| {
        run_to_end(&server.folder, &[&["token", "revoke", "--app"], arguments].concat())
    };
    let Finished { code, text } = revoke(&["shop", "--jti", "t-1"]);
    assert_eq!(code, Some(0), "{text}");
    expect_revoked(&mut client);
    let mut client = server.open(&with_token(&json!({"sub": "1", "jti": "t-2", "iat": now() - 5})));
    let Finished { code, text } = revoke(&["shop", "--sub", "1"]);
    assert_eq!(code, Some(0), "{text}");
    expect_revoked(&mut client);
    for application in ["other", "nobody"] {
        let Finished { code, text } = revoke(&[application, "--all"]);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("does not exist, or accepts no tokens"), "{text}");
    }
    let Finished { code, .. } = revoke(&["shop"]);
    assert_eq!(code, Some(2), "what is revoked must be said");
}

#[test]
fn a_wrong_request_revokes_nothing() {
    let server = server();
    let client = server.open(&with_token(&json!({"sub": "1", "jti": "t-1"})));
    for (body, code) in [
        (json!({}), "missing_member"),
        (json!({"sub": "1"}), "missing_member"),
        (json!({"jti": ""}), "invalid_value"),
        (json!({"jti": "x".repeat(129)}), "invalid_value"),
        (json!({"jti": 1}), "wrong_type"),
        (json!({"jti": "t-1", "sub": "1"}), "invalid_value"),
        (json!({"issued_before": now() + 60}), "invalid_value"),
        (json!({"issued_before": "1"}), "wrong_type"),
        (json!({"kid": "main"}), "unknown_member"),
    ] {
        server.post(REVOKE, SHOP, &body.to_string()).is_error(400, code);
    }
    let other = ("Authorization", "Bearer oth-for-tests-only-0123456789abcdef");
    let body = r#"{"jti":"t-1"}"#;
    server.post("/v1/apps/other/tokens:revoke", other, body).is_error(409, "not_possible");
    server.post(REVOKE, other, body).is_error(401, "invalid_credentials");
    assert_eq!(show(&server, &client)["token"]["sub"], "1");
}

/// A file that is not understood must not make revoked tokens valid again.
#[test]
fn a_broken_file_of_revoked_tokens_stops_the_start() {
    let folder = Folder::new();
    folder.write("websock.ini", "address = ws://127.0.0.1:0\nworkers = 1\n");
    folder.write("auth.yml", &auth(""));
    fs::create_dir_all(folder.path("state")).unwrap();
    folder.write("state/revoked", "tagcast revoked 1\n{\"app\":\"shop\"}\n");
    let Finished { code, text } = run_to_end(&folder, &["serve"]);
    assert_eq!(code, Some(78), "{text}");
    assert!(text.contains("revoked: line 2 is not a revocation"), "{text}");
}

#[test]
fn a_revocation_above_the_limit_is_refused_and_a_known_one_is_not() {
    const REVOCATIONS_MAX: usize = 100_000;
    let folder = Folder::new();
    let state = folder.path("state");
    let server = start_in(&state);
    revoke(&server, &json!({"jti": "t-0"}));
    drop(server);
    let file = state.join("revoked");
    let text = fs::read_to_string(&file).unwrap();
    let (title, line) = text.split_once('\n').unwrap();
    let lines = (0..REVOCATIONS_MAX).map(|n| line.replace("t-0", &format!("t-{n}")));
    let all: String = [format!("{title}\n")].into_iter().chain(lines).collect();
    fs::write(&file, all).unwrap();
    let server = start_in(&state);
    let answer = server.post(REVOKE, SHOP, r#"{"jti":"one-more"}"#);
    let error = &answer.is_error(429, "rate_limited").json()["error"];
    assert_eq!((&error["name"], &error["limit"]), (&"revocations".into(), &100_000.into()));
    revoke(&server, &json!({"jti": "t-7"}));
    let last = format!("t-{}", REVOCATIONS_MAX - 1);
    expect_refused(&server, &json!({"sub": "1", "jti": last}));
    drop(server.open(&with_token(&json!({"sub": "1", "jti": "one-more"}))));
}

/// There is no supervisor that could keep the list.
#[test]
fn a_server_in_one_process_refuses_revocations() {
    let folder = Folder::new();
    folder.write("websock.ini", "address = ws://127.0.0.1:0\nworkers = 1\napi = on\n");
    folder.write("auth.yml", &auth(""));
    let sources = ConfigSources { folder: folder.path(""), ..ConfigSources::default() };
    let server = InProcess::start(load(&sources).unwrap().config).unwrap();
    let port = server.addresses()[0].port();
    let claims = json!({"sub": "1", "jti": "t-1"});
    let client = with_token(&claims).ready(port);
    let request = |body: &str| Raw::connect(port).request(post(REVOKE, &[SHOP], body));
    request(r#"{"jti":"t-1"}"#).is_error(503, "busy");
    request(r#"{"jti":1}"#).is_error(400, "wrong_type");
    drop(with_token(&claims).ready(port));
    drop(client);
    server.stop();
}
