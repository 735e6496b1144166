//! Rate limit of messages per connection and minute.

use std::collections::HashMap;
use std::time::Duration;

use crate::types::ClientUuid;

/// Length of a counting window, as in the original.
const WINDOW: Duration = Duration::from_secs(60);

/// Counting window of each connection. Empty while there is no limit.
#[derive(Debug, Default)]
pub(super) struct RequestLimiter(HashMap<ClientUuid, RequestWindow>);

#[derive(Debug)]
struct RequestWindow {
    began: Duration,
    count: u32,
}

impl RequestLimiter {
    /// Starts the first window of a connection. The handshake counts as one message.
    pub(super) fn begin(&mut self, id: ClientUuid, now: Duration) {
        self.0.insert(id, RequestWindow { began: now, count: 1 });
    }

    /// Counts a message and returns true if it is within the limit. Each window admits one message
    /// more than `limit`, as in the original.
    #[must_use]
    pub(super) fn admit(&mut self, id: ClientUuid, now: Duration, limit: u32) -> bool {
        let window = self.0.entry(id).or_insert(RequestWindow { began: now, count: 0 });
        if now.saturating_sub(window.began) > WINDOW {
            *window = RequestWindow { began: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        window.count <= limit.saturating_add(1)
    }

    /// Removes the window of a connection that ended.
    pub(super) fn end(&mut self, id: ClientUuid) {
        self.0.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Case 146.
    #[test]
    fn fifty_one_reads_pass_in_a_minute_with_the_handshake_among_them() {
        let (mut quotas, id) = (RequestLimiter::default(), ClientUuid([1; 16]));
        let second = Duration::from_secs;
        quotas.begin(id, second(100));
        assert!((0..50).all(|_| quotas.admit(id, second(160), 50)));
        assert!(!quotas.admit(id, second(160), 50));
        assert!(quotas.admit(id, second(161), 50), "a new minute");
        assert!(quotas.admit(ClientUuid([2; 16]), second(161), 0), "opened without a limit");
        quotas.end(id);
        assert!((0..51).all(|_| quotas.admit(id, second(162), 50)));
        assert!(!quotas.admit(id, second(162), 50));
    }
}
