//! Deliveries of publications that their publisher tracks: reports on what sockets take, and questions.

use std::rc::Rc;

use super::deliver::Delivery;
use super::table::DeliveryPath;
use crate::broker_client::fanout::{Batch, DeliveryTracking, Question};
use crate::broker_client::write_reports::WriteTicket;
use crate::types::{Slot, TrackedOutcome};
use crate::worker::questions;

impl Delivery<'_> {
    /// Delivers a tracked publication to one client and returns the number of bytes to write.
    pub(super) fn deliver_tracked(&mut self, slot: Slot, batch: &mut Batch) -> usize {
        match batch.tracking() {
            Some(DeliveryTracking::Writes(tally)) if batch.count_for(slot) > 0 => {
                let ticket = WriteTicket::of(&Rc::clone(tally));
                self.deliver_counted(slot, batch, ticket)
            }
            Some(DeliveryTracking::Question(question)) => {
                let question = **question;
                self.ask(slot, batch, &question)
            }
            _ => self.deliver(slot, batch),
        }
    }

    /// The delivery goes through the outbox, so that it is known when the socket has taken all of it.
    fn deliver_counted(&mut self, slot: Slot, batch: &mut Batch, ticket: WriteTicket) -> usize {
        match self.context.sockets.entry(slot).map(|entry| entry.path) {
            Some(DeliveryPath::Direct(protocol) | DeliveryPath::Queued(protocol)) => {
                self.deliver_queued(slot, batch, protocol, ticket)
            }
            // The ticket counts as closed when it is dropped.
            Some(DeliveryPath::Closed) | None => self.deliver(slot, batch),
        }
    }

    /// Delivers a question, unless the client cannot answer.
    fn ask(&mut self, slot: Slot, batch: &mut Batch, question: &Question) -> usize {
        let Question { publisher, number, .. } = *question;
        let outcome = match self.context.sockets.entry(slot).map(|entry| entry.path) {
            Some(DeliveryPath::Direct(protocol) | DeliveryPath::Queued(protocol)) => {
                if protocol.spec().questions.is_some() {
                    return match questions::open(self.context, slot, question) {
                        true => self.deliver(slot, batch),
                        false => 0,
                    };
                }
                TrackedOutcome::Unsupported
            }
            Some(DeliveryPath::Closed) | None => TrackedOutcome::Closed,
        };
        self.context.broker.uplink.answer(publisher, number, outcome);
        0
    }
}
