//! The current activity of a connection, and its start.

use std::cell::Cell;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The activity of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Idle: no byte has arrived since the last answer.
    Idle { since: Instant },
    /// The request head is incomplete and must be complete by this time.
    Head { until: Instant },
    /// A request is being served. Requests have their own deadlines.
    Request,
}

/// The activity of a connection, shared by its stream, its requests and the task that watches its
/// deadlines.
#[derive(Debug)]
pub(in crate::api) struct Activity {
    phase: Cell<Phase>,
    head_within: Cell<Duration>,
    changed: Notify,
}

impl Activity {
    /// Creates the activity of a new connection. Its first head must be complete within this time.
    pub(super) fn new(head_within: Duration, head_timeout: Duration) -> Self {
        let phase = Phase::Head { until: Instant::now() + head_within };
        let head_within = Cell::new(head_timeout);
        Self { phase: Cell::new(phase), head_within, changed: Notify::new() }
    }

    /// Records that bytes have arrived.
    pub(super) fn on_bytes(&self) {
        if let Phase::Idle { .. } = self.phase.get() {
            self.set(Phase::Head { until: Instant::now() + self.head_within.get() });
        }
    }

    /// Records that a head is complete.
    pub(super) fn begin_request(&self) {
        self.set(Phase::Request);
    }

    /// Records that the request is answered.
    pub(super) fn end_request(&self, head_timeout: Duration) {
        self.head_within.set(head_timeout);
        self.set(Phase::Idle { since: Instant::now() });
    }

    /// Returns true if no request is being served.
    pub(super) fn is_waiting(&self) -> bool {
        self.phase.get() != Phase::Request
    }

    fn set(&self, phase: Phase) {
        self.phase.set(phase);
        self.changed.notify_one();
    }

    /// Waits until the connection has been idle, or its head has been incomplete, for too long.
    pub(super) async fn overdue(&self, idle_timeout: impl Fn() -> Duration) {
        loop {
            let until = match self.phase.get() {
                Phase::Idle { since } => Some(since + idle_timeout()),
                Phase::Head { until } => Some(until),
                Phase::Request => None,
            };
            let changed = self.changed.notified();
            match until {
                None => changed.await,
                Some(until) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(until) => return,
                        () = changed => {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the time until the connection is overdue.
    async fn waits(activity: &Activity) -> Option<Duration> {
        let start = Instant::now();
        let overdue = tokio::time::timeout(1000 * SECOND, activity.overdue(|| 60 * SECOND)).await;
        overdue.ok().map(|()| start.elapsed())
    }

    fn whole_seconds(waited: Option<Duration>) -> Option<u64> {
        waited.map(|it| it.as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn heads_and_idle_connections_have_deadlines_and_requests_none() {
        let activity = Activity::new(3 * SECOND, 10 * SECOND);
        activity.on_bytes();
        assert_eq!(whole_seconds(waits(&activity).await), Some(3));
        activity.begin_request();
        activity.on_bytes();
        assert!(!activity.is_waiting());
        assert_eq!(waits(&activity).await, None);
        activity.end_request(5 * SECOND);
        assert_eq!(whole_seconds(waits(&activity).await), Some(60));
        activity.on_bytes();
        assert_eq!(whole_seconds(waits(&activity).await), Some(5));
    }
}
