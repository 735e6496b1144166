//! The rights to connect and to publish: cases 110 to 112 of the contract, and the table of
//! `docs/protocol.md`.

use crate::harness::{Open, Raw, Server, Setup, broadcast, echo, feedback_to};

const APPLICATIONS: &str = "
applications:
  - {key: open, secret: open-secret, authorizeOpen: true}
  - {key: closed, secret: closed-secret, authorizeOpen: false}
  - {key: chat, secret: chat-secret, authorizeOpen: true, clientPublish: true}
";
const DENIED: &str = r#"{"opcode":"error","error":"Message sending is not authorized !"}"#;

fn server() -> Server {
    Setup::new().auth(APPLICATIONS).start()
}

fn at(path: &str, query: &str) -> Open {
    Open::at(&format!("{path}?{query}"))
}

/// Expects a refused handshake, whose text is the same for every cause.
#[track_caller]
fn expect_refused(server: &Server, open: &Open) {
    let mut client = open.ask(server.port);
    let head = client.read_head();
    assert_eq!(head.status(), 401, "{}", head.text);
    let length: usize = head.header("Content-Length").unwrap().parse().unwrap();
    let body = client.read_exactly(length);
    assert_eq!(body, br#"{"error":"Connection opening is not authorized !"}"#);
    client.expect_end();
}

/// Opens a client that receives every publication.
#[track_caller]
fn witness(server: &Server) -> Raw {
    server.open(&at("/web", "key=chat"))
}

#[test]
fn case_112_an_opening_needs_a_key_and_for_some_applications_the_secret() {
    let server = server();
    for refused in [
        "",
        "key=closed",
        "key=closed&secret=open-secret",
        "key=closed&secret=",
        "key=unknown",
        "key=unknown&secret=open-secret",
        "key[]=open",
        "key=OPEN",
        "key=",
        "secret=open-secret",
    ] {
        for path in ["/", "/web", "/php"] {
            expect_refused(&server, &at(path, refused));
        }
    }
    for admitted in
        ["key=open", "key=open&secret=wrong", "k%65y=open", "key=closed&secret=closed-secret"]
    {
        server.open(&at("/web", admitted));
        at("/any", &format!("{admitted}&tags={{}}&secret={}", "closed-secret"))
            .upgrade(server.port);
    }
}

#[test]
fn clients_without_a_key_use_the_anonymous_application() {
    let with = |anonymous: &str| {
        Setup::new().auth(&format!("anonymous: {anonymous}\n{APPLICATIONS}")).start()
    };
    let server = with("chat");
    let (mut page, mut other) = (server.open(&Open::web()), server.open(&Open::web()));
    page.text(broadcast("x"));
    page.expect_next();
    other.expect_text(&broadcast("x"));
    expect_refused(&server, &at("/web", "key=closed"));
    let server = with("closed");
    expect_refused(&server, &Open::web());
}

#[test]
fn open_access_admits_all_clients_but_allows_no_publishing() {
    let server = Setup::new().ini("authorizeOpen = all").auth(APPLICATIONS).start();
    let mut witness = witness(&server);
    for query in ["", "key=closed", "key=unknown&secret=x"] {
        let mut client = server.open(&at("/web", query));
        client.text(broadcast("x"));
        client.expect_next();
        client.expect_text(DENIED);
    }
    witness.received_nothing_of_its_own();
}

#[test]
fn a_page_without_the_right_to_publish_is_denied_and_stays() {
    let server = server();
    let (mut page, mut witness) = (server.open(&at("/web", "key=open")), witness(&server));
    for packet in [
        broadcast("x"),
        feedback_to(&witness.uuid, "x"),
        feedback_to("nobody", "x"),
        r#"{"opcode":"broadcast","key":"open","secret":"wrong"}"#.to_owned(),
        r#"{"opcode":"broadcast","key":"open","secret":"closed-secret"}"#.to_owned(),
        r#"{"opcode":"broadcast","key":["open"],"secret":["open-secret"]}"#.to_owned(),
        r#"{"opcode":"broadcast","secret":"open-secret"}"#.to_owned(),
    ] {
        page.text(&packet);
        page.expect_next();
        page.expect_text(DENIED);
    }
    page.text(echo("x"));
    page.expect_next();
    page.expect_text(&echo("x"));
    page.text(r#"{"opcode":"whatever"}"#);
    page.expect_next();
    page.text(r#"{"opcode":"quit"}"#);
    page.expect_next();
    page.expect_closed(1000);
    witness.received_nothing_of_its_own();
}

#[test]
fn a_script_that_may_not_publish_is_closed() {
    let server = server();
    let mut witness = witness(&server);
    let mut script = server.open(&Open::php().target("/php?key=open"));
    script.text(broadcast("x"));
    script.expect_next();
    let close = script.expect_closed(1008);
    assert_eq!(&close.payload[2..], b"Message sending is not authorized !");
    witness.received_nothing_of_its_own();
}

#[test]
fn wrong_credentials_are_denied_even_where_none_are_needed() {
    let server = server();
    let (mut page, mut witness) = (witness(&server), witness(&server));
    page.text(r#"{"opcode":"broadcast","key":"chat","secret":"open-secret"}"#);
    page.expect_next();
    page.expect_text(DENIED);
    // A secret without a key proves nothing, and still must not reach other clients.
    page.text(r#"{"opcode":"broadcast","message":"x","secret":"open-secret"}"#);
    page.expect_next();
    witness.expect_text(r#"{"opcode":"broadcast","message":"x"}"#);
}

#[test]
fn a_packet_in_chunks_loses_its_secret_too() {
    let server = server();
    let (mut page, mut witness) = (server.open(&at("/web", "key=open")), witness(&server));
    let chunks =
        [r#"{"opcode":"broadcast","key":"open","#, r#""secret":"open-"#, r#"secret","n":1}"#];
    for text in ["bufferON", chunks[0], chunks[1], chunks[2], "bufferOFF"] {
        page.text(text);
        page.expect_next();
    }
    witness.expect_text(r#"{"opcode":"broadcast","n":1}"#);
}

#[test]
fn key_and_secret_on_a_packet_let_it_pass_and_are_not_passed_on() {
    let server = server();
    let (mut page, mut witness) = (server.open(&at("/web", "key=open")), witness(&server));
    page.text(
        r#"{"opcode":"broadcast", "key":"closed" ,"message": {"n": 1.0,"key":"k"},"secret":"closed-secret","from":"é"}"#,
    );
    page.expect_next();
    witness.expect_text(r#"{"opcode":"broadcast","message":{"n": 1.0,"key":"k"},"from":"é"}"#);
    page.text(format!(
        r#"{{"opcode":"feedback","uuid":"{}","key":"open","secret":"open-secret"}}"#,
        witness.uuid
    ));
    page.expect_next();
    witness.expect_text(&format!(r#"{{"opcode":"feedback","uuid":"{}"}}"#, witness.uuid));
    let word = r#"{ "opcode":"broadcast", "key":"F5" }"#;
    let mut chat = server.open(&at("/web", "key=chat"));
    chat.text(word);
    chat.expect_next();
    for listener in [&mut witness, &mut page] {
        listener.expect_text(word);
    }
}

#[test]
fn a_wrong_secret_denies_its_message_though_the_opening_had_one() {
    let server = server();
    let mut witness = witness(&server);
    let mut page = server.open(&at("/web", "key=open&secret=open-secret"));
    page.text(broadcast("by the opening"));
    page.expect_next();
    witness.expect_text(&broadcast("by the opening"));
    page.text(r#"{"opcode":"broadcast","key":"open","secret":"wrong"}"#);
    page.expect_next();
    page.expect_text(DENIED);
    page.text(broadcast("again"));
    page.expect_next();
    witness.expect_text(&broadcast("again"));
}

#[test]
fn case_110_and_111_a_request_without_key_and_secret_is_closed() {
    let server = server();
    let mut witness = witness(&server);
    for metadata in [
        "{}",
        "[]",
        r#"{"key":"open"}"#,
        r#"{"secret":"open-secret"}"#,
        r#"{"key":"open","secret":"wrong"}"#,
        r#"{"key":"unknown","secret":"open-secret"}"#,
        r#"{"key":["a"],"secret":"open-secret"}"#,
        r#"{"key":"open","secret":{"a":1}}"#,
    ] {
        let mut client = at("/", "tags={}&key=open").upgrade(server.port);
        client.text(format!(r#"{{"message":"x","metadata":{metadata}}}"#));
        let close = client.expect_closed(1008);
        assert_eq!(&close.payload[2..], b"Message sending is not authorized !", "{metadata}");
    }
    let mut client = at("/", "tags={}&key=open").upgrade(server.port);
    let proof = r#"{"key":"closed","secret":"closed-secret","other":1}"#;
    client.text(format!(r#"{{"message":"x","metadata":{proof},"tags":{{}}}}"#));
    client.expect_text(r#""x""#);
    witness.expect_text(r#"{"opcode":"broadcast","message":"x"}"#);
    let mut chat = at("/", "tags={}&key=chat").upgrade(server.port);
    chat.text(r#"{"message":"y"}"#);
    chat.expect_text(r#""y""#);
}

#[test]
fn a_refusal_may_follow_the_upgrade_as_gomoobs_did() {
    let server = Setup::new().ini("refuse = afterUpgrade").auth(APPLICATIONS).start();
    for open in [at("/", "key=closed&secret=x"), Open::web(), Open::php()] {
        let mut client = open.upgrade(server.port);
        let close = client.expect_closed(1008);
        assert_eq!(&close.payload[2..], b"Connection opening is not authorized !");
    }
}

/// If such a key counted as missing, the client would be admitted as a client without a key.
#[test]
fn an_unreadable_key_does_not_count_as_missing() {
    let server = Setup::new().auth(&format!("anonymous: open{APPLICATIONS}")).start();
    server.open(&Open::web());
    for unreadable in ["key=%ff", "key[]=open", "key%5Ba%5D=open", "key=open&key=op%fe", "key="] {
        expect_refused(&server, &at("/web", unreadable));
        expect_refused(&server, &at("/web", &format!("{unreadable}&secret=open-secret")));
    }
    server.open(&at("/web", "key=open&secret=%ff"));
}
