//! Sockets in fair turns: each is served for its share, and waits behind the others with what is left.

use super::fair_queue::Weight;
use super::{Connection, PendingInput};
use crate::reactor::poller::Ready;
use crate::types::limits::{
    CROWD, CROWDED_READ_BYTES, HEAVY_SHARE, LIGHT_SHARE, READ_BYTES, TURN_PART,
};
use crate::types::{Slot, TurnBudget};
use crate::worker::clock::Moment;
use crate::worker::event_loop::{EventLoop, SLOTS};

/// A connection that waits to be served.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct Waiter {
    event: Ready,
    /// Which connection: its slot may be another one's by then.
    serial: u64,
}

impl EventLoop {
    /// The time that the next kind of work may take of this turn.
    pub(in crate::worker) fn part(&self) -> TurnBudget {
        TurnBudget::new(self.clock.time(), TURN_PART)
    }

    /// Whether that time is over; what is left then is done in the next turn, which comes at once.
    pub(in crate::worker) fn is_over(&mut self, part: TurnBudget) -> bool {
        let is_over = part.is_spent(self.clock.time());
        self.is_behind |= is_over;
        is_over
    }

    /// Takes up what the last wait found, and serves the connections that take little of the worker's
    /// time.
    pub(in crate::worker) fn serve_light(&mut self, ready: &[Ready]) {
        for event in ready.iter().filter(|event| event.token <= SLOTS) {
            self.queue_up(*event);
        }
        if self.waiting.has(Weight::Light) {
            self.serve_part(Weight::Light);
        }
    }

    /// Serves the others. Publishers that wait for the window had their turn before: otherwise what
    /// room there is would be taken by senders that never pause.
    pub(in crate::worker) fn serve_heavy(&mut self) {
        if self.waiting.has(Weight::Heavy) {
            // What the light ones have said does not wait for this.
            self.write_link();
            self.serve_part(Weight::Heavy);
        }
    }

    fn queue_up(&mut self, event: Ready) {
        let clock = self.work_clock;
        let Some((_, connection)) = self.of_token(event.token) else { return };
        // The kernel says it again at each wait; it waits once.
        if !std::mem::replace(&mut connection.schedule.is_waiting, true) {
            let (weight, serial) = (connection.weight(clock), connection.serial);
            let start = connection.schedule.usage.start(clock);
            self.waiting.push(Waiter { event, serial }, (start, weight), clock);
        }
    }

    fn of_token(&mut self, token: u64) -> Option<(Slot, &mut Connection)> {
        let slot = u32::try_from(token).map(Slot).ok()?;
        Some((slot, self.table.get_mut(slot)?))
    }

    /// Serves connections of one weight for a part of the turn, one at least.
    fn serve_part(&mut self, weight: Weight) {
        let mut now = self.clock.now();
        let part = TurnBudget::new(now.time(), TURN_PART);
        let share = match weight {
            Weight::Light => LIGHT_SHARE,
            Weight::Heavy => HEAVY_SHARE,
        };
        while let Some((waiter, start)) = self.waiting.pop(weight) {
            self.advance_work(start);
            self.begun = start;
            self.share = TurnBudget::new(now.time(), share);
            now = self.serve_waiter(waiter, now);
            if part.is_spent(now.time()) {
                return;
            }
        }
    }

    fn serve_waiter(&mut self, Waiter { event, serial }: Waiter, since: Moment) -> Moment {
        let Some((slot, connection)) = self.of_token(event.token) else { return since };
        if connection.serial != serial {
            return since;
        }
        connection.schedule.is_waiting = false;
        self.work = 0;
        self.serve_socket(slot, event);
        let now = self.clock.now();
        if let Some(connection) = self.table.get_mut(slot).filter(|it| it.serial == serial) {
            connection.schedule.usage.note(self.begun, self.work, &mut self.work_clock);
        }
        now
    }

    /// Serves one socket.
    pub(in crate::worker) fn serve_socket(&mut self, slot: Slot, event: Ready) {
        if event.writable {
            self.flush_outbox(slot);
        }
        if event.readable {
            self.read_socket(slot, event);
        }
        self.look_early();
    }

    /// Keeps what is left of one read when the share of its connection is used up. It is not read
    /// further until that is served.
    pub(in crate::worker) fn keep_rest(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        rest: &[u8],
    ) {
        connection.stash = Some(Box::new(PendingInput { message: None, rest: rest.to_vec() }));
        if !std::mem::replace(&mut connection.schedule.is_waiting, true) {
            let token = slot.0.into();
            let event = Ready { token, readable: true, writable: false, broken: false };
            let waiter = Waiter { event, serial: connection.serial };
            self.waiting.push(waiter, (self.start_of_rest(), Weight::Heavy), self.work_clock);
        }
    }

    /// One is served whose work begins here.
    pub(in crate::worker) fn advance_work(&mut self, start: u64) {
        let waiting = self.waiting.next_start().min(self.paused.next_start());
        self.work_clock.advance_to(start.min(waiting));
    }

    /// Where the work begins that is left of the connection which is being served.
    pub(in crate::worker) fn start_of_rest(&self) -> u64 {
        let work = u64::try_from(self.work).unwrap_or(u64::MAX);
        self.begun.saturating_add(work).min(self.work_clock.most())
    }

    /// How much is read from one socket now.
    pub(in crate::worker) fn read_bytes(&self) -> usize {
        if self.waiting.len() < CROWD { READ_BYTES } else { CROWDED_READ_BYTES }
    }
}
