//! The status of a client, and that after its first attempt to connect.

use tokio::sync::watch;

use crate::status::Status;

/// The status of a client, for everyone who waits for it.
#[derive(Debug)]
pub(crate) struct CurrentStatus {
    sender: watch::Sender<Status>,
    /// Status after the first attempt to connect.
    first: Option<Status>,
}

impl CurrentStatus {
    pub(super) fn idle() -> Self {
        Self { sender: watch::channel(Status::Idle).0, first: None }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Status> {
        self.sender.subscribe()
    }

    /// Returns the status after the first attempt to connect. A task that waits for it may run only after the next one.
    pub(crate) fn first_outcome(&self) -> Option<Status> {
        self.first.clone()
    }

    pub(super) fn change(&mut self, status: Status) {
        if self.first.is_none() && status.ends_attempt() {
            self.first = Some(status.clone());
        }
        self.sender.send_replace(status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Disconnect;

    #[test]
    fn the_outcome_of_the_first_attempt_stays_known() {
        let mut current = CurrentStatus::idle();
        current.change(Status::Connecting { attempt: 0 });
        assert!(current.first_outcome().is_none());
        for code in [4100, 4200] {
            current.change(Status::Closed { lost: Some(Disconnect::closed(code, "later")) });
            current.change(Status::Connecting { attempt: 1 });
        }
        let Some(Status::Closed { lost: Some(lost) }) = current.first_outcome() else {
            panic!("it was closed")
        };
        assert_eq!(lost.code(), 4100);
    }
}
