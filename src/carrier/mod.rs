//! Carries messages between hosts over NATS: one thread with tokio and async-nats, and bounded queues.
//!
//! The carrier promises nothing: NATS loses messages, and so does a full queue. The module `cluster` numbers them and
//! sends again what is missing.

mod connect;
mod inbox;
mod look;
mod session;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Builder;
use tokio::sync::{Mutex, mpsc, watch};

use self::inbox::CarrierInbox;
pub(crate) use self::inbox::{CarrierEvent, NatsMessage};
pub(crate) use self::look::{HeardHost, NatsLook, NatsRefusal, look};
use self::session::{NatsSession, SessionEnd};
use crate::cluster::{ClusterName, ClusterSubject, OutgoingMessage};
use crate::config::NatsSettings;
use crate::types::HostId;
use crate::types::limits::{CARRIER_OUT_MAX, NATS_RETRY_PAUSE_MAX, NATS_RETRY_PAUSE_MIN};

/// A message on its way to NATS.
#[derive(Debug)]
struct Outgoing {
    subject: String,
    /// It takes the connection of the lanes, whose echoes confirm what was sent before them. The other connection has
    /// everything else, which the lanes never delay.
    is_of_lanes: bool,
    bytes: Bytes,
    /// Number of the connections that it was made for. Later ones do not send it: it is sent again if it is needed.
    session: u64,
}

/// The handle of the carrier's thread.
#[derive(Debug)]
pub(crate) struct Carrier {
    name: ClusterName,
    outgoing: mpsc::Sender<Outgoing>,
    settings: watch::Sender<NatsSettings>,
    inbox: Arc<CarrierInbox>,
    /// The bridge waits for room.
    wants_room: Arc<AtomicBool>,
    /// Number of the present connections.
    session: u64,
    thread: JoinHandle<()>,
}

impl Carrier {
    /// Starts the thread, which connects at once.
    ///
    /// # Errors
    ///
    /// If the process cannot create another thread or descriptor.
    pub(crate) fn start(
        name: ClusterName,
        own: HostId,
        settings: NatsSettings,
    ) -> io::Result<Self> {
        let inbox = Arc::new(CarrierInbox::new()?);
        let (outgoing, waiting) = mpsc::channel(CARRIER_OUT_MAX);
        let (settings, changed) = watch::channel(settings);
        let wants_room = Arc::new(AtomicBool::new(false));
        let connector = Connector {
            name: name.clone(),
            own,
            settings: changed,
            waiting: Arc::new(Mutex::new(waiting)),
            inbox: Arc::clone(&inbox),
            wants_room: Arc::clone(&wants_room),
            sessions: 0,
        };
        let thread = thread::Builder::new().name("nats".to_owned());
        let thread = thread.spawn(move || connector.run())?;
        Ok(Self { name, outgoing, settings, inbox, wants_room, session: 0, thread })
    }

    /// Uses other servers or credentials from now on.
    pub(crate) fn configure(&self, settings: NatsSettings) {
        self.settings.send_if_modified(|present| {
            let is_other = *present != settings;
            *present = settings;
            is_other
        });
    }

    /// Returns whether another message may be sent. If not, the descriptor becomes readable when one may.
    pub(crate) fn has_room(&self) -> bool {
        if self.outgoing.capacity() > 0 {
            return true;
        }
        self.wants_room.store(true, Ordering::SeqCst);
        self.outgoing.capacity() > 0
    }

    /// Sends a message, which may be lost.
    pub(crate) fn send(&self, message: OutgoingMessage) {
        let OutgoingMessage { subject, bytes } = message;
        let is_of_lanes =
            !matches!(subject, ClusterSubject::Control(_) | ClusterSubject::Heartbeats);
        let (subject, session) = (subject.text(&self.name), self.session);
        let outgoing = Outgoing { subject, is_of_lanes, bytes: bytes.into(), session };
        // There is room, unless the thread has died. Then there is no connection either.
        let _lost = self.outgoing.try_send(outgoing);
    }

    /// Returns what has happened since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<CarrierEvent> {
        let events = self.inbox.take_events();
        for event in &events {
            if let CarrierEvent::Connected { session, .. } = event {
                self.session = *session;
            }
        }
        events
    }

    /// Returns messages that have arrived, at most this number of each connection.
    pub(crate) fn take_messages(&self, most: usize) -> Vec<NatsMessage> {
        self.inbox.take_messages(most)
    }

    /// Returns how many messages were dropped because too many waited.
    pub(crate) fn overflows(&self) -> u64 {
        self.inbox.overflows()
    }

    /// Sends what waits, and ends the thread within this time.
    pub(crate) fn finish(self, within: Duration) {
        let Self { outgoing, thread, .. } = self;
        drop(outgoing);
        let step = Duration::from_millis(2);
        let mut waited = Duration::ZERO;
        while !thread.is_finished() && waited < within {
            thread::park_timeout(step);
            waited += step;
        }
    }
}

/// The descriptor is readable while something has arrived, or there is room that the bridge waits for.
impl AsFd for Carrier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inbox.as_fd()
    }
}

/// The thread of the carrier: connects, and connects again.
#[derive(Debug)]
struct Connector {
    name: ClusterName,
    own: HostId,
    settings: watch::Receiver<NatsSettings>,
    waiting: Arc<Mutex<mpsc::Receiver<Outgoing>>>,
    inbox: Arc<CarrierInbox>,
    wants_room: Arc<AtomicBool>,
    sessions: u64,
}

impl Connector {
    /// Each pair of connections has a runtime of its own. What async-nats has left of a lost one ends with it.
    fn run(mut self) {
        let mut pause = NATS_RETRY_PAUSE_MIN;
        loop {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    tracing::error!(event = "nats_failed", %error, "failed to start the NATS client");
                    thread::park_timeout(NATS_RETRY_PAUSE_MAX);
                    continue;
                }
            };
            self.sessions += 1;
            let session = NatsSession {
                number: self.sessions,
                name: self.name.clone(),
                own: self.own,
                settings: self.settings.clone(),
                waiting: Arc::clone(&self.waiting),
                inbox: Arc::clone(&self.inbox),
                wants_room: Arc::clone(&self.wants_room),
            };
            let end = runtime.block_on(session.run());
            let is_over = match end {
                SessionEnd::Finished => true,
                SessionEnd::Reconfigured => {
                    pause = NATS_RETRY_PAUSE_MIN;
                    false
                }
                SessionEnd::Lost | SessionEnd::NotMade => {
                    if end == SessionEnd::Lost {
                        pause = NATS_RETRY_PAUSE_MIN;
                    }
                    let is_over = runtime.block_on(self.rest(pause));
                    pause = NATS_RETRY_PAUSE_MAX.min(pause * 2);
                    is_over
                }
            };
            // A name may still be looked up on a thread.
            runtime.shutdown_background();
            if is_over {
                return;
            }
        }
    }

    /// Waits before the next attempt. Other settings end the wait. Returns true if the bridge ends.
    async fn rest(&mut self, pause: Duration) -> bool {
        let until = tokio::time::Instant::now() + pause;
        let mut waiting = self.waiting.lock().await;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return false,
                changed = self.settings.changed() => return changed.is_err(),
                // It can be sent no longer.
                message = waiting.recv() => match message {
                    Some(_lost) => self.inbox.tell_room(&self.wants_room),
                    None => return true,
                },
            }
        }
    }
}
