//! Messages between supervisor and children: whatever arrives at either end of the socket is an
//! command or an event, or the end of the link; how it was cut does not matter.

use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{SendFlags, Shutdown, send, shutdown};
use tagcast::link::control::{
    BrokerCommand, ChildEvent, Control, ControlPeer, RoleCommand, SocketControl,
    SocketSupervisorEnd, SupervisorEnd, WorkerCommand, control_pair,
};

use super::choices::{Choices, pieces};

/// What a socket takes without being read from.
const BYTES_MAX: usize = 32 * 1024;

/// The first byte chooses the end, the rest is what arrives there.
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

/// The commands that a child makes of some bytes, in words, and what it thinks of its supervisor.
fn ordered<C: RoleCommand>(segments: &[&[u8]]) -> (Vec<String>, Option<ControlPeer>) {
    let (desk, child) = pair();
    let mut control = SocketControl::<C>::new(child).expect("three descriptors");
    let (mut messages, mut words) = (Vec::new(), Vec::new());
    for segment in segments {
        say(&desk, segment);
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
        say(&child, segment);
        if desk.events(&mut reports).is_err() {
            return (reports, None);
        }
    }
    end(child);
    let peer = desk.events(&mut reports).ok();
    (reports, peer)
}

/// The same reports as a child makes them.
fn repeated(reports: &[ChildEvent]) -> Vec<ChildEvent> {
    let (mut desk, child) = pair();
    let mut control = SocketControl::<WorkerCommand>::new(child).expect("three descriptors");
    let mut heard = Vec::new();
    for report in reports {
        control.report(*report).expect("room for one report");
        desk.events(&mut heard).expect("a report");
    }
    heard
}

/// The end of a socket, also for a process that another thread is just starting: that one has all
/// descriptors until it runs its program.
fn end(socket: impl AsFd) {
    shutdown(&socket, Shutdown::Both).expect("a socket");
}

fn say(socket: &impl AsFd, bytes: &[u8]) {
    let taken = send(socket, bytes, SendFlags::NOSIGNAL).expect("room for all of it");
    assert_eq!(taken, bytes.len());
}
