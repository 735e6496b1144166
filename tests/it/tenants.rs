//! Tenants: no publication crosses between them, and no client learns anything about another tenant (promise
//! P4).

use crate::harness::{
    Open, Raw, Server, Setup, broadcast, eventually, feedback_to, feedback_to_ident,
};

const APPLICATIONS: &str = "
anonymous: shared
applications:
  - {key: a, secret: a-secret, authorizeOpen: true, clientPublish: true, tenant: A}
  - {key: also-a, secret: also-a-secret, authorizeOpen: true, clientPublish: true, tenant: A}
  - {key: b, secret: b-secret, authorizeOpen: true, clientPublish: true, tenant: B}
  - {key: shared, secret: shared-secret, authorizeOpen: true, clientPublish: true}
  - {key: also-shared, secret: x-secret, authorizeOpen: true, clientPublish: true}
";
const TAGS: &str = "tags={\"language\":\"FR\"}";

fn server() -> Server {
    Setup::new().auth(APPLICATIONS).start()
}

fn page(server: &Server, key: &str) -> Raw {
    server.open(&Open::at(&format!("/web?key={key}&{TAGS}")).ident("anna"))
}

fn gomoob(server: &Server, key: &str) -> Raw {
    Open::at(&format!("/?key={key}&{TAGS}")).upgrade(server.port)
}

/// Expects that no message of `publisher` reaches any of `outsiders`, and that the answers are the same as if
/// these did not exist.
#[track_caller]
fn expect_deaf(publisher: &mut Raw, outsiders: &mut [Raw]) {
    let mut packets = vec![broadcast("all"), feedback_to_ident("berta", "x")];
    packets.extend(outsiders.iter().map(|outsider| feedback_to(&outsider.uuid, "x")));
    packets.push(feedback_to("no such uuid", "x"));
    for packet in packets {
        publisher.text(packet);
        publisher.expect_next();
    }
    publisher.expect_silence();
    for outsider in outsiders {
        outsider.received_nothing_of_its_own();
    }
}

#[test]
fn p4_a_client_reaches_no_client_of_another_tenant() {
    let server = server();
    let mut a = page(&server, "a");
    let named = |key: &str| server.open(&Open::at(&format!("/web?key={key}")).ident("berta"));
    let mut others = [page(&server, "b"), named("b"), page(&server, "shared"), named("shared")];
    expect_deaf(&mut a, &mut others);
    let mut shared = server.open(&Open::web());
    let mut tenants = [page(&server, "a"), page(&server, "b"), named("a"), named("b")];
    // Clients of its own tenant receive it.
    shared.text(broadcast("shared"));
    shared.expect_next();
    for other in &mut others[2..] {
        other.expect_text(&broadcast("shared"));
    }
    for outsider in &mut tenants {
        outsider.received_nothing_of_its_own();
    }
}

#[test]
fn p4_tags_and_idents_are_looked_up_within_the_tenant() {
    let server = server();
    let (mut a, mut also_a) = (gomoob(&server, "a"), gomoob(&server, "also-a"));
    let (mut b, mut shared) = (gomoob(&server, "b"), gomoob(&server, "shared"));
    a.text(r#"{"message":"for A","tags":{"language":"FR"}}"#);
    b.text(r#"{"message":"for B","tags":{"language":"FR"}}"#);
    shared.text(r#"{"message":"for all others","tags":{}}"#);
    for client in [&mut a, &mut also_a] {
        client.expect_text(r#""for A""#);
        client.expect_silence();
    }
    b.expect_text(r#""for B""#);
    b.expect_silence();
    shared.expect_text(r#""for all others""#);
    shared.expect_silence();
    // Both tenants have the same ident. Each publisher reaches the client of its own tenant.
    let (mut anna_of_b, mut anna_of_a) = (page(&server, "b"), page(&server, "a"));
    let mut publisher = server.open(&Open::at("/web?key=a"));
    publisher.text(feedback_to_ident("anna", "x"));
    publisher.expect_next();
    anna_of_a.expect_text(&feedback_to_ident("anna", "x"));
    anna_of_b.received_nothing_of_its_own();
}

#[test]
fn p4_tenants_stay_apart_when_the_broker_is_replaced() {
    let server = server();
    let (mut a, mut also_a) = (page(&server, "a"), page(&server, "also-a"));
    let mut others = [page(&server, "b"), page(&server, "shared")];
    let dead = server.kill_broker();
    a.text(broadcast("across"));
    a.expect_next();
    eventually("another broker", || (server.broker() != dead).then_some(()));
    also_a.expect_text(&broadcast("across"));
    for outsider in &mut others {
        outsider.received_nothing_of_its_own();
    }
    let mut publisher = server.open(&Open::at("/web?key=a"));
    publisher.text(feedback_to(&others[0].uuid, "x"));
    publisher.expect_next();
    others[0].received_nothing_of_its_own();
}

#[test]
fn a_script_of_another_tenant_is_not_found_by_its_name() {
    let server = server();
    let mut script = server.open(&Open::php().target("/php?key=b").ident("receiver"));
    let mut publisher = server.open(&Open::at("/web?key=a"));
    publisher.text(feedback_to_ident("receiver", "x"));
    publisher.expect_next();
    script.received_nothing_of_its_own();
}

#[test]
fn what_is_shown_on_a_message_decides_in_which_tenant_it_is_published() {
    let server = server();
    let (mut a, mut b) = (page(&server, "a"), page(&server, "b"));
    let mut publisher = server.open(&Open::at("/web?key=a"));
    publisher.text(r#"{"opcode":"broadcast","message":"x","key":"b","secret":"b-secret"}"#);
    publisher.expect_next();
    b.expect_text(r#"{"opcode":"broadcast","message":"x"}"#);
    publisher.text(format!(
        r#"{{"opcode":"feedback","uuid":"{}","key":"b","secret":"b-secret"}}"#,
        a.uuid
    ));
    publisher.expect_next();
    a.received_nothing_of_its_own();
    b.received_nothing_of_its_own();
}

#[test]
fn applications_without_a_tenant_share_one_space_as_with_gomoob() {
    let server = server();
    let (mut one, mut other) = (page(&server, "shared"), page(&server, "also-shared"));
    one.text(broadcast("x"));
    one.expect_next();
    other.expect_text(&broadcast("x"));
}
