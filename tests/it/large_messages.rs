//! Large messages are read on another thread of the worker. In every dialect their answers are those of
//! small messages, in the same order. Fault 46.

use std::thread;

use rustix::net::sockopt;
use serde_json::{Value, json};

use crate::backend::chat::{SECRET, silent, start};
use crate::harness::api::{Clients, SHOP, post, setup};
use crate::harness::raw_php::GREETING;
use crate::harness::{
    Bystander, NEXT, Open, Raw, Server, Setup, broadcast, echo, eventually, feedback_to, frames,
    hixie, with_a_bystander,
};

/// Bytes of a message that the event loop does not read itself, with room for more than one read.
const LARGE: usize = 300_000;

/// Returns texts for messages, small and large ones in turn.
fn texts() -> Vec<String> {
    let length = |number: usize| if number.is_multiple_of(2) { 10 } else { LARGE + number };
    (0..5).map(|number| format!("{number}{}", "é".repeat(length(number) / 2))).collect()
}

/// Sends all packets without waiting for any answer, while the answers are read.
fn pipelined<T: Send>(
    client: &mut Raw,
    packets: &[Vec<u8>],
    read: impl FnOnce(&mut Raw) -> T,
) -> T {
    let mut writer = client.writer();
    let bytes = packets.concat();
    thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut writer, &bytes).unwrap());
        read(client)
    })
}

#[test]
fn fault_46_packets_are_answered_in_order() {
    let server = Server::start();
    let (mut client, mut other) = server.open_apart(&Open::web(), &Open::web());
    let mut gomoob = Open::tags("{}").upgrade(server.port);
    let own = client.uuid.clone();
    let packets: Vec<String> = texts()
        .iter()
        .flat_map(|text| [echo(text), broadcast(text), feedback_to(&own, text)])
        .collect();
    let sent: Vec<_> = packets.iter().map(frames::text).collect();
    pipelined(&mut client, &sent, |client| {
        // A feedback comes back through the broker, between later answers.
        let (mut answers, mut feedbacks) = (Vec::new(), Vec::new());
        while answers.len() < packets.len() * 4 / 3 || feedbacks.len() < packets.len() / 3 {
            let text = client.frame().as_text().to_owned();
            let list = if text.contains("feedback") { &mut feedbacks } else { &mut answers };
            list.push(text);
        }
        let wanted = packets.chunks(3).flat_map(|three| {
            [NEXT.to_owned(), three[0].clone(), NEXT.to_owned(), NEXT.to_owned()]
        });
        assert!(answers == wanted.collect::<Vec<_>>(), "echoes and acknowledgements in order");
        assert!(packets.chunks(3).map(|three| &three[2]).eq(&feedbacks), "feedbacks in order");
        client.expect_silence();
    });
    for text in texts() {
        other.expect_text(&broadcast(&text));
        gomoob.expect_text(&format!("\"{text}\""));
    }
}

#[test]
fn fault_46_chunks_and_binary_messages_are_answered_in_order() {
    let server = Server::start();
    let (mut client, mut other) = server.open_apart(&Open::web(), &Open::web());
    let mut sent = Vec::new();
    for text in texts() {
        let packet = broadcast(&text);
        let (begin, end) = packet.split_at(packet.ceil_char_boundary(packet.len() / 2));
        sent.extend(["bufferON", begin, end, "bufferOFF"].map(frames::text));
        sent.push(frames::binary(echo(&text)));
    }
    pipelined(&mut client, &sent, |client| {
        for text in texts() {
            (0..5).for_each(|_| drop(client.expect_next()));
            client.expect_text(&echo(&text));
        }
        client.expect_silence();
    });
    texts().iter().for_each(|text| drop(other.expect_text(&broadcast(text))));
}

#[test]
fn fault_46_packets_are_rewritten_as_php_writes_in_order() {
    let server = Setup::new().ini("[phpws]\nphpReencode = on\nackOrder = after").start();
    let mut client = server.open(&Open::web());
    let sent: Vec<_> = texts().iter().map(|text| frames::text(echo(text))).collect();
    pipelined(&mut client, &sent, |client| {
        for text in texts() {
            client.expect_text(&echo(&text).replace('é', "\\u00e9"));
            client.expect_next();
        }
        client.expect_silence();
    });
}

#[test]
fn fault_46_requests_of_gomoob_are_delivered_in_order() {
    let server = Server::start();
    let mut client = Open::tags("{}").upgrade(server.port);
    let texts = texts();
    let request = |text: &String| frames::text(format!(r#"{{"message":"{text}","tags":{{}}}}"#));
    let sent: Vec<_> = texts.iter().map(request).collect();
    pipelined(&mut client, &sent, |client| {
        texts.iter().for_each(|text| drop(client.expect_text(&format!("\"{text}\""))));
        client.expect_silence();
    });
    client.text(format!(r#"{{"message":1,"more":"{}"}}"#, texts[1]));
    let close = client.expect_closed(1008);
    assert!(close.shown().contains("Unexpected property 'more' !"), "{}", close.shown());
}

#[test]
fn fault_46_plain_texts_and_echoes_come_back_in_order() {
    let ini = "[resource /all]\nkind = broadcast\n[resource /echo]\nkind = echo\n\
               [bloatless]\napplications = chat, demo, echo";
    let server = Setup::new().ini(ini).start();
    let texts = texts();
    for (path, before, after) in [
        ("/all", "", ""),
        ("/echo", "", ""),
        ("/demo", r#"{"action":"echo","data":""#, r#""}"#),
        ("/chat", r#"{"action":"echo","data":""#, r#""}"#),
    ] {
        let mut client = Open::at(path).upgrade(server.port);
        let sent: Vec<_> =
            texts.iter().map(|text| frames::text([before, text, after].concat())).collect();
        pipelined(&mut client, &sent, |client| {
            for text in &texts {
                let answer = client.frame().as_text().to_owned();
                // The chat puts a name before the text.
                let is_own = match path {
                    "/chat" => answer.ends_with(&[": ", text, after].concat()),
                    _ => answer == [before, text, after].concat(),
                };
                assert!(is_own, "{path}: {} bytes", answer.len());
            }
            client.expect_silence();
        });
    }
    let mut client = Open::at("/echo").upgrade(server.port);
    let sent: Vec<_> = texts.iter().map(frames::binary).collect();
    pipelined(&mut client, &sent, |client| {
        texts.iter().for_each(|text| drop(client.expect_binary(text.as_bytes())));
    });
}

#[test]
fn fault_46_messages_in_older_framings_are_answered_in_order() {
    let server = Setup::new().ini("legacy = on\nrawClients = on").start();
    let mut old = Raw::connect(server.port);
    old.send(hixie::draft_76("/web", ""));
    hixie::read_answer(&mut old);
    hixie::read_text(&mut old);
    let texts = texts();
    let sent: Vec<_> = texts.iter().map(|text| hixie::text(&echo(text))).collect();
    pipelined(&mut old, &sent, |old| {
        for text in &texts {
            assert_eq!(hixie::read_text(old), NEXT);
            assert!(hixie::read_text(old) == echo(text));
        }
    });
    let mut raw = Raw::connect(server.port);
    raw.send(GREETING);
    raw.expect_raw_ready();
    let mut web = server.open(&Open::web());
    for text in &texts {
        raw.send(broadcast(text));
        raw.expect_raw_next();
        web.expect_text(&broadcast(text));
    }
}

#[test]
fn fault_46_events_of_a_backend_keep_their_order() {
    let backend = silent();
    let server = start(&backend, "");
    let mut client = Open::at(&format!("/chat?key=chat&secret={SECRET}")).upgrade(server.port);
    let texts = texts();
    let sent: Vec<_> = texts.iter().map(frames::text).collect();
    pipelined(&mut client, &sent, |_| {});
    backend.wait_for("message", texts.len());
    let events = backend.received();
    let messages = events.iter().filter(|it| it.event["event"] == "message");
    assert!(messages.map(|it| it.event["text"].as_str().unwrap()).eq(&texts), "in order");
}

#[test]
fn fault_46_a_large_answer_to_a_question_is_the_answer() {
    let server = setup().start();
    let mut clients = Clients::open(&server);
    let path = format!("/v1/apps/shop/connections/{}/ask", clients.f.uuid);
    let mut backend = Raw::connect(server.port);
    backend.send(post(&path, &[SHOP], r#"{"message":1}"#));
    let frame = clients.f.frame();
    let packet: Value = serde_json::from_str(frame.as_text()).unwrap();
    let number = packet["ask"].as_str().unwrap();
    let text = "x".repeat(LARGE);
    clients.f.text(echo(&text));
    clients.f.text(format!(r#"{{"opcode":"answer","ask":"{number}","message":"{text}"}}"#));
    clients.f.expect_next();
    clients.f.expect_text(&echo(&text));
    clients.f.expect_next();
    assert!(backend.read_answer().json()["answer"] == json!(text));
}

#[test]
fn fault_46_wrong_messages_close_with_the_reasons_of_small_ones() {
    let server = Server::start();
    for (text, code) in [
        (format!("{{\"opcode\":\"echo\"{}", " ".repeat(LARGE)), 1007),
        (format!(r#"{{"opcode":"quit","x":"{}"}}"#, "x".repeat(LARGE)), 1000),
    ] {
        let mut client = server.open(&Open::web());
        client.text(echo("before"));
        client.text(text);
        client.expect_next();
        client.expect_text(&echo("before"));
        client.expect_next();
        client.expect_closed(code);
    }
    let mut client = server.open(&Open::web());
    let mut bytes = echo(&"x".repeat(LARGE)).into_bytes();
    bytes[LARGE / 2] = 0xFF;
    client.try_send(frames::text(bytes)).ok();
    client.expect_next();
    client.expect_close(1007);
}

/// A client that is gone before its message was read leaves nothing behind. Its message may or may not be
/// delivered; those before and after it are not affected.
#[test]
fn fault_46_clients_that_leave_in_the_middle_leave_nothing() {
    let server = Server::start();
    with_a_bystander(&server, |bystander: &mut Bystander| {
        for round in 0..4 {
            let leaving: Vec<Raw> = (0..6)
                .map(|_| {
                    let mut client = server.open(&Open::web());
                    client.text(echo(&"x".repeat(LARGE)));
                    if round == 0 {
                        let no_wait = Some(std::time::Duration::ZERO);
                        sockopt::set_socket_linger(client.stream(), no_wait).unwrap();
                    }
                    client
                })
                .collect();
            drop(leaving);
            bystander.is_served();
        }
    });
}

/// A Close after a large message is answered after it.
#[test]
fn fault_46_a_message_before_a_close_is_delivered() {
    let server = Server::start();
    let (mut client, mut other) = server.open_apart(&Open::web(), &Open::web());
    for text in texts() {
        client.text(broadcast(&text));
    }
    client.send(frames::close(1000, ""));
    texts().iter().for_each(|_| drop(client.expect_next()));
    client.expect_close(1000);
    texts().iter().for_each(|text| drop(other.expect_text(&broadcast(text))));
}

/// Messages that were read under the rules of before are read again.
#[test]
fn fault_46_messages_during_a_reload_are_answered_in_order() {
    let server = Server::start();
    let mut client = server.open(&Open::web());
    let sent: Vec<_> = (0..4).flat_map(|_| texts()).map(|text| frames::text(echo(&text))).collect();
    pipelined(&mut client, &sent, |client| {
        for _ in 0..4 {
            assert_eq!(server.command(&["reload"]).code, Some(0));
            for text in texts() {
                client.expect_next();
                client.expect_text(&echo(&text));
            }
        }
        client.expect_silence();
    });
}

/// What was acknowledged before the end is delivered, and the server ends. With a `drainTime` below 5 s a busy
/// machine closes the clients before the broker has the publications.
#[test]
fn fault_46_large_messages_do_not_delay_the_end_of_a_server() {
    let server = Setup::new().ini("drainTime = 30s").start();
    let (mut client, mut other) = server.open_apart(&Open::web(), &Open::web());
    let packet = broadcast(&"x".repeat(LARGE));
    let mut writer = client.writer();
    let frame = frames::text(&packet);
    let sender =
        thread::spawn(move || while std::io::Write::write_all(&mut writer, &frame).is_ok() {});
    other.expect_text(&packet);
    server.term();
    let delivered = thread::spawn(move || 1 + messages_until_the_end(&mut other));
    let acknowledged = messages_until_the_end(&mut client);
    drop(client);
    sender.join().unwrap();
    let delivered = delivered.join().unwrap();
    assert!(delivered >= acknowledged, "{delivered} of {acknowledged}");
    eventually("the end", || server.children().is_empty().then_some(()));
}

/// Returns the number of messages before the Close of the server.
fn messages_until_the_end(client: &mut Raw) -> usize {
    std::iter::from_fn(|| client.frame_or_end().ok().filter(|frame| !frame.is_close())).count()
}

/// A new broker gets again what the old one had not acknowledged, with its payload.
#[test]
fn fault_46_large_publications_survive_a_crash_of_the_broker() {
    let server = Server::start();
    let (mut client, mut other) = server.open_apart(&Open::web(), &Open::web());
    let mut gomoob = Open::tags("{}").upgrade(server.port);
    let all: Vec<String> = (0..3).flat_map(|_| texts()).collect();
    let sent: Vec<_> = all.iter().map(|text| frames::text(broadcast(text))).collect();
    thread::scope(|scope| {
        scope.spawn(|| all.iter().for_each(|text| drop(other.expect_text(&broadcast(text)))));
        let messages = all.iter().map(|text| format!("\"{text}\""));
        scope.spawn(|| messages.for_each(|text| drop(gomoob.expect_text(&text))));
        pipelined(&mut client, &sent, |client| {
            for number in 0..all.len() {
                client.expect_next();
                if number % 5 == 1 {
                    server.kill_broker();
                }
            }
            client.expect_silence();
        });
    });
}
