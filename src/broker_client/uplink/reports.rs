//! Reports on publications that their publisher tracks.

use super::Uplink;
use crate::link::codec::WireMessage;
use crate::link::message::ToBroker;
use crate::types::{Number, TrackedOutcome, WorkerIncarnation};

impl Uplink {
    /// Reports on a tracked publication, if there is a broker.
    pub fn report(
        &mut self,
        publisher: WorkerIncarnation,
        number: Number,
        outcome: TrackedOutcome,
    ) {
        if self.is_linked {
            ToBroker::Tracked { publisher, number, outcome }.encode(&mut self.out);
        }
    }

    /// Reports what has become of a question to a client, to this broker or a later one. An answer needs
    /// [room](Uplink::has_room).
    pub fn answer(
        &mut self,
        publisher: WorkerIncarnation,
        number: Number,
        outcome: TrackedOutcome,
    ) {
        let message = ToBroker::Tracked { publisher, number, outcome };
        if self.is_linked {
            message.encode(&mut self.out);
        }
        self.answers.keep(self.syncs.want(), message);
    }
}
