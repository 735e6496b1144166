//! What a worker does when memory becomes scarce: it accepts nobody, closes the clients that hold
//! the most, and denies publications.

use std::cmp::Reverse;

use super::hub::Hub;
use crate::link::control::Report;
use crate::types::limits::{GROWTH_BYTES, SEND_BYTES};
use crate::types::{Pressure, Slot};

impl Hub {
    /// The supervisor has looked at the memory of all processes.
    pub(super) fn feel_pressure(&mut self, pressure: Pressure) {
        self.pressure = pressure;
        self.shed();
    }

    /// Notes what outboxes have taken in.
    pub(super) fn note_growth(&mut self, bytes: usize) {
        self.grown_bytes += bytes;
    }

    /// Asks for a look at the memory, when much was taken in.
    pub(super) fn report_growth(&mut self) {
        if self.grown_bytes >= GROWTH_BYTES {
            self.grown_bytes = 0;
            self.report(Report::Grown);
        }
    }

    /// Closes the clients with the largest outboxes, until half of what all hold is free. What one
    /// send takes is no backlog.
    pub(super) fn shed(&mut self) {
        if self.pressure < Pressure::Shedding {
            return;
        }
        let held = |slot: Slot| {
            let bytes = self.table.get(slot)?.outbox.as_ref()?.bytes();
            (bytes > SEND_BYTES).then_some((bytes, slot))
        };
        let mut full: Vec<(usize, Slot)> =
            self.table.slots().into_iter().filter_map(held).collect();
        full.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        let mut left = full.iter().map(|(bytes, _)| *bytes).sum::<usize>().div_ceil(2);
        for (bytes, slot) in full {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(bytes);
            if let Some(mut connection) = self.table.take(slot) {
                self.throw_out(slot, &mut connection);
                self.put_back(slot, connection);
            }
        }
    }
}
