//! Requests of the program: what they are made of, and their answers.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::error::{ErrorCode, RequestError};
use crate::machine::{Answer, NewRequest, Offline, Outcome, TagChange};
use crate::target::To;
use crate::task::Shared;

/// What the server says about a publication that it has accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "two independent facts")]
pub struct Ack {
    /// Whether the server had accepted this request before, and has not carried it out twice.
    #[serde(default, rename = "repeated")]
    pub is_repeated: bool,
    /// With a report: number of clients that it was for.
    pub matched: Option<u64>,
    /// With a report, to a single client: 1 if it is kept for one that is away.
    pub away: Option<u64>,
    /// With a report: number of worker processes with such clients.
    pub workers: Option<u64>,
    /// Whether the client was not online, and the request was not sent ([`Offline::Drop`]).
    #[serde(skip)]
    pub is_dropped: bool,
}

/// The answer to a request that was made.
///
/// Dropping it does not take the request back: it is sent all the same, and its answer is ignored.
#[derive(Debug)]
#[must_use = "the answer says whether the request was carried out"]
pub struct Answered<T> {
    reply: oneshot::Receiver<Outcome>,
    read: fn(&Answer) -> Result<T, serde_json::Error>,
}

impl<T> Future for Answered<T> {
    type Output = Result<T, RequestError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let read = self.read;
        Pin::new(&mut self.reply).poll(context).map(|outcome| match outcome {
            Ok(Ok(answer)) => read(&answer).map_err(|error| RequestError::invalid_data(&error)),
            Ok(Err(error)) => Err(error),
            // The runtime of the client has ended before the request.
            Err(_) => Err(RequestError::new(ErrorCode::Closed)),
        })
    }
}

impl<T> Answered<T> {
    /// Blocks the thread until the answer is there. Do not call it in asynchronous code.
    ///
    /// # Errors
    ///
    /// If the request failed.
    #[cfg(feature = "blocking")]
    pub fn wait(self) -> Result<T, RequestError> {
        crate::blocking::block_on(self)
    }
}

/// What all requests have.
#[derive(Debug)]
pub(crate) struct Call {
    shared: Arc<Shared>,
    offline: Offline,
    is_repeated: bool,
    pub(crate) timeout: Option<Duration>,
}

impl Call {
    pub(crate) fn new(shared: &Arc<Shared>, offline: Offline) -> Self {
        Self { shared: Arc::clone(shared), offline, is_repeated: false, timeout: None }
    }

    /// Hands the request over. From then on it does not depend on the program.
    pub(crate) fn start<T>(
        self,
        op: &str,
        members: Result<String, serde_json::Error>,
        change: Option<TagChange>,
        read: fn(&Answer) -> Result<T, serde_json::Error>,
    ) -> Answered<T> {
        let (sender, reply) = oneshot::channel();
        match members {
            Err(error) => {
                let _unread = sender.send(Err(RequestError::invalid_data(&error)));
            }
            Ok(members) => {
                let mut machine = self.shared.machine();
                let new = NewRequest {
                    op: op.to_owned(),
                    members,
                    offline: self.offline,
                    is_repeated: self.is_repeated,
                    timeout: self.timeout.unwrap_or_else(|| machine.options().timeout),
                    change,
                };
                machine.request(new, sender, self.shared.clock().now());
                drop(machine);
                self.shared.wake();
            }
        }
        Answered { reply, read }
    }
}

/// A publication. It is made when it is awaited, or by [`Publish::start`].
#[derive(Debug)]
#[must_use = "a publication is made when it is awaited"]
pub struct Publish {
    call: Call,
    data: Result<Box<RawValue>, serde_json::Error>,
    members: PublishMembers,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "two independent members of a frame")]
struct PublishMembers {
    to: To,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "self_or_list")]
    except: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    from: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    report: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
}

/// What excludes the sender.
const SELF: &str = "self";

fn self_or_list<S: serde::Serializer>(list: &[String], to: S) -> Result<S::Ok, S::Error> {
    match list {
        [only] if only == SELF => to.serialize_str(SELF),
        list => list.serialize(to),
    }
}

impl Publish {
    pub(crate) fn new<D: Serialize + ?Sized>(shared: &Arc<Shared>, to: To, data: &D) -> Self {
        Self {
            call: Call::new(shared, Offline::Queue),
            data: serde_json::value::to_raw_value(data),
            members: PublishMembers {
                to,
                event: None,
                except: Vec::new(),
                from: false,
                report: false,
                data: None,
            },
        }
    }

    /// Sets the name of the event: 1 to 64 printable ASCII characters.
    pub fn event(mut self, name: impl Into<String>) -> Self {
        self.members.event = Some(name.into());
        self
    }

    /// Excludes this client.
    pub fn except_self(self) -> Self {
        self.except(SELF)
    }

    /// Excludes the client with this UUID. Up to 16 clients can be excluded.
    pub fn except(mut self, uuid: impl Into<String>) -> Self {
        self.members.except.push(uuid.into());
        self
    }

    /// Shows the UUID of this client to the recipients.
    pub const fn from_self(mut self) -> Self {
        self.members.from = true;
        self
    }

    /// Asks how many clients the publication is for. It needs the secret of the application.
    pub const fn report(mut self) -> Self {
        self.members.report = true;
        self
    }

    /// Says what happens while the client is not online. Default: [`Offline::Queue`].
    pub const fn offline(mut self, offline: Offline) -> Self {
        self.call.offline = offline;
        self
    }

    /// Sends the publication again even if the server may have carried it out already.
    pub const fn repeat(mut self) -> Self {
        self.call.is_repeated = true;
        self
    }

    /// Sets how long to wait for the answer after it was sent. Default: that of the options.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.call.timeout = Some(timeout);
        self
    }

    /// Makes the publication, and returns its answer. Several publications that are started one after the other are
    /// sent in this order, before the first is answered.
    pub fn start(self) -> Answered<Ack> {
        let Self { call, data, mut members } = self;
        let text = data.and_then(|data| {
            members.data = Some(data);
            serde_json::to_string(&members)
        });
        call.start("pub", text, None, |answer| match answer {
            Answer::Frame(text) => serde_json::from_str(text),
            Answer::Dropped => Ok(Ack { is_dropped: true, ..Ack::default() }),
        })
    }
}

impl IntoFuture for Publish {
    type Output = Result<Ack, RequestError>;
    type IntoFuture = Answered<Ack>;

    fn into_future(self) -> Answered<Ack> {
        self.start()
    }
}

/// A change of the tags and topics of this client, in one step: first what is removed and left, then what is set and
/// joined. It is made when it is awaited, or by [`Retag::start`].
#[derive(Debug)]
#[must_use = "tags are changed when the change is awaited"]
pub struct Retag {
    call: Call,
    change: TagChange,
}

impl Retag {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self { call: Call::new(shared, Offline::Queue), change: TagChange::default() }
    }

    /// Sets a tag.
    #[expect(clippy::needless_pass_by_value, reason = "texts and numbers are passed as they are")]
    pub fn set(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.change.set.insert(name.into(), value.to_string());
        self
    }

    /// Removes a tag.
    pub fn remove(mut self, name: impl Into<String>) -> Self {
        self.change.remove.push(name.into());
        self
    }

    /// Joins a topic: a client has one value of a tag, and may be in many topics.
    pub fn join(mut self, topic: impl Into<String>) -> Self {
        self.change.join.push(topic.into());
        self
    }

    /// Leaves a topic.
    pub fn leave(mut self, topic: impl Into<String>) -> Self {
        self.change.leave.push(topic.into());
        self
    }

    /// Makes the change, and returns its answer.
    pub fn start(self) -> Answered<()> {
        let Self { call, change } = self;
        let members = serde_json::to_string(&change);
        call.start("tag", members, Some(change), |_| Ok(()))
    }
}

impl IntoFuture for Retag {
    type Output = Result<(), RequestError>;
    type IntoFuture = Answered<()>;

    fn into_future(self) -> Answered<()> {
        self.start()
    }
}

/// Any request of the protocol. It is made when it is awaited, or by [`Request::start`].
#[derive(Debug)]
#[must_use = "a request is made when it is awaited"]
pub struct Request {
    call: Call,
    op: String,
    members: Result<String, serde_json::Error>,
}

impl Request {
    pub(crate) fn new<M: Serialize + ?Sized>(shared: &Arc<Shared>, op: &str, members: &M) -> Self {
        let call = Call::new(shared, Offline::Fail);
        let members = serde_json::to_value(members).and_then(|members| match members {
            Value::Object(_) => Ok(members.to_string()),
            _ => Err(serde::de::Error::custom("the members of a request are an object")),
        });
        Self { call, op: op.to_owned(), members }
    }

    /// Says what happens while the client is not online. Default: [`Offline::Fail`].
    pub const fn offline(mut self, offline: Offline) -> Self {
        self.call.offline = offline;
        self
    }

    /// Sets how long to wait for the answer after it was sent. Default: that of the options.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.call.timeout = Some(timeout);
        self
    }

    /// Makes the request, and returns the members of its answer without `op` and `id`.
    pub fn start(self) -> Answered<Map<String, Value>> {
        self.call.start(&self.op, self.members, None, |answer| match answer {
            Answer::Frame(text) => {
                let mut members: Map<String, Value> = serde_json::from_str(text)?;
                members.remove("op");
                members.remove("id");
                Ok(members)
            }
            Answer::Dropped => Ok(Map::new()),
        })
    }
}

impl IntoFuture for Request {
    type Output = Result<Map<String, Value>, RequestError>;
    type IntoFuture = Answered<Map<String, Value>>;

    fn into_future(self) -> Self::IntoFuture {
        self.start()
    }
}
