//! Tests of the control link with real descriptors over a real socket pair.

use super::*;
use crate::link::control::{
    BrokerCommand, CommonCommand, ConfigText, PendingHandshakes, WorkerCommand,
};
use crate::link::transport::Transport;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::types::limits::ORPHAN_WAIT;
use crate::types::{
    ConfigNumber, CountDetail, Encryption, Generation, WorkerId, WorkerIncarnation,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

type Message = ControlMessage<ChildCommand, OwnedFd>;

fn linked<C: RoleCommand>() -> (SocketSupervisorEnd, SocketControl<C>) {
    let (end, theirs) = control_pair().unwrap();
    (end, SocketControl::new(theirs).unwrap())
}

fn worker_linked() -> (SocketSupervisorEnd, SocketControl<WorkerCommand>) {
    linked()
}

fn source(worker: u16) -> WorkerIncarnation {
    WorkerIncarnation { worker: WorkerId(worker), generation: Generation(7) }
}

fn rings<C: RoleCommand>(control: &SocketControl<C>) -> bool {
    let ready = control.ready();
    let mut watched = [PollFd::new(&ready, PollFlags::IN)];
    poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
}

fn received<C: RoleCommand>(control: &mut SocketControl<C>) -> Vec<ControlMessage<C>> {
    let mut messages = Vec::new();
    assert_eq!(control.commands(&mut messages).unwrap(), ControlPeer::Alive);
    messages
}

fn quiesce() -> Message {
    ControlMessage::plain(WorkerCommand::Quiesce(PendingHandshakes::Refuse))
}

fn link(end: OwnedFd) -> Message {
    let command = WorkerCommand::Link { broker: Generation(3) };
    ControlMessage::with(command, Attachment::Link(end))
}

fn text(json: &str) -> ConfigText {
    Arc::new(json.to_owned().into())
}

/// Sends all messages, and compares what arrives by its debug output.
fn arrive<C: RoleCommand>(messages: Vec<Message>) {
    let (mut end, mut control) = linked::<C>();
    assert!(!rings(&control));
    let own = |command: &ChildCommand| C::try_from(command.clone()).unwrap();
    let in_words =
        |message: &Message| format!("{:?} {:?}", own(&message.command), message.attachment);
    let sent: Vec<_> = messages.iter().map(in_words).collect();
    for message in messages {
        end.send(message).unwrap();
    }
    assert!(rings(&control));
    let seen: Vec<_> = received(&mut control)
        .iter()
        .map(|message| format!("{:?} {:?}", message.command, message.attachment))
        .collect();
    assert_eq!(seen, sent);
    assert!(!rings(&control) && received(&mut control).is_empty());
}

#[test]
fn every_command_arrives_with_its_attachment() {
    let (one, _other) = unix_pair().unwrap();
    let (two, _other) = unix_pair().unwrap();
    let number = ConfigNumber(1);
    let level = crate::telemetry::LogLevel::Debug;
    let common = || {
        [
            ControlMessage::configure(number, text("{\"workers\":2}")),
            ControlMessage::plain(CommonCommand::LogLevel { level }),
            ControlMessage::plain(CommonCommand::Count { number: 7, detail: CountDetail::Process }),
            ControlMessage::plain(CommonCommand::Heartbeat),
        ]
    };
    let listen = WorkerCommand::Listen { sockets: Vec::new() };
    let within = Duration::from_millis(1500);
    let to_worker = [
        ControlMessage::with(listen, Attachment::Sockets(Vec::new())),
        link(one),
        quiesce(),
        ControlMessage::plain(WorkerCommand::Drain { within }),
    ];
    arrive::<WorkerCommand>(common().into_iter().chain(to_worker).collect());
    let sources = vec![source(0), source(1)];
    let worker_link = BrokerCommand::WorkerLink { source: source(1) };
    let to_broker = [
        ControlMessage::plain(BrokerCommand::LiveWorkers { sources }),
        ControlMessage::with(worker_link, Attachment::Link(two)),
        ControlMessage::plain(BrokerCommand::WorkerDead { source: source(0) }),
        ControlMessage::plain(BrokerCommand::Stop),
    ];
    arrive::<BrokerCommand>(common().into_iter().chain(to_broker).collect());
}

#[test]
fn a_command_for_another_role_ends_the_link() {
    let (mut end, mut control) = worker_linked();
    end.send(ControlMessage::plain(BrokerCommand::Stop)).unwrap();
    assert!(control.commands(&mut Vec::new()).is_err());
    assert_eq!(control.commands(&mut Vec::new()).unwrap(), ControlPeer::Gone);
}

#[test]
fn a_listening_socket_arrives_and_accepts() {
    let (mut end, mut control) = worker_linked();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let command = WorkerCommand::Listen { sockets: vec![Encryption::Tls] };
    end.send(ControlMessage::with(command, Attachment::Sockets(vec![listener.into()]))).unwrap();
    let message = received(&mut control).pop().unwrap();
    let Attachment::Sockets(mut sockets) = message.attachment else { panic!() };
    let listener = TcpListener::from(sockets.pop().unwrap());
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"x").unwrap();
    listener.accept().unwrap().0.read_exact(&mut [0; 1]).unwrap();
}

#[test]
fn a_link_arrives_and_the_sender_keeps_no_copy_of_it() {
    let (mut end, mut control) = worker_linked();
    let (ours, theirs) = unix_pair().unwrap();
    end.send(link(theirs)).unwrap();
    let message = received(&mut control).pop().unwrap();
    let Attachment::Link(mut transport) = message.attachment else { panic!() };
    let mut ours = UnixTransport::new(ours);
    transport.write(&[IoSlice::new(b"hello")]).unwrap();
    drop(transport);
    let mut into = [0; 8];
    assert_eq!(ours.read(&mut into).unwrap(), 5);
    assert_eq!(ours.read(&mut into).unwrap(), 0, "the other end is still open somewhere");
}

#[test]
fn a_configuration_larger_than_the_socket_arrives_in_pieces() {
    let (mut end, mut control) = worker_linked();
    let json = text(&"x".repeat(5_000_000));
    let (ours, _other) = unix_pair().unwrap();
    end.send(ControlMessage::configure(ConfigNumber(1), Arc::clone(&json))).unwrap();
    end.send(link(ours)).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        assert_eq!(control.commands(&mut seen).unwrap(), ControlPeer::Alive);
        end.flush().unwrap();
    }
    assert!(!end.holds_commands());
    assert!(matches!(&seen[0].attachment, Attachment::Config(same) if *same == json));
}

#[test]
fn events_arrive_and_the_exit_of_a_child_is_detected() {
    let (mut end, mut control) = worker_linked();
    let lost = ChildEvent::LinkLost { peer: source(2), broker: Generation(9) };
    let mut seen = Vec::new();
    control.report(ChildEvent::Ready).unwrap();
    control.report(lost.clone()).unwrap();
    assert_eq!(end.events(&mut seen).unwrap(), ControlPeer::Alive);
    control.report(ChildEvent::Quiesced).unwrap();
    drop(control);
    assert_eq!(end.events(&mut seen).unwrap(), ControlPeer::Gone);
    assert_eq!(seen, [ChildEvent::Ready, lost, ChildEvent::Quiesced]);
    assert!(end.send(quiesce()).is_err());
}

#[test]
fn a_lost_supervisor_is_detected_after_its_last_command() {
    let (mut end, mut control) = worker_linked();
    end.send(quiesce()).unwrap();
    drop(end);
    let mut seen = Vec::new();
    assert!(rings(&control));
    assert_eq!(control.commands(&mut seen).unwrap(), ControlPeer::Gone);
    let command = seen.pop().unwrap().command;
    assert_eq!(command, WorkerCommand::Quiesce(PendingHandshakes::Refuse));
    assert!(seen.is_empty());
    assert!(!rings(&control), "an end is told once, not for ever");
    assert_eq!(control.commands(&mut seen).unwrap(), ControlPeer::Gone);
}

#[test]
fn a_signal_becomes_a_command_to_drain() {
    let (_end, mut control) = worker_linked();
    control.terminator().terminate();
    assert!(rings(&control));
    let command = received(&mut control).pop().unwrap().command;
    assert_eq!(command, WorkerCommand::Drain { within: ORPHAN_WAIT });
    assert!(!rings(&control) && received(&mut control).is_empty());
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
        let (mut other_process, theirs) = UnixStream::pair().unwrap();
        let mut control = SocketControl::<WorkerCommand>::new(theirs.into()).unwrap();
        other_process.write_all(&bytes).unwrap();
        let mut seen = Vec::new();
        let error = control.commands(&mut seen).unwrap_err();
        assert!(seen.is_empty(), "{bytes:?} {error}");
        assert_eq!(control.commands(&mut seen).unwrap(), ControlPeer::Gone);
    }
}

#[test]
fn a_message_cut_in_the_middle_is_an_end_like_any_other() {
    let (mut other_process, theirs) = UnixStream::pair().unwrap();
    let mut control = SocketControl::<WorkerCommand>::new(theirs.into()).unwrap();
    other_process.write_all(&[0, 0, 0, 9, b'"']).unwrap();
    assert!(received(&mut control).is_empty());
    drop(other_process);
    assert_eq!(control.commands(&mut Vec::new()).unwrap(), ControlPeer::Gone);
}

#[test]
fn a_child_that_reads_no_commands_is_abandoned_at_a_limit() {
    let (mut end, _control) = worker_linked();
    let refused = (0..1_000_000).find_map(|_| end.send(quiesce()).err()).unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
}
