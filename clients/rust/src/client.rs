//! The handle of a client.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::asks::Ask;
use crate::calls::{Publish, Request, Retag};
use crate::clock::Clock;
use crate::error::ConnectError;
use crate::events::{Events, Messages};
use crate::machine::Machine;
use crate::options::Options;
use crate::presence::{Watch, WatchMode, WatchQuery};
use crate::socket::Address;
use crate::status::{Disconnect, NORMAL, Status};
use crate::target::{Tags, To};
use crate::task::{self, Shared};

/// Bytes of the random name of a client, for the server alone: a client that shows it takes over the connection of
/// this one.
const INSTANCE_BYTES: usize = 16;

/// A client. Clones are handles of the same client.
///
/// A task of tokio's runtime owns the socket. When the last handle is dropped the client ends: the task says `bye`,
/// if the runtime lives long enough. [`Client::close`] waits for that.
///
/// ```no_run
/// use tagcast_client::{Client, Options, To};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect("wss://example.org/", Options::new().key("shop").tag("room", "1")).await?;
/// client.publish(To::tag("room", "1"), &"hello").event("chat").await?;
/// let mut messages = client.messages();
/// while let Some(message) = messages.next().await {
///     println!("{:?}: {}", message.event(), message.json());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.machine().drop_last();
        self.shared.wake();
    }
}

impl Client {
    /// Connects, and waits until the client is online. After that it reconnects by itself, without a last attempt.
    ///
    /// # Errors
    ///
    /// If the first attempt fails. [`Client::open`] goes on instead.
    pub async fn connect(url: &str, options: Options) -> Result<Self, Disconnect> {
        let client = Self::open(url, options).map_err(Disconnect::failed)?;
        client.reopen();
        client.first_attempt().await?;
        Ok(client)
    }

    /// Waits for the end of the first attempt.
    pub(crate) async fn first_attempt(&self) -> Result<(), Disconnect> {
        let mut status = self.0.shared.machine().status().subscribe();
        let outcome = loop {
            let outcome = self.0.shared.machine().status().first_outcome();
            if outcome.is_some() || status.changed().await.is_err() {
                break outcome;
            }
        };
        match outcome {
            Some(Status::Waiting { lost, .. } | Status::Closed { lost: Some(lost) }) => Err(lost),
            Some(Status::Online { .. }) => Ok(()),
            _ => Err(Disconnect::closed(NORMAL, "the client is closed")),
        }
    }

    /// Begins to connect, unless the options say [`Options::lazy`], and returns at once. Must be called within tokio's runtime.
    ///
    /// # Errors
    ///
    /// If the URL is not valid, or if there is no runtime.
    pub fn open(url: &str, options: Options) -> Result<Self, ConnectError> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|error| ConnectError::Io(std::io::Error::other(error)))?;
        let is_lazy = options.is_lazy;
        let (client, shared) = Self::prepare(url, options)?;
        runtime.spawn(task::run(shared));
        if !is_lazy {
            client.reopen();
        }
        Ok(client)
    }

    /// Creates a client, and what its task needs.
    pub(crate) fn prepare(
        url: &str,
        options: Options,
    ) -> Result<(Self, Arc<Shared>), ConnectError> {
        let address = Address::parse(url)?;
        let clock: Clock = options.clock.clone();
        let mut name = [0; INSTANCE_BYTES];
        getrandom::fill(&mut name).map_err(|error| ConnectError::Io(error.into()))?;
        let instance = name.iter().map(|byte| format!("{byte:02x}")).collect();
        let shared = Arc::new(Shared::new(Machine::new(options, instance), clock, address));
        Ok((Self(Arc::new(Handle { shared: Arc::clone(&shared) })), shared))
    }

    /// Connects at once if the client was not opened yet, waits for the next attempt, or is closed.
    pub fn reopen(&self) {
        let shared = &self.0.shared;
        shared.machine().open(shared.clock().now());
        shared.wake();
    }

    /// Ends the client at the server, and waits until the connection is closed, for at most two seconds. Requests
    /// without an answer fail with [`ErrorCode::Closed`](crate::ErrorCode::Closed).
    ///
    /// Dropping the future does not take it back.
    pub async fn close(&self) {
        self.begin_to_close();
        self.0.shared.finished().await;
    }

    pub(crate) fn begin_to_close(&self) {
        self.0.shared.machine().close();
        self.0.shared.wake();
    }

    /// The state of the client.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.shared.machine().status().subscribe().borrow().clone()
    }

    /// Waits until the client is online.
    ///
    /// # Errors
    ///
    /// If the client is closed.
    pub async fn ready(&self) -> Result<(), Disconnect> {
        let mut status = self.0.shared.machine().status().subscribe();
        let decided = status.wait_for(|status| status.is_online() || status.is_closed()).await;
        match decided.as_deref() {
            Ok(Status::Online { .. }) => Ok(()),
            Ok(Status::Closed { lost: Some(lost) }) => Err(lost.clone()),
            _ => Err(Disconnect::closed(NORMAL, "the client is closed")),
        }
    }

    /// The UUID that the server has given to this client. None before the first connection.
    #[must_use]
    pub fn uuid(&self) -> Option<String> {
        self.0.shared.machine().uuid().map(str::to_owned)
    }

    /// The tags of this client, as the server has them.
    #[must_use]
    pub fn tags(&self) -> Tags {
        self.0.shared.machine().own().known().clone()
    }

    /// The topics of this client, as the server has them.
    #[must_use]
    pub fn topics(&self) -> BTreeSet<String> {
        self.0.shared.machine().own().topics().clone()
    }

    /// What the server offers this client, as `report` and `expr`.
    #[must_use]
    pub fn features(&self) -> Vec<String> {
        self.0.shared.machine().features().to_vec()
    }

    /// Publishes. The answer means that the server has the publication, and neither the death of a worker nor that of
    /// the broker loses it for clients whose worker lives.
    ///
    /// The request is handed over when it is awaited or started. From then on dropping the future changes nothing: the
    /// publication is made all the same. After a lost connection it is sent again where the server can tell that it
    /// has it already; otherwise it fails with [`ErrorCode::Unknown`](crate::ErrorCode::Unknown).
    pub fn publish<D: Serialize + ?Sized>(&self, to: To, data: &D) -> Publish {
        Publish::new(&self.0.shared, to, data)
    }

    /// Asks the client with this UUID or ident, and waits for its answer. The other client answers by
    /// [`Options::answer`](crate::Options::answer), or in the form of its protocol.
    ///
    /// A question is never sent twice: if its connection is lost, it fails with
    /// [`ErrorCode::Lost`](crate::ErrorCode::Lost).
    pub fn ask<T: DeserializeOwned, D: Serialize + ?Sized>(&self, to: To, data: &D) -> Ask<T> {
        Ask::new(&self.0.shared, to, data)
    }

    /// Changes the tags and topics of this client. A later connection opens with the changed ones.
    pub fn retag(&self) -> Retag {
        Retag::new(&self.0.shared)
    }

    /// Watches which clients match a query, on this connection and on each later one, as long as the [`Watch`] lives.
    ///
    /// ```no_run
    /// # async fn example(client: tagcast_client::Client) {
    /// use tagcast_client::{Presence, WatchMode, WatchQuery};
    ///
    /// let mut room = client.watch(&WatchQuery::topic("room1"), WatchMode::Members);
    /// let mut before = Presence::default();
    /// while let Some(presence) = room.changed().await {
    ///     for member in presence.joined_since(&before) {
    ///         println!("{:?} is here, one of {}", member.tags().get("name"), presence.count);
    ///     }
    ///     before = presence;
    /// }
    /// # }
    /// ```
    pub fn watch(&self, query: &WatchQuery, mode: WatchMode) -> Watch {
        Watch::new(&self.0.shared, query, mode)
    }

    /// Makes any request of the protocol, as `send`. `members` is an object. The answer has the members of the frame.
    ///
    /// A request other than `pub` and `tag` is never sent twice: if its connection is lost, it fails with
    /// [`ErrorCode::Lost`](crate::ErrorCode::Lost).
    pub fn request<M: Serialize + ?Sized>(&self, op: &str, members: &M) -> Request {
        Request::new(&self.0.shared, op, members)
    }

    /// The messages from now on. The first stream of a client, this one or [`Client::events`], also has what came
    /// before it, up to 128 events.
    #[must_use]
    pub fn messages(&self) -> Messages {
        self.0.shared.machine().hub().messages()
    }

    /// Everything that happens from now on: messages, states, recoveries, changes of tags.
    #[must_use]
    pub fn events(&self) -> Events {
        self.0.shared.machine().hub().events()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("uuid", &self.uuid())
            .field("status", &self.status())
            .finish()
    }
}
