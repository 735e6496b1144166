//! What serves a path: the trait for embedding programs, all the hooks of a worker, and the built-in
//! resources.

pub mod bloatless;
pub(crate) mod builtin;
mod client_handle;
mod connect_request;
mod context;
mod effect;
mod embedded;
mod factories;
mod hooks;
mod routes;
#[cfg(test)]
mod tests;
mod webhook;

use std::time::Duration;

use crate::http::Refusal;
use crate::session::Message;
use crate::types::TagQuery;

pub use self::builtin::broadcast::{Broadcast, RESOURCE_TAG};
pub use self::builtin::echo::{Echo, Nameless, Silent};
pub use self::builtin::gomoob::Gomoob;
pub use self::builtin::phpws::Phpws;
pub use self::client_handle::ClientHandle;
pub use self::connect_request::ConnectRequest;
pub use self::context::ResourceContext;
pub use self::embedded::Embedded;
pub use self::factories::ResourceFactories;
pub use self::hooks::ResourceHooks;
pub use self::routes::{
    Binding, BuiltinKind, Exactness, Offers, RequestedProtocol, ResourceId, ResourceKind, Route,
    RouteRequest, Routes, UnknownPath,
};
pub use self::webhook::{AuthorizeRequest, WebhookOptions, WebhookResource};
pub use effect::{Effect, Effects, NotPublished, Payload};

/// What serves the connections of a path.
///
/// A worker has one value of each resource for all its connections and calls it on its only thread, so
/// a call that takes long delays all clients of that worker. What belongs to one client goes into its
/// tags, which all workers can address, or into a map by [`ClientHandle::id`]. What a resource wants
/// done it asks of the [`ClientHandle`]. It is done, in order, when the call has returned.
///
/// | method | when it is called |
/// | --- | --- |
/// | [`authorize`](Self::authorize) | before the handshake is answered, when the credentials are right |
/// | [`on_open`](Self::on_open) | once, when the client can be addressed and its handshake is answered |
/// | [`on_message`](Self::on_message) | for each whole message of the client |
/// | [`on_presence`](Self::on_presence) | for each answer to [`ClientHandle::query_presence`] |
/// | [`on_close`](Self::on_close) | once, as the last call for the client, for whatever reason it ends |
/// | [`on_tick`](Self::on_tick) | in one of the workers, at the interval of [`tick_interval`](Self::tick_interval) |
///
/// `on_open` and `on_close` come in pairs. A client that `authorize` or a limit refuses gets neither.
///
/// A panic ends the connection that the call was for with Close 1011, and nothing else. A call that
/// does not return for more than two seconds makes its worker look hung: the worker is killed with all
/// its connections, and replaced.
///
/// ```
/// use tagcast::{Address, ClientHandle, Message, Resource};
///
/// /// Sends what a client says to all clients, in capitals.
/// struct Shout;
///
/// impl Resource for Shout {
///     fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
///         if let Some(text) = message.text() {
///             client.publish(Address::everyone(), &text.to_uppercase()).ok();
///         }
///     }
/// }
/// ```
pub trait Resource {
    /// Whether a client may connect. Its credentials are right already.
    ///
    /// # Errors
    ///
    /// The answer that the client gets instead.
    fn authorize(&self, request: &ConnectRequest<'_>) -> Result<(), Refusal> {
        let _ = request;
        Ok(())
    }

    /// A connection was opened.
    fn on_open(&mut self, client: &mut ClientHandle<'_>, request: &ConnectRequest<'_>) {
        let (_, _) = (client, request);
    }

    /// A whole message came.
    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>);

    /// The answer to [`ClientHandle::query_presence`].
    fn on_presence(&mut self, client: &mut ClientHandle<'_>, presence: &Presence) {
        let (_, _) = (client, presence);
    }

    /// The connection ends. Its tags can still be read. Replies do not reach the client any more;
    /// publications reach the others.
    fn on_close(&mut self, client: &mut ClientHandle<'_>) {
        let _ = client;
    }

    /// How often [`Resource::on_tick`] is called; `None` for never.
    fn tick_interval(&self) -> Option<Duration> {
        None
    }

    /// Called at once when the server starts, then at the interval. Only one worker, the leader, is
    /// called. When it ends, another one takes over, so an interval may be longer or shorter then.
    fn on_tick(&mut self, context: &mut ResourceContext<'_>) {
        let _ = context;
    }
}

/// Of what there are as many as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Connections in all (`maxClients`).
    Clients,
    /// Connections from one address (`maxPerIP`).
    Address,
}

/// Who carries some tags, over all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// What was asked for.
    pub query: TagQuery,
    /// The name of the tag whose values were wanted.
    pub tag: Box<str>,
    /// Clients that match.
    pub clients: u64,
    /// The values of the wanted tag, one for each client that has it, in no order; a thousand at
    /// the most.
    pub values: Vec<Box<str>>,
}
