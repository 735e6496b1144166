//! Messages between supervisor and children: whatever arrives at either end of the socket is an
//! order or a report, or the end of the link; how it was cut does not matter.

use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{SendFlags, Shutdown, send, shutdown};
use tagcast::link::control::{
    ChildEvent, Control, ControlPeer, SocketControl, SocketSupervisorEnd, SupervisorCommand,
    SupervisorEnd, control_pair,
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
        let (at_once, peer) = ordered(&[bytes]);
        assert_eq!(ordered(&pieces(bytes)), (at_once.clone(), peer));
        at_once.iter().for_each(|order| assert!(!order.is_empty()));
    } else {
        let (at_once, peer) = reported(&[bytes]);
        assert_eq!(reported(&pieces(bytes)), (at_once.clone(), peer));
        assert_eq!(repeated(&at_once), at_once);
    }
}

fn pair() -> (SocketSupervisorEnd, OwnedFd) {
    control_pair().expect("two descriptors")
}

/// The orders that a child makes of some bytes, in words, and what it thinks of its supervisor.
fn ordered(segments: &[&[u8]]) -> (Vec<String>, Option<ControlPeer>) {
    let (desk, child) = pair();
    let mut control = SocketControl::new(child).expect("three descriptors");
    let (mut orders, mut words): (Vec<SupervisorCommand>, Vec<String>) = Default::default();
    for segment in segments {
        say(&desk, segment);
        let peer = control.orders(&mut orders).ok();
        words.extend(orders.drain(..).map(|order| format!("{order:?}")));
        if peer.is_none() {
            assert_eq!(
                control.orders(&mut orders).ok(),
                Some(ControlPeer::Gone),
                "the end is the end"
            );
            return (words, None);
        }
    }
    end(desk);
    (words, control.orders(&mut orders).ok())
}

fn reported(segments: &[&[u8]]) -> (Vec<ChildEvent>, Option<ControlPeer>) {
    let (mut desk, child) = pair();
    let mut reports = Vec::new();
    for segment in segments {
        say(&child, segment);
        if desk.reports(&mut reports).is_err() {
            return (reports, None);
        }
    }
    end(child);
    let peer = desk.reports(&mut reports).ok();
    (reports, peer)
}

/// The same reports as a child makes them.
fn repeated(reports: &[ChildEvent]) -> Vec<ChildEvent> {
    let (mut desk, child) = pair();
    let mut control = SocketControl::new(child).expect("three descriptors");
    let mut heard = Vec::new();
    for report in reports {
        control.report(*report).expect("room for one report");
        desk.reports(&mut heard).expect("a report");
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
