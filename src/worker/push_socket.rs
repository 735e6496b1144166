//! The push socket: messages that scripts of this machine write, read by one worker of all.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tracing::{debug, warn};

use super::event_loop::{EventLoop, PUSHES};
use crate::protocol::bloatless::push::{NotPushed, Pushed, parse};
use crate::reactor::poller::Interest;
use crate::session::RateLimiter;
use crate::types::limits::READ_BYTES;

/// The largest datagram: as the original reads.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;
/// Datagrams that one turn reads; the others wait in the kernel.
const PUSHES_PER_TURN: usize = 32;
/// Lines of the log about datagrams that are dropped, in a minute.
const COMPLAINTS_PER_MINUTE: u32 = 10;

const _: () = assert!(READ_BYTES >= DATAGRAM_BYTES_MAX, "a datagram fits into one read");

/// The push socket, if there is one.
#[derive(Debug, Default)]
pub(super) struct PushSocketReader {
    socket: Option<OwnedFd>,
    state: PushState,
    complaints: RateLimiter,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum PushState {
    /// It is another worker's to read.
    #[default]
    Idle,
    /// The loop waits for it.
    Watched,
    /// The window is full: what comes waits in the kernel (rule L4).
    Paused,
}

impl EventLoop {
    /// The supervisor hands the socket over.
    pub(super) fn take_push_socket(&mut self, socket: OwnedFd) {
        self.pushes.socket = Some(socket);
        self.watch_pushes();
    }

    /// Waits for the socket as long as this worker is the steward.
    pub(super) fn watch_pushes(&mut self) {
        let wanted = if self.is_steward() { PushState::Watched } else { PushState::Idle };
        self.turn_to(wanted);
    }

    fn turn_to(&mut self, wanted: PushState) {
        let Some(socket) = &self.pushes.socket else { return };
        let was_watched = self.pushes.state == PushState::Watched;
        let changed = match (was_watched, wanted == PushState::Watched) {
            (false, true) => self.poller.watch(socket, PUSHES, Interest::Read),
            (true, false) => self.poller.forget(socket),
            _ => Ok(()),
        };
        match changed {
            Ok(()) => self.pushes.state = wanted,
            Err(error) => warn!(%error, "the push socket cannot be watched"),
        }
    }

    /// Goes on where the window was full.
    pub(super) fn resume_pushes(&mut self) {
        if self.pushes.state == PushState::Paused && self.relay.uplink.has_room(DATAGRAM_BYTES_MAX)
        {
            self.watch_pushes();
        }
    }

    /// Takes what scripts have pushed.
    pub(super) fn read_pushes(&mut self) {
        if !self.is_steward() {
            return self.watch_pushes();
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let part = self.part();
        for _ in 0..PUSHES_PER_TURN {
            if !self.relay.uplink.has_room(DATAGRAM_BYTES_MAX) {
                self.turn_to(PushState::Paused);
                break;
            }
            let Some(socket) = &self.pushes.socket else { break };
            let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
            let taken = match recv(socket, &mut *scratch, flags) {
                Ok((_, length)) if length > DATAGRAM_BYTES_MAX => {
                    Err(NotPushed("it is larger than 65,536 bytes"))
                }
                Ok((_, length)) => self.take_push(scratch.get(..length).unwrap_or_default()),
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(error) => {
                    warn!(%error, "the push socket cannot be read");
                    self.turn_to(PushState::Idle);
                    break;
                }
            };
            if let Err(NotPushed(why)) = taken {
                self.drop_push(why);
            }
            // What is not read is announced again.
            if part.is_spent(self.clock.time()) {
                break;
            }
        }
        self.scratch = scratch;
    }

    fn take_push(&mut self, datagram: &[u8]) -> Result<(), NotPushed> {
        let Pushed::Data { application, data } = parse(datagram)? else { return Ok(()) };
        let bound = &self.settings.bloatless.applications;
        let id = self.services.application_named(&application, bound);
        let id = id.ok_or(NotPushed("there is no application of this name"))?;
        let tenant = self.settings.rules.access.anonymous_tenant();
        let mut taken = Ok(());
        self.call_at_desk(id, |resource, desk| taken = resource.on_push(desk, &tenant, data));
        taken.map_err(NotPushed)
    }

    /// Nothing of it stands in the log: it came from outside.
    fn drop_push(&mut self, why: &'static str) {
        if self.pushes.complaints.admits(self.now.second() / 60, COMPLAINTS_PER_MINUTE) {
            warn!(why, "a pushed datagram was dropped");
        } else {
            debug!(why, "a pushed datagram was dropped");
        }
    }
}
