//! The worker's client of the broker: messages to and from the broker, the queue of deliveries, and the
//! allocation of slots.
//!
//! This module uses neither client sockets nor a clock, so that the simulator in `tests/simulation.rs` can
//! run it over links of its own.

pub(crate) mod alias_requests;
pub(crate) mod answers;
pub(crate) mod bulk_changes;
pub(crate) mod dedup;
pub(crate) mod deliver_tracked;
mod event;
pub mod fanout;
pub(crate) mod joins;
pub(crate) mod large;
pub(crate) mod link_bytes;
mod link_io;
pub(crate) mod queries;
mod receive;
pub mod report_requests;
pub mod resumable;
pub(crate) mod send_window;
pub mod sent_requests;
pub(crate) mod slot_allocator;
pub mod sync;
pub(crate) mod tags_in_flight;
pub(crate) mod tenant_throttles;
pub mod uplink;
pub mod watches;
pub mod window_turns;
pub mod write_reports;

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

pub use self::event::{BrokerEvent, LinkLoss};
use self::fanout::Fanout;
use self::large::LargeOutcome;
pub use self::link_bytes::LinkBytes;
use self::link_io::{BrokerLink, unknown_set};
use self::receive::on_message;
use self::slot_allocator::SlotAllocator;
use self::uplink::Uplink;
use self::write_reports::WriteReports;
use crate::link::transport::Transport;
use crate::types::limits::LARGE_MESSAGE_BYTES;
use crate::types::{
    Generation, ReplayPosition, Slot, TimedWrites, TrackedOutcome, WorkerIncarnation,
};

/// The broker-facing part of a worker, without its connections.
#[derive(Debug)]
pub struct BrokerClient {
    /// Output for the broker, and the state that it depends on.
    pub uplink: Uplink,
    link: Option<BrokerLink>,
    /// Error that ended reading. Messages that arrived before it are still returned first.
    ended: Option<io::Error>,
    fanout: Fanout,
    slots: SlotAllocator,
    write_reports: WriteReports,
    /// Length from which messages of the broker are large.
    large_bytes_min: usize,
    /// Bytes on links that were lost.
    lost_bytes: LinkBytes,
}

impl BrokerClient {
    /// Creates the state of a worker without a link and without connections.
    #[must_use]
    pub fn new(source: WorkerIncarnation) -> Self {
        Self {
            uplink: Uplink::new(source),
            link: None,
            ended: None,
            fanout: Fanout::default(),
            slots: SlotAllocator::default(),
            write_reports: WriteReports::default(),
            large_bytes_min: LARGE_MESSAGE_BYTES,
            lost_bytes: LinkBytes::default(),
        }
    }

    /// Treats messages of the broker as large from this length in bytes on, so that a simulation can do with
    /// short ones.
    #[must_use]
    pub fn with_large_messages_from(mut self, bytes: usize) -> Self {
        self.large_bytes_min = bytes;
        self
    }

    /// Measures the work on traced publications by a clock, which returns the time since 1970.
    #[must_use]
    pub fn traced_with(mut self, clock: fn() -> Duration) -> Self {
        self.write_reports.trace_with(clock);
        self
    }

    /// Allocates a slot for a new connection.
    pub fn allocate_slot(&mut self) -> Slot {
        self.slots.take()
    }

    /// Records that the connection of a slot is closed. The slot is reused only when neither the broker nor a
    /// queued publication can refer to it any more (rule L3).
    pub fn end_connection(&mut self, slot: Slot) {
        self.slots.end(slot);
        if !self.uplink.holds(slot) {
            self.slots.vacate(slot);
        }
    }

    /// Returns the number of slots that have no connection but may not be reused yet. It is 0 when nothing is
    /// pending.
    #[must_use]
    pub fn slots_withheld(&self) -> usize {
        self.slots.withheld()
    }

    /// Returns the descriptor to poll for the link.
    pub(crate) fn link_ready(&self) -> Option<BorrowedFd<'_>> {
        self.link.as_ref().map(BrokerLink::ready)
    }

    /// Returns whether the link was full before everything was written.
    pub(crate) fn awaits_room(&self) -> bool {
        self.link.as_ref().is_some_and(BrokerLink::is_full)
    }

    /// The link has readable data or was closed.
    pub fn mark_unread(&mut self) {
        if let Some(link) = &mut self.link {
            link.is_unread = true;
        }
    }

    /// The link is read until nothing is left, even after a short read: the broker has closed it, and no event
    /// follows, or the caller is not told so.
    pub fn mark_ended(&mut self) {
        if let Some(link) = &mut self.link {
            (link.is_unread, link.is_read_to_end) = (true, true);
        }
    }

    /// Returns whether the link may have more data, or whether messages that were read have not been
    /// processed.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.link.as_ref().is_some_and(BrokerLink::is_busy)
            || self.uplink.is_changing_many()
            || self.uplink.has_unrecovered()
    }

    /// Returns whether work is left for which no further event will arrive.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.fanout.is_empty() || self.is_unread()
    }

    /// Returns whether more messages may be taken from the link. If not, publications wait at the broker and
    /// finally at their publishers.
    #[must_use]
    pub fn takes_more(&self) -> bool {
        self.fanout.has_room()
    }

    /// Reads data from the link. [`BrokerClient::next`] returns the events.
    pub fn read(&mut self, scratch: &mut [u8]) {
        if let Some(link) = &mut self.link
            && let Err(error) = link.read(scratch)
        {
            self.ended = Some(error);
        }
    }

    /// Returns the next event for connections; publications are queued. `is_spent` is called after each
    /// queued message; when it returns true, the remaining messages wait for the next turn and are processed
    /// before more is read.
    pub fn next(&mut self, is_spent: &mut dyn FnMut() -> bool) -> Option<BrokerEvent> {
        loop {
            if let Some(event) = self.uplink.next_unrecovered() {
                return Some(event);
            }
            if let Some(slot) = self.uplink.next_tags_changed() {
                return Some(BrokerEvent::TagsChanged { slot, own: None });
            }
            if self.uplink.continue_bulk() {
                if is_spent() {
                    return None;
                }
                continue;
            }
            let Self { link, ended, uplink, fanout, slots, write_reports, large_bytes_min, .. } =
                &mut *self;
            let link = link.as_mut()?;
            let taken = match link.next_large(*large_bytes_min) {
                Ok(None) => match link.next() {
                    Ok(Some(message)) => on_message(message, uplink, fanout, slots, write_reports),
                    Ok(None) => Err(ended.take()?),
                    Err(malformed) => Err(malformed),
                },
                Ok(Some(large)) => match large.deliver(uplink, fanout) {
                    // It takes the time of many small ones.
                    Ok(LargeOutcome::Delivered(Ok(()))) => return None,
                    Ok(LargeOutcome::Delivered(Err(unknown))) => Err(unknown_set(unknown)),
                    Ok(LargeOutcome::Other(large)) => large.message().and_then(|message| {
                        on_message(message, uplink, fanout, slots, write_reports)
                    }),
                    Err(malformed) => Err(malformed),
                },
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

    /// Returns the next event of a link whose broker is dead and reaped, and reads the link until its end.
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

    fn on_link_lost(&mut self, error: io::Error) -> Option<BrokerEvent> {
        let link = self.link.take()?;
        self.lost_bytes.add(link.bytes);
        self.forget_link();
        Some(BrokerEvent::Lost(LinkLoss { broker: link.broker, error, link }))
    }

    fn forget_link(&mut self) {
        self.ended = None;
        self.fanout.forget_sets();
        self.write_reports.forget();
        self.uplink.on_unlinked();
    }

    /// Uses a link to a new broker, and queues the announcement of all state that the old broker had (rule
    /// L6). The old link must have been read to its [end](BrokerClient::next_until_end).
    pub fn connect(&mut self, broker: Generation, transport: Box<dyn Transport>) {
        if let Some(old) = self.link.take() {
            debug_assert!(!old.is_unread, "the dead link is read to its end");
            // The supervisor has reaped the old broker, so nothing more can arrive.
            self.lost_bytes.add(old.bytes);
            self.forget_link();
        }
        self.link = Some(BrokerLink::new(broker, transport));
        for slot in self.uplink.on_linked() {
            self.slots.vacate(slot);
        }
    }

    /// Queues the reports on work, and on tracked publications that are complete or due. `now` is the time since any
    /// fixed moment. Called once in each turn, after writing to sockets.
    pub fn report_writes(&mut self, now: Duration) {
        let Self { fanout, uplink, .. } = self;
        fanout.report_work(|report| uplink.report_work(report));
        if self.write_reports.is_empty() {
            return;
        }
        for report in self.write_reports.take_finished(now) {
            let worker = self.uplink.source().worker;
            let outcome = match report.times {
                None => TrackedOutcome::Writes(report.counts),
                Some(times) => TrackedOutcome::TimedWrites(Box::new(TimedWrites {
                    worker,
                    counts: report.counts,
                    times,
                })),
            };
            self.uplink.report(report.publisher, report.number, outcome);
        }
    }

    /// Returns the time at which [`BrokerClient::report_writes`] must be called next.
    #[must_use]
    pub fn next_write_report(&self) -> Option<Duration> {
        self.write_reports.next_due()
    }

    /// Sends the output of this turn to the broker.
    pub fn write(&mut self) {
        while let Some(said) = self.uplink.take_output() {
            if let Some(link) = &mut self.link {
                link.push(said);
            }
        }
        let Some(link) = &mut self.link else { return };
        match link.write() {
            Ok(Some(written)) => self.uplink.reuse(written),
            Ok(None) => {}
            // The peer is gone. The next read finds that out, after its last messages.
            Err(_) => link.is_unread = true,
        }
    }

    /// Returns the position up to which the client in a slot was sent everything, if its space stores publications and
    /// nothing waits for it.
    #[must_use]
    pub fn position(&self, slot: Slot) -> Option<ReplayPosition> {
        self.fanout.position_of(&self.uplink.client(slot)?.tenant, slot)
    }

    /// Returns whether the space of the client in a slot stores publications.
    #[must_use]
    pub fn stores(&self, slot: Slot) -> bool {
        self.uplink.client(slot).is_some_and(|client| self.fanout.head(&client.tenant).is_some())
    }

    /// Moves the queue of deliveries out, so that it can be written. [`BrokerClient::put_fanout`] puts it
    /// back.
    pub fn take_fanout(&mut self) -> Fanout {
        std::mem::take(&mut self.fanout)
    }

    /// Puts the queue of deliveries back, and frees slots that no queued publication contains.
    pub fn put_fanout(&mut self, fanout: Fanout) {
        self.fanout = fanout;
        for slot in self.slots.take_vacant() {
            self.fanout.retire(slot);
        }
        self.fanout.release_retired(|slot| self.slots.release(slot));
    }
}
