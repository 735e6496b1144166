//! The limit of an application's connections: exact over all workers, and in the words of each protocol.

use rustix::process::Signal;

use crate::harness::api::{AUTH, setup};
use crate::harness::processes::send_signal;
use crate::harness::{Finished, Open, Raw, Server, eventually, run_to_end};

const FULL: &str = r#"{"opcode":"close","error":"Too many connections"}"#;

fn auth(limit: u32) -> String {
    AUTH.replace(
        "clientPublish: true",
        &format!("clientPublish: true, limits: {{ connections: {limit} }}"),
    )
}

fn start() -> Server {
    setup().auth(&auth(2)).workers(2).start()
}

fn shop(server: &Server) -> Raw {
    server.open(&Open::at("/web?key=shop"))
}

#[track_caller]
fn is_full(server: &Server) {
    let mut refused = Open::at("/web?key=shop").upgrade(server.port);
    refused.expect_text(FULL);
    refused.expect_close(1013);
}

#[track_caller]
fn has_room_again(server: &Server) -> Raw {
    eventually("room for a connection", || {
        let mut page = Open::at("/web?key=shop").upgrade(server.port);
        let first = page.frame().as_text().to_owned();
        first.contains("ready").then_some(page)
    })
}

/// Case A231.
#[test]
fn one_connection_more_is_refused_in_the_words_of_its_protocol() {
    let server = start();
    let (first, _second) = (shop(&server), shop(&server));
    is_full(&server);
    Open::at("/?key=shop&tags={}").ask(server.port).expect_refusal(503);
    let _other = server.open(&Open::at("/web?key=other"));
    let _other_of_its_tenant = server.open(&Open::at("/web?key=b%C3%BCro"));
    drop(first);
    let _next = has_room_again(&server);
    is_full(&server);
}

#[test]
fn the_count_survives_the_broker_and_forgets_a_dead_worker() {
    let server = start();
    let (first, _second) = (shop(&server), shop(&server));
    server.kill_broker();
    is_full(&server);
    let worker = server.worker_of(&first);
    send_signal(worker, Signal::KILL);
    let _next = has_room_again(&server);
}

/// Case A232.
#[test]
fn a_smaller_limit_closes_no_connection_and_refuses_new_ones() {
    let server = start();
    let (mut first, mut second) = (shop(&server), shop(&server));
    server.folder.write("auth.yml", &auth(1));
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    is_full(&server);
    first.expect_silence();
    second.expect_silence();
    drop(first);
    server.folder.write("auth.yml", AUTH);
    let Finished { code, text } = run_to_end(&server.folder, &["reload"]);
    assert_eq!(code, Some(0), "{text}");
    let _many: Vec<Raw> = (0..4).map(|_| shop(&server)).collect();
}
