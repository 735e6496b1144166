//! Publications whose deliveries are tracked: what the workers report about them.

use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;

use super::WorkerId;

/// Number of a question: random, so that only its client knows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskToken(pub [u8; 16]);

impl AskToken {
    /// Returns the 32 hexadecimal digits, in lower case.
    #[must_use]
    pub fn text(self) -> String {
        let mut text = String::with_capacity(32);
        for byte in self.0 {
            let _written = write!(text, "{byte:02x}");
        }
        text
    }

    /// Returns the token with exactly these digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: &u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        let mut token = [0; 16];
        if pairs.len() != token.len() {
            return None;
        }
        for (byte, [high, low]) in token.iter_mut().zip(pairs) {
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Some(Self(token))
    }
}

/// A token is not shown: a client that knows it can answer.
impl fmt::Debug for AskToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AskToken(…)")
    }
}

/// A request to report on the deliveries of one publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// What is reported.
    pub subject: TrackedSubject,
    /// Time after which each worker reports what it knows by then. The resolution is a millisecond.
    pub within: Duration,
}

/// What workers report about a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackedSubject {
    /// How many sockets have taken it.
    Writes,
    /// The same, and when the broker and the workers have worked on it, for a trace.
    TimedWrites,
    /// The answer of its only recipient, who gets this number with it.
    Answer(AskToken),
}

/// What has become of the deliveries of a publication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteCounts {
    /// The kernel has taken the whole frame.
    pub written: u64,
    /// The client was closed before that, because it did not read.
    pub slow: u64,
    /// The connection ended before that in another way.
    pub closed: u64,
    /// The frame was waiting when the time was over.
    pub waiting: u64,
}

impl WriteCounts {
    /// Returns the number of deliveries.
    #[must_use]
    pub fn total(self) -> u64 {
        [self.written, self.slow, self.closed, self.waiting]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Returns the sums of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            written: self.written.saturating_add(other.written),
            slow: self.slow.saturating_add(other.slow),
            closed: self.closed.saturating_add(other.closed),
            waiting: self.waiting.saturating_add(other.waiting),
        }
    }
}

/// When a piece of work began and ended, as times since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanTimes {
    /// Its begin.
    pub began: Duration,
    /// Its end.
    pub ended: Duration,
}

/// The part of a worker in the deliveries of a publication, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedWrites {
    /// The worker.
    pub worker: WorkerId,
    /// What has become of the deliveries.
    pub counts: WriteCounts,
    /// From the arrival of the publication to the report.
    pub times: SpanTimes,
}

/// A report on a tracked publication, or what has become of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackedOutcome {
    /// The part of a worker in the deliveries.
    Writes(WriteCounts),
    /// The same with its time.
    TimedWrites(Box<TimedWrites>),
    /// When the broker has resolved the publication and sent it to the workers.
    Resolved(SpanTimes),
    /// The answer of the client: JSON.
    Answer(Bytes),
    /// The client refuses to answer, for this reason: UTF-8 text.
    Refused(Bytes),
    /// The protocol of the client has no answers. Nothing was sent to it.
    Unsupported,
    /// The client has too many open questions. Nothing was sent to it.
    Full,
    /// The connection of the client ended before it answered.
    Closed,
    /// The same, and the client may come back.
    Away,
    /// The worker of the client has died. It is not known whether the client has answered.
    Lost,
    /// The client has not answered within the time.
    Expired,
}

impl TrackedOutcome {
    /// Returns its bytes on the heap.
    #[must_use]
    pub fn held(&self) -> usize {
        match self {
            Self::Answer(bytes) | Self::Refused(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_32_digits_in_lower_case() {
        let token = AskToken([0x0f, 0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0xff]);
        assert_eq!(token.text(), "0fa00102030405060708090a0b0c0dff");
        assert_eq!(AskToken::parse(&token.text()), Some(token));
        let text = token.text();
        for wrong in [
            "",
            "0",
            &text[1..],
            &text.to_uppercase(),
            &format!("{text}00"),
            "é".repeat(16).as_str(),
        ] {
            assert_eq!(AskToken::parse(wrong), None, "{wrong}");
        }
        assert!(!format!("{token:?}").contains("0f"));
    }
}
