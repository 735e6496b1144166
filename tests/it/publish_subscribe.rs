//! `tagcast publish` with a real server: the recipients of the message, and the output of the command.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Finished, Folder, Open, Server, run_to_end, run_to_end_with};

const SECRET: &str = "sesame-open-4711";

fn url(server: &Server) -> String {
    format!("ws://127.0.0.1:{}/", server.port)
}

#[track_caller]
fn publish(server: &Server, arguments: &[&str]) -> Finished {
    let url = url(server);
    let all = [&["publish", "--url", url.as_str()], arguments].concat();
    run_to_end_with(&server.folder, &all, &[("TAGCAST_SECRET", SECRET)])
}

#[track_caller]
fn expect_code(finished: &Finished, code: i32, text: &str) {
    assert_eq!(finished.code, Some(code), "{}", finished.text);
    assert!(finished.text.contains(text), "{}", finished.text);
    assert!(!finished.text.contains(SECRET), "{}", finished.text);
}

#[test]
fn a_publication_reaches_whom_it_names() {
    let server = Server::start();
    let mut page = server.open(&Open::web());
    let mut named = server.open(&Open::web().ident("dashboard"));
    let uuid = page.uuid.clone();
    let short = &uuid[..36];
    for (to, message, expected) in [
        (&["--to-uuid", &uuid][..], "to one", format!("the client {short}: reached 1 client")),
        (
            &["--ident", "dashboard"],
            "to the name",
            "the client called dashboard: reached 1 client".into(),
        ),
        (&["--all"], "to all", "all clients: reached 2 clients".into()),
    ] {
        let finished = publish(&server, &[to, &[message]].concat());
        assert_eq!((finished.code, finished.text), (Some(0), format!("published to {expected}")));
    }
    assert!(page.frame().as_text().contains(r#""message":"to one""#));
    assert!(page.frame().as_text().contains(r#""message":"to all""#));
    assert!(named.frame().as_text().contains(r#""message":"to the name""#));
    assert!(named.frame().as_text().contains(r#""message":"to all""#));
}

#[test]
fn key_and_secret_are_accepted_and_not_printed() {
    let server = Server::start();
    let mut page = server.open(&Open::web());
    expect_code(&publish(&server, &["--all", "--key", "demo", "by variable"]), 0, "");
    assert!(page.frame().as_text().contains(r#""message":"by variable""#));
    let path = server.folder.write("secret", &format!("{SECRET}\r\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let by_file = ["--all", "--key", "demo", "--secret-file", "secret", "by file"];
    let finished = publish(&server, &by_file);
    expect_code(&finished, 0, "");
    assert_eq!(finished.text, "published to all clients: reached 1 client");
    assert!(page.frame().as_text().contains(r#""message":"by file""#));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    expect_code(&publish(&server, &by_file), 0, "all users can read the secret in secret");
    assert!(!server.output().contains(SECRET), "the server's log has no secret");
}

#[test]
fn an_unreadable_secret_is_reported_before_anything_is_sent() {
    let server = Server::start();
    let refused = |file: &str, text: &str| {
        let arguments = ["--all", "--key", "demo", "--secret-file", file, "x"];
        expect_code(&publish(&server, &arguments), 78, text);
    };
    refused("missing", "the file with the secret, missing: No such file");
    server.folder.write("empty", "\n");
    refused("empty", "it is empty");
    refused("/dev/zero", "more than 4096 bytes");
    assert!(!server.output().contains("joining"));
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    let folder = Folder::new();
    for (line, text) in [
        ("publish --all --tag a=b x", "cannot be used with"),
        ("publish --ident a --tag a=b x", "cannot be used with"),
        ("publish x", "required"),
        ("publish --tag language x", "NAME=VALUE"),
        ("publish --tag =x x", "a tag needs a name"),
        ("publish --all --secret-file f x", "--key"),
        ("publish --all --secret s x", "unexpected argument"),
        ("publish --all --url http://127.0.0.1/ x", "neither ws:// nor wss://"),
        ("publish --all --url 127.0.0.1:8094 x", "neither ws:// nor wss://"),
        ("publish --all --url ws://a:99999/ x", "port"),
        ("subscribe --count 0", "--count"),
        ("subscribe --all", "unexpected argument"),
    ] {
        let finished = run_to_end(&folder, &line.split(' ').collect::<Vec<_>>());
        expect_code(&finished, 2, text);
    }
}
