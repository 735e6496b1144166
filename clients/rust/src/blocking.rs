//! The same client without `async`, on a thread of its own. Feature `blocking`.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::asks::Ask;
use crate::calls::{Publish, Request, Retag};
use crate::clock::{Clock, later};
use crate::error::ConnectError;
use crate::message::{Event, Message};
use crate::options::Options;
use crate::presence::{Presence, WatchMode, WatchQuery};
use crate::status::{Disconnect, Status};
use crate::target::{Tags, To};
use crate::{events, presence, task};

/// A client. Clones are handles of the same client.
///
/// A thread of its own has the socket. When the last handle is dropped the client says `bye`, and the thread ends;
/// dropping waits for that, for at most two seconds. Requests are made as those of the
/// [asynchronous client](crate::Client), and waited for with [`Answered::wait`](crate::Answered::wait).
///
/// ```no_run
/// use tagcast_client::blocking::Client;
/// use tagcast_client::{Options, To};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect("ws://127.0.0.1:8094/", Options::new().tag("room", "1"))?;
/// client.publish(To::tag("room", "1"), &"hello").start().wait()?;
/// for message in client.messages() {
///     println!("{}", message.json());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

/// The fields are dropped in this order: the thread ends after the last handle.
#[derive(Debug)]
struct Inner {
    client: crate::Client,
    _thread: ClientThread,
}

#[derive(Debug)]
struct ClientThread(Option<JoinHandle<()>>);

impl Drop for ClientThread {
    fn drop(&mut self) {
        // A token function may have had the last handle.
        let is_other = |thread: &JoinHandle<()>| thread.thread().id() != thread::current().id();
        let _panicked = self.0.take().filter(is_other).map(JoinHandle::join);
    }
}

impl Client {
    /// Connects, and waits until the client is online. After that it reconnects by itself, without a last attempt.
    ///
    /// # Errors
    ///
    /// If the first attempt fails. [`Client::open`] goes on instead.
    pub fn connect(url: &str, options: Options) -> Result<Self, Disconnect> {
        let client = Self::open(url, options).map_err(Disconnect::failed)?;
        client.reopen();
        block_on(client.0.client.first_attempt())?;
        Ok(client)
    }

    /// Begins to connect, unless the options say [`Options::lazy`], and returns at once.
    ///
    /// # Errors
    ///
    /// If the URL is not valid, or if the process can start no thread.
    pub fn open(url: &str, options: Options) -> Result<Self, ConnectError> {
        let is_lazy = options.is_lazy;
        let (client, shared) = crate::Client::prepare(url, options)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(ConnectError::Io)?;
        let thread = thread::Builder::new().name("tagcast-client".to_owned()).spawn(move || {
            runtime.block_on(task::run(shared));
            // A name that is looked up at this moment may take minutes.
            runtime.shutdown_background();
        });
        let thread = ClientThread(Some(thread.map_err(ConnectError::Io)?));
        if !is_lazy {
            client.reopen();
        }
        Ok(Self(Arc::new(Inner { client, _thread: thread })))
    }

    /// Connects at once if the client was not opened yet, waits for the next attempt, or is closed.
    pub fn reopen(&self) {
        self.0.client.reopen();
    }

    /// Ends the client at the server, and waits until the connection is closed, for at most two seconds.
    pub fn close(&self) {
        block_on(self.0.client.close());
    }

    /// The state of the client.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.client.status()
    }

    /// Waits until the client is online.
    ///
    /// # Errors
    ///
    /// If the client is closed.
    pub fn ready(&self) -> Result<(), Disconnect> {
        block_on(self.0.client.ready())
    }

    /// The UUID that the server has given to this client. None before the first connection.
    #[must_use]
    pub fn uuid(&self) -> Option<String> {
        self.0.client.uuid()
    }

    /// The tags of this client, as the server has them.
    #[must_use]
    pub fn tags(&self) -> Tags {
        self.0.client.tags()
    }

    /// The topics of this client, as the server has them.
    #[must_use]
    pub fn topics(&self) -> BTreeSet<String> {
        self.0.client.topics()
    }

    /// What the server offers this client, as `report` and `expr`.
    #[must_use]
    pub fn features(&self) -> Vec<String> {
        self.0.client.features()
    }

    /// Publishes, as [`Client::publish`](crate::Client::publish).
    pub fn publish<D: Serialize + ?Sized>(&self, to: To, data: &D) -> Publish {
        self.0.client.publish(to, data)
    }

    /// Asks one client, as [`Client::ask`](crate::Client::ask).
    pub fn ask<T: DeserializeOwned, D: Serialize + ?Sized>(&self, to: To, data: &D) -> Ask<T> {
        self.0.client.ask(to, data)
    }

    /// Changes the tags and topics of this client, as [`Client::retag`](crate::Client::retag).
    pub fn retag(&self) -> Retag {
        self.0.client.retag()
    }

    /// Watches which clients match a query, as [`Client::watch`](crate::Client::watch).
    pub fn watch(&self, query: &WatchQuery, mode: WatchMode) -> Watch {
        Watch(self.0.client.watch(query, mode))
    }

    /// Makes any request of the protocol, as [`Client::request`](crate::Client::request).
    pub fn request<M: Serialize + ?Sized>(&self, op: &str, members: &M) -> Request {
        self.0.client.request(op, members)
    }

    /// The messages from now on, as [`Client::messages`](crate::Client::messages).
    #[must_use]
    pub fn messages(&self) -> Messages {
        Messages(self.0.client.messages())
    }

    /// Everything that happens from now on, as [`Client::events`](crate::Client::events).
    #[must_use]
    pub fn events(&self) -> Events {
        Events(self.0.client.events())
    }
}

/// Messages, in their order. The iterator waits for the next one, and ends when the client is closed.
#[derive(Debug)]
pub struct Messages(events::Messages);

impl Messages {
    /// Waits for the next message for this time. `Pending` if there was none, `Ready(None)` when the client is closed.
    pub fn next_within(&mut self, time: Duration) -> Poll<Option<Message>> {
        block_on_within(self.0.next(), time)
    }

    /// Number of messages that were dropped because the program did not read them.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.0.lost()
    }
}

impl Iterator for Messages {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        block_on(self.0.next())
    }
}

/// Everything that happens to a client. The iterator waits for the next event, and ends when the client is closed.
#[derive(Debug)]
pub struct Events(events::Events);

impl Events {
    /// Waits for the next event for this time. `Pending` if there was none, `Ready(None)` when the client is closed.
    pub fn next_within(&mut self, time: Duration) -> Poll<Option<Event>> {
        block_on_within(self.0.next(), time)
    }

    /// Returns the next event if there is one already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_next()
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        block_on(self.0.next())
    }
}

/// A watched query. It is watched until this is dropped.
#[derive(Debug)]
#[must_use = "a query is watched as long as the watch lives"]
pub struct Watch(presence::Watch);

impl Watch {
    /// What is known now: nothing before the first list has come.
    #[must_use]
    pub fn presence(&self) -> Presence {
        self.0.presence()
    }

    /// Waits for the next change, as [`Watch::changed`](crate::Watch::changed).
    pub fn changed(&mut self) -> Option<Presence> {
        block_on(self.0.changed())
    }

    /// Waits for the next change for this time. `Pending` if there was none, `Ready(None)` where
    /// [`Watch::changed`](crate::Watch::changed) returns `None`.
    pub fn changed_within(&mut self, time: Duration) -> Poll<Option<Presence>> {
        block_on_within(self.0.changed(), time)
    }
}

/// Wakes a thread that waits for a future.
struct ThreadWaker(Thread);

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future in this thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(ThreadWaker(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

fn block_on_within<F: Future>(future: F, time: Duration) -> Poll<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(ThreadWaker(thread::current())));
    let deadline = later(Clock::System.now(), time);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Poll::Ready(output);
        }
        let left = deadline.saturating_duration_since(Clock::System.now());
        if left.is_zero() {
            return Poll::Pending;
        }
        thread::park_timeout(left);
    }
}
