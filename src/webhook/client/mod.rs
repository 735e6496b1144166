//! Webhook client: a thread of a worker that sends events to backends over HTTP. The event loop of
//! the worker never waits for a backend.

mod inbox;
mod retry;
mod target;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver, Sender};

use self::inbox::{ReplyGuard, ReplyInbox};
use super::{InvalidAnswer, WebhookCommand, WebhookRequest};

pub use self::target::{InvalidTarget, TargetSettings, WebhookTarget};

/// Most queued events of all resources together. Each resource also has a limit of its own; this
/// limit is larger than a few of those combined.
const WAITING_MAX: usize = 32 * 1024;

/// Handle of a worker's webhook client. Dropping the handle ends the thread.
#[derive(Debug)]
pub struct WebhookClient {
    jobs: Sender<Job>,
    inbox: Arc<ReplyInbox>,
}

/// One event to send.
struct Job {
    reply: ReplyGuard,
    target: Arc<WebhookTarget>,
    event: &'static str,
    /// Event id that the backend sees. Retries use the same id.
    id: String,
    body: Bytes,
}

/// Reply to one event.
#[derive(Debug)]
pub struct WebhookReply {
    /// Number that the worker passed to [`WebhookClient::submit`].
    pub number: u64,
    /// Outcome of the event.
    pub outcome: WebhookOutcome,
    /// Time from the event to its outcome.
    pub took: Duration,
}

/// Outcome of an event.
#[derive(Debug)]
pub enum WebhookOutcome {
    /// The backend answered with these commands.
    Done(Vec<WebhookCommand>),
    /// The backend refused the client (HTTP 401 or 403). The commands may contain the reason.
    Refused(Vec<WebhookCommand>),
    /// The answer of the backend is invalid.
    Wrong(InvalidAnswer),
    /// The event failed for this reason. The backend may or may not have received it.
    Failed(String),
    /// The event was not sent, because the circuit breaker is open.
    LeftAlone,
}

impl WebhookOutcome {
    /// Returns the name of the outcome, as the label `outcome` has it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Refused(_) => "refused",
            Self::Wrong(_) => "invalid",
            Self::Failed(_) => "failed",
            Self::LeftAlone => "circuit_open",
        }
    }
}

impl WebhookClient {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Fails when the process cannot create another thread or descriptor.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        thread::Builder::new().name("webhooks".to_owned()).spawn(move || {
            runtime.block_on(run(waiting));
            // The shutdown does not wait for a thread that is still resolving a name.
            runtime.shutdown_background();
        })?;
        Ok(Self { jobs, inbox: Arc::new(ReplyInbox::new()?) })
    }

    /// Queues an event. Exactly one reply with this number follows, also when the event fails.
    pub fn submit(
        &self,
        number: u64,
        target: &Arc<WebhookTarget>,
        id: String,
        request: WebhookRequest,
    ) {
        let job = Job {
            reply: ReplyGuard::new(number, &self.inbox),
            target: Arc::clone(target),
            event: request.event,
            id,
            body: Bytes::from(request.body),
        };
        // If the queue is full, the job is dropped here. Its reply guard then reports the failure.
        drop(self.jobs.try_send(job));
    }

    /// Returns the replies since the last call.
    pub fn answers(&self) -> Vec<WebhookReply> {
        self.inbox.drain()
    }
}

/// The descriptor is readable while replies are waiting.
impl AsFd for WebhookClient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inbox.as_fd()
    }
}

async fn run(mut waiting: Receiver<Job>) {
    while let Some(job) = waiting.recv().await {
        tokio::spawn(async move {
            let Job { reply: ticket, target, event, id, body } = job;
            let outcome = target.send(event, &id, body).await;
            ticket.complete(outcome);
        });
    }
}
