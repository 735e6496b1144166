//! Accepting: all workers wait on the same sockets, and the fuller ones stand back a moment.

pub(crate) mod tls_handshakes;

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use rustix::process::{Resource, getrlimit};
use tracing::{debug, info, warn};

use self::tls_handshakes::Watcher;
use super::clock::Moment;
use super::connection::table::ConnectionTable;
use super::connection::tls::TlsSession;
use super::connection::{Connection, PartialHead, close, readiness};
use super::context::Context;
use super::settings::WorkerSettings;
use super::tokens::Token;
use crate::http::HeadScanner;
use crate::link::control::Accepting;
use crate::reactor::poller::{Interest, Poller};
use crate::types::limits::{
    ACCEPT_PAUSE, DESCRIPTORS_RESERVED, DESCRIPTORS_SPARE, HANDSHAKES_MAX, TURN_PART,
};
use crate::types::{Encryption, Pressure, TurnBudget};

/// Connections that one turn takes in from one listening socket.
const ACCEPTS_MAX: usize = 64;
/// The same where TLS is spoken: a turn has time for fewer handshakes than that, so more of them would
/// only wait inside instead of outside.
const TLS_ACCEPTS_MAX: usize = 8;
/// How long a worker stands back that has clearly more connections than another one.
const STAND_BACK: Duration = Duration::from_millis(1);
/// How often in a row: a client that waits outside must not wait for balance.
const STAND_BACKS_MAX: u8 = 5;
/// Connections that a worker may have beyond the emptiest one before it stands back.
const LEAD: u32 = 16;

/// The listening sockets, and whether connections are accepted from them.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    sockets: Vec<Listener>,
    state: AcceptState,
    /// Connections of this worker and of the emptiest one, as the broker last reported.
    own: u32,
    smallest: u32,
    stood_back: u8,
    /// Descriptors that the worker itself had when it began to accept.
    own_descriptors: u64,
    /// Clients wait outside for want of a resource; logged once.
    is_short: bool,
    /// Connections that were accepted so far: the number of the last one.
    last_serial: u64,
}

#[derive(Debug)]
struct Listener {
    socket: OwnedFd,
    encryption: Encryption,
}

#[derive(Debug, Default, PartialEq)]
enum AcceptState {
    #[default]
    Open,
    /// No connection is accepted before this moment.
    Paused { until: Moment },
    /// Other workers accept, until the supervisor commands this one to.
    LeftToOthers,
    /// No connection is accepted any more.
    Closed,
}

impl Listeners {
    /// Begins to accept.
    pub(super) fn listen(
        &mut self,
        sockets: Vec<(OwnedFd, Encryption)>,
        poller: &Poller,
    ) -> io::Result<()> {
        let listener = |(socket, encryption)| Listener { socket, encryption };
        self.sockets = sockets.into_iter().map(listener).collect();
        self.own_descriptors =
            std::fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as u64);
        self.watch(poller)
    }

    /// When a pause ends.
    pub(super) fn resumes_at(&self) -> Option<Moment> {
        match self.state {
            AcceptState::Paused { until } => Some(until),
            _ => None,
        }
    }

    /// Notes how full the workers are.
    pub(super) fn set_load(&mut self, own: u32, smallest: u32) {
        (self.own, self.smallest) = (own, smallest);
    }

    /// Accepts no connection any more.
    pub(super) fn close(&mut self, poller: &Poller) {
        self.unwatch(poller);
        self.state = AcceptState::Closed;
        self.sockets.clear();
    }

    /// Accepts again when a pause is over.
    pub(super) fn resume_when_due(&mut self, context: &Context) {
        if self.resumes_at().is_some_and(|at| at <= context.clock.now()) {
            self.open(context);
        }
    }

    /// Leaves new connections to other workers, or takes part again.
    pub(super) fn set_accepting(
        &mut self,
        accepting: Accepting,
        context: &mut Context,
        connections: &mut ConnectionTable,
    ) {
        match accepting {
            Accepting::No => self.accept_last(context, connections),
            Accepting::Yes if self.state == AcceptState::LeftToOthers => {
                self.open(context);
                // No worker is woken for those that wait already.
                self.accept_pending(context, connections);
            }
            Accepting::Yes => {}
        }
    }

    /// Accepts the connections for which the kernel woke this worker and no other one: once it no
    /// longer waits, no worker would come for them.
    pub(super) fn accept_last(&mut self, context: &mut Context, connections: &mut ConnectionTable) {
        if matches!(self.state, AcceptState::LeftToOthers | AcceptState::Closed) {
            return;
        }
        self.unwatch(&context.poller);
        self.state = AcceptState::LeftToOthers;
        for _ in 0..HANDSHAKES_MAX / ACCEPTS_MAX {
            for place in 0..self.sockets.len() {
                self.accept_from(place, Duration::MAX, context, connections);
            }
        }
    }

    /// Accepts connections that wait outside.
    pub(super) fn accept_pending(
        &mut self,
        context: &mut Context,
        connections: &mut ConnectionTable,
    ) {
        if self.state != AcceptState::Open || !context.stage.is_serving() {
            return;
        }
        if self.leads() && self.stood_back < STAND_BACKS_MAX {
            self.stood_back += 1;
            return self.pause(STAND_BACK, context);
        }
        self.stood_back = 0;
        let is_scarce = context.memory.pressure() >= Pressure::Full;
        if context.handshakes.is_full() || is_scarce {
            return self.pause(ACCEPT_PAUSE, context);
        }
        let places = u32::try_from(self.sockets.len()).unwrap_or(u32::MAX).max(1);
        for place in 0..self.sockets.len() {
            self.accept_from(place, TURN_PART / places, context, connections);
        }
    }

    fn accept_from(
        &mut self,
        place: usize,
        within: Duration,
        context: &mut Context,
        connections: &mut ConnectionTable,
    ) {
        let Some(Listener { encryption, .. }) = self.sockets.get(place) else { return };
        let encryption = *encryption;
        let accepts_max = match encryption {
            Encryption::Plain => ACCEPTS_MAX,
            Encryption::Tls => TLS_ACCEPTS_MAX,
        };
        let part = TurnBudget::new(context.clock.time(), within);
        for _ in 0..accepts_max {
            // Before each of them: a burst would take what the worker needs, too.
            if self.is_out_of_descriptors(connections.count()) {
                let why = "the descriptors that are left are for the worker itself";
                return self.pause_for_want(&why, context, connections);
            }
            let Some(Listener { socket, .. }) = self.sockets.get(place) else { return };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match acceptfrom_with(socket, flags) {
                Ok((socket, peer)) => {
                    if std::mem::take(&mut self.is_short) {
                        info!(
                            event = "accept_resumed",
                            connections = connections.count(),
                            "accept resumed"
                        );
                    }
                    if let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
                        let arrived = ArrivedSocket { socket, encryption, peer };
                        self.add_connection(arrived, context, connections);
                    }
                    // Those that wait outside are announced again.
                    if part.is_spent(context.clock.time()) {
                        return;
                    }
                }
                Err(Errno::AGAIN) => return,
                // A client that gave up while it waited is no fault of ours.
                Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO) => {}
                Err(error) => return self.pause_for_want(&error, context, connections),
            }
        }
    }

    fn add_connection(
        &mut self,
        ArrivedSocket { socket, encryption, peer }: ArrivedSocket,
        context: &mut Context,
        connections: &mut ConnectionTable,
    ) {
        let Ok(tls) = begin_tls(&context.settings, encryption) else { return };
        self.last_serial += 1;
        let handshake = context.settings.tls.as_ref().filter(|_| tls.is_some());
        let within = handshake.map_or(context.settings.handshake_timeout, |(_, timeout)| *timeout);
        let head = PartialHead {
            scanner: HeadScanner::new(context.settings.head_bytes_max),
            bytes: Vec::new(),
            until: context.clock.now().after(within),
            peer,
            speaks_tls: false,
            server_name: None,
        };
        let slot = context.broker.allocate_slot();
        let mut connection = Box::new(Connection::new(slot, self.last_serial, head));
        if tls.is_some() {
            connection.watched.by = Watcher::TlsHandshakes;
        }
        connection.tls = tls;
        context.handshakes.begin();
        context.stats.accepted += 1;
        debug!(connection = self.last_serial, peer = %peer.ip(), "accepted");
        let poller = context.watcher(connection.watched.by);
        let watched = poller.watch(&socket, Token::Slot(slot).into(), Interest::Read);
        context.sockets.add(slot, socket);
        readiness::set_timer(context, &mut connection);
        connections.add(connection);
        if let Err(error) = watched {
            warn!(event = "connection_watch_failed", %error, "failed to watch a connection");
            close::drop_connection(context, connections, slot);
        }
    }

    fn leads(&self) -> bool {
        self.own > self.smallest + LEAD + self.smallest / 32
    }

    /// Whether the descriptors that are left are for the worker itself: those that it has, and those
    /// that it needs when a broker dies, since without one for the new link it would have to die too.
    fn is_out_of_descriptors(&self, connections: usize) -> bool {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let needed = self.own_descriptors + DESCRIPTORS_SPARE;
        connections as u64 + needed.max(DESCRIPTORS_RESERVED.min(limit / 4)) >= limit
    }

    fn open(&mut self, context: &Context) {
        self.state = AcceptState::Open;
        if let Err(error) = self.watch(&context.poller) {
            warn!(event = "listener_watch_failed", %error, "failed to watch the listening sockets");
            self.pause(ACCEPT_PAUSE, context);
        }
    }

    fn pause(&mut self, pause: Duration, context: &Context) {
        if matches!(self.state, AcceptState::LeftToOthers | AcceptState::Closed) {
            return;
        }
        self.unwatch(&context.poller);
        self.state = AcceptState::Paused { until: context.clock.now().after(pause) };
    }

    fn pause_for_want(
        &mut self,
        reason: &dyn Display,
        context: &Context,
        connections: &ConnectionTable,
    ) {
        if !std::mem::replace(&mut self.is_short, true) {
            warn!(
                event = "accept_paused",
                %reason,
                connections = connections.count(),
                "accept paused"
            );
        }
        self.pause(ACCEPT_PAUSE, context);
    }

    fn watch(&self, poller: &Poller) -> io::Result<()> {
        for (Listener { socket, .. }, place) in self.sockets.iter().zip(0..) {
            poller.watch(socket, Token::Listener(place).into(), Interest::Accept)?;
        }
        Ok(())
    }

    fn unwatch(&self, poller: &Poller) {
        if self.state == AcceptState::Open {
            for Listener { socket, .. } in &self.sockets {
                drop(poller.forget(socket));
            }
        }
    }
}

/// A socket that was accepted.
struct ArrivedSocket {
    socket: OwnedFd,
    encryption: Encryption,
    peer: SocketAddr,
}

/// TLS for a connection that needs it. There is a certificate wherever a socket speaks TLS: the
/// configuration sees to that; if not, no client is served in the clear by mistake.
fn begin_tls(
    settings: &WorkerSettings,
    encryption: Encryption,
) -> Result<Option<Box<TlsSession>>, ()> {
    if encryption == Encryption::Plain {
        return Ok(None);
    }
    let (acceptor, _) = settings.tls.as_ref().ok_or(())?;
    match TlsSession::new(acceptor) {
        Ok(tls) => Ok(Some(Box::new(tls))),
        Err(error) => {
            warn!(event = "tls_start_failed", %error, "failed to start TLS session");
            Err(())
        }
    }
}
