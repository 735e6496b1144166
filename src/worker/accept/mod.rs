//! Accepting: all workers wait on the same sockets, and the fuller ones stand back a moment.

pub(crate) mod tls_handshakes;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use rustix::process::{Resource, getrlimit};
use tracing::{debug, info, warn};

use self::tls_handshakes::Watcher;
use super::clock::Moment;
use super::connection::tls::TlsSession;
use super::connection::{Connection, PartialHead};
use super::event_loop::{DOORS, EventLoop, WorkerStage};
use crate::http::HeadScanner;
use crate::link::control::Accepting;
use crate::reactor::poller::Interest;
use crate::types::limits::{
    ACCEPT_PAUSE, DESCRIPTORS_RESERVED, DESCRIPTORS_SPARE, HANDSHAKES_MAX, HEADS_BYTES_MAX,
    TURN_PART,
};
use crate::types::{Encryption, Pressure, Slot, TurnBudget};

/// Connections that one turn takes in from one listening socket.
const ACCEPTS_MAX: usize = 64;
/// The same where TLS is spoken: a turn has time for fewer handshakes than that, so more of them would
/// only wait inside instead of outside.
const TLS_ACCEPTS_MAX: usize = 8;
/// How long a worker stands back that has clearly more connections than another one.
const STAND_BACK: Duration = Duration::from_millis(1);
/// How often in a row: whoever waits outside must not wait for balance.
const STAND_BACKS_MAX: u8 = 5;
/// Connections that a worker may have beyond the emptiest one before it stands back.
const LEAD: u32 = 16;

/// The listening sockets.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    sockets: Vec<(OwnedFd, Encryption)>,
    state: AcceptState,
    /// Connections of this worker and of the emptiest one, as the broker said last.
    own: u32,
    smallest: u32,
    stood_back: u8,
    /// Descriptors that the worker itself had when it began to accept.
    own_descriptors: u64,
    /// Somebody waits outside for want of a resource; said once.
    want: Want,
    /// Handshakes that are not answered yet.
    pub(super) handshakes: usize,
}

#[derive(Debug, Default, PartialEq)]
enum AcceptState {
    #[default]
    Open,
    /// Nobody is accepted before this moment.
    Shut { until: Moment },
    /// Other workers accept, until this one is told to.
    Left,
    /// Nobody is accepted any more.
    Closed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Want {
    #[default]
    Nothing,
    Something,
}

impl Listeners {
    /// When they open again.
    pub(super) fn opens_at(&self) -> Option<Moment> {
        match self.state {
            AcceptState::Shut { until } => Some(until),
            _ => None,
        }
    }

    /// Notes how full the workers are.
    pub(super) fn weigh(&mut self, own: u32, smallest: u32) {
        (self.own, self.smallest) = (own, smallest);
    }

    /// Bytes that each of the heads that are under way may have: their memory is bounded, however
    /// many there are and however long one may be.
    pub(super) fn share_of_heads(&self) -> usize {
        HEADS_BYTES_MAX / self.handshakes.max(1)
    }

    fn leads(&self) -> bool {
        self.own > self.smallest + LEAD + self.smallest / 32
    }
}

impl EventLoop {
    /// Begins to accept.
    pub(super) fn listen(&mut self, sockets: Vec<(OwnedFd, Encryption)>) -> std::io::Result<()> {
        self.doors.sockets = sockets;
        self.doors.own_descriptors =
            std::fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as u64);
        self.watch_doors()
    }

    fn watch_doors(&self) -> std::io::Result<()> {
        for ((socket, _), token) in self.doors.sockets.iter().zip((0..=DOORS).rev()) {
            self.poller.watch(socket, token, Interest::Accept)?;
        }
        Ok(())
    }

    fn shut(&mut self, pause: Duration) {
        if matches!(self.doors.state, AcceptState::Left | AcceptState::Closed) {
            return;
        }
        self.forget_doors();
        self.doors.state = AcceptState::Shut { until: self.now.after(pause) };
    }

    fn forget_doors(&self) {
        if self.doors.state == AcceptState::Open {
            for (socket, _) in &self.doors.sockets {
                drop(self.poller.forget(socket));
            }
        }
    }

    /// Takes in whom the kernel woke this worker for and nobody else: once it no longer waits at the
    /// doors, nobody would come for them.
    pub(super) fn accept_the_last(&mut self) {
        if matches!(self.doors.state, AcceptState::Left | AcceptState::Closed) {
            return;
        }
        self.forget_doors();
        self.doors.state = AcceptState::Left;
        for _ in 0..HANDSHAKES_MAX / ACCEPTS_MAX {
            for place in 0..self.doors.sockets.len() {
                self.accept_from(place, Duration::MAX);
            }
        }
    }

    /// Leaves newcomers to other workers, or takes part again.
    pub(super) fn accept_or_not(&mut self, accepting: Accepting) {
        match accepting {
            Accepting::No => self.accept_the_last(),
            Accepting::Yes if self.doors.state == AcceptState::Left => {
                self.open_doors();
                // Nobody is woken for those who wait already.
                self.accept();
            }
            Accepting::Yes => {}
        }
    }

    fn open_doors(&mut self) {
        self.doors.state = AcceptState::Open;
        if let Err(error) = self.watch_doors() {
            warn!(%error, "the listening sockets cannot be watched");
            self.shut(ACCEPT_PAUSE);
        }
    }

    /// Accepts nobody any more.
    pub(super) fn close_doors(&mut self) {
        self.forget_doors();
        self.doors.state = AcceptState::Closed;
        self.doors.sockets.clear();
    }

    /// Opens the doors again whose time has come.
    pub(super) fn reopen(&mut self) {
        if self.doors.opens_at().is_some_and(|at| at <= self.now) {
            self.open_doors();
        }
    }

    /// Takes in who waits outside.
    pub(super) fn accept(&mut self) {
        if self.doors.state != AcceptState::Open || !matches!(self.stage, WorkerStage::Serving) {
            return;
        }
        if self.doors.leads() && self.doors.stood_back < STAND_BACKS_MAX {
            self.doors.stood_back += 1;
            return self.shut(STAND_BACK);
        }
        self.doors.stood_back = 0;
        let is_scarce = self.memory.pressure() >= Pressure::Full;
        if self.doors.handshakes >= HANDSHAKES_MAX || is_scarce {
            return self.shut(ACCEPT_PAUSE);
        }
        let places = u32::try_from(self.doors.sockets.len()).unwrap_or(u32::MAX).max(1);
        for place in 0..self.doors.sockets.len() {
            self.accept_from(place, TURN_PART / places);
        }
    }

    fn pause(&mut self, reason: &dyn std::fmt::Display) {
        if self.doors.want == Want::Nothing {
            self.doors.want = Want::Something;
            warn!(%reason, connections = self.table.count(), "accepting pauses");
        }
        self.shut(ACCEPT_PAUSE);
    }

    /// Whether the descriptors that are left are for the worker itself: those that it has, and those
    /// that it needs when a broker dies, since without one for the new link it would have to die too.
    fn is_full(&self) -> bool {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let needed = self.doors.own_descriptors + DESCRIPTORS_SPARE;
        self.table.count() as u64 + needed.max(DESCRIPTORS_RESERVED.min(limit / 4)) >= limit
    }

    fn accept_from(&mut self, place: usize, within: Duration) {
        let Some((_, encryption)) = self.doors.sockets.get(place) else { return };
        let encryption = *encryption;
        let accepts_max = match encryption {
            Encryption::Plain => ACCEPTS_MAX,
            Encryption::Tls => TLS_ACCEPTS_MAX,
        };
        let part = TurnBudget::new(self.clock.time(), within);
        for _ in 0..accepts_max {
            // Before each of them: a burst would take what the worker needs, too.
            if self.is_full() {
                return self.pause(&"the descriptors that are left are for the worker itself");
            }
            let Some((socket, _)) = self.doors.sockets.get(place) else { return };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match acceptfrom_with(socket, flags) {
                Ok((socket, peer)) => {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    self.admit((socket, encryption), peer);
                    // Those who wait outside are announced again.
                    if part.is_spent(self.clock.time()) {
                        return;
                    }
                }
                Err(Errno::AGAIN) => return,
                // Who gave up while waiting is no fault of ours.
                Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO) => {}
                Err(error) => {
                    return self.pause(&error);
                }
            }
        }
    }

    fn admit(&mut self, (socket, encryption): (OwnedFd, Encryption), peer: Option<SocketAddr>) {
        if std::mem::take(&mut self.doors.want) == Want::Something {
            info!(connections = self.table.count(), "accepting goes on");
        }
        let Some(peer) = peer else { return };
        let Ok(tls) = self.begin_tls(encryption) else { return };
        self.last_serial += 1;
        let handshake = self.settings.tls.as_ref().filter(|_| tls.is_some());
        let until = handshake.map_or(self.settings.handshake_timeout, |(_, timeout)| *timeout);
        let until = self.now.after(until);
        let scanner = HeadScanner::new(self.settings.head_bytes_max);
        let heading = PartialHead {
            scanner,
            bytes: Vec::new(),
            until,
            peer,
            speaks_tls: false,
            server_name: None,
        };
        let mut connection = Box::new(Connection::new(self.last_serial, heading));
        if tls.is_some() {
            connection.watched.by = Watcher::Shaking;
        }
        let by = connection.watched.by;
        connection.tls = tls;
        let slot = self.relay.take_slot();
        self.table.add(slot, socket, connection);
        self.doors.handshakes += 1;
        self.books.accepted += 1;
        debug!(connection = self.last_serial, peer = %peer.ip(), "accepted");
        if let Err(error) = self.watch(slot, by) {
            warn!(%error, "a connection cannot be watched");
            return self.drop_connection(slot);
        }
        if let Some(mut connection) = self.table.take(slot) {
            self.set_timer(slot, &mut connection);
            self.table.put(slot, connection);
        }
    }

    /// TLS for a connection that needs it. There is a certificate wherever a socket speaks TLS: the
    /// configuration sees to that; if not, nobody is served in the clear by mistake.
    fn begin_tls(&self, encryption: Encryption) -> Result<Option<Box<TlsSession>>, ()> {
        if encryption == Encryption::Plain {
            return Ok(None);
        }
        let (acceptor, _) = self.settings.tls.as_ref().ok_or(())?;
        match TlsSession::new(acceptor) {
            Ok(tls) => Ok(Some(Box::new(tls))),
            Err(error) => {
                warn!(%error, "TLS cannot be begun");
                Err(())
            }
        }
    }

    fn watch(&self, slot: Slot, by: Watcher) -> std::io::Result<()> {
        match self.table.socket(slot) {
            Some(socket) => self.watcher(by).watch(socket, slot.0.into(), Interest::Read),
            None => Ok(()),
        }
    }
}
