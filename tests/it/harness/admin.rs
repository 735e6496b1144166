//! Sends admin requests to a running server and reads its counters.

use tagcast::admin::{AdminRequest, AdminResponse, ServerStatus, ask};
use tagcast::types::WorkerCounts;

use super::folder::Folder;
use super::server::{Finished, Server, run_to_end};
use super::wait::eventually;

impl Server {
    /// Runs an admin command to its end, such as `tagcast reload -i websock.ini`.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> Finished {
        let mut all = arguments.to_vec();
        all.extend(["-i", "websock.ini"]);
        run_to_end(&self.folder, &all)
    }

    /// Runs `tagcast publish` for this server, from a folder without a configuration of it.
    #[track_caller]
    pub fn publish(&self, arguments: &[&str]) -> Finished {
        let url = format!("ws://127.0.0.1:{}/", self.port);
        run_to_end(&Folder::new(), &[&["publish", "--url", url.as_str()], arguments].concat())
    }

    /// Like [`Server::publish`], and panics if the command fails.
    #[track_caller]
    pub fn publish_well(&self, arguments: &[&str]) {
        let finished = self.publish(arguments);
        assert_eq!(finished.code, Some(0), "{}", finished.text);
    }

    /// Returns the status of the server.
    #[track_caller]
    pub fn status(&self) -> ServerStatus {
        self.try_status().expect("an answer on the control socket")
    }

    /// Returns the status of the server, or None if it does not answer.
    pub fn try_status(&self) -> Option<ServerStatus> {
        let mut asking = ask(&self.folder.path("state"), &AdminRequest::Status).ok()?;
        match asking.next_answer() {
            Ok(Some(AdminResponse::Status(status))) => Some(*status),
            _ => None,
        }
    }

    /// Returns the sum of the counters of all workers.
    #[track_caller]
    pub fn counts(&self) -> WorkerCounts {
        let sum = |one: WorkerCounts, other: WorkerCounts| WorkerCounts {
            accepted: one.accepted + other.accepted,
            open: one.open + other.open,
            closed: one.closed + other.closed,
            handed_over: one.handed_over + other.handed_over,
            held: one.held + other.held,
            opened: one.opened + other.opened,
            slow: one.slow + other.slow,
            shed: one.shed + other.shed,
            silent: one.silent + other.silent,
            messages: one.messages + other.messages,
            throttled: one.throttled + other.throttled,
            throttled_ms: one.throttled_ms + other.throttled_ms,
            fair_share_throttled: one.fair_share_throttled + other.fair_share_throttled,
            fair_share_throttled_ms: one.fair_share_throttled_ms + other.fair_share_throttled_ms,
            events_failed: one.events_failed + other.events_failed,
            published: one.published + other.published,
            unacknowledged: one.unacknowledged + other.unacknowledged,
            matched: one.matched + other.matched,
            delivered: one.delivered + other.delivered,
            missed: one.missed + other.missed,
            waiting: one.waiting + other.waiting,
        };
        self.status().workers().fold(WorkerCounts::default(), sum)
    }

    /// Waits until there are no connections, clients, index rows or unacknowledged publications.
    #[track_caller]
    pub fn wait_until_empty(&self) -> ServerStatus {
        eventually("an empty server", || {
            let status = self.try_status()?;
            let broker = status.broker()?;
            let no_server = |counts: WorkerCounts| counts.open == 0 && counts.unacknowledged == 0;
            let is_empty =
                broker.clients == 0 && broker.rows == 0 && status.workers().all(no_server);
            is_empty.then_some(status)
        })
    }
}

/// Returns the equations of the counters that do not balance, over the workers that answered.
pub fn imbalances(status: &ServerStatus) -> Vec<String> {
    let wrong = |counts: &WorkerCounts| {
        counts.accepted != counts.open + counts.closed + counts.handed_over
            || counts.matched != counts.delivered + counts.missed + counts.waiting
    };
    status.workers().filter(wrong).map(|counts| format!("{counts:?}")).collect()
}
