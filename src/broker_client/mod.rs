//! Between the broker and the connections of a worker: what goes up, what comes down, and which
//! slots are free.
//!
//! It knows no socket of a client and no clock, so that the simulator of `tests/simulation.rs` runs it
//! over links of its own.

pub(crate) mod alias_requests;
pub(crate) mod dedup;
pub mod fanout;
pub(crate) mod joins;
pub(crate) mod link_io;
pub mod queries;
pub mod report_requests;
pub(crate) mod send_window;
pub(crate) mod slot_allocator;
pub mod sync;
pub mod uplink;

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

use self::fanout::{Fanout, UnknownSet};
use self::link_io::BrokerLink;
use self::report_requests::ReportRequester;
use self::slot_allocator::SlotAllocator;
use self::uplink::Uplink;
use crate::link::message::{Full, PresenceQuery, PresenceResult, ToWorker};
use crate::link::transport::Transport;
use crate::types::{Client, Generation, Slot, WorkerIncarnation};

/// A worker but for its connections.
#[derive(Debug)]
pub struct BrokerClient {
    /// What is sent to the broker.
    pub uplink: Uplink,
    link: Option<BrokerLink>,
    /// Why the link can be read no further; what has arrived is taken first.
    ended: Option<io::Error>,
    fanout: Fanout,
    slots: SlotAllocator,
}

/// What came down the link and concerns a connection, or all of them.
#[derive(Debug)]
pub enum BrokerEvent {
    /// The client in this slot is addressable: its handshake can be answered (rule L8).
    Joined {
        /// Its slot.
        slot: Slot,
        /// Connections of this worker.
        own: u32,
        /// Connections of the worker that has the fewest.
        smallest: u32,
    },
    /// The client in this slot has a place among those of its address.
    Reserved(Slot),
    /// The client in this slot is not let in.
    Refused {
        /// Its slot.
        slot: Slot,
        /// Which limit is reached.
        full: Full,
        /// The client.
        client: Box<Client>,
    },
    /// The answer to what the client in this slot asked.
    Answer {
        /// Its slot.
        slot: Slot,
        /// What it asked.
        question: PresenceQuery,
        /// What was found.
        found: PresenceResult,
    },
    /// How many clients a publication has reached whose publisher asked for it.
    Reached {
        /// The client, and by what it named the recipients.
        asker: ReportRequester,
        /// How many.
        clients: u64,
    },
    /// The link has ended, and everything that arrived on it was taken (rule L6). Whether the
    /// broker is dead is decided by the supervisor (rule L1).
    Lost(LinkLoss),
}

/// A link that has ended.
#[derive(Debug)]
pub struct LinkLoss {
    /// Which broker was at its other end.
    pub broker: Generation,
    /// Why.
    pub error: io::Error,
    pub(crate) link: BrokerLink,
}

impl BrokerClient {
    /// A worker without a link and without connections.
    #[must_use]
    pub fn new(source: WorkerIncarnation) -> Self {
        let (uplink, slots) = (Uplink::new(source), SlotAllocator::default());
        Self { uplink, link: None, ended: None, fanout: Fanout::default(), slots }
    }

    /// A slot for a new connection.
    pub fn allocate_slot(&mut self) -> Slot {
        self.slots.take()
    }

    /// The connection of a slot is gone. The slot goes to another one only when neither the broker
    /// nor anything that waits can name it any more (rule L3).
    pub fn end_connection(&mut self, slot: Slot) {
        self.slots.end(slot);
        if !self.uplink.holds(slot) {
            self.slots.vacate(slot);
        }
    }

    /// How many slots are without a connection and may not be given to one yet; none, once all is quiet.
    #[must_use]
    pub fn slots_withheld(&self) -> usize {
        self.slots.withheld()
    }

    /// What to wait on for the link.
    pub(crate) fn link_ready(&self) -> Option<BorrowedFd<'_>> {
        self.link.as_ref().map(BrokerLink::ready)
    }

    /// Something came on the link, or it came to its end.
    pub fn mark_unread(&mut self) {
        if let Some(link) = &mut self.link {
            link.is_unread = true;
        }
    }

    /// Whether the link may hold more, or what was read of it is not taken.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.link.as_ref().is_some_and(BrokerLink::is_busy)
    }

    /// Whether there is something to do that nothing will announce again.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.fanout.is_empty() || self.is_unread()
    }

    /// Whether more may be taken from the link: what waits for slow turns waits at the broker, and
    /// then at the publishers.
    #[must_use]
    pub fn takes_more(&self) -> bool {
        self.fanout.has_room()
    }

    /// Reads what has come on the link; [`BrokerClient::next`] returns what it was.
    pub fn read(&mut self, scratch: &mut [u8]) {
        if let Some(link) = &mut self.link
            && let Err(error) = link.read(scratch)
        {
            self.ended = Some(error);
        }
    }

    /// What has come on the link and concerns connections; publications are queued. `is_spent` is asked
    /// after each message that is queued: what is left then is taken in the next turn, before more is
    /// read.
    pub fn next(&mut self, is_spent: &mut dyn FnMut() -> bool) -> Option<BrokerEvent> {
        loop {
            let taken = match self.link.as_mut()?.next() {
                Ok(Some(message)) => self.on_message(message),
                Ok(None) => Err(self.ended.take()?),
                Err(malformed) => Err(malformed),
            };
            match taken {
                Ok(None) if is_spent() => return None,
                Ok(None) => {}
                Ok(arrival) => return arrival,
                Err(error) => return self.on_link_lost(error),
            }
        }
    }

    /// The next event of a link whose broker is dead and reaped, to its end.
    pub fn next_until_end(&mut self, scratch: &mut [u8]) -> Option<BrokerEvent> {
        loop {
            if let Some(arrival) = self.next(&mut || false) {
                return Some(arrival);
            }
            if !self.link.as_ref()?.is_busy() {
                return None;
            }
            self.read(scratch);
        }
    }

    /// Applies a message; returns what it means for a connection.
    fn on_message(&mut self, message: ToWorker) -> io::Result<Option<BrokerEvent>> {
        let queued = match message {
            ToWorker::Deliver(deliver) if self.uplink.is_new(&deliver) => {
                self.fanout.deliver(deliver)
            }
            ToWorker::Batch | ToWorker::Set { .. } => self.fanout.take_sets(message),
            ToWorker::Left { slot } => {
                self.uplink.on_left(slot);
                self.slots.vacate(slot);
                Ok(())
            }
            message => return Ok(self.uplink.on_message(message)),
        };
        queued.map_err(|UnknownSet(name)| {
            let text = format!("set {} was not named in this batch", name.0);
            io::Error::new(ErrorKind::InvalidData, text)
        })?;
        Ok(None)
    }

    fn on_link_lost(&mut self, error: io::Error) -> Option<BrokerEvent> {
        let link = self.link.take()?;
        self.forget_link();
        Some(BrokerEvent::Lost(LinkLoss { broker: link.broker, error, link }))
    }

    fn forget_link(&mut self) {
        self.ended = None;
        self.fanout.forget_sets();
        self.uplink.on_unlinked();
    }

    /// A link to a new broker, which is sent everything that the old one knew (rule L6). The old link
    /// was read to its [end](BrokerClient::last_word).
    pub fn connect(&mut self, broker: Generation, transport: Box<dyn Transport>) {
        if let Some(old) = self.link.take() {
            debug_assert!(!old.is_unread, "the dead link is read to its end");
            // The supervisor has reaped its broker, so nothing more can come.
            self.forget_link();
        }
        self.link = Some(BrokerLink::new(broker, transport));
        for slot in self.uplink.on_linked() {
            self.slots.vacate(slot);
        }
    }

    /// Sends the broker what this turn came to.
    pub fn write(&mut self) {
        let said = self.uplink.take_output();
        let Some(link) = &mut self.link else { return };
        if let Some(said) = said {
            link.push(said);
        }
        if link.write().is_err() {
            // The end is found by reading, after its last words.
            link.is_unread = true;
        }
    }

    /// Hands out what is to be delivered, to be put back when some of it was.
    pub fn take_fanout(&mut self) -> Fanout {
        std::mem::take(&mut self.fanout)
    }

    /// Takes the rest back, and gives slots free that none of it names.
    pub fn put_fanout(&mut self, fanout: Fanout) {
        self.fanout = fanout;
        for slot in self.slots.take_vacant() {
            self.fanout.retire(slot);
        }
        while let Some(slot) = self.fanout.next_retired() {
            self.slots.release(slot);
        }
    }
}
