//! Reload: all or nothing, with printed differences; revoked clients are closed.

use crate::harness::raw_php::GREETING;
use crate::harness::wait::in_one_of_a_few;
use crate::harness::{
    DEADLINE, Folder, NEXT, Open, Raw, Server, Setup, broadcast, eventually, frames, hixie,
};
use rustix::process::Signal;

const FAILURE: i32 = 1;

/// Returns two applications of two tenants, and `third` after them.
fn auth(third: &str) -> String {
    format!(
        "anonymous: shop\n\
         applications:\n  - key: shop\n    secret: shop-secret-1\n    authorizeOpen: true\n    \
         clientPublish: true\n  - key: desk\n    secret: desk-secret-1\n    authorizeOpen: false\n{third}"
    )
}

const THIRD: &str = "  - key: third\n    secret: third-secret-1\n    authorizeOpen: true\n    \
                     clientPublish: true\n    tenant: third\n";

fn ini(server: &Server, more: &str) {
    let head = "[websocketserver]\nadress = ws://127.0.0.1:0\nworkers = 2\n";
    server.folder.write("websock.ini", &format!("{head}{more}\n"));
}

#[track_caller]
fn reload(server: &Server) -> String {
    let finished = server.command(&["reload"]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    finished.text
}

#[test]
fn removing_an_application_closes_only_its_clients() {
    let server = Setup::new().auth(&auth(THIRD)).start();
    let (mut web, mut other) = server.open_apart(&Open::web(), &Open::web());
    let third = Open::at("/web?key=third");
    let (mut here, mut there) = server.open_apart(&third, &third);
    let mut desk = server.open(&Open::at("/web?key=desk&secret=desk-secret-1"));
    server.folder.write("auth.yml", &auth(""));
    let output = reload(&server);
    assert!(output.contains("application `third`: removed"), "{output}");
    for revoked in [&mut here, &mut there] {
        let close = revoked.expect_closed(1008);
        assert!(close.shown().contains("application"), "{}", close.shown());
    }
    third.ask(server.port).expect_refusal(401);
    web.text(broadcast("still here"));
    web.expect_next();
    other.expect_text(&broadcast("still here"));
    desk.expect_text(&broadcast("still here"));
    eventually("three connections", || (server.counts().open == 3).then_some(()));
}

#[test]
fn a_new_secret_closes_only_clients_that_used_the_old_one() {
    let server = Setup::new().auth(&auth(THIRD)).start();
    let mut proven = server.open(&Open::at("/web?key=third&secret=third-secret-1"));
    let mut by_key = server.open(&Open::at("/web?key=third"));
    let changed = THIRD.replace("third-secret-1", "third-secret-2");
    server.folder.write("auth.yml", &auth(&changed));
    let output = reload(&server);
    assert!(output.contains("application `third`: another secret"), "{output}");
    assert!(!output.contains("third-secret"), "{output}");
    proven.expect_closed(1008);
    by_key.expect_silence();
    let mut again = server.open(&Open::at("/web?key=third&secret=third-secret-2"));
    again.expect_silence();
}

#[test]
fn a_revoked_right_applies_to_the_next_message() {
    let server = Setup::new().auth(&auth(THIRD)).start();
    let (mut talker, mut hearer) =
        server.open_apart(&Open::at("/web?key=third"), &Open::at("/web?key=third"));
    talker.text(broadcast("allowed"));
    talker.expect_next();
    hearer.expect_text(&broadcast("allowed"));
    server
        .folder
        .write("auth.yml", &auth(&THIRD.replace("clientPublish: true", "clientPublish: false")));
    reload(&server);
    talker.text(broadcast("denied"));
    talker.expect_next();
    assert!(talker.frame().as_text().contains("not authorized"));
    hearer.expect_silence();
}

#[test]
fn an_invalid_file_changes_nothing_and_all_errors_are_returned() {
    let server = Setup::new().auth(&auth("")).start();
    let mut client = server.open(&Open::web());
    ini(&server, "maxMessage = 10K\nnonsense = 1\npingInterval = fast");
    server.folder.write("auth.yml", "applications: [");
    let finished = server.command(&["reload"]);
    assert_eq!(finished.code, Some(FAILURE), "{}", finished.text);
    for words in ["websock.ini:5", "nonsense", "websock.ini:6", "pingInterval", "auth.yml"] {
        assert!(finished.text.contains(words), "{words} in {}", finished.text);
    }
    client.text(broadcast(&"x".repeat(20_000)));
    client.expect_next();
    assert_eq!(server.status().configuration.number, 1);
    assert!(server.status().configuration.last_reload.unwrap().contains("failed"));
    server.wait_for_output("event=reload_failed");
}

#[test]
fn changes_that_need_a_restart_are_reported_and_not_applied() {
    let server = Setup::new().start();
    let mut client = server.open(&Open::web());
    ini(&server, "maxMessage = 10K\nlogFormat = json");
    let head = "[websocketserver]\nadress = ws://127.0.0.1:1\nworkers = 5\n";
    server.folder.write("websock.ini", &format!("{head}maxMessage = 10K\n"));
    let output = reload(&server);
    for words in [
        "needs a restart: address: ws://127.0.0.1:0 -> ws://127.0.0.1:1",
        "needs a restart: workers: 2 -> 5",
        "changed: maxMessage: 5M -> 10K",
    ] {
        assert!(output.contains(words), "{words} in {output}");
    }
    client.text(broadcast(&"x".repeat(20_000)));
    client.expect_closed_somehow(1009);
    let status = server.status();
    assert_eq!(status.configuration.waits_for_restart.len(), 2, "{status:?}");
    assert_eq!(status.workers().count(), 2);
    let output = reload(&server);
    assert!(
        output.contains("nothing has changed") && output.contains("workers: 2 -> 5"),
        "{output}"
    );
}

/// The server keeps its addresses, so it must refuse applications with which it may not listen there.
#[test]
fn a_public_server_accepts_no_well_known_secret() {
    let folder = Folder::new();
    let own =
        "applications:\n  - key: own\n    secret: nobody-knows-this-1\n    authorizeOpen: true\n";
    folder.write("auth.yml", own);
    let ini =
        |address: &str| format!("[websocketserver]\nadress = ws://{address}:0\nworkers = 1\n");
    folder.write("websock.ini", &ini("0.0.0.0"));
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    server.folder.write("websock.ini", &ini("127.0.0.1"));
    server.folder.write("auth.yml", include_str!("../../auth.yml"));
    let finished = server.command(&["reload"]);
    assert_eq!(finished.code, Some(FAILURE), "{}", finished.text);
    assert!(finished.text.contains("the running server"), "{}", finished.text);
    Open::at("/web").ask(server.port).expect_refusal(401);
}

#[test]
fn sighup_is_a_reload_and_of_a_thousand_the_last_one_wins() {
    let server = Setup::new().auth(&auth(THIRD)).start();
    let mut bystander = server.open(&Open::web());
    // The file is replaced as editors do it: written under another name, then renamed.
    for round in 0..1000_u32 {
        let text = if round % 2 == 0 { auth("") } else { auth(THIRD) };
        let draft = server.folder.write("auth.yml.new", &text);
        std::fs::rename(draft, server.folder.path("auth.yml")).unwrap();
        server.signal(Signal::HUP);
    }
    server.folder.write("auth.yml", &auth(&THIRD.replace("third", "last")));
    server.signal(Signal::HUP);
    eventually("the last application to be known", || {
        let mut client = Open::at("/web?key=last").ask(server.port);
        (client.read_head().status() == 101).then_some(())
    });
    Open::at("/web?key=third").ask(server.port).expect_refusal(401);
    bystander.expect_silence();
    assert_eq!(server.status().workers().count(), 2);
}

#[test]
fn a_file_that_is_being_written_is_waited_for() {
    in_one_of_a_few(reloads_while_a_file_is_written);
}

fn reloads_while_a_file_is_written() -> Result<(), String> {
    let server = Setup::new().auth(&auth(THIRD)).start();
    let mut third = server.open(&Open::at("/web?key=third"));
    let whole = auth(THIRD);
    // Half of this file is valid YAML, but without the third application.
    let half = auth("");
    let reloading = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            server.folder.write("auth.yml", &half);
            crate::harness::pause(std::time::Duration::from_millis(20));
            server.folder.write("auth.yml", &whole);
        });
        crate::harness::pause(std::time::Duration::from_millis(5));
        let output = server.command(&["reload"]).text;
        writer.join().unwrap();
        output
    });
    if !reloading.contains("nothing has changed") {
        return Err(reloading);
    }
    third.expect_silence();
    Ok(())
}

#[test]
fn a_worker_that_is_replaced_begins_with_the_last_good_configuration() {
    let server = Setup::new().workers(1).start();
    let head = "[websocketserver]\nadress = ws://127.0.0.1:0\nworkers = 1\n";
    server.folder.write("websock.ini", &format!("{head}maxMessage = 10K\n"));
    reload(&server);
    server.folder.write("websock.ini", "rubbish");
    let worker = server.workers(1)[0];
    crate::harness::processes::send_signal(worker, Signal::KILL);
    eventually("another worker", || (server.workers(1)[0] != worker).then_some(()));
    let mut client = server.open(&Open::web());
    client.text(broadcast(&"x".repeat(20_000)));
    client.expect_closed_somehow(1009);
}

#[test]
fn limits_of_all_workers_are_reloaded_and_close_no_client() {
    let server = Setup::new().start();
    let mut here: Vec<Raw> = (0..3).map(|_| server.open(&Open::web())).collect();
    ini(&server, "maxClients = 3");
    reload(&server);
    let mut fourth = Open::web().ask(server.port);
    fourth.expect_upgrade();
    assert!(fourth.frame().as_text().contains("Too many connections"));
    here.iter_mut().for_each(Raw::expect_silence);
    ini(&server, "maxClients = 4");
    reload(&server);
    server.open(&Open::web()).expect_silence();
}

#[test]
fn a_reload_while_the_server_ends_is_denied() {
    let server = Setup::new().ini("drainTime = 2s").start();
    let mut clients: Vec<Raw> = (0..4).map(|_| server.open(&Open::web())).collect();
    server.term();
    server.wait_for_output("event=shutdown_requested");
    let finished = server.command(&["reload"]);
    assert_eq!(finished.code, Some(FAILURE), "{}", finished.text);
    assert!(finished.text.contains("shutting down"), "{}", finished.text);
    clients.iter_mut().for_each(|client| drop(client.expect_closed(1001)));
    assert_eq!(server.wait_exit(DEADLINE).code(), Some(0));
}

#[test]
fn an_application_that_changes_its_tenant_moves_no_client() {
    let server = Setup::new().auth(&auth(THIRD)).start();
    let mut third = server.open(&Open::at("/web?key=third"));
    let mut shop = server.open(&Open::web());
    server.folder.write("auth.yml", &auth(&THIRD.replace("tenant: third", "tenant: other")));
    reload(&server);
    third.expect_closed(1008);
    let mut again = server.open(&Open::at("/web?key=third"));
    shop.text(broadcast("in the shop"));
    shop.expect_next();
    again.expect_silence();
}

#[test]
fn a_keepalive_that_is_switched_off_is_silent_from_then_on() {
    let server = Setup::new().ini("pingInterval = 600ms\n[phpws]\nphpKeepalive = 200ms").start();
    let mut page = server.open(&Open::web());
    let mut script = server.open(&Open::php().ident("script"));
    assert_eq!(script.frame().first, frames::FIN | frames::PING);
    ini(&server, "pingInterval = 600ms\n[phpws]\nphpKeepalive = 0");
    reload(&server);
    script.send(frames::ping("now"));
    while script.frame().first != frames::FIN | frames::PONG {}
    // The pings of the page serve as a clock: between two of them a ping of the script would have arrived.
    for _ in 0..2 {
        let ping = page.frame();
        page.send(frames::masked(frames::FIN | frames::PONG, &ping.payload));
    }
    script.expect_silence();
}

#[test]
fn older_protocols_are_switched_for_new_connections_only() {
    let server = Setup::new().ini("legacy = on\nrawClients = on").start();
    let script = || {
        let mut script = Raw::connect(server.port);
        script.send(GREETING);
        script
    };
    let browser = || {
        let mut browser = Raw::connect(server.port);
        browser.send(hixie::draft_75("/web", ""));
        browser
    };
    let (mut old_script, mut old_browser) = (script(), browser());
    old_script.expect_raw_ready();
    assert_eq!(old_browser.read_head().status(), 101);
    hixie::read_text(&mut old_browser);
    ini(&server, "pingInterval = 7s");
    let output = reload(&server);
    assert!(
        output.contains("legacy: on -> off") && output.contains("rawClients: on -> off"),
        "{output}"
    );
    browser().expect_refusal(400);
    let mut refused = script();
    // An empty line no longer completes a greeting of 2021, so this is an incomplete head.
    refused.send("\n");
    refused.expect_refusal(400);
    old_browser.send(hixie::text(&broadcast("still here")));
    assert_eq!(hixie::read_text(&mut old_browser), NEXT);
    old_script.send(broadcast("still here"));
    old_script.expect_raw_next();
    assert_eq!(hixie::read_text(&mut old_browser), broadcast("still here"));
}
