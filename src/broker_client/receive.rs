//! What a message of the broker changes.

use std::io;

use super::BrokerEvent;
use super::deliver_tracked::{deliver_tracked, deliver_untracked};
use super::fanout::Fanout;
use super::link_io::unknown_set;
use super::slot_allocator::SlotAllocator;
use super::uplink::Uplink;
use super::write_reports::WriteReports;
use crate::link::message::{Deliver, FromBroker, ToWorker};

/// Applies a message and returns the event for a connection, if there is one.
#[inline]
pub(super) fn on_message(
    message: FromBroker<'_>,
    uplink: &mut Uplink,
    fanout: &mut Fanout,
    slots: &mut SlotAllocator,
    write_reports: &mut WriteReports,
) -> io::Result<Option<BrokerEvent>> {
    let queued = match message {
        FromBroker::Deliver(deliver) if fanout.tracks_next() => {
            deliver_tracked(&deliver, uplink, fanout, write_reports)?
        }
        FromBroker::Deliver(deliver) if !uplink.is_new(&deliver) => {
            fanout.forget_next();
            note_dropped(&deliver, uplink, fanout);
            Ok(())
        }
        FromBroker::Deliver(deliver) => deliver_untracked(&deliver, uplink, fanout)?,
        FromBroker::Other(ToWorker::Track(tracking)) => {
            fanout.track_next(tracking);
            Ok(())
        }
        FromBroker::Other(message @ (ToWorker::Batch | ToWorker::Set { .. })) => {
            fanout.take_sets(message)
        }
        FromBroker::Other(ToWorker::At(position)) => {
            fanout.position_next(position);
            Ok(())
        }
        FromBroker::Other(ToWorker::Head(head)) => {
            fanout.take_head(head);
            Ok(())
        }
        FromBroker::Other(ToWorker::Tenant(tenant)) => {
            fanout.switch_to(tenant);
            Ok(())
        }
        FromBroker::Other(ToWorker::CountWork { reported_from }) => {
            fanout.count_work(reported_from);
            Ok(())
        }
        FromBroker::Other(ToWorker::Left { slot }) => {
            uplink.on_left(slot);
            slots.vacate(slot);
            Ok(())
        }
        FromBroker::Other(message) => return Ok(uplink.on_message(message)),
    };
    queued.map_err(unknown_set)?;
    Ok(None)
}

/// Counts a delivery as done that was received before. Its content is known: a worker keeps its own
/// publications until they are acknowledged (rule L4).
pub(super) fn note_dropped(deliver: &Deliver<&[u8]>, uplink: &Uplink, fanout: &mut Fanout) {
    if let Ok(content) = uplink.content(deliver) {
        fanout.note_dropped(deliver.target, content.payload.len());
    }
}
