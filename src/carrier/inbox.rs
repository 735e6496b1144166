//! What the carrier's thread has for the bridge.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::reactor::waker::Waker;
use crate::types::NatsFault;
use crate::types::limits::CARRIER_IN_MAX;

/// A change of the connections to NATS.
#[derive(Debug)]
pub(crate) enum CarrierEvent {
    /// Both connections were made, and all subscriptions were sent.
    Connected {
        /// The number of these connections.
        session: u64,
        /// The server, as it calls itself.
        server: String,
        /// Its version.
        version: String,
    },
    /// There is no connection: the last ones were lost, or an attempt has failed.
    Lost {
        /// The reason.
        fault: NatsFault,
        /// Details.
        text: String,
    },
    /// The NATS server reports an error, such as a subject that is not permitted. The connections go on.
    Fault(String),
    /// A queue for messages was full, and some were dropped.
    SlowConsumer,
}

/// A message from NATS.
#[derive(Debug)]
pub(crate) struct NatsMessage {
    /// Its subject.
    pub(crate) subject: Box<str>,
    /// Its bytes.
    pub(crate) bytes: Bytes,
}

/// Bounded queues to the bridge, which one descriptor announces.
#[derive(Debug)]
pub(super) struct CarrierInbox {
    events: Mutex<Vec<CarrierEvent>>,
    /// Messages of the lanes and private messages.
    pub(super) lanes: MessageQueue,
    /// Heartbeats, requests and echoes.
    pub(super) control: MessageQueue,
    overflows: AtomicU64,
    waker: Waker,
}

/// Messages of one connection.
#[derive(Debug, Default)]
pub(super) struct MessageQueue(Mutex<VecDeque<NatsMessage>>);

/// Events that may wait. Faults above it are dropped; the bridge has hung for long then.
const EVENTS_MAX: usize = 1024;

impl CarrierInbox {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            events: Mutex::default(),
            lanes: MessageQueue::default(),
            control: MessageQueue::default(),
            overflows: AtomicU64::new(0),
            waker: Waker::new()?,
        })
    }

    pub(super) fn push_event(&self, event: CarrierEvent) {
        let mut events = self.events.lock();
        let is_needed = matches!(event, CarrierEvent::Connected { .. } | CarrierEvent::Lost { .. });
        if is_needed || events.len() < EVENTS_MAX {
            events.push(event);
        }
        drop(events);
        self.waker.wake();
    }

    /// Adds a message, or drops it if the queue is full.
    pub(super) fn push(&self, queue: &MessageQueue, message: NatsMessage) {
        let mut waiting = queue.0.lock();
        if waiting.len() >= CARRIER_IN_MAX {
            self.overflows.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let is_first = waiting.is_empty();
        waiting.push_back(message);
        drop(waiting);
        // The bridge takes it with those before it.
        if is_first {
            self.waker.wake();
        }
    }

    /// Wakes the bridge if it waits for room.
    pub(super) fn tell_room(&self, wants_room: &AtomicBool) {
        if wants_room.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    pub(super) fn take_events(&self) -> Vec<CarrierEvent> {
        self.waker.reset();
        std::mem::take(&mut *self.events.lock())
    }

    /// Takes at most this number of messages of each connection. If more are left, the descriptor stays readable.
    pub(super) fn take_messages(&self, most: usize) -> Vec<NatsMessage> {
        let mut taken = Vec::new();
        for queue in [&self.control, &self.lanes] {
            let mut waiting = queue.0.lock();
            let count = most.min(waiting.len());
            taken.extend(waiting.drain(..count));
            if !waiting.is_empty() {
                self.waker.wake();
            }
        }
        taken
    }

    pub(super) fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }
}

impl AsFd for CarrierInbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &'static str) -> NatsMessage {
        NatsMessage { subject: text.into(), bytes: Bytes::new() }
    }

    #[test]
    fn a_full_queue_drops_messages_and_counts_them() {
        let inbox = CarrierInbox::new().unwrap();
        for _ in 0..CARRIER_IN_MAX + 3 {
            inbox.push(&inbox.lanes, message("lanes"));
        }
        inbox.push(&inbox.control, message("control"));
        assert_eq!(inbox.overflows(), 3);
        let taken = inbox.take_messages(10);
        assert_eq!((taken.len(), &*taken[0].subject), (11, "control"));
        assert_eq!(inbox.take_messages(usize::MAX).len(), CARRIER_IN_MAX - 10);
    }
}
