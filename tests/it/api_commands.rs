//! The commands that use the HTTP API: `publish` with `--expr`, `--topic`, `--event` and `--ask`, `connections`, `explain`, `retag`, `disconnect`.

use crate::harness::api::{Clients, SHOP_SECRET, setup};
use crate::harness::tls::certificate_in;
use crate::harness::{Finished, Folder, Open, Running, Server, run_to_end, run_to_end_with};
use serde_json::{Value, json};

/// Runs a command as the application `shop`.
#[track_caller]
fn as_shop(server: &Server, arguments: &[&str]) -> Finished {
    run_to_end_with(
        &server.folder,
        &[arguments, &["--key", "shop"]].concat(),
        &[("TAGCAST_SECRET", SHOP_SECRET)],
    )
}

#[track_caller]
fn expect_code(finished: &Finished, code: i32, text: &str) {
    assert_eq!(finished.code, Some(code), "{}", finished.text);
    assert!(finished.text.contains(text), "{}", finished.text);
    assert!(!finished.text.contains(SHOP_SECRET), "{}", finished.text);
}

#[test]
fn a_publication_to_an_expression_reaches_its_clients() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let url = format!("ws://127.0.0.1:{}/", server.port);
    let expr = "language? & !room=1";
    let finished = as_shop(&server, &["publish", "--url", &url, "--expr", expr, "hello"]);
    expect_code(
        &finished,
        0,
        "published to all clients with language? & !room=1: reached 1 client",
    );
    let frame = r#"{"opcode":"broadcast","message":"hello"}"#;
    clients.expect_frames(&server, [&[frame], &[], &[], &[], &[]]);
    let finished = as_shop(&server, &["publish", "--url", &url, "--expr", "room!=1", "x"]);
    expect_code(&finished, 65, "(invalid_expression)");
    let all = ["publish", "--key", "shop", "--expr", expr, "x"];
    expect_code(&run_to_end(&server.folder, &all), 0, "reached 1 client");
    let wrong = [("TAGCAST_SECRET", "not-the-secret-of-this-shop")];
    let refused = run_to_end_with(&server.folder, &all, &wrong);
    expect_code(&refused, 77, "nothing was published: the server refused: ");
    let elsewhere = Folder::new();
    let all = [&all[..], &["--url", &url]].concat();
    expect_code(&run_to_end(&elsewhere, &all), 77, "needs the secret of the application");
}

#[test]
fn events_and_topics_reach_clients_of_v1() {
    let server = Server::start();
    let url = format!("ws://127.0.0.1:{}/", server.port);
    let publish = |rest: &[&str]| {
        run_to_end(
            &server.folder,
            &[&["publish", "--url", &url, "{\"p\":3}", "--json"], rest].concat(),
        )
    };
    let (mut page, _) = server.welcomed("/", json!({"topics": ["news"], "tags": {"room": "1"}}));
    for (to, expected) in [
        (&["--topic", "news"][..], "published to the topic news: reached 1 client"),
        (&["--topic", "private-news"], "published to the topic private-news: reached 0 clients"),
        (&["--tag", "room=1"], "published to all clients with room=1: reached 1 client"),
        (&["--all"], "published to all clients: reached 1 client"),
        (&["--to-uuid", &page.uuid], "reached 1 client"),
    ] {
        expect_code(&publish(&[to, &["--event", "price"]].concat()), 0, expected);
    }
    expect_code(&publish(&["--topic", "news"]), 0, "reached 1 client");
    expect_code(&publish(&["--all", "--event", "a b"]), 65, "`event` must be 1 to 64");
    expect_code(&publish(&["--topic", "a b"]), 2, "1 to 200 letters");
    for direct in [false, false, false, true] {
        let frame = page.json();
        assert_eq!((&frame["event"], &frame["data"]), (&json!("price"), &json!({"p": 3})));
        assert_eq!(frame["direct"] == true, direct, "{frame}");
    }
    let frame = page.json();
    assert_eq!((&frame["topic"], &frame["event"]), (&json!("news"), &Value::Null));
}

/// V223.
#[test]
fn a_command_asks_a_page_and_prints_its_answer() {
    let server = Server::start();
    let url = format!("ws://127.0.0.1:{}/", server.port);
    let (mut page, _) = server.welcomed("/", json!({}));
    let uuid = page.uuid.clone();
    let arguments = ["publish", "--url", &url, "--to-uuid", &uuid, "--ask", "Delete?"];
    let running =
        Running::start(&server.folder, &[&arguments[..], &["--event", "confirm"]].concat());
    let frame = page.json();
    assert_eq!((&frame["event"], &frame["data"]), (&json!("confirm"), &json!("Delete?")));
    page.say(json!({"op": "answer", "ask": frame["ask"], "data": "yes"}));
    let (code, output, _) = running.wait_for_end();
    assert_eq!((code, output.as_str()), (Some(0), "yes"));
    expect_code(
        &run_to_end(&server.folder, &[&arguments[..], &["--timeout", "1"]].concat()),
        69,
        "there is no answer: the server refused: ",
    );
    drop(page);
}

#[test]
fn a_server_without_applications_needs_no_credentials() {
    let server = Server::start();
    let mut page = server.open(&Open::web());
    let url = format!("ws://127.0.0.1:{}/", server.port);
    let finished = run_to_end(&server.folder, &["publish", "--url", &url, "--expr", "!a=1", "x"]);
    expect_code(&finished, 0, "reached 1 client");
    assert_eq!(page.frame().as_text(), r#"{"opcode":"broadcast","message":"x"}"#);
}

#[test]
fn the_address_of_the_api_and_the_secret_are_found_in_the_configuration() {
    let server = setup().ini("apiAddress = unix:api.sock").start();
    let mut clients = Clients::open(&server);
    let ini = server.folder.path("websock.ini");
    let ini = ini.to_str().unwrap();
    let publish = ["publish", "-i", ini, "--key", "shop", "--expr", "room=1", "by unix socket"];
    expect_code(&run_to_end(&server.folder, &publish), 0, "reached 1 client");
    assert_eq!(clients.e.frame().as_text(), "\"by unix socket\"");
}

#[test]
fn https_is_spoken_where_the_address_has_a_certificate() {
    let folder = Folder::new();
    certificate_in(&folder);
    let ini = "address = wss://127.0.0.1:0\nworkers = 1\ncertFile = cert.pem\npkFile = key.pem\n";
    folder.write("websock.ini", ini);
    let server = Server::run(folder, &["serve"], &[]);
    let url = format!("wss://localhost:{}/", server.port);
    let publish = ["publish", "--url", &url, "--expr", "a=1", "x"];
    expect_code(&run_to_end(&server.folder, &publish), 78, "certificate");
    let trusting = [&publish[..], &["--ca", "cert.pem"]].concat();
    expect_code(&run_to_end(&server.folder, &trusting), 0, "reached 0 clients");
}

#[test]
fn flags_that_contradict_each_other_end_with_2() {
    let folder = Folder::new();
    for (line, text) in [
        ("publish --all --expr a=1 x", "cannot be used with"),
        ("publish --all --ask x", "cannot be used with"),
        ("publish --to-uuid u --ask --quiet x", "cannot be used with"),
        ("publish --to-uuid u --timeout 9 x", "required"),
        ("connections --expr a=1 --ident b", "cannot be used with"),
        ("connections --url 127.0.0.1", "use one like http://127.0.0.1:8094"),
        ("explain a=1 --uuid=", "it is empty"),
        ("explain", "required"),
        ("retag a=1", "required"),
        ("retag a=1 --set b", "it is NAME=VALUE"),
        ("retag a=1 --set b=1 --if-version 1", "cannot be used with"),
        ("disconnect", "required"),
        ("disconnect --all --uuid u", "cannot be used with"),
    ] {
        let finished = run_to_end(&folder, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(finished.code, Some(2), "{line}: {}", finished.text);
        assert!(finished.text.contains(text), "{line}: {}", finished.text);
    }
}

#[test]
fn connections_are_listed_and_counted() {
    let server = setup().start();
    let clients = Clients::open(&server);
    let (french, job) = (&clients.f.uuid, &clients.p.uuid);
    let listed = as_shop(&server, &["connections", "--expr", "language=FR"]);
    expect_code(&listed, 0, &format!("{french} web - language=FR"));
    expect_code(&listed, 0, "1 of 1 client");
    let named = as_shop(&server, &["connections", "--ident", "job", "--json"]);
    expect_code(&named, 0, &format!(r#""uuid":"{job}""#));
    expect_code(&as_shop(&server, &["connections", "--limit", "2"]), 0, "2 of 3 clients");
}

#[test]
fn an_explanation_names_the_part_that_decides() {
    let server = setup().start();
    let clients = Clients::open(&server);
    let expr = "language? & !language=FR";
    let explained = as_shop(&server, &["explain", expr, "--uuid", &clients.f.uuid]);
    for line in
        ["!language=FR&language?\n", "matches 1 client\n", "does not match", "  language=FR"]
    {
        expect_code(&explained, 0, line);
    }
    expect_code(&as_shop(&server, &["explain", "!a=1"]), 0, "open: it matches a client");
    expect_code(&as_shop(&server, &["explain", "a="]), 65, "(invalid_expression)");
}

#[test]
fn tags_are_changed_and_connections_closed() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let uuid = clients.f.uuid.clone();
    let one = ["retag", "--uuid", &uuid, "--set", "room=1", "--remove", "language"];
    expect_code(&as_shop(&server, &one), 0, ": room=1");
    let late = ["retag", "--uuid", &uuid, "--set", "room=2", "--if-version", "1"];
    expect_code(&as_shop(&server, &late), 65, "(version_conflict)");
    let dry = ["retag", "room=1", "--set", "wave=1", "--dry-run"];
    expect_code(&as_shop(&server, &dry), 0, "2 clients would change");
    let many = ["retag", "room=1", "--set", "wave=1"];
    expect_code(&as_shop(&server, &many), 0, "changed 2 clients");
    let dry = ["disconnect", "wave=1", "--dry-run"];
    expect_code(&as_shop(&server, &dry), 0, "2 clients would be closed");
    let close = ["disconnect", "--uuid", &uuid, "--code", "4001", "--reason", "a b"];
    expect_code(&as_shop(&server, &close), 0, "closed 1 client");
    clients.f.expect_closed(4001);
    let close = ["disconnect", "wave=1 & !language=FR", "--code", "4002"];
    expect_code(&as_shop(&server, &close), 0, "closed 1 client");
    clients.e.expect_closed(4002);
    expect_code(
        &as_shop(&server, &["disconnect", "--all", "--code", "1001"]),
        65,
        "(invalid_value)",
    );
}
