//! Detection of dead clients. A ping is sent at each interval; any data from the client proves that
//! it is alive.

/// Number of consecutive pings without data from the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    unanswered: u8,
}

/// Action at the end of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatAction {
    /// Send a ping.
    Ping,
    /// Close the connection: no data arrived after two pings.
    Silent,
}

/// Most unanswered pings.
const UNANSWERED_MAX: u8 = 2;

impl Heartbeat {
    /// Resets the count. Call it when the client sent data, or when the worker did not read the
    /// socket.
    pub fn reset(&mut self) {
        self.unanswered = 0;
    }

    /// Returns the action at the end of an interval.
    pub fn tick(&mut self) -> HeartbeatAction {
        if self.unanswered >= UNANSWERED_MAX {
            return HeartbeatAction::Silent;
        }
        self.unanswered += 1;
        HeartbeatAction::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pings_may_be_missed_and_any_sign_starts_again() {
        let mut heartbeat = Heartbeat::default();
        assert_eq!(
            [heartbeat.tick(), heartbeat.tick()],
            [HeartbeatAction::Ping, HeartbeatAction::Ping]
        );
        heartbeat.reset();
        assert_eq!(
            [heartbeat.tick(), heartbeat.tick()],
            [HeartbeatAction::Ping, HeartbeatAction::Ping]
        );
        assert_eq!(heartbeat.tick(), HeartbeatAction::Silent);
    }
}
