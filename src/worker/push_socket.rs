//! Push socket: local scripts send messages to it. Only the leader reads it.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tracing::{debug, warn};

use super::clock::Moment;
use super::connection::paused;
use super::context::Context;
use super::dispatch::ticks::TickScheduler;
use super::dispatch::without_client;
use super::tokens::Token;
use crate::protocol::bloatless::push::{NotPushed, Pushed, parse};
use crate::reactor::poller::Interest;
use crate::session::RateLimiter;
use crate::types::limits::READ_BYTES;

/// Longest datagram in bytes, as in the original.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;
/// Most datagrams per turn. The others wait in the kernel.
const DATAGRAMS_PER_TURN: usize = 32;
/// Most log lines per minute about dropped datagrams.
const WARNINGS_PER_MINUTE: u32 = 10;

const _: () = assert!(READ_BYTES >= DATAGRAM_BYTES_MAX, "a datagram fits into one read");

/// Returns true if this worker reads the push socket: it is the leader and serves.
pub(super) fn is_reader(ticks: &TickScheduler, context: &Context) -> bool {
    ticks.is_leader() && context.stage.is_serving()
}

/// Reader of the push socket, if there is one.
#[derive(Debug, Default)]
pub(super) struct PushSocketReader {
    socket: Option<OwnedFd>,
    state: PushState,
    warnings: RateLimiter,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum PushState {
    /// Another worker reads the socket.
    #[default]
    Idle,
    /// The event loop watches the socket.
    Watched,
    /// The send window is full. Datagrams wait in the kernel (rule L4).
    Paused,
}

impl PushSocketReader {
    /// Stores the socket that the supervisor passed.
    pub(super) fn set_socket(&mut self, socket: OwnedFd) {
        self.socket = Some(socket);
    }

    /// Starts watching the socket, because this worker must read it.
    pub(super) fn watch(&mut self, context: &mut Context) {
        self.set_state(PushState::Watched, context);
    }

    /// Stops watching the socket, because another worker reads it.
    pub(super) fn leave(&mut self, context: &mut Context) {
        self.set_state(PushState::Idle, context);
    }

    fn set_state(&mut self, wanted: PushState, context: &mut Context) {
        let Some(socket) = &self.socket else { return };
        let tenant = context.settings.rules.access.anonymous_tenant();
        let waits = wanted == PushState::Paused && !context.broker.uplink.is_throttled(&tenant);
        let waits = waits.then_some(tenant);
        context.serving.paused.set_push_socket(waits);
        let poller = &context.poller;
        let was_watched = self.state == PushState::Watched;
        let changed = match (was_watched, wanted == PushState::Watched) {
            (false, true) => poller.watch(socket, Token::PushSocket.into(), Interest::Read),
            (true, false) => poller.forget(socket),
            _ => Ok(()),
        };
        match changed {
            Ok(()) => self.state = wanted,
            Err(error) => warn!(
                event = "push_socket_watch_failed",
                %error,
                "failed to watch the push socket"
            ),
        }
    }

    /// Resumes reading once the send window has room.
    pub(super) fn resume(&mut self, context: &mut Context) {
        if self.state == PushState::Paused && has_room(context) {
            self.watch(context);
        }
    }

    /// Reads datagrams within the time budget of this part of the turn.
    pub(super) fn read(&mut self, context: &mut Context) {
        let mut scratch = std::mem::take(&mut context.buffers.scratch);
        let part = context.clock.part();
        for _ in 0..DATAGRAMS_PER_TURN {
            if !has_room(context) {
                self.set_state(PushState::Paused, context);
                break;
            }
            let Some(socket) = &self.socket else { break };
            let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
            let taken = match recv(socket, &mut *scratch, flags) {
                Ok((_, length)) if length > DATAGRAM_BYTES_MAX => {
                    Err(NotPushed("it is larger than 65,536 bytes"))
                }
                Ok((_, length)) => on_datagram(context, scratch.get(..length).unwrap_or_default()),
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(error) => {
                    warn!(
                        event = "push_socket_read_failed",
                        %error,
                        "failed to read from the push socket"
                    );
                    self.set_state(PushState::Idle, context);
                    break;
                }
            };
            if let Err(NotPushed(why)) = taken {
                self.log_dropped(why, context.clock.now());
            }
            // The poller reports unread datagrams again.
            if part.is_spent(context.clock.time()) {
                break;
            }
        }
        context.buffers.scratch = scratch;
    }

    /// Logs a dropped datagram. Its content is not logged, because any local script may have sent
    /// it.
    fn log_dropped(&mut self, why: &'static str, now: Moment) {
        if self.warnings.admits(now.second() / 60, WARNINGS_PER_MINUTE) {
            warn!(event = "push_datagram_dropped", why, "pushed datagram dropped");
        } else {
            debug!(why, "a pushed datagram was dropped");
        }
    }
}

/// Returns whether a datagram may be published.
fn has_room(context: &Context) -> bool {
    let tenant = context.settings.rules.access.anonymous_tenant();
    paused::lack_of_room(context, &tenant, DATAGRAM_BYTES_MAX).is_none()
        && !context.broker.uplink.is_throttled(&tenant)
}

/// Passes a datagram to the application that it names.
fn on_datagram(context: &mut Context, datagram: &[u8]) -> Result<(), NotPushed> {
    let Pushed::Data { application, data } = parse(datagram)? else { return Ok(()) };
    let bound = &context.settings.bloatless.applications;
    let id = context.resources.application_named(&application, bound);
    let id = id.ok_or(NotPushed("no application has this name"))?;
    let tenant = context.settings.rules.access.anonymous_tenant();
    let mut taken = Ok(());
    let before = context.labelled.resource_publications();
    without_client::call_without_client(context, id, |resource, call| {
        taken = resource.on_push(call, &tenant, data);
    });
    context.labelled.note_pushed_since(before);
    taken.map_err(NotPushed)
}
