//! Accepting of connections. All workers wait on the same listening sockets. A worker with more
//! connections than others pauses briefly.

pub(crate) mod tls_handshakes;

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny, SocketFlags, acceptfrom_with};
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

/// Most connections that a turn accepts from one listening socket.
const ACCEPTS_MAX: usize = 64;
/// Most connections that a turn accepts from one TLS socket. A turn has time for fewer handshakes,
/// so more accepted connections would only wait in the worker instead of in the kernel.
const TLS_ACCEPTS_MAX: usize = 8;
/// Pause of a worker with clearly more connections than another one.
const BALANCE_PAUSE: Duration = Duration::from_millis(1);
/// Most consecutive pauses. A waiting client must not be delayed for the sake of balance.
const BALANCE_PAUSES_MAX: u8 = 5;
/// Connections that a worker may have more than the least loaded worker before it pauses.
const LEAD: u32 = 16;

/// Listening sockets and the state of accepting.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    sockets: Vec<Listener>,
    state: AcceptState,
    /// Connections of this worker and of the least loaded worker, as last reported by the broker.
    own: u32,
    smallest: u32,
    balance_pauses: u8,
    /// Number of descriptors that the worker had open when it started accepting.
    own_descriptors: u64,
    /// True while accepting is paused for lack of a resource. The pause is logged once.
    is_short: bool,
    /// Serial number of the last accepted connection.
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
    /// No connection is accepted before this time.
    Paused { until: Moment },
    /// Other workers accept, until the supervisor commands this one to accept again.
    LeftToOthers,
    /// Accepting has ended for good.
    Closed,
}

impl Listeners {
    /// Starts accepting.
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

    /// Returns the end of a pause.
    pub(super) fn resumes_at(&self) -> Option<Moment> {
        match self.state {
            AcceptState::Paused { until } => Some(until),
            _ => None,
        }
    }

    /// Records the load of the workers.
    pub(super) fn set_load(&mut self, own: u32, smallest: u32) {
        (self.own, self.smallest) = (own, smallest);
    }

    /// Stops accepting for good.
    pub(super) fn close(&mut self, poller: &Poller) {
        self.unwatch(poller);
        self.state = AcceptState::Closed;
        self.sockets.clear();
    }

    /// Resumes accepting at the end of a pause.
    pub(super) fn resume_when_due(&mut self, context: &Context) {
        if self.resumes_at().is_some_and(|at| at <= context.clock.now()) {
            self.open(context);
        }
    }

    /// Leaves new connections to other workers, or resumes accepting.
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
                // The kernel wakes no worker for connections that are waiting already.
                self.accept_pending(context, connections);
            }
            Accepting::Yes => {}
        }
    }

    /// Stops accepting after a last round. The kernel may have woken only this worker for a
    /// connection, and no other worker would then accept it.
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

    /// Accepts waiting connections.
    pub(super) fn accept_pending(
        &mut self,
        context: &mut Context,
        connections: &mut ConnectionTable,
    ) {
        if self.state != AcceptState::Open || !context.stage.is_serving() {
            return;
        }
        if self.leads() && self.balance_pauses < BALANCE_PAUSES_MAX {
            self.balance_pauses += 1;
            return self.pause(BALANCE_PAUSE, context);
        }
        self.balance_pauses = 0;
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
        let connections_max = self.connections_max();
        for _ in 0..accepts_max {
            // The check precedes each connection. A burst would otherwise use up the worker's own
            // descriptors.
            if connections.count() as u64 >= connections_max {
                let why = "the remaining descriptors are reserved for the worker";
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
                    if let Some(peer) = peer.and_then(address_of) {
                        let arrived = ArrivedSocket { socket, encryption, peer };
                        self.add_connection(arrived, context, connections);
                    }
                    // The kernel reports the remaining connections again.
                    if part.is_spent(context.clock.time()) {
                        return;
                    }
                }
                Err(Errno::AGAIN) => return,
                // The client gave up while it waited. This is not an error.
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
            proxy: None,
            has_tls_input: false,
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

    /// Returns the serial number of the last connection.
    pub(super) fn last_serial(&self) -> u64 {
        self.last_serial
    }

    fn leads(&self) -> bool {
        self.own > self.smallest + LEAD + self.smallest / 32
    }

    /// Returns the number of connections from which on the remaining descriptors are reserved for the
    /// worker: those that it has open, and those that it needs when the broker is replaced. Without a
    /// descriptor for the new link it would have to exit.
    fn connections_max(&self) -> u64 {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let needed = self.own_descriptors + DESCRIPTORS_SPARE;
        limit.saturating_sub(needed.max(DESCRIPTORS_RESERVED.min(limit / 4)))
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

/// The address of a peer on a Unix socket: it is on this machine.
const UNIX_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn address_of(peer: SocketAddrAny) -> Option<SocketAddr> {
    match peer.address_family() {
        AddressFamily::UNIX => Some(UNIX_PEER),
        _ => SocketAddr::try_from(peer).ok(),
    }
}

/// Accepted socket.
struct ArrivedSocket {
    socket: OwnedFd,
    encryption: Encryption,
    peer: SocketAddr,
}

/// Creates the TLS session of a connection, if it needs one. The configuration guarantees a
/// certificate for each TLS socket. If it is missing anyway, the connection is dropped and never
/// served without TLS.
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
