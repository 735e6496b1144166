//! Counts of the clients that a publication reached. Only publishers that ask for them and have the
//! permission get them.

use crate::harness::processes::send_signal;
use crate::harness::{
    Finished, Folder, Open, Server, Setup, broadcast, eventually, run_to_end_with,
};
use rustix::process::Signal;
use serde_json::{Value, json};

const APPLICATIONS: &str = "anonymous: pages
applications:
  - key: pages
    secret: secret-of-the-pages-for-this-test-alone
    authorizeOpen: true
    clientPublish: true
  - key: other
    secret: secret-of-the-others-for-this-test-alone
    authorizeOpen: true
    clientPublish: true
    tenant: other
";

#[track_caller]
fn expect(finished: &Finished, code: i32, text: &str) {
    assert_eq!(finished.code, Some(code), "{}", finished.text);
    assert!(finished.text.contains(text), "{}", finished.text);
}

/// Returns the header of the 101 about reports that were requested with this token.
fn granted(server: &Server, token: &str) -> Option<String> {
    let mut asking = Open::web().header("Tagcast-Report", token).ask(server.port);
    asking.expect_upgrade().header("Tagcast-Report").map(str::to_owned)
}

#[test]
fn a_publication_reports_how_many_clients_it_reached() {
    let server = Server::start();
    let _pages: Vec<_> = (0..5).map(|_| server.open(&Open::web())).collect();
    let _french = Open::tags(r#"{"language":"FR"}"#).upgrade(server.port);
    let _lyon = Open::tags(r#"{"language":"FR","town":"Lyon"}"#).upgrade(server.port);
    expect(&server.publish(&["--all", "x"]), 0, "published to all clients: reached 7 clients");
    let finished = server.publish(&["--tag", "language=FR", "x"]);
    expect(&finished, 0, "published to all clients with language=FR: reached 2 clients");
    let finished = server.publish(&["--tag", "language=FR", "--tag", "town=Lyon", "x"]);
    expect(&finished, 0, "language=FR, town=Lyon: reached 1 client");
    // This is a success: the server accepted the message, and no client matched.
    expect(&server.publish(&["--tag", "language=DE", "x"]), 0, "reached 0 clients");
    expect(&server.publish(&["--ident", "nobody", "x"]), 0, "called nobody: reached 0 clients");
    let finished = server.publish(&["--quiet", "--all", "x"]);
    assert_eq!((finished.code, finished.text.as_str()), (Some(0), ""));
}

#[test]
fn a_closed_page_and_a_forged_uuid_are_distinguished() {
    let server = Server::start();
    let mut page = server.open(&Open::web());
    let uuid = page.uuid.clone();
    expect(&server.publish(&["--to-uuid", &uuid, "x"]), 0, "reached 1 client");
    page.frame();
    drop(page);
    let gone = |text: &str| server.publish(&["--to-uuid", text, "x"]);
    let finished = eventually("a page that has gone", || {
        let finished = gone(&uuid);
        finished.text.contains("reached 0 clients").then_some(finished)
    });
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    let forged = uuid.replacen(&uuid[..1], if uuid.starts_with('a') { "b" } else { "a" }, 1);
    for text in [forged.as_str(), &uuid[..36], &uuid[..100], "made up", &uuid.to_uppercase()] {
        expect(&gone(text), 65, "this server did not issue");
    }
}

#[test]
fn a_forged_uuid_is_reported_even_without_aliases() {
    let server = Setup::new().ini("[phpws]\naliases = off").start();
    let uuid = server.open(&Open::web()).uuid;
    let finished = server.publish(&["--to-uuid", &uuid[..99], "x"]);
    expect(&finished, 65, "this server did not issue");
}

#[test]
fn an_alias_is_a_name_as_good_as_a_uuid() {
    let server = Server::start();
    let mut page = server.open(&Open::web());
    page.text(json!({"opcode": "uuid", "message": "u1"}).to_string());
    page.frame();
    expect(&server.publish(&["--to-uuid", "u1", "x"]), 0, "reached 1 client");
    expect(&server.publish(&["--to-uuid", "u2", "x"]), 65, "has it as an alias");
}

#[test]
fn counts_include_no_client_of_another_tenant() {
    let server = Setup::new().auth(APPLICATIONS).start();
    let _pages: Vec<_> = (0..3).map(|_| server.open(&Open::web())).collect();
    let mut other_tenant = server.open(&Open::at("/web?key=other"));
    let url = format!("ws://127.0.0.1:{}/", server.port);
    let as_application = |key: &str, rest: &[&str]| {
        let all = [&["publish", "--url", url.as_str(), "--key", key], rest].concat();
        let secret = match key {
            "other" => "secret-of-the-others-for-this-test-alone",
            _ => "secret-of-the-pages-for-this-test-alone",
        };
        run_to_end_with(&Folder::new(), &all, &[("TAGCAST_SECRET", secret)])
    };
    expect(&as_application("other", &["--all", "x"]), 0, "reached 1 client");
    expect(&as_application("pages", &["--all", "x"]), 0, "reached 3 clients");
    assert!(other_tenant.frame().as_text().contains("\"x\""));
    // The answer is the same as for a page that has disconnected.
    let finished = as_application("pages", &["--to-uuid", &other_tenant.uuid, "x"]);
    expect(&finished, 0, "reached 0 clients");
    expect(
        &as_application("other", &["--to-uuid", &other_tenant.uuid, "x"]),
        0,
        "reached 1 client",
    );
}

#[test]
fn no_count_is_sent_without_a_secret() {
    let server = Setup::new().auth(APPLICATIONS).start();
    let _page = server.open(&Open::web());
    let finished = server.publish(&["--all", "x"]);
    expect(&finished, 0, "published to all clients; the server reports");
    let finished = server.publish(&["--tag", "a=b", "x"]);
    expect(&finished, 0, "only to those with a secret");
    assert_eq!(granted(&server, "t"), None);
}

#[test]
fn a_connection_that_does_not_ask_sees_nothing_new() {
    let server = Server::start();
    let mut page = server.open(&Open::web());
    assert_eq!(granted(&server, "t-1").as_deref(), Some("t-1"));
    // Otherwise the page that has disconnected could still be counted.
    eventually("the page alone", || (server.status().broker()?.clients == 1).then_some(()));
    let mut asking = server.open(&Open::web().header("Tagcast-Report", "t-1"));
    page.text(broadcast("one"));
    page.expect_next();
    assert!(asking.frame().as_text().contains("one"));
    asking.text(broadcast("two"));
    asking.expect_next();
    let report: Value = serde_json::from_str(asking.frame().as_text()).unwrap();
    let expected = json!({"opcode": "report", "token": "t-1", "published": true, "clients": 1});
    assert_eq!(report, expected);
    // After `next`, the packet of the other client is the first frame that it gets.
    assert!(page.frame().as_text().contains("two"));
    // A token that could add a line to the answer, or that is invalid, is not accepted.
    for wrong in ["", "a b", "a:b", &"t".repeat(65)] {
        assert_eq!(granted(&server, wrong), None);
    }
}

#[test]
fn a_report_comes_from_the_next_broker_when_the_first_one_dies() {
    let server = Server::start();
    let mut page = server.open(&Open::web());
    let mut asking = server.open(&Open::web().header("Tagcast-Report", "t"));
    send_signal(server.broker(), Signal::STOP);
    asking.text(broadcast("held"));
    asking.expect_next();
    server.kill_broker();
    assert!(asking.frame().as_text().contains(r#""clients":1"#));
    assert!(page.frame().as_text().contains("held"));
}
