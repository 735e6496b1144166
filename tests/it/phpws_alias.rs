//! The opcode `uuid` of 2019's pages: cases 32 to 34 of the contract.

use crate::harness::{NEXT, Open, Raw, Server, Setup, feedback_to, feedback_to_ident};
use rustix::process::Signal;

fn register(name: &str) -> String {
    format!(r#"{{"opcode":"uuid","message":"{name}"}}"#)
}

fn next_with(uuid: &str) -> String {
    format!(r#"{{"opcode":"next","fyi":"","uuid":"{uuid}"}}"#)
}

/// Registers an alias and waits until the broker has decided. Later publications of the client are resolved
/// after that.
#[track_caller]
fn registered(client: &mut Raw, name: &str, witness: &mut Raw) {
    client.text(register(name));
    client.expect_text(&next_with(""));
    send_feedback(client, &next_with(name), &witness.uuid.clone(), witness, "decided");
}

/// Sends a feedback from one client, which another client receives.
#[track_caller]
fn send_feedback(from: &mut Raw, next: &str, name: &str, to: &mut Raw, message: &str) {
    let packet = feedback_to(name, message);
    from.text(&packet);
    from.expect_text(next);
    to.expect_text(&packet);
}

#[test]
fn case_32_later_acknowledgements_contain_the_registration() {
    let server = Server::start();
    let mut client = server.open(&Open::at("/"));
    client.text(r#"{"opcode":"nothing"}"#);
    client.expect_next();
    client.text(register("u1"));
    client.expect_text(&next_with(""));
    client.text("5");
    client.expect_text(&next_with("u1"));
    client.text(register("u2"));
    client.expect_text(&next_with("u1"));
    for chunk in ["bufferON", "5", "bufferOFF"] {
        client.text(chunk);
        client.expect_text(&next_with("u2"));
    }
    client.text("no json");
    client.expect_text(&next_with("u2"));
    client.expect_closed(1007);
}

#[test]
fn case_32_an_invalid_name_registers_nothing() {
    let server = Server::start();
    let mut client = server.open(&Open::at("/"));
    let long = "x".repeat(256);
    for message in ["\"\"", "null", "true", "1.5", "[]", &format!("\"{long}\"")] {
        client.text(format!(r#"{{"opcode":"uuid","message":{message}}}"#));
        client.expect_next();
    }
    client.text(r#"{"opcode":"uuid"}"#);
    client.expect_next();
    client.text(r#"{"opcode":"uuid","message":5}"#);
    client.expect_text(&next_with(""));
    client.text("5");
    client.expect_text(&next_with("5"));
}

#[test]
fn case_33_an_alias_is_reached_from_every_worker_and_the_uuid_as_well() {
    let server = Server::start();
    let (mut a, mut b) = server.open_apart(&Open::at("/"), &Open::web());
    registered(&mut a, "u1", &mut b);
    send_feedback(&mut b, NEXT, "u1", &mut a, "by alias");
    send_feedback(&mut b, NEXT, &a.uuid.clone(), &mut a, "by uuid");
    let mut same_worker = server.open_on(server.worker_of(&a), &Open::web());
    send_feedback(&mut same_worker, NEXT, "u1", &mut a, "from the same worker");
    b.expect_silence();
}

#[test]
fn case_33_a_second_alias_takes_the_place_of_the_first() {
    let server = Server::start();
    let (mut a, mut b) = server.open_apart(&Open::at("/"), &Open::web());
    registered(&mut a, "u1", &mut b);
    a.text(register("u2"));
    a.expect_text(&next_with("u1"));
    send_feedback(&mut a, &next_with("u2"), &b.uuid.clone(), &mut b, "decided");
    b.text(feedback_to("u1", "to nobody"));
    b.expect_next();
    send_feedback(&mut b, NEXT, "u2", &mut a, "by the second");
    // The first alias is free again.
    let mut c = server.open(&Open::web());
    registered(&mut c, "u1", &mut b);
    send_feedback(&mut b, NEXT, "u1", &mut c, "to another one");
}

/// The page of 2019 continues only when each acknowledgement repeats the alias that it registered. This
/// includes a refused client.
#[test]
fn case_34_an_alias_that_is_held_is_refused_and_free_when_its_holder_left() {
    let server = Server::start();
    // The older connection registers second. The first registration wins.
    let mut c = server.open(&Open::web());
    let mut b = server.open_on(server.worker_of(&c), &Open::web());
    let mut a = server.open_away_from(server.worker_of(&c), &Open::at("/"));
    registered(&mut a, "u1", &mut b);
    registered(&mut c, "u1", &mut b);
    send_feedback(&mut b, NEXT, "u1", &mut a, "still the first");
    c.text("5");
    c.expect_text(&next_with("u1"));
    c.expect_silence();
    a.text(r#"{"opcode":"quit"}"#);
    a.expect_text(&next_with("u1"));
    a.expect_closed(1000);
    // The client asks again until the broker knows that the other client has left. The witness is on the same
    // worker.
    crate::harness::eventually("a grant", || {
        c.text(register("u1"));
        c.expect_text(&next_with("u1"));
        let (granted, end) = (feedback_to("u1", "granted"), feedback_to(&c.uuid, "end"));
        for packet in [&granted, &end] {
            b.text(packet);
            b.expect_next();
        }
        let is_reached = c.frame().as_text() == granted;
        is_reached.then(|| drop(c.expect_text(&end)))
    });
}

#[test]
fn case_34_shared_aliases_reach_the_oldest_connection() {
    let server = Setup::new().ini("[phpws]\naliases = shared").start();
    let (mut a, mut b) = server.open_apart(&Open::at("/"), &Open::web());
    let mut c = server.open_on(server.worker_of(&b), &Open::web());
    registered(&mut c, "u1", &mut b);
    send_feedback(&mut b, NEXT, "u1", &mut c, "the only one");
    registered(&mut a, "u1", &mut b);
    send_feedback(&mut b, NEXT, "u1", &mut a, "the oldest");
    a.text(r#"{"opcode":"quit"}"#);
    a.expect_text(&next_with("u1"));
    a.expect_closed(1000);
    crate::harness::eventually("the next oldest", || {
        let (next, end) = (feedback_to("u1", "the next one"), feedback_to(&c.uuid, "end"));
        for packet in [&next, &end] {
            b.text(packet);
            b.expect_next();
        }
        let is_reached = c.frame().as_text() == next;
        is_reached.then(|| drop(c.expect_text(&end)))
    });
}

#[test]
fn case_34_without_aliases_the_opcode_means_nothing() {
    let server = Setup::new().ini("[phpws]\naliases = off").start();
    let mut client = server.open(&Open::at("/"));
    client.text(register("u1"));
    client.expect_next();
    client.text(feedback_to("u1", "to nobody"));
    client.expect_next();
    client.expect_silence();
}

#[test]
fn no_client_gets_the_uuid_of_another() {
    for ini in ["", "[phpws]\nuuid = plain"] {
        let server = Setup::new().ini(ini).start();
        // If the older client had this alias, the feedback would reach it.
        let (mut b, mut a) = server.open_apart(&Open::at("/"), &Open::web());
        let stolen = a.uuid.clone();
        registered(&mut b, &stolen, &mut a);
        let mut c = server.open_on(server.worker_of(&b), &Open::web());
        send_feedback(&mut c, NEXT, &stolen, &mut a, "to its owner");
        // Registering its own UUID changes nothing.
        registered(&mut a, &stolen, &mut c);
        send_feedback(&mut c, NEXT, &stolen, &mut a, "to its owner again");
        b.text("5");
        b.expect_text(&next_with(&stolen));
        b.expect_silence();
    }
}

/// Pages of 2019 generate their own UUIDs; without signatures these look like the server's UUIDs.
#[test]
fn a_uuid_that_a_page_has_made_is_an_alias() {
    for ini in ["", "[phpws]\nuuid = plain"] {
        let server = Setup::new().ini(ini).start();
        let (mut a, mut b) = server.open_apart(&Open::at("/"), &Open::web());
        let made = "3b241101-e2bb-4255-8caf-4136c566a962";
        registered(&mut a, made, &mut b);
        send_feedback(&mut b, NEXT, made, &mut a, "to the page");
    }
}

#[test]
fn of_an_alias_and_an_ident_in_one_address_the_older_client_wins() {
    let server = Server::start();
    let (mut first, mut second) = server.open_apart(&Open::web().ident("name"), &Open::web());
    registered(&mut second, "u1", &mut first);
    let packet = r#"{"opcode":"feedback","uuid":"u1","ident":"name","message":"m"}"#;
    second.text(packet);
    second.expect_text(&next_with("u1"));
    first.expect_text(packet);
    let to_ident = feedback_to_ident("name", "by ident");
    second.text(&to_ident);
    second.expect_text(&next_with("u1"));
    first.expect_text(&to_ident);
}

/// Rule L6: a granted alias is announced to the new broker, which refuses it to other clients.
#[test]
fn an_alias_outlives_the_broker() {
    let server = Server::start();
    let mut c = server.open(&Open::web());
    let (mut a, mut b) = server.open_apart(&Open::at("/"), &Open::web());
    registered(&mut a, "u1", &mut b);
    for round in 0..3 {
        server.kill_broker();
        c.text(register("u1"));
        c.expect_text(&next_with(if round == 0 { "" } else { "u1" }));
        send_feedback(&mut c, &next_with("u1"), &b.uuid.clone(), &mut b, "decided");
        send_feedback(&mut b, NEXT, "u1", &mut a, "still the first");
    }
}

/// Rule L6: a request that the old broker never answered is sent to the new one.
#[test]
fn the_last_requested_alias_is_granted_even_by_a_new_broker() {
    for signal in [Signal::CONT, Signal::KILL] {
        let server = Server::start();
        let (mut a, mut b) = server.open_apart(&Open::at("/"), &Open::web());
        let broker = server.broker();
        crate::harness::processes::send_signal(broker, Signal::STOP);
        for name in ["u1", "u2", "u3"] {
            a.text(register(name));
            a.frame();
        }
        crate::harness::processes::send_signal(broker, signal);
        // Two rounds, because the last request is sent after the answer to the first.
        for message in ["the first is answered", "and so is the last"] {
            send_feedback(&mut a, &next_with("u3"), &b.uuid.clone(), &mut b, message);
        }
        crate::harness::eventually("the last wish", || {
            let (by_alias, end) = (feedback_to("u3", "by alias"), feedback_to(&a.uuid, "end"));
            for packet in [&by_alias, &end] {
                b.text(packet);
                b.expect_next();
            }
            let is_reached = a.frame().as_text() == by_alias;
            is_reached.then(|| drop(a.expect_text(&end)))
        });
        for name in ["u1", "u2"] {
            b.text(feedback_to(name, "to nobody"));
            b.expect_next();
        }
        send_feedback(&mut b, NEXT, &a.uuid.clone(), &mut a, "end");
    }
}
