//! The recipients of phpWebSocketServer's broadcasts and feedbacks: cases 35 to 46 of the contract.
//!
//! Publisher and receivers are on different workers wherever this can matter.

use std::time::Duration;

use crate::harness::pacing::{FRAME_GAP, gap, typical_gap};
use crate::harness::{
    Open, Raw, Server, broadcast, eventually, feedback_to, feedback_to_ident, frames,
    received_nothing,
};

/// The clients of cases 35 to 37: `a`, `b` and `w` are web-type, `p` is php-type.
struct Cast {
    a: Raw,
    b: Raw,
    w: Raw,
    p: Raw,
}

impl Cast {
    fn on(server: &Server) -> Self {
        let (a, b) = server.open_apart(&Open::web(), &Open::at("/"));
        let away = server.worker_of(&a);
        let user_agent = "Mozilla/5.0 (X11)";
        let w = server.open_away_from(away, &Open::at("/php").header("User-Agent", user_agent));
        let p = server.open(&Open::php());
        Self { a, b, w, p }
    }
}

/// Expects that a feedback by ident reaches only this client. It is repeated, because a worker may not have
/// reported yet that the previous client with this ident has left.
#[track_caller]
fn expect_reached_by_ident(publisher: &mut Raw, receiver: &mut Raw, ident: &str) {
    let mut count = 0;
    eventually("a feedback by ident", || {
        count += 1;
        let packet = feedback_to_ident(ident, &format!("try {count}"));
        let marker = feedback_to(&receiver.uuid, &format!("after try {count}"));
        publisher.send([frames::text(&packet), frames::text(&marker)].concat());
        publisher.expect_next();
        publisher.expect_next();
        let first = receiver.frame();
        if first.as_text() == marker {
            return None;
        }
        assert_eq!(first.as_text(), packet);
        receiver.expect_text(&marker);
        Some(())
    });
}

#[test]
fn case_35_a_broadcast_reaches_all_other_web_clients_byte_for_byte() {
    let server = Server::start();
    let Cast { mut a, mut b, mut w, mut p } = Cast::on(&server);
    let mut next_to_a = server.open_on(server.worker_of(&a), &Open::web());
    let packet = r#"{ "opcode":"broadcast" , "message":"hé/llo" }"#;
    assert_eq!(packet.len(), 46);
    a.text(packet);
    a.expect_next();
    for receiver in [&mut b, &mut w, &mut next_to_a] {
        receiver.expect_text(packet);
        received_nothing(&mut a, receiver);
    }
    received_nothing(&mut a, &mut p);
    a.received_nothing_of_its_own();
}

#[test]
fn case_36_a_php_client_may_broadcast() {
    let server = Server::start();
    let Cast { mut a, mut b, mut w, mut p } = Cast::on(&server);
    let packet = broadcast("from php");
    p.text(&packet);
    p.expect_next();
    for receiver in [&mut a, &mut b, &mut w] {
        receiver.expect_text(&packet);
    }
    p.received_nothing_of_its_own();
}

#[test]
fn case_37_a_client_on_php_without_a_user_agent_gets_no_broadcast() {
    let server = Server::start();
    let silent = Open::at("/php").without("User-Agent");
    let (mut a, mut receiver) = server.open_apart(&Open::web(), &silent);
    a.text(broadcast("for browsers"));
    a.expect_next();
    received_nothing(&mut a, &mut receiver);
}

#[test]
fn case_37_a_client_elsewhere_without_a_user_agent_gets_broadcasts() {
    let server = Server::start();
    let silent = Open::web().without("User-Agent");
    let (mut a, mut receiver) = server.open_apart(&Open::web(), &silent);
    let packet = broadcast("for everybody");
    a.text(&packet);
    a.expect_next();
    receiver.expect_text(&packet);
}

#[test]
fn case_38_feedback_reaches_only_the_client_with_that_uuid() {
    let server = Server::start();
    let Cast { mut a, mut b, mut w, mut p } = Cast::on(&server);
    let packet =
        format!(r#"{{"opcode":"feedback","message":"m","uuid":"{}","from":"{}"}}"#, b.uuid, a.uuid);
    a.text(&packet);
    a.expect_next();
    b.expect_text(&packet);
    for other in [&mut w, &mut p] {
        received_nothing(&mut a, other);
    }
    a.received_nothing_of_its_own();
}

#[test]
fn case_38_the_sender_may_be_the_target() {
    let server = Server::start();
    server.open(&Open::web()).received_nothing_of_its_own();
}

#[test]
fn case_39_feedback_without_a_recipient_is_acknowledged() {
    let server = Server::start();
    let Cast { mut a, mut b, .. } = Cast::on(&server);
    let forged = forged(&b.uuid);
    let plain = b.uuid.split('.').next().unwrap().to_owned();
    let addresses = [
        String::new(),
        r#","uuid":"""#.to_owned(),
        r#","uuid":"","ident":"""#.to_owned(),
        r#","uuid":"no such client","ident":"no such name""#.to_owned(),
        r#","uuid":"00000000-0000-4000-8000-000000000000""#.to_owned(),
        format!(r#","uuid":"{forged}""#),
        format!(r#","uuid":"{plain}""#),
        r#","uuid":null,"ident":null"#.to_owned(),
        r#","uuid":[],"ident":{}"#.to_owned(),
    ];
    for address in addresses {
        a.text(format!(r#"{{"opcode":"feedback","message":"m"{address}}}"#));
        a.expect_next();
        received_nothing(&mut a, &mut b);
        a.received_nothing_of_its_own();
    }
}

/// Returns the same UUID with a different last digit of its signature.
fn forged(uuid: &str) -> String {
    let (rest, last) = uuid.split_at(uuid.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

/// The receivers of cases 40, 41 and 43, the php-type one first, and a publisher on another worker.
fn named_receivers(server: &Server) -> (Raw, Raw, Raw) {
    let first = server.open(&Open::php().ident("receiver"));
    let second = server.open(&Open::web().ident("receiver"));
    let publisher = server.open_away_from(server.worker_of(&first), &Open::web());
    (first, second, publisher)
}

#[test]
fn case_40_of_several_with_one_ident_the_oldest_gets_it_and_then_the_next() {
    let server = Server::start();
    let (mut first, mut second, mut publisher) = named_receivers(&server);
    let packet = feedback_to_ident("receiver", "Hello 1");
    publisher.text(&packet);
    publisher.expect_next();
    first.expect_text(&packet);
    received_nothing(&mut publisher, &mut second);

    first.send(frames::close(1000, ""));
    first.expect_closed(1000);
    expect_reached_by_ident(&mut publisher, &mut second, "receiver");
}

#[test]
fn case_40_a_departed_client_leaves_its_ident_to_the_next() {
    let server = Server::start();
    let (first, mut second, mut publisher) = named_receivers(&server);
    drop(first);
    expect_reached_by_ident(&mut publisher, &mut second, "receiver");
}

#[test]
fn case_41_of_ident_and_uuid_the_older_connection_wins() {
    let server = Server::start();
    let (mut first, mut second, mut publisher) = named_receivers(&server);
    let both = |ident: &str, uuid: &str| {
        format!(r#"{{"opcode":"feedback","ident":"{ident}","uuid":"{uuid}","message":"m"}}"#)
    };
    let packet = both("receiver", &second.uuid);
    publisher.text(&packet);
    publisher.expect_next();
    first.expect_text(&packet);
    received_nothing(&mut publisher, &mut first);
    received_nothing(&mut publisher, &mut second);

    let younger = server.open(&Open::web().ident("younger"));
    let packet = both("younger", &second.uuid);
    publisher.text(&packet);
    publisher.expect_next();
    second.expect_text(&packet);
    let mut younger = younger;
    received_nothing(&mut publisher, &mut younger);
}

#[test]
fn case_42_a_php_client_is_reached_by_uuid() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::php());
    let packet = feedback_to(&receiver.uuid, "for a script");
    publisher.text(&packet);
    publisher.expect_next();
    receiver.expect_text(&packet);
    receiver.expect_silence();
}

#[test]
fn case_43_a_client_may_send_to_its_own_ident() {
    let server = Server::start();
    let mut first = server.open(&Open::php().ident("receiver"));
    let packet = feedback_to_ident("receiver", "to my own ident");
    first.text(&packet);
    first.expect_next();
    first.expect_text(&packet);
}

#[test]
fn case_44_true_is_neither_a_uuid_nor_an_ident() {
    let server = Server::start();
    let (mut named, mut other, mut publisher) = named_receivers(&server);
    let mut truth = server.open(&Open::web().ident("true"));
    for address in [r#""uuid":true"#, r#""ident":true"#, r#""uuid":true,"ident":true"#] {
        publisher.text(format!(r#"{{"opcode":"feedback","message":"m",{address}}}"#));
        publisher.expect_next();
        for receiver in [&mut named, &mut other, &mut truth] {
            received_nothing(&mut publisher, receiver);
        }
        publisher.received_nothing_of_its_own();
    }
}

#[test]
fn case_45_a_number_is_an_ident_by_its_decimal_text() {
    let server = Server::start();
    let mut five = server.open(&Open::php().ident("5"));
    let mut publisher = server.open_away_from(server.worker_of(&five), &Open::web());
    let packet = r#"{"opcode":"feedback","ident":5,"message":"m"}"#;
    publisher.text(packet);
    publisher.expect_next();
    five.expect_text(packet);
    for ident in [r#""5.0""#, "5.0", r#"" 5""#, r#""05""#] {
        publisher.text(format!(r#"{{"opcode":"feedback","ident":{ident},"message":"m"}}"#));
        publisher.expect_next();
        received_nothing(&mut publisher, &mut five);
    }
}

/// Three frames have two gaps. Measured over both gaps, a delay in reading the first frame has half as much
/// effect.
#[test]
fn case_46_three_feedbacks_at_once_reach_a_php_client_apart() {
    let server = Server::start();
    let (mut publisher, mut receiver) = server.open_apart(&Open::web(), &Open::php());
    let packets = ["one", "two", "three"].map(|text| feedback_to(&receiver.uuid, text));
    let both = typical_gap(2 * FRAME_GAP, || {
        publisher.send(packets.each_ref().map(frames::text).concat());
        packets.iter().for_each(|_| drop(publisher.expect_next()));
        let [one, two, three] = packets.each_ref().map(|packet| receiver.expect_text(packet));
        if two.alone { gap(&one, &three) } else { Duration::ZERO }
    });
    assert!(both >= 2 * FRAME_GAP, "{both:?} between three feedbacks");
}
