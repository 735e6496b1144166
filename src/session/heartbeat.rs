//! Whether a client still lives: pings go out at every interval, and anything it says is a sign.

/// How many pings in a row nothing came for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    unanswered: u8,
}

/// What is due at the end of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// A ping.
    Ping,
    /// The end: nothing came for two pings.
    Silent,
}

/// Pings that may go unanswered.
const UNANSWERED_MAX: u8 = 2;

impl Heartbeat {
    /// The client said something, or it could not be heard because the worker did not listen.
    pub fn heard(&mut self) {
        self.unanswered = 0;
    }

    /// An interval is over.
    pub fn beat(&mut self) -> Beat {
        if self.unanswered >= UNANSWERED_MAX {
            return Beat::Silent;
        }
        self.unanswered += 1;
        Beat::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pings_may_be_missed_and_any_sign_starts_again() {
        let mut heartbeat = Heartbeat::default();
        assert_eq!([heartbeat.beat(), heartbeat.beat()], [Beat::Ping, Beat::Ping]);
        heartbeat.heard();
        assert_eq!([heartbeat.beat(), heartbeat.beat()], [Beat::Ping, Beat::Ping]);
        assert_eq!(heartbeat.beat(), Beat::Silent);
    }
}
