//! Publications arrive complete and in each publisher's order, whatever was pipelined before them.

use crate::harness::{
    NEXT, Open, Raw, Server, Setup, broadcast, feedback_to, frames, received_nothing,
};

/// Opens two receivers on the publisher's worker and two on the other worker.
fn audience(server: &Server, publisher: &Raw) -> Vec<Raw> {
    let here = server.worker_of(publisher);
    let mut all: Vec<_> = (0..2).map(|_| server.open_on(here, &Open::web())).collect();
    all.extend((0..2).map(|_| server.open_away_from(here, &Open::web())));
    all
}

#[test]
fn pipelined_broadcasts_arrive_complete_and_in_order() {
    let server = Server::start();
    let mut publisher = server.open(&Open::web());
    let mut receivers = audience(&server, &publisher);
    let packets: Vec<_> = (0..500).map(|number| broadcast(&format!("number {number}"))).collect();
    publisher.send(packets.iter().flat_map(frames::text).collect::<Vec<_>>());
    for receiver in &mut receivers {
        for packet in &packets {
            receiver.expect_text(packet);
        }
    }
    for _ in &packets {
        publisher.expect_next();
    }
    for receiver in &mut receivers {
        received_nothing(&mut publisher, receiver);
    }
    publisher.received_nothing_of_its_own();
}

#[test]
fn pipelined_broadcasts_of_a_php_client_arrive_complete_and_in_order() {
    let server = Server::start();
    let mut publisher = server.open(&Open::php());
    let mut receivers = audience(&server, &publisher);
    let packets: Vec<_> = (0..500).map(|number| broadcast(&format!("number {number}"))).collect();
    publisher.send(packets.iter().flat_map(frames::text).collect::<Vec<_>>());
    for receiver in &mut receivers {
        for packet in &packets {
            receiver.expect_text(packet);
        }
    }
    for _ in &packets {
        publisher.expect_next();
    }
}

#[test]
fn a_broadcast_of_300_000_characters_arrives_whole() {
    let server = Server::start();
    let mut publisher = server.open(&Open::web());
    let mut receivers = audience(&server, &publisher);
    for character in ["x", "é", "€", "😀"] {
        let packet = broadcast(&character.repeat(300_000));
        publisher.text(&packet);
        publisher.expect_next();
        for receiver in &mut receivers {
            receiver.expect_text(&packet);
        }
    }
}

/// An early prototype sent such broadcasts to the recipient of the preceding feedback.
#[test]
fn broadcasts_and_feedbacks_in_one_segment_each_reach_their_own() {
    let server = Server::start();
    let mut publisher = server.open(&Open::web());
    let mut receivers = audience(&server, &publisher);
    for round in 0..50 {
        let mut segment = Vec::new();
        let mut due = vec![Vec::new(); receivers.len()];
        let mut count = 0;
        for (position, receiver) in receivers.iter().enumerate() {
            let single = feedback_to(&receiver.uuid, &format!("round {round} to {position}"));
            let everyone = broadcast(&format!("round {round} after {position}"));
            for packet in [&single, &everyone, &single] {
                segment.extend(frames::text(packet));
                count += 1;
            }
            for (other, due) in due.iter_mut().enumerate() {
                let gets_singles = other == position;
                due.extend(gets_singles.then(|| single.clone()));
                due.push(everyone.clone());
                due.extend(gets_singles.then(|| single.clone()));
            }
        }
        publisher.send(segment);
        for (receiver, due) in receivers.iter_mut().zip(due) {
            due.iter().for_each(|packet| drop(receiver.expect_text(packet)));
        }
        (0..count).for_each(|_| drop(publisher.expect_next()));
    }
}

/// A fan-out to this many clients is written in slices. A publication to a single client overtakes it, except
/// for the broadcasts to that client.
#[test]
fn broadcasts_and_feedbacks_keep_their_order_at_one_of_700_clients() {
    let server = Setup::new().workers(1).start();
    let mut publisher = server.open(&Open::web());
    let mut receivers: Vec<_> = (0..700).map(|_| server.open(&Open::web())).collect();
    let rounds = 40;
    let uuid = receivers[650].uuid.clone();
    let everyone = |round: usize| broadcast(&format!("to all {round}"));
    let single = |round: usize| feedback_to(&uuid, &format!("to one {round}"));
    for round in 0..rounds {
        publisher.send(frames::text(everyone(round)));
        publisher.send(frames::text(single(round)));
    }
    for (position, receiver) in receivers.iter_mut().enumerate() {
        for round in 0..rounds {
            receiver.expect_text(&everyone(round));
            if position == 650 {
                receiver.expect_text(&single(round));
            }
        }
    }
    (0..2 * rounds).for_each(|_| drop(publisher.expect_next()));
    for receiver in &mut receivers {
        received_nothing(&mut publisher, receiver);
    }
}

/// Broadcasts exclude their sender, so consecutive sets of recipients differ.
#[test]
fn each_of_four_publishers_keeps_its_order_at_every_client() {
    let server = Server::start();
    let mut clients = audience(&server, &server.open(&Open::web()));
    let count = 200;
    for (name, client) in clients.iter_mut().enumerate() {
        let packets = (0..count).map(|number| broadcast(&format!("{name} {number}")));
        client.send(packets.flat_map(frames::text).collect::<Vec<_>>());
    }
    let others = clients.len() - 1;
    for (name, client) in clients.iter_mut().enumerate() {
        let mut seen = vec![0; others + 1];
        let mut acknowledged = 0;
        for _ in 0..count * others + count {
            let frame = client.frame();
            let text = frame.as_text();
            if text == NEXT {
                acknowledged += 1;
                continue;
            }
            let (publisher, number) = publisher_and_number(text);
            assert_eq!(number, seen[publisher], "of {publisher} at {name}");
            seen[publisher] += 1;
        }
        assert_eq!(acknowledged, count);
        assert_eq!(seen[name], 0, "{name} heard itself");
        client.expect_silence();
    }
}

/// Parses the message of a broadcast: `<publisher> <number>`.
fn publisher_and_number(packet: &str) -> (usize, usize) {
    let message = packet
        .strip_prefix(r#"{"opcode":"broadcast","message":""#)
        .and_then(|rest| rest.strip_suffix(r#""}"#));
    let (publisher, number) = message.and_then(|message| message.split_once(' ')).unwrap();
    (publisher.parse().unwrap(), number.parse().unwrap())
}
