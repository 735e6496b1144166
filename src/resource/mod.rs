//! Resources that serve paths: the trait for embedding programs, the hooks of a worker, and the
//! built-in resources.

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
mod token_refresh;
mod v1_client;
mod webhook;

use std::time::Duration;

use crate::http::Refusal;
use crate::session::Message;
use crate::types::ClientFilter;

pub use self::builtin::broadcast::{Broadcast, RESOURCE_TAG};
pub use self::builtin::echo::{Echo, Nameless, Silent};
pub use self::builtin::gomoob::Gomoob;
pub use self::builtin::phpws::Phpws;
pub use self::builtin::v1::V1Requests;
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
pub use self::token_refresh::TokenRefresh;
pub use self::webhook::{AuthorizeRequest, WebhookOptions, WebhookResource};
pub use effect::{Charge, Effect, Effects, NotPublished, Payload, RequestEffect};

/// Serves the connections of a path.
///
/// A worker has one value of each resource for all its connections and calls it on its only thread, so
/// a slow call delays all clients of that worker. Keep data about one client in its tags, which all
/// workers can address, or in a map with the key [`ClientHandle::id`]. A resource requests actions from
/// the [`ClientHandle`]. The worker carries them out in order after the call returns.
///
/// | method | when it is called |
/// | --- | --- |
/// | [`authorize`](Self::authorize) | before the handshake is answered, after the credentials were checked |
/// | [`on_open`](Self::on_open) | once, when the client can be addressed and its handshake is answered |
/// | [`on_message`](Self::on_message) | for each complete message of the client |
/// | [`on_presence`](Self::on_presence) | for each answer to [`ClientHandle::query_presence`] |
/// | [`on_close`](Self::on_close) | once, as the last call for the client, whatever ended the connection |
/// | [`on_tick`](Self::on_tick) | in one of the workers, at the interval of [`tick_interval`](Self::tick_interval) |
///
/// `on_open` and `on_close` come in pairs. A client that `authorize` or a limit refuses gets neither.
///
/// A panic closes only the connection that the call was for, with Close 1011. A call that takes more
/// than two seconds makes its worker look hung. The supervisor then kills the worker with all its
/// connections and replaces it.
///
/// ```
/// use tagcast::{Address, ClientHandle, Message, Resource};
///
/// /// Sends each client's text to all clients, in capitals.
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
    /// Decides whether a client may connect. Its credentials have been checked already.
    ///
    /// # Errors
    ///
    /// Returns the response that refuses the client.
    fn authorize(&self, request: &ConnectRequest<'_>) -> Result<(), Refusal> {
        let _ = request;
        Ok(())
    }

    /// Called when a connection was opened.
    fn on_open(&mut self, client: &mut ClientHandle<'_>, request: &ConnectRequest<'_>) {
        let (_, _) = (client, request);
    }

    /// Called for a complete message of the client.
    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>);

    /// Called with the answer to [`ClientHandle::query_presence`].
    fn on_presence(&mut self, client: &mut ClientHandle<'_>, presence: &Presence) {
        let (_, _) = (client, presence);
    }

    /// Called when the connection ends. The client's tags can still be read. Replies no longer
    /// reach the client; publications reach other clients.
    fn on_close(&mut self, client: &mut ClientHandle<'_>) {
        let _ = client;
    }

    /// Returns the interval of [`Resource::on_tick`]. `None`: it is never called.
    fn tick_interval(&self) -> Option<Duration> {
        None
    }

    /// Called once when the server starts, then at the interval, in only one worker, the leader.
    /// When the leader ends, another worker takes over, and one interval may then be longer or
    /// shorter.
    fn on_tick(&mut self, context: &mut ResourceContext<'_>) {
        let _ = context;
    }
}

/// Limit that refused a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Most connections (`maxClients`).
    Clients,
    /// Most connections from one address (`maxPerIP`).
    Address,
}

/// Result of a presence query over all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The query.
    pub query: ClientFilter,
    /// Name of the tag whose values were queried.
    pub tag: Box<str>,
    /// Number of clients that match.
    pub clients: u64,
    /// Values of the queried tag, one per client that has it, in no particular order. At most a
    /// thousand.
    pub values: Vec<Box<str>>,
    /// The reason why nothing was counted: the expression is too expensive.
    pub error: Option<Box<str>>,
}
