//! Publications from the link, and those among them whose publisher gets a report.

use std::io;

use super::fanout::{DeliveryTracking, Fanout, Question, UnknownSet};
use super::large::DeliveredContent;
use super::link_io::not_kept;
use super::receive::note_dropped;
use super::uplink::Uplink;
use super::write_reports::WriteReports;
use crate::link::message::Deliver;
use crate::types::{TrackedSubject, Tracking};

/// Queues a publication whose publisher gets a report. A repeated one is reported by the first.
pub(super) fn deliver_tracked(
    deliver: &Deliver<&[u8]>,
    uplink: &mut Uplink,
    fanout: &mut Fanout,
    write_reports: &mut WriteReports,
) -> io::Result<Result<(), UnknownSet>> {
    let Some(Tracking { subject, within }) = fanout.take_tracking() else { return Ok(Ok(())) };
    if !uplink.is_new(deliver) {
        fanout.forget_next();
        note_dropped(deliver, uplink, fanout);
        return Ok(Ok(()));
    }
    let content = uplink.content(deliver).map_err(not_kept)?;
    let Deliver { source: publisher, number, target, .. } = *deliver;
    let recipients = match fanout.recipients(target) {
        Ok(recipients) => recipients,
        Err(unknown) => return Ok(Err(unknown)),
    };
    let tracking = match subject {
        TrackedSubject::Writes | TrackedSubject::TimedWrites => {
            let tally = write_reports.open(publisher, number, within, recipients);
            if subject == TrackedSubject::TimedWrites {
                write_reports.time_last();
            }
            DeliveryTracking::Writes(tally)
        }
        TrackedSubject::Answer(token) => {
            DeliveryTracking::Question(Box::new(Question { publisher, number, token, within }))
        }
    };
    Ok(fanout.deliver_tracked(target, content, tracking))
}

/// Queues a publication that was not received before. One of many of this worker is timed.
#[inline]
pub(super) fn deliver_untracked(
    deliver: &Deliver<&[u8]>,
    uplink: &Uplink,
    fanout: &mut Fanout,
) -> io::Result<Result<(), UnknownSet>> {
    let content = uplink.delivered(deliver).map_err(not_kept)?;
    if deliver.number.is_timed() && deliver.source == uplink.source() {
        fanout.time_next(deliver.number);
    }
    Ok(match content {
        DeliveredContent::Small(content) => fanout.deliver(deliver.target, content),
        DeliveredContent::Large(content) => fanout.deliver_large(deliver.target, content.clone()),
    })
}
