//! Gomoob's clients publish: cases 98 to 107 and 109 of the contract.

use crate::harness::{Open, Raw, Server, eventually, frames, receivers};

/// Opens clients with these tags, in this order, on both workers.
fn group<const N: usize>(server: &Server, tags: [&str; N]) -> [Raw; N] {
    for _ in 0..50 {
        let clients = tags.map(|tags| Open::tags(tags).upgrade(server.port));
        let holders = clients.each_ref().map(|client| server.worker_of(client));
        if holders.iter().any(|holder| *holder != holders[0]) {
            return clients;
        }
    }
    panic!("fifty times all on one worker");
}

#[test]
fn case_98_to_101_all_clients_with_the_tags_get_it_and_its_sender() {
    let server = Server::start();
    let mut clients = group(
        &server,
        ["{}", r#"{"a":"x"}"#, r#"{"b":"y"}"#, r#"{"a":"x","b":"y"}"#, r#"{"a":"x","b":"z"}"#],
    );
    for (tags, expected) in [
        ("{}", "ABCDE"),
        ("[]", "ABCDE"),
        (r#"{"a":"x"}"#, "BDE"),
        (r#"{"a":"x","b":"y"}"#, "D"),
        (r#"{"b":"y","a":"x"}"#, "D"),
        (r#"{"a":"nope"}"#, ""),
        (r#"{"a":"x","zzz":"1"}"#, ""),
        (r#"{"zzz":"1","a":"x"}"#, ""),
        (r#"{"a":"x","b":"nope"}"#, ""),
    ] {
        assert_eq!(receivers(&mut clients, tags), expected, "{tags}");
    }
    clients[3].text(r#"{"message":"from D","tags":{"a":"x","b":"y"}}"#);
    clients[3].expect_text(r#""from D""#);
}

#[test]
fn case_102_a_partial_match_reaches_no_client() {
    let server = Server::start();
    let mut clients = group(&server, [r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#]);
    for tags in [r#"{"a":"1","b":"2","c":"3"}"#, r#"{"b":"2","c":"3","a":"1"}"#] {
        assert_eq!(receivers(&mut clients, tags), "");
    }
}

#[test]
fn case_103_an_integer_and_its_text_are_one_value() {
    let server = Server::start();
    let mut clients = group(&server, [r#"{"id":12}"#, r#"{"id":"12"}"#, r#"{"id":"012"}"#]);
    assert_eq!(receivers(&mut clients, r#"{"id":12}"#), "AB");
    assert_eq!(receivers(&mut clients, r#"{"id":"12"}"#), "AB");
    assert_eq!(receivers(&mut clients, r#"{"id":"012"}"#), "C");
}

#[test]
fn case_104_105_and_107_the_message_is_forwarded_unchanged() {
    let server = Server::start();
    let mut clients = group(&server, ["{}", "{}"]);
    for message in [
        r#""é/ \"q\"""#,
        r#""""#,
        r#"{"type":"X"}"#,
        r#"{ "b": 1.0, "a": [1,2 ,{}] }"#,
        "null",
        "12345678901234567890",
        "-0.10",
    ] {
        clients[0].text(format!(r#"{{"metadata":{{}}, "message" : {message} }}"#));
        clients.iter_mut().for_each(|client| {
            client.expect_text(message);
        });
    }
}

#[test]
fn case_106_and_109_an_invalid_request_closes_its_sender() {
    let server = Server::start();
    let mut witness = Open::tags("{}").upgrade(server.port);
    let not_decoded = "Failed to decode the provided JSON string !";
    let not_an_array = "The decoded JSON string is not an array !";
    let mandatory = "The 'message' property is mandatory !";
    for (request, why) in [
        ("hello", not_decoded),
        ("", not_decoded),
        ("null", not_decoded),
        ("5", not_an_array),
        (r#""s""#, not_an_array),
        ("true", not_an_array),
        ("[]", mandatory),
        ("{}", mandatory),
        (r#"["message"]"#, "Unexpected property '0' !"),
        (r#"{"message":"x","foo":1}"#, "Unexpected property 'foo' !"),
        (r#"{"message":"x","tags":["a"]}"#, "The tag name '0' is not a string !"),
        (r#"{"message":"x","tags":{"7":"a"}}"#, "The tag name '7' is not a string !"),
        (
            r#"{"message":"x","tags":{"a":1.5}}"#,
            "The tag named 'a' has a value which is not an integer or a string !",
        ),
        (r#"{"message":"x","tags":"str"}"#, "The 'tags' property is not an array !"),
        (r#"{"message":"x","tags":null}"#, "The 'tags' property is not an array !"),
        (r#"{"message":"x","metadata":null}"#, "The 'metadata' property is not an array !"),
        (r#"{"message":"x","metadata":"s"}"#, "The 'metadata' property is not an array !"),
    ] {
        let mut sender = Open::tags("{}").upgrade(server.port);
        sender.text(request);
        let close = sender.expect_closed(1008);
        assert_eq!(String::from_utf8_lossy(&close.payload[2..]), why, "{request}");
    }
    witness.expect_silence();
}

/// Gomoob's PHP client reads nothing and disconnects without a Close. If it has unread data, the disconnect
/// becomes a reset.
#[test]
fn all_that_a_script_has_sent_counts_also_when_it_ends_without_reading() {
    let server = Server::start();
    let mut witness = Open::tags(r#"{"who":"witness"}"#).upgrade(server.port);
    let agent = Open::at("/").without("Origin").header("User-Agent", "websocket-client-php");
    let filler = "x".repeat(1000);
    for _ in 0..10 {
        let mut script = agent.clone().lower_case().upgrade(server.port);
        let all: Vec<u8> = (0..20)
            .flat_map(|n| frames::text(format!(r#"{{"message":[{n},"{filler}"],"tags":{{}}}}"#)))
            .collect();
        script.send(all);
        drop(script);
        for number in 0..20 {
            witness.expect_text(&format!(r#"[{number},"{filler}"]"#));
        }
    }
}

#[test]
fn p1_the_requests_of_one_client_arrive_in_order_everywhere() {
    let server = Server::start();
    let tags = Open::tags(r#"{"room":7}"#);
    let (mut one, mut other) = server.upgrade_apart(&tags, &tags);
    let mut sender = Open::tags("{}").upgrade(server.port);
    let all: Vec<u8> = (0..500)
        .flat_map(|n| frames::text(format!(r#"{{"message":{n},"tags":{{"room":"7"}}}}"#)))
        .collect();
    sender.send(all);
    for number in 0..500 {
        one.expect_text(&number.to_string());
        other.expect_text(&number.to_string());
    }
}

#[test]
fn the_death_of_the_broker_changes_nothing_about_tags() {
    let server = Server::start();
    let mut clients = group(&server, ["{}", r#"{"a":"x"}"#, r#"{"a":"y"}"#, r#"{"a":"x"}"#]);
    let dead = server.kill_broker();
    clients[0].text(r#"{"message":"across","tags":{"a":"x"}}"#);
    eventually("another broker", || (server.broker() != dead).then_some(()));
    for at in [1, 3] {
        clients[at].expect_text(r#""across""#);
    }
    assert_eq!(receivers(&mut clients, r#"{"a":"x"}"#), "BD");
}
