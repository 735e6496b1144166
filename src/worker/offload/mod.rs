//! Large messages: a thread of the worker reads them, so the event loop serves other connections
//! meanwhile.
//!
//! A message is read at 2 to 13 ms per MiB: JSON is checked, members are picked out, schemas are
//! applied, texts are rewritten. For a small message the event loop does this itself. The connection
//! of a large one is paused like a publisher whose window is full (`PendingInput`): nothing is read
//! from its socket until the message was read and the resulting actions were done in the event loop.
//! Each connection therefore gets the same answers in the same order. Messages wait in the order of
//! [`fair_queue`](super::connection::fair_queue), and with their connections, so they are counted and
//! shed with these. Only [`OFFLOADED_MAX`] of them are at the thread.

mod job;
mod thread;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use tracing::error;

use self::job::{ReadJob, ReadReply};
use self::thread::OffloadThread;
use super::connection::table::ConnectionTable;
use super::connection::{Connection, FAULT, PendingInput, PendingMessage, Phase};
use super::context::Context;
use super::tokens::Token;
use crate::reactor::inbox::Inbox;
use crate::reactor::poller::{Interest, Poller};
use crate::resource::{ResourceHooks, ResourceId, V1Requests};
use crate::session::{Message, Session};
use crate::types::limits::OFFLOADED_MAX;
use crate::worker::connection::{close, paused, readiness};
use crate::worker::questions;

pub(super) use self::job::{MessageKind, ReadMessage, ReadOutcome, UnreadMessage};

/// The thread for large messages, and the messages that it has read.
#[derive(Debug)]
pub(super) struct Offload {
    /// Started with the first large message.
    thread: Option<OffloadThread>,
    inbox: Arc<Inbox<ReadReply>>,
    /// Messages that the thread has.
    in_flight: usize,
    replies: VecDeque<ReadReply>,
    /// Number of the current rules. Messages that were read under other rules are read again.
    edition: u32,
    /// The thread has the current rules.
    has_rules: bool,
}

/// Large message of a connection.
#[derive(Debug)]
pub(super) struct LargeMessage {
    /// Most bytes that it could publish.
    weight: usize,
    stage: OffloadStage,
}

enum OffloadStage {
    /// It waits for the thread.
    Queued(UnreadMessage, Box<dyn ResourceHooks + Send>),
    /// The thread has it. The number is its bytes.
    Reading(usize),
    /// It was read.
    Read(Box<ReadMessage>),
}

impl LargeMessage {
    pub(super) fn new(
        weight: usize,
        message: UnreadMessage,
        resource: Box<dyn ResourceHooks + Send>,
    ) -> Self {
        Self { weight, stage: OffloadStage::Queued(message, resource) }
    }

    /// Returns the most bytes that it could publish.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Returns the number of bytes held.
    pub(super) fn held(&self) -> usize {
        match &self.stage {
            OffloadStage::Queued(message, _) => message.len(),
            OffloadStage::Reading(bytes) => *bytes,
            OffloadStage::Read(read) => read.held(),
        }
    }

    /// Returns true if it was read.
    pub(super) fn is_read(&self) -> bool {
        matches!(self.stage, OffloadStage::Read(_))
    }

    /// Returns the message that was read.
    pub(super) fn into_read(self) -> Option<ReadMessage> {
        match self.stage {
            OffloadStage::Read(read) => Some(*read),
            OffloadStage::Queued(..) | OffloadStage::Reading(_) => None,
        }
    }
}

impl Offload {
    /// Creates an inbox that this poller watches.
    ///
    /// # Errors
    ///
    /// Fails when the process cannot open another descriptor.
    pub(super) fn new(poller: &Poller) -> io::Result<Self> {
        let inbox = Arc::new(Inbox::new()?);
        poller.watch(&*inbox, Token::Offload.into(), Interest::Read)?;
        let (thread, in_flight, replies) = (None, 0, VecDeque::new());
        Ok(Self { thread, inbox, in_flight, replies, edition: 0, has_rules: false })
    }

    /// Returns true if replies wait to be applied.
    pub(super) fn has_replies(&self) -> bool {
        !self.replies.is_empty()
    }

    /// Returns true if no message is at the thread or comes back from it.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.replies.is_empty()
    }

    /// Takes the replies of the thread.
    pub(super) fn collect_replies(&mut self) {
        let replies = self.inbox.drain();
        self.in_flight = self.in_flight.saturating_sub(replies.len());
        self.replies.extend(replies);
    }

    /// Records that the rules of sessions have changed.
    pub(super) fn on_new_rules(&mut self) {
        self.edition = self.edition.wrapping_add(1);
        self.has_rules = false;
    }

    /// Returns the thread, which is started if necessary.
    fn thread(&mut self) -> io::Result<&OffloadThread> {
        match &mut self.thread {
            Some(thread) => Ok(thread),
            none => Ok(none.insert(OffloadThread::start(Arc::clone(&self.inbox))?)),
        }
    }
}

/// Returns the resource that reads a large message on the thread. `None`: the event loop reads it.
pub(super) fn detached(
    context: &Context,
    resource: ResourceId,
    session: &Session,
    message: Message<'_>,
) -> Option<Box<dyn ResourceHooks + Send>> {
    // A chunk is not read yet, but appended to those before it.
    if session.is_chunk(message) && !session.ends_chunks(message) {
        return None;
    }
    detached_resource(context, resource, session)
}

fn detached_resource(
    context: &Context,
    resource: ResourceId,
    session: &Session,
) -> Option<Box<dyn ResourceHooks + Send>> {
    if session.protocol.spec().has_requests {
        return V1Requests.detached(session.uuid);
    }
    context.resources.get(resource)?.detached(session.uuid)
}

/// Queues a large message of the connection that is being served, with the bytes after it.
pub(super) fn queue(
    context: &mut Context,
    connection: &mut Connection,
    message: LargeMessage,
    rest: Vec<u8>,
) {
    let message = Some(PendingMessage::Offloaded(message));
    connection.pending_input = Some(Box::new(PendingInput { message, rest }));
    context.serving.push_large(connection);
}

/// Sends waiting messages to the thread, as many as it may have.
pub(super) fn send_waiting(context: &mut Context, connections: &mut ConnectionTable) {
    while context.offload.in_flight < OFFLOADED_MAX
        && !context.memory.is_looking_for_holders()
        && let Some((slot, serial)) = context.serving.next_large()
    {
        if let Some(connection) = connections.get_mut(slot).filter(|it| it.serial == serial)
            && let Some(job) = job_of(context, connection)
        {
            submit(context, job);
        }
    }
}

/// Takes the message of a connection for the thread.
fn job_of(context: &Context, connection: &mut Connection) -> Option<ReadJob> {
    let client = context.broker.uplink.client(connection.slot)?.clone();
    let Phase::Open(session) = &connection.phase else { return None };
    let session = session.for_one_message();
    let large = large_of(connection)?;
    let bytes = large.held();
    let stage = std::mem::replace(&mut large.stage, OffloadStage::Reading(bytes));
    let OffloadStage::Queued(message, resource) = stage else {
        large.stage = stage;
        return None;
    };
    Some(ReadJob {
        slot: connection.slot,
        serial: connection.serial,
        edition: context.offload.edition,
        resource,
        session,
        client,
        uptime: context.clock.now().micros(),
        is_asked: questions::is_asked(context, connection.slot),
        message,
    })
}

/// Sends a message to the thread. Without a thread the message is read here.
fn submit(context: &mut Context, job: ReadJob) {
    let Context { offload, settings, .. } = context;
    let has_rules = std::mem::replace(&mut offload.has_rules, true);
    match offload.thread() {
        Ok(thread) => {
            if !has_rules {
                thread.set_rules(settings.rules.detached());
            }
            thread.submit(Box::new(job));
            offload.in_flight += 1;
        }
        Err(error) => {
            error!(event = "offload_start_failed", %error, "failed to start the thread for large messages");
            offload.has_rules = false;
            offload.replies.push_back(job.run(&settings.rules));
        }
    }
}

/// Does what the messages that were read request, while the time budget of this part of the turn
/// lasts.
pub(super) fn apply_replies(context: &mut Context, connections: &mut ConnectionTable) {
    if !context.offload.has_replies() {
        return;
    }
    let part = context.clock.part();
    while let Some(reply) = context.offload.replies.pop_front() {
        on_reply(context, connections, reply);
        if context.clock.is_over(part) {
            return;
        }
    }
}

fn on_reply(context: &mut Context, connections: &mut ConnectionTable, reply: ReadReply) {
    let ReadReply { slot, serial, edition, read } = reply;
    // The connection may have been closed meanwhile.
    let connection = connections.get_mut(slot).filter(|it| it.serial == serial);
    let Some(large) = connection.and_then(|it| large_of(it)) else { return };
    if !matches!(large.stage, OffloadStage::Reading(_)) {
        return;
    }
    let Some(mut connection) = connections.take(slot) else { return };
    if edition != context.offload.edition {
        read_again(context, &mut connection, read.message);
    } else if let Some(large) = large_of(&mut connection) {
        large.stage = OffloadStage::Read(Box::new(read));
        paused::resume_read(context, &mut connection);
    }
    readiness::rearm(context, connections, connection);
}

/// Queues a message again, because the configuration has changed since.
fn read_again(context: &mut Context, connection: &mut Connection, message: UnreadMessage) {
    let Phase::Open(session) = &connection.phase else { return };
    let Some(resource) = detached_resource(context, connection.resource, session) else {
        return close::fail(context, connection, &FAULT);
    };
    if let Some(large) = large_of(connection) {
        large.stage = OffloadStage::Queued(message, resource);
        context.serving.push_large(connection);
    }
}

/// Returns the large message of a connection.
fn large_of(connection: &mut Connection) -> Option<&mut LargeMessage> {
    match connection.pending_input.as_mut()?.message.as_mut()? {
        PendingMessage::Offloaded(large) => Some(large),
        PendingMessage::Unread(_) => None,
    }
}

impl fmt::Debug for OffloadStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued(..) => "Queued",
            Self::Reading(_) => "Reading",
            Self::Read(_) => "Read",
        })
    }
}
