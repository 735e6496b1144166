//! Messages between supervisor and children. Any bytes at either end of the socket are commands,
//! events, or the end of the link. The segmentation does not matter.

use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{SendFlags, Shutdown, send, shutdown};
use tagcast::link::control::{
    BrokerCommand, ChildEvent, Control, ControlPeer, RoleCommand, SocketControl,
    SocketSupervisorEnd, SupervisorEnd, WorkerCommand, control_pair,
};

use super::choices::{Choices, pieces};

/// Most bytes that fit in a socket whose peer does not read.
const BYTES_MAX: usize = 32 * 1024;

/// The first byte selects the end. The rest is the received data.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let to_child = choices.byte() & 1 == 0;
    let bytes = &choices.0[..choices.0.len().min(BYTES_MAX)];
    if to_child {
        commands_however_cut::<WorkerCommand>(bytes);
        commands_however_cut::<BrokerCommand>(bytes);
    } else {
        let (at_once, peer) = reported(&[bytes]);
        assert_eq!(reported(&pieces(bytes)), (at_once.clone(), peer));
        assert_eq!(repeated(&at_once), at_once);
    }
}

fn commands_however_cut<C: RoleCommand>(bytes: &[u8]) {
    let (at_once, peer) = ordered::<C>(&[bytes]);
    assert_eq!(ordered::<C>(&pieces(bytes)), (at_once.clone(), peer));
    at_once.iter().for_each(|command| assert!(!command.is_empty()));
}

fn pair() -> (SocketSupervisorEnd, OwnedFd) {
    control_pair().expect("two descriptors")
}

/// Returns the commands that a child decodes from the bytes, as text, and its view of the
/// supervisor.
fn ordered<C: RoleCommand>(segments: &[&[u8]]) -> (Vec<String>, Option<ControlPeer>) {
    let (desk, child) = pair();
    let mut control = SocketControl::<C>::new(child).expect("three descriptors");
    let (mut messages, mut words) = (Vec::new(), Vec::new());
    for segment in segments {
        write_bytes(&desk, segment);
        let peer = control.commands(&mut messages).ok();
        words.extend(messages.drain(..).map(|message| format!("{message:?}")));
        if peer.is_none() {
            assert_eq!(
                control.commands(&mut messages).ok(),
                Some(ControlPeer::Gone),
                "the end is the end"
            );
            return (words, None);
        }
    }
    end(desk);
    (words, control.commands(&mut messages).ok())
}

fn reported(segments: &[&[u8]]) -> (Vec<ChildEvent>, Option<ControlPeer>) {
    let (mut desk, child) = pair();
    let mut reports = Vec::new();
    for segment in segments {
        write_bytes(&child, segment);
        if desk.events(&mut reports).is_err() {
            return (reports, None);
        }
    }
    end(child);
    let peer = desk.events(&mut reports).ok();
    (reports, peer)
}

/// Sends the events again as a child and returns them as received.
fn repeated(reports: &[ChildEvent]) -> Vec<ChildEvent> {
    let (mut desk, child) = pair();
    let mut control = SocketControl::<WorkerCommand>::new(child).expect("three descriptors");
    let mut received = Vec::new();
    for report in reports {
        control.report(report.clone()).expect("room for one report");
        desk.events(&mut received).expect("a report");
    }
    received
}

/// Shuts down a socket. Closing it would not be enough: a process that another thread is starting
/// inherits all descriptors until it executes its program.
fn end(socket: impl AsFd) {
    shutdown(&socket, Shutdown::Both).expect("a socket");
}

fn write_bytes(socket: &impl AsFd, bytes: &[u8]) {
    let taken = send(socket, bytes, SendFlags::NOSIGNAL).expect("room for all of it");
    assert_eq!(taken, bytes.len());
}
