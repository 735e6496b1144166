//! Encodes and decodes requests for reports on deliveries, and the reports.

use std::time::Duration;

use bytes::{BufMut, Bytes};

use super::Malformed;
use super::decode::FieldReader;
use crate::types::{
    AskToken, SpanTimes, TimedWrites, TrackedOutcome, TrackedSubject, Tracking, WorkerId,
    WriteCounts,
};

pub(super) fn put_tracking(out: &mut Vec<u8>, tracking: Option<Tracking>) {
    let Some(Tracking { subject, within }) = tracking else { return out.put_u8(0) };
    match subject {
        TrackedSubject::Writes => out.put_u8(1),
        TrackedSubject::TimedWrites => out.put_u8(3),
        TrackedSubject::Answer(token) => {
            out.put_u8(2);
            out.put_slice(&token.0);
        }
    }
    out.put_u32_le(u32::try_from(within.as_millis()).unwrap_or(u32::MAX));
}

pub(super) fn put_outcome(out: &mut Vec<u8>, outcome: &TrackedOutcome) {
    match outcome {
        TrackedOutcome::Writes(counts) => {
            out.put_u8(1);
            put_write_counts(out, *counts);
        }
        TrackedOutcome::TimedWrites(timed) => {
            out.put_u8(6);
            let TimedWrites { worker, counts, times } = **timed;
            out.put_u16_le(worker.0);
            put_write_counts(out, counts);
            put_times(out, times);
        }
        TrackedOutcome::Resolved(times) => {
            out.put_u8(7);
            put_times(out, *times);
        }
        TrackedOutcome::Answer(json) => {
            out.put_u8(2);
            out.put_slice(json);
        }
        TrackedOutcome::Unsupported => out.put_u8(3),
        TrackedOutcome::Closed => out.put_u8(4),
        TrackedOutcome::Expired => out.put_u8(5),
        TrackedOutcome::Refused(reason) => {
            out.put_u8(8);
            out.put_slice(reason);
        }
        TrackedOutcome::Away => out.put_u8(9),
        TrackedOutcome::Full => out.put_u8(10),
        TrackedOutcome::Lost => out.put_u8(11),
    }
}

pub(super) fn put_write_counts(
    out: &mut Vec<u8>,
    WriteCounts { written, slow, closed, waiting }: WriteCounts,
) {
    [written, slow, closed, waiting].into_iter().for_each(|count| out.put_u64_le(count));
}

/// Times have a resolution of a microsecond.
fn put_times(out: &mut Vec<u8>, SpanTimes { began, ended }: SpanTimes) {
    for time in [began, ended] {
        out.put_u64_le(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }
}

impl FieldReader<'_> {
    pub(super) fn write_counts(&mut self) -> Result<WriteCounts, Malformed> {
        Ok(WriteCounts {
            written: self.u64()?,
            slow: self.u64()?,
            closed: self.u64()?,
            waiting: self.u64()?,
        })
    }

    fn times(&mut self) -> Result<SpanTimes, Malformed> {
        let mut time = || self.u64().map(Duration::from_micros);
        Ok(SpanTimes { began: time()?, ended: time()? })
    }

    pub(super) fn tracking(&mut self) -> Result<Option<Tracking>, Malformed> {
        let subject = match self.u8()? {
            0 => return Ok(None),
            1 => TrackedSubject::Writes,
            2 => TrackedSubject::Answer(AskToken(self.array()?)),
            3 => TrackedSubject::TimedWrites,
            subject => return Err(Malformed::Unknown("subject", subject)),
        };
        let within = Duration::from_millis(self.u32()?.into());
        Ok(Some(Tracking { subject, within }))
    }

    /// An outcome, which is the last field of a message.
    pub(super) fn outcome(&mut self) -> Result<TrackedOutcome, Malformed> {
        Ok(match self.u8()? {
            1 => TrackedOutcome::Writes(self.write_counts()?),
            2 => TrackedOutcome::Answer(Bytes::copy_from_slice(self.take_rest())),
            3 => TrackedOutcome::Unsupported,
            4 => TrackedOutcome::Closed,
            5 => TrackedOutcome::Expired,
            6 => TrackedOutcome::TimedWrites(Box::new(TimedWrites {
                worker: WorkerId(self.u16()?),
                counts: self.write_counts()?,
                times: self.times()?,
            })),
            7 => TrackedOutcome::Resolved(self.times()?),
            8 => TrackedOutcome::Refused(Bytes::copy_from_slice(self.take_rest())),
            9 => TrackedOutcome::Away,
            10 => TrackedOutcome::Full,
            11 => TrackedOutcome::Lost,
            outcome => return Err(Malformed::Unknown("outcome", outcome)),
        })
    }
}

/// Values for tests of messages.
#[cfg(test)]
pub(super) mod strategies {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::link::codec) fn tracking() -> impl Strategy<Value = Tracking> {
        let plain = prop_oneof![Just(TrackedSubject::Writes), Just(TrackedSubject::TimedWrites)];
        (any::<Option<[u8; 16]>>(), plain, any::<u32>()).prop_map(|(token, plain, millis)| {
            Tracking {
                subject: token.map_or(plain, |it| TrackedSubject::Answer(AskToken(it))),
                within: Duration::from_millis(millis.into()),
            }
        })
    }

    fn timed_writes(worker: u16, written: u64, times: [u32; 2]) -> TrackedOutcome {
        let [began, ended] = times.map(|time| Duration::from_micros(time.into()));
        let (counts, times) =
            (WriteCounts { written, ..WriteCounts::default() }, SpanTimes { began, ended });
        match worker {
            0 => TrackedOutcome::Resolved(times),
            _ => {
                let worker = WorkerId(worker);
                TrackedOutcome::TimedWrites(Box::new(TimedWrites { worker, counts, times }))
            }
        }
    }

    pub(in crate::link::codec) fn outcome() -> impl Strategy<Value = TrackedOutcome> {
        let counts = |(written, slow, closed, waiting)| {
            TrackedOutcome::Writes(WriteCounts { written, slow, closed, waiting })
        };
        prop_oneof![
            any::<(u64, u64, u64, u64)>().prop_map(counts),
            any::<(u16, u64, [u32; 2])>()
                .prop_map(|(worker, written, times)| timed_writes(worker, written, times)),
            any::<Vec<u8>>().prop_map(|json| TrackedOutcome::Answer(Bytes::from(json))),
            Just(TrackedOutcome::Unsupported),
            Just(TrackedOutcome::Closed),
            Just(TrackedOutcome::Expired),
            any::<Vec<u8>>().prop_map(|text| TrackedOutcome::Refused(Bytes::from(text))),
            Just(TrackedOutcome::Away),
            Just(TrackedOutcome::Full),
            Just(TrackedOutcome::Lost),
        ]
    }
}
