//! Encodes and decodes requests for reports on deliveries, and the reports.

use std::time::Duration;

use bytes::{BufMut, Bytes};

use super::Malformed;
use super::decode::FieldReader;
use crate::types::{AskToken, TrackedOutcome, TrackedSubject, Tracking, WriteCounts};

pub(super) fn put_tracking(out: &mut Vec<u8>, tracking: Option<Tracking>) {
    let Some(Tracking { subject, within }) = tracking else { return out.put_u8(0) };
    match subject {
        TrackedSubject::Writes => out.put_u8(1),
        TrackedSubject::Answer(token) => {
            out.put_u8(2);
            out.put_slice(&token.0);
        }
    }
    out.put_u32_le(u32::try_from(within.as_millis()).unwrap_or(u32::MAX));
}

pub(super) fn put_outcome(out: &mut Vec<u8>, outcome: &TrackedOutcome) {
    match outcome {
        TrackedOutcome::Writes(WriteCounts { written, slow, closed, waiting }) => {
            out.put_u8(1);
            [written, slow, closed, waiting].into_iter().for_each(|count| out.put_u64_le(*count));
        }
        TrackedOutcome::Answer(json) => {
            out.put_u8(2);
            out.put_slice(json);
        }
        TrackedOutcome::Unsupported => out.put_u8(3),
        TrackedOutcome::Closed => out.put_u8(4),
        TrackedOutcome::Expired => out.put_u8(5),
    }
}

impl FieldReader<'_> {
    pub(super) fn tracking(&mut self) -> Result<Option<Tracking>, Malformed> {
        let subject = match self.u8()? {
            0 => return Ok(None),
            1 => TrackedSubject::Writes,
            2 => TrackedSubject::Answer(AskToken(self.array()?)),
            subject => return Err(Malformed::Unknown("subject", subject)),
        };
        let within = Duration::from_millis(self.u32()?.into());
        Ok(Some(Tracking { subject, within }))
    }

    /// An outcome, which is the last field of a message.
    pub(super) fn outcome(&mut self) -> Result<TrackedOutcome, Malformed> {
        Ok(match self.u8()? {
            1 => TrackedOutcome::Writes(WriteCounts {
                written: self.u64()?,
                slow: self.u64()?,
                closed: self.u64()?,
                waiting: self.u64()?,
            }),
            2 => TrackedOutcome::Answer(Bytes::copy_from_slice(self.take_rest())),
            3 => TrackedOutcome::Unsupported,
            4 => TrackedOutcome::Closed,
            5 => TrackedOutcome::Expired,
            outcome => return Err(Malformed::Unknown("outcome", outcome)),
        })
    }
}
