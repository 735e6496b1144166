//! The life of a client without its socket: what happens goes in, frames and events come out.

pub(crate) mod asked;
mod current_status;
mod liveness;
mod requests;
mod retries;
mod session;
mod tags;
#[cfg(test)]
mod tests;
mod watches;

use std::collections::VecDeque;
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Utf8Bytes;

pub(crate) use self::asked::Answering;
use self::asked::OpenQuestion;
use self::current_status::CurrentStatus;
use self::liveness::Liveness;
pub use self::requests::Offline;
pub(crate) use self::requests::{Answer, NewRequest, Outcome};
use self::requests::{Requests, Resumption};
use self::retries::{Retries, is_final};
use self::session::{Opening, Session};
use self::tags::OwnTags;
pub(crate) use self::tags::{TagChange, Topics};
use self::watches::Watches;
use crate::clock::later;
use crate::error::{ConnectError, ErrorCode, RequestError};
use crate::events::Hub;
use crate::frame::{self, FrameKind, Welcome};
use crate::message::{Event, Message, Place};
use crate::options::{Options, Overflow, TokenReason, TokenSource};
use crate::status::{ABNORMAL, Disconnect, Recovery, RecoveryReason, Status};
use crate::task::Task;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(crate) struct Machine {
    options: Options,
    instance: String,
    phase: Phase,
    retries: Retries,
    connection: u64,
    liveness: Liveness,
    is_dropped: bool,
    session: Session,
    requests: Requests,
    own: OwnTags,
    watches: Watches,
    hub: Hub,
    status: CurrentStatus,
    outbound: VecDeque<Utf8Bytes>,
    questions: VecDeque<OpenQuestion>,
    wants_token: bool,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Connecting { reason: TokenReason, deadline: Instant },
    Online,
    Waiting { retry_at: Instant },
    Closed,
}

impl Machine {
    pub(crate) fn new(options: Options, instance: String) -> Self {
        Self {
            instance,
            phase: Phase::Idle,
            retries: Retries::new(options.backoff),
            connection: 0,
            liveness: Liveness::default(),
            is_dropped: false,
            session: Session::default(),
            requests: Requests::new(options.queue),
            own: OwnTags::new(options.tags.clone(), options.topics.clone()),
            watches: Watches::default(),
            hub: Hub::new(options.overflow),
            status: CurrentStatus::idle(),
            outbound: VecDeque::new(),
            questions: VecDeque::new(),
            wants_token: false,
            options,
        }
    }

    pub(crate) const fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn hub(&mut self) -> &mut Hub {
        &mut self.hub
    }

    pub(crate) const fn status(&self) -> &CurrentStatus {
        &self.status
    }

    pub(crate) fn uuid(&self) -> Option<&str> {
        self.session.uuid()
    }

    pub(crate) fn features(&self) -> &[String] {
        self.session.features()
    }

    pub(crate) const fn own(&self) -> &OwnTags {
        &self.own
    }

    /// Connects at once, unless a connection exists or is being made.
    pub(crate) fn open(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Idle | Phase::Waiting { .. } | Phase::Closed) {
            self.hub.resume();
            self.watches.resume();
            self.begin(TokenReason::Connect, now);
        }
    }

    /// Ends the client. `bye` is the last frame of the connection.
    pub(crate) fn close(&mut self) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if matches!(self.phase, Phase::Online) {
            self.outbound.push_back(Utf8Bytes::from_static(frame::BYE));
        } else {
            self.outbound.clear();
        }
        self.end(None);
    }

    /// The last handle was dropped.
    pub(crate) fn drop_last(&mut self) {
        self.close();
        self.is_dropped = true;
    }

    pub(crate) fn request(
        &mut self,
        new: NewRequest,
        reply: oneshot::Sender<Outcome>,
        now: Instant,
    ) {
        if matches!(self.phase, Phase::Closed) {
            let _unread = reply.send(Err(RequestError::new(ErrorCode::Closed)));
            return;
        }
        self.requests.add(new, reply, now, &mut self.outbound);
    }

    pub(crate) fn task(&self) -> Task {
        match self.phase {
            Phase::Idle | Phase::Closed if self.is_dropped => Task::End,
            Phase::Idle | Phase::Closed | Phase::Online => Task::Rest,
            Phase::Waiting { .. } => Task::Wait,
            Phase::Connecting { reason, .. } => Task::Connect(self.connection, reason),
        }
    }

    /// Whether it is the present one.
    pub(crate) const fn is_current(&self, connection: u64) -> bool {
        let is_online = matches!(self.phase, Phase::Online);
        self.connection == connection && (is_online || self.is_connecting())
    }

    const fn is_connecting(&self) -> bool {
        matches!(self.phase, Phase::Connecting { .. })
    }

    /// Whether the program has closed the client, so that what is outbound must still be written.
    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// The next text to write.
    pub(crate) fn next_text(&mut self) -> Option<Utf8Bytes> {
        self.outbound.pop_front()
    }

    /// Whether the task reads on. Otherwise it is woken when a program has read its stream.
    pub(crate) fn may_read(&mut self, waker: &Waker, now: Instant) -> bool {
        let waits = self.options.overflow == Overflow::Wait;
        if waits && matches!(self.phase, Phase::Online) && self.hub.is_full(waker) {
            self.liveness.pause();
            return false;
        }
        self.liveness.resume(now);
        true
    }

    /// Whether the server wants another token; once for each time.
    pub(crate) fn take_token_wish(&mut self) -> bool {
        std::mem::take(&mut self.wants_token)
    }

    /// The WebSocket is open: `hello` is written.
    pub(crate) fn opened(&mut self, token: Option<&str>) {
        let opening = Opening { instance: &self.instance, token, own: &self.own };
        self.outbound.push_back(self.session.hello(&self.options, &opening).into());
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, random: f64, now: Instant) {
        match self.phase {
            Phase::Connecting { deadline, .. } if deadline <= now => {
                self.lost(Disconnect::failed(ConnectError::Timeout), None, random, now);
            }
            Phase::Online if self.liveness.silent_at().is_some_and(|deadline| deadline <= now) => {
                self.lost(Disconnect::closed(ABNORMAL, "silence"), None, random, now);
            }
            Phase::Waiting { retry_at } if retry_at <= now => {
                self.begin(TokenReason::Connect, now);
            }
            _ => {}
        }
        self.requests.tick(now, &mut self.outbound);
    }

    /// When [`Machine::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let own = match self.phase {
            Phase::Connecting { deadline, .. } => Some(deadline),
            Phase::Online => self.liveness.silent_at(),
            Phase::Waiting { retry_at } => Some(retry_at),
            Phase::Idle | Phase::Closed => None,
        };
        own.into_iter().chain(self.requests.deadline()).min()
    }

    /// Takes a frame of the server. What is not a frame, or not known, is ignored.
    pub(crate) fn receive(&mut self, text: &str, random: f64, now: Instant) {
        self.liveness.heard(now);
        let Ok(kind) = serde_json::from_str::<FrameKind>(text) else { return };
        match kind.op.as_str() {
            "bye" => return self.dismissed(text, random, now),
            "welcome" if matches!(self.phase, Phase::Connecting { .. }) => {
                self.welcome(text, kind.at.clone(), now);
            }
            _ if !matches!(self.phase, Phase::Online) => return,
            "msg" => self.message(text),
            "recovery" => self.recovery(text),
            "ping" => self.pong(),
            "tags" => self.retagged(text),
            "presence" => self.present(text),
            "ask" => self.asked(text),
            "expires" => self.wants_token = matches!(self.options.token, TokenSource::Function(_)),
            "ack" | "answer" | "error" | "pong" => return self.answer(&kind, text, now),
            _ => {}
        }
        self.moved_to(kind.at);
    }

    fn welcome(&mut self, text: &str, at: Option<String>, now: Instant) {
        let Some(mut welcome) = read::<Welcome>(text) else { return };
        let is_first = self.session.is_new();
        self.liveness.begin(welcome.ping);
        self.retries.online(now);
        self.phase = Phase::Online;
        self.session.welcomed(&mut welcome, &self.options);
        self.moved_to(at);
        let is_changed = self.own.set(welcome.tags.0, welcome.topics);
        let resumption = Resumption {
            knows_ids: welcome.resumed && welcome.ids.as_deref() != Some("lost"),
            message_bytes_max: welcome.limits.message.unwrap_or(usize::MAX),
        };
        // What was sent before comes first, in its order.
        self.requests.online(resumption, now, &mut self.outbound);
        self.watch_again();
        self.change(Status::Online { attempt: self.retries.attempt() });
        if !self.session.is_recovering() {
            let is_resumed = welcome.resumed;
            let other = Recovery { is_resumed, ..Recovery::UNKNOWN };
            let recovery = if is_first { Recovery::FIRST } else { other };
            self.hub.push(&Event::Recovery(recovery));
        }
        if is_changed && !is_first {
            self.hub.push(&self.own.event());
        }
    }

    fn dismissed(&mut self, text: &str, random: f64, now: Instant) {
        let Some(bye) = read::<frame::ByeFrame>(text) else { return };
        let retry_after = bye.retry_after_ms.map(Duration::from_millis);
        self.lost(Disconnect::closed(bye.code, bye.reason), retry_after, random, now);
    }

    fn message(&mut self, text: &str) {
        let Some(frame) = read(text) else { return };
        let place = if self.session.is_recovering() { Place::Replay } else { Place::Live };
        let message = Message::new(frame, place);
        self.hub.push(&Event::Message(message));
    }

    fn recovery(&mut self, text: &str) {
        self.pong();
        let Some(found) = read::<frame::RecoveryFrame>(text) else { return };
        // Where nothing is recovering, `new` repeats what `welcome` has said.
        if self.session.is_recovering() || found.reason != Some(RecoveryReason::New) {
            let recovery = Recovery {
                is_resumed: self.session.is_resumed(),
                is_recovered: found.recovered,
                replayed: found.replayed,
                missed: found.missed,
                reason: found.reason,
            };
            self.hub.push(&Event::Recovery(recovery));
        }
        self.session.recovered();
    }

    fn retagged(&mut self, text: &str) {
        let Some(frame) = read::<frame::TagsFrame>(text) else { return };
        self.own.set(frame.tags.0, frame.topics);
        self.hub.push(&self.own.event());
    }

    fn answer(&mut self, kind: &FrameKind, text: &str, now: Instant) {
        let Some(id) = kind.id else { return };
        let error = (kind.op == "error").then(|| read(text)).flatten();
        if kind.op == "error" && error.is_none() {
            return;
        }
        if let Some(error) = &error {
            self.watches.refused(id, error);
        }
        if let Some(change) = self.requests.settle(id, text, error) {
            self.own.changed(&change);
        }
        self.requests.flush(now, &mut self.outbound);
    }

    fn begin(&mut self, reason: TokenReason, now: Instant) {
        self.connection += 1;
        self.outbound.clear();
        self.wants_token = false;
        self.phase = Phase::Connecting { reason, deadline: later(now, self.options.timeout) };
        self.change(Status::Connecting { attempt: self.retries.attempt() });
    }

    /// The connection is lost, or the attempt has failed.
    pub(crate) fn lost(
        &mut self,
        lost: Disconnect,
        retry_after: Option<Duration>,
        random: f64,
        now: Instant,
    ) {
        self.retries.lost(now);
        self.requests.offline();
        self.watches.offline();
        let can_refresh = matches!(self.options.token, TokenSource::Function(_));
        if can_refresh && let Some(reason) = self.retries.refresh(lost.code()) {
            return self.begin(reason, now);
        }
        self.outbound.clear();
        if is_final(lost.code()) {
            return self.end(Some(lost));
        }
        let pause = self.retries.pause(lost.code(), retry_after, random);
        let retry_at = later(now, pause);
        self.phase = Phase::Waiting { retry_at };
        self.change(Status::Waiting { attempt: self.retries.attempt(), retry_at, lost });
    }

    fn end(&mut self, lost: Option<Disconnect>) {
        self.retries.reset();
        self.session = Session::default();
        self.phase = Phase::Closed;
        self.change(Status::Closed { lost });
        self.requests.close();
        self.watches.end();
        self.hub.end();
    }

    fn change(&mut self, status: Status) {
        self.hub.push(&Event::Status(status.clone()));
        self.status.change(status);
    }

    fn moved_to(&mut self, at: Option<String>) {
        if let Some(at) = at {
            self.session.moved_to(at, &self.options);
        }
    }
}

/// A frame whose members have other types than the protocol says is ignored.
fn read<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}
