//! Thread of a worker that reads large messages.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::gettid;
use tracing::debug;

use super::job::{ReadJob, ReadReply};
use crate::reactor::inbox::Inbox;
use crate::session::SessionRules;
use crate::types::limits::OFFLOADED_MAX;

/// Nice value that is added to that of the worker. A thread of this priority has about a tenth of the
/// weight of the event loop, which interrupts it whenever it has work.
const NICER: i32 = 10;
/// Largest nice value.
const NICE_MAX: i32 = 19;

/// Handle of the thread. Dropping the handle ends the thread after its current message.
#[derive(Debug)]
pub(super) struct OffloadThread {
    jobs: SyncSender<ThreadCommand>,
}

/// Command for the thread.
#[derive(Debug)]
enum ThreadCommand {
    /// Rules for the messages that follow.
    Rules(Box<SessionRules>),
    Read(Box<ReadJob>),
}

impl OffloadThread {
    /// Starts the thread. It answers through this inbox.
    ///
    /// # Errors
    ///
    /// Fails when the process cannot create another thread.
    pub(super) fn start(replies: Arc<Inbox<ReadReply>>) -> io::Result<Self> {
        // New rules may precede each message.
        let (jobs, waiting) = sync_channel(2 * OFFLOADED_MAX);
        thread::Builder::new().name("large messages".to_owned()).spawn(move || {
            lower_priority();
            run(&waiting, &replies);
        })?;
        Ok(Self { jobs })
    }

    /// Sets the rules for the messages that follow.
    pub(super) fn set_rules(&self, rules: SessionRules) {
        // The channel has room: there are never more messages than `OFFLOADED_MAX`.
        drop(self.jobs.try_send(ThreadCommand::Rules(Box::new(rules))));
    }

    /// Sends a message to the thread. Exactly one reply follows.
    pub(super) fn submit(&self, job: Box<ReadJob>) {
        drop(self.jobs.try_send(ThreadCommand::Read(job)));
    }
}

fn run(waiting: &Receiver<ThreadCommand>, replies: &Inbox<ReadReply>) {
    let mut rules = None;
    while let Ok(command) = waiting.recv() {
        match (command, &rules) {
            (ThreadCommand::Rules(new), _) => rules = Some(new),
            (ThreadCommand::Read(job), Some(rules)) => replies.push(job.run(rules)),
            // The worker sends rules before the first message.
            (ThreadCommand::Read(_), None) => return,
        }
    }
}

/// Lowers the priority of this thread. Without that, a message delays deliveries on a machine whose
/// cores are busy.
fn lower_priority() {
    let thread = gettid();
    let lowered = getpriority_process(Some(thread))
        .and_then(|nice| setpriority_process(Some(thread), (nice + NICER).min(NICE_MAX)));
    if let Err(error) = lowered {
        debug!(%error, "the priority of the thread for large messages stays");
    }
}
