//! Requests in the order of their ids: those that were sent and have no answer, and those that wait.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::tags::TagChange;
use crate::clock::later;
use crate::error::{ErrorCode, ErrorFrame, RequestError};
use crate::options::Queue;

/// How far the ids of unanswered requests may be apart: the server remembers the latest 256.
const WINDOW: u64 = 255;
/// Bytes of the requests without an answer. What exceeds it waits, so that a server that reads slowly costs no more.
const SENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The answer to a request: the text of its frame, or why there is none.
pub(crate) type Outcome = Result<Answer, RequestError>;

#[derive(Debug)]
pub(crate) enum Answer {
    Frame(String),
    /// The client was not online, and the request was not needed later.
    Dropped,
}

/// What happens to a request while the client is not online.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offline {
    /// It waits for the next connection, within the bounds of [`Queue`].
    #[default]
    Queue,
    /// It is not sent, and succeeds: [`Ack::is_dropped`](crate::Ack::is_dropped).
    Drop,
    /// It fails with [`ErrorCode::Offline`].
    Fail,
}

/// A request of the program.
#[derive(Debug)]
pub(crate) struct NewRequest {
    pub(crate) op: String,
    /// The members of the frame, as the text of an object.
    pub(crate) members: String,
    pub(crate) offline: Offline,
    /// Whether it is sent again although the server may have carried it out already.
    pub(crate) is_repeated: bool,
    pub(crate) timeout: Duration,
    pub(crate) change: Option<TagChange>,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "two independent facts")]
struct OpenRequest {
    text: Utf8Bytes,
    /// Whether the server remembers the ids of such requests, so that one that is sent twice is carried out once.
    is_remembered: bool,
    is_repeated: bool,
    made_at: Instant,
    timeout: Duration,
    deadline: Instant,
    change: Option<TagChange>,
    reply: oneshot::Sender<Outcome>,
}

#[derive(Debug)]
pub(crate) struct Requests {
    queue: Queue,
    sent: BTreeMap<u64, OpenRequest>,
    sent_bytes: usize,
    waiting: BTreeMap<u64, OpenRequest>,
    waiting_bytes: usize,
    last_id: u64,
    is_online: bool,
    message_bytes_max: usize,
}

impl Requests {
    pub(crate) const fn new(queue: Queue) -> Self {
        Self {
            queue,
            sent: BTreeMap::new(),
            sent_bytes: 0,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            last_id: 0,
            is_online: false,
            message_bytes_max: usize::MAX,
        }
    }

    /// The id of a request that is not kept here.
    pub(crate) const fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Takes a request. `out` gets what can be sent.
    pub(crate) fn add(
        &mut self,
        new: NewRequest,
        reply: oneshot::Sender<Outcome>,
        now: Instant,
        out: &mut VecDeque<Utf8Bytes>,
    ) {
        if !self.is_online && new.offline == Offline::Drop {
            return answer(reply, Ok(Answer::Dropped));
        }
        let id = self.next_id();
        if !self.is_online && new.offline == Offline::Fail {
            return answer(reply, Err(RequestError::new(ErrorCode::Offline)));
        }
        let text = frame(&new.op, id, &new.members);
        self.waiting_bytes += text.len();
        let request = OpenRequest {
            is_remembered: matches!(new.op.as_str(), "pub" | "tag"),
            is_repeated: new.is_repeated,
            made_at: now,
            timeout: new.timeout,
            deadline: now,
            change: new.change,
            text: text.into(),
            reply,
        };
        self.waiting.insert(id, request);
        self.flush(now, out);
        let is_over =
            self.waiting.len() > self.queue.count || self.waiting_bytes > self.queue.bytes;
        if is_over && let Some(request) = self.unqueue(id) {
            request.fail(ErrorCode::QueueFull);
        }
    }

    /// Answers the request that this frame is for. Returns the change of tags that has been carried out.
    pub(crate) fn settle(
        &mut self,
        id: u64,
        text: &str,
        error: Option<ErrorFrame>,
    ) -> Option<TagChange> {
        let request = self.unsend(id)?;
        let OpenRequest { change, reply, .. } = request;
        match error {
            Some(error) => {
                answer(reply, Err(error.into()));
                None
            }
            None => {
                answer(reply, Ok(Answer::Frame(text.to_owned())));
                change
            }
        }
    }

    /// The connection can be used. `knows_ids`: the server remembers the ids of this client.
    pub(crate) fn online(
        &mut self,
        welcome: Resumption,
        now: Instant,
        out: &mut VecDeque<Utf8Bytes>,
    ) {
        self.is_online = true;
        self.message_bytes_max = welcome.message_bytes_max;
        for id in self.sent.keys().copied().collect::<Vec<_>>() {
            let Some(request) = self.sent.get_mut(&id) else { continue };
            if welcome.knows_ids || request.is_repeated {
                request.deadline = later(now, request.timeout);
                out.push_back(request.text.clone());
            } else if let Some(request) = self.unsend(id) {
                request.fail(ErrorCode::Unknown);
            }
        }
        self.flush(now, out);
    }

    /// The connection is lost. Requests whose ids the server does not remember are not sent again.
    pub(crate) fn offline(&mut self) {
        self.is_online = false;
        let lost: Vec<u64> =
            self.sent.iter().filter(|(_, it)| !it.is_remembered).map(|(id, _)| *id).collect();
        for request in lost.into_iter().filter_map(|id| self.unsend(id)) {
            request.fail(ErrorCode::Lost);
        }
    }

    /// Nothing is sent any more.
    pub(crate) fn close(&mut self) {
        self.is_online = false;
        self.sent_bytes = 0;
        self.waiting_bytes = 0;
        let sent = std::mem::take(&mut self.sent);
        for (_, request) in sent.into_iter().chain(std::mem::take(&mut self.waiting)) {
            request.fail(ErrorCode::Closed);
        }
    }

    /// Fails what is late.
    pub(crate) fn tick(&mut self, now: Instant, out: &mut VecDeque<Utf8Bytes>) {
        if self.is_online {
            let late: Vec<u64> =
                self.sent.iter().filter(|(_, it)| it.deadline <= now).map(|(id, _)| *id).collect();
            for request in late.into_iter().filter_map(|id| self.unsend(id)) {
                request.fail(ErrorCode::Timeout);
            }
        }
        // The oldest is the first.
        while let Some((id, request)) = self.waiting.first_key_value()
            && now.duration_since(request.made_at) >= self.queue.age
        {
            let id = *id;
            if let Some(request) = self.unqueue(id) {
                request.fail(ErrorCode::QueueExpired);
            }
        }
        self.flush(now, out);
    }

    /// When the next request is late.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let sent = self.sent.values().map(|request| request.deadline).min();
        let sent = sent.filter(|_| self.is_online);
        let waiting =
            self.waiting.first_key_value().map(|(_, it)| later(it.made_at, self.queue.age));
        sent.into_iter().chain(waiting).min()
    }

    /// Sends what waits, as far as there is room.
    pub(crate) fn flush(&mut self, now: Instant, out: &mut VecDeque<Utf8Bytes>) {
        while self.is_online
            && let Some((id, request)) = self.waiting.first_key_value()
            && self.has_room(*id, request.text.len())
        {
            let id = *id;
            let Some(mut request) = self.unqueue(id) else { return };
            if request.text.len() > self.message_bytes_max {
                request.fail(ErrorCode::PayloadTooLarge);
                continue;
            }
            out.push_back(request.text.clone());
            request.deadline = later(now, request.timeout);
            self.sent_bytes += request.text.len();
            self.sent.insert(id, request);
        }
    }

    fn has_room(&self, id: u64, bytes: usize) -> bool {
        let oldest = self.sent.iter().find(|(_, request)| request.is_remembered);
        oldest.is_none_or(|(oldest, _)| id.saturating_sub(*oldest) <= WINDOW)
            && (self.sent.is_empty() || self.sent_bytes + bytes <= SENT_BYTES_MAX)
    }

    fn unqueue(&mut self, id: u64) -> Option<OpenRequest> {
        let request = self.waiting.remove(&id)?;
        self.waiting_bytes -= request.text.len();
        Some(request)
    }

    fn unsend(&mut self, id: u64) -> Option<OpenRequest> {
        let request = self.sent.remove(&id)?;
        self.sent_bytes -= request.text.len();
        Some(request)
    }
}

/// What `welcome` says about requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resumption {
    /// Whether the server remembers the ids of this client.
    pub(crate) knows_ids: bool,
    pub(crate) message_bytes_max: usize,
}

impl OpenRequest {
    fn fail(self, code: ErrorCode) {
        answer(self.reply, Err(RequestError::new(code)));
    }
}

/// A program that has dropped its future does not wait for the answer.
fn answer(reply: oneshot::Sender<Outcome>, outcome: Outcome) {
    let _unread = reply.send(outcome);
}

/// The text of a request. `members` is the text of an object.
pub(super) fn frame(op: &str, id: u64, members: &str) -> String {
    let op = serde_json::Value::from(op);
    let rest = members.strip_prefix('{').unwrap_or("}");
    let comma = if rest == "}" { "" } else { "," };
    format!("{{\"op\":{op},\"id\":{id}{comma}{rest}")
}
