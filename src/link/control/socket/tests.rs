//! The control link with real descriptors over a real pair of sockets.

use super::*;
use crate::link::control::ConfigText;
use crate::link::control::PendingHandshakes;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::types::{ConfigNumber, Encryption, Generation, WorkerId, WorkerIncarnation};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

fn linked() -> (SocketSupervisorEnd, SocketControl) {
    let (desk, theirs) = control_pair().unwrap();
    (desk, SocketControl::new(theirs).unwrap())
}

fn source(worker: u16) -> WorkerIncarnation {
    WorkerIncarnation { worker: WorkerId(worker), generation: Generation(7) }
}

fn rings(control: &SocketControl) -> bool {
    let ready = control.ready();
    let mut watched = [PollFd::new(&ready, PollFlags::IN)];
    poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
}

fn orders(control: &mut SocketControl) -> Vec<SupervisorCommand> {
    let mut orders = Vec::new();
    assert_eq!(control.orders(&mut orders).unwrap(), ControlPeer::Alive);
    orders
}

fn text(json: &str) -> ConfigText {
    Arc::new(json.to_owned().into())
}

#[test]
fn every_order_arrives_as_it_was_given() {
    let (mut desk, mut control) = linked();
    assert!(!rings(&control));
    let (one, _other) = unix_pair().unwrap();
    let (two, _other) = unix_pair().unwrap();
    let given = [
        SupervisorCommand::Configure { number: ConfigNumber(1), json: text("{\"workers\":2}") },
        SupervisorCommand::Listen(Vec::new()),
        SupervisorCommand::Link { broker: Generation(3), transport: one },
        SupervisorCommand::LiveWorkers { sources: vec![source(0), source(1)] },
        SupervisorCommand::WorkerLink { source: source(1), transport: two },
        SupervisorCommand::WorkerDead { source: source(0) },
        SupervisorCommand::Quiesce(PendingHandshakes::Refuse),
        SupervisorCommand::Drain { within: Duration::from_millis(1500) },
        SupervisorCommand::Stop,
        SupervisorCommand::Heartbeat,
    ];
    let names: Vec<_> = given.iter().map(without_link_end).collect();
    for order in given {
        desk.order(order).unwrap();
    }
    assert!(rings(&control));
    let seen: Vec<_> = orders(&mut control).iter().map(without_link_end).collect();
    assert_eq!(seen, names);
    assert!(!rings(&control) && orders(&mut control).is_empty());
}

/// The text of an order, up to its transport (which differs by nature).
fn without_link_end<L: std::fmt::Debug>(order: &SupervisorCommand<L>) -> String {
    let text = format!("{order:?}");
    if text.contains("Link(") { text.split(", ").next().unwrap().to_owned() } else { text }
}

#[test]
fn a_listening_socket_arrives_and_accepts() {
    let (mut desk, mut control) = linked();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    desk.order(SupervisorCommand::Listen(vec![(listener.into(), Encryption::Tls)])).unwrap();
    let Some(SupervisorCommand::Listen(mut sockets)) = orders(&mut control).pop() else { panic!() };
    let listener = TcpListener::from(sockets.pop().unwrap().0);
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"x").unwrap();
    listener.accept().unwrap().0.read_exact(&mut [0; 1]).unwrap();
}

#[test]
fn a_link_arrives_and_the_sender_keeps_no_copy_of_it() {
    let (mut desk, mut control) = linked();
    let (ours, theirs) = unix_pair().unwrap();
    desk.order(SupervisorCommand::Link { broker: Generation(0), transport: theirs }).unwrap();
    let Some(SupervisorCommand::Link { mut transport, .. }) = orders(&mut control).pop() else {
        panic!()
    };
    let mut ours = UnixTransport::new(ours);
    transport.write(&[IoSlice::new(b"hello")]).unwrap();
    drop(transport);
    let mut into = [0; 8];
    assert_eq!(ours.read(&mut into).unwrap(), 5);
    assert_eq!(ours.read(&mut into).unwrap(), 0, "somebody still holds the other end");
}

#[test]
fn a_configuration_larger_than_the_socket_arrives_in_pieces() {
    let (mut desk, mut control) = linked();
    let json = text(&"x".repeat(5_000_000));
    let (end, _other) = unix_pair().unwrap();
    desk.order(SupervisorCommand::Configure { number: ConfigNumber(1), json: Arc::clone(&json) })
        .unwrap();
    desk.order(SupervisorCommand::Link { broker: Generation(0), transport: end }).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        assert_eq!(control.orders(&mut seen).unwrap(), ControlPeer::Alive);
        desk.flush().unwrap();
    }
    assert!(!desk.holds_orders());
    assert!(matches!(&seen[0], SupervisorCommand::Configure { json: same, .. } if *same == json));
}

#[test]
fn reports_arrive_and_a_child_that_goes_is_noticed() {
    let (mut desk, mut control) = linked();
    let lost = ChildEvent::LinkLost { peer: source(2), broker: Generation(9) };
    let mut seen = Vec::new();
    control.report(ChildEvent::Ready).unwrap();
    control.report(lost).unwrap();
    assert_eq!(desk.reports(&mut seen).unwrap(), ControlPeer::Alive);
    control.report(ChildEvent::Quiesced).unwrap();
    drop(control);
    assert_eq!(desk.reports(&mut seen).unwrap(), ControlPeer::Gone);
    assert_eq!(seen, [ChildEvent::Ready, lost, ChildEvent::Quiesced]);
    assert!(desk.order(SupervisorCommand::Quiesce(PendingHandshakes::Refuse)).is_err());
}

#[test]
fn a_supervisor_that_goes_is_noticed_once_its_last_order_was_read() {
    let (mut desk, mut control) = linked();
    desk.order(SupervisorCommand::Quiesce(PendingHandshakes::Refuse)).unwrap();
    drop(desk);
    let mut seen = Vec::new();
    assert!(rings(&control));
    assert_eq!(control.orders(&mut seen).unwrap(), ControlPeer::Gone);
    assert!(matches!(seen[..], [SupervisorCommand::Quiesce(PendingHandshakes::Refuse)]));
    assert!(!rings(&control), "an end is told once, not for ever");
    assert_eq!(control.orders(&mut seen).unwrap(), ControlPeer::Gone);
}

#[test]
fn a_signal_becomes_an_order_to_drain() {
    let (_desk, mut control) = linked();
    control.terminator().terminate();
    assert!(rings(&control));
    assert!(matches!(orders(&mut control)[..], [SupervisorCommand::Drain { within: ORPHAN_WAIT }]));
    assert!(!rings(&control) && orders(&mut control).is_empty());
}

#[test]
fn what_no_supervisor_sends_ends_the_link_without_a_panic() {
    let json =
        |text: &str| [&u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
    let cases = [
        vec![0xff; 4],
        vec![0, 0, 0, 0],
        json("\"Dance\""),
        json("{}"),
        json("\"Stop\" \"Stop\""),
        json("{\"Link\":{\"broker\":1}}"),
        json("{\"Listen\":{\"sockets\":1}}"),
        json("{\"Listen\":{\"sockets\":18446744073709551615}}"),
        json("{\"Drain\":{\"within\":{\"secs\":18446744073709551615,\"nanos\":1999999999}}}"),
        json("\u{fffd}\0"),
    ];
    for bytes in cases {
        let (mut stranger, theirs) = UnixStream::pair().unwrap();
        let mut control = SocketControl::new(theirs.into()).unwrap();
        stranger.write_all(&bytes).unwrap();
        let mut seen = Vec::new();
        let error = control.orders(&mut seen).unwrap_err();
        assert!(seen.is_empty(), "{bytes:?} {error}");
        assert_eq!(control.orders(&mut seen).unwrap(), ControlPeer::Gone);
    }
}

#[test]
fn a_message_cut_in_the_middle_is_an_end_like_any_other() {
    let (mut stranger, theirs) = UnixStream::pair().unwrap();
    let mut control = SocketControl::new(theirs.into()).unwrap();
    stranger.write_all(&[0, 0, 0, 9, b'"']).unwrap();
    assert!(orders(&mut control).is_empty());
    drop(stranger);
    assert_eq!(control.orders(&mut Vec::new()).unwrap(), ControlPeer::Gone);
}

#[test]
fn a_child_that_reads_no_orders_is_given_up_at_a_bound() {
    let (mut desk, _control) = linked();
    let refused = (0..1_000_000)
        .find_map(|_| desk.order(SupervisorCommand::Quiesce(PendingHandshakes::Refuse)).err())
        .unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
}
