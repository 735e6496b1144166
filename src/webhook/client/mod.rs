//! The webhook client: a thread of a worker that sends events to backends by HTTP, so that the worker
//! itself waits for nothing.

mod delivery;
mod inbox;
mod target;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use tokio::sync::mpsc::{self, Receiver, Sender};

use self::inbox::{ReplyGuard, ReplyInbox};
use super::{InvalidAnswer, WebhookCommand, WebhookRequest};

pub use self::target::{InvalidTarget, TargetSettings, WebhookTarget};

/// Events of all resources that are queued and not yet sent: each resource has
/// a bound of its own, this one is above a few of them together.
const WAITING_MAX: usize = 32 * 1024;

/// The handle of a worker's webhook client. The thread ends when it is dropped.
#[derive(Debug)]
pub struct WebhookClient {
    jobs: Sender<Job>,
    inbox: Arc<ReplyInbox>,
}

/// One event to be handed over.
struct Job {
    reply: ReplyGuard,
    target: Arc<WebhookTarget>,
    event: &'static str,
    /// What the backend knows the event by, also when it is repeated.
    id: String,
    body: Bytes,
}

/// What an event came to.
#[derive(Debug)]
pub struct WebhookReply {
    /// What the worker knows the event by.
    pub number: u64,
    /// What came of it.
    pub outcome: WebhookOutcome,
}

/// What came of an event.
#[derive(Debug)]
pub enum WebhookOutcome {
    /// The backend wants these things done.
    Done(Vec<WebhookCommand>),
    /// The backend does not want the client (HTTP 401 or 403), and may have said why.
    Refused(Vec<WebhookCommand>),
    /// The backend answered what cannot be understood.
    Wrong(InvalidAnswer),
    /// The event did not arrive, or it is unknown whether it did.
    Failed(String),
    /// It was not sent: the backend is left alone for a while.
    LeftAlone,
}

impl WebhookClient {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the process has no thread or descriptor left.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        thread::Builder::new().name("webhooks".to_owned()).spawn(move || {
            runtime.block_on(run(waiting));
            // A thread that still looks up a name is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { jobs, inbox: Arc::new(ReplyInbox::new()?) })
    }

    /// Queues a request. A reply with this number always follows, at the latest when the request fails.
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
        // What is not taken is dropped here, and its ticket answers for it.
        drop(self.jobs.try_send(job));
    }

    /// What has been answered since the last call.
    pub fn answers(&self) -> Vec<WebhookReply> {
        self.inbox.drain()
    }
}

/// Readable when there are answers.
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
