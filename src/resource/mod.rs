//! What a path is served by: the trait for it, and the resources that are built in.

pub mod bloatless;
pub(crate) mod builtin;
mod client_handle;
mod connect_request;
mod context;
mod effect;
mod factories;
mod routes;
#[cfg(test)]
mod tests;
mod webhook;

use std::time::Duration;

use crate::auth::Right;
use crate::http::Refusal;
use crate::session::{Message, Speech};
use crate::types::{Client, CloseReason, Tag, TagQuery, Tenant};

pub use self::builtin::broadcast::{Broadcast, RESOURCE_TAG};
pub use self::builtin::echo::{Echo, Nameless, Silent};
pub use self::builtin::gomoob::Gomoob;
pub use self::builtin::phpws::Phpws;
pub use self::client_handle::ClientHandle;
pub use self::connect_request::ConnectRequest;
pub use self::context::ResourceContext;
pub use self::factories::ResourceFactories;
pub use self::routes::{
    Binding, BuiltinKind, Exactness, Offers, RequestedProtocol, ResourceId, ResourceKind, Route,
    RouteRequest, Routes, UnknownPath,
};
pub use self::webhook::{AuthorizeRequest, WebhookOptions, WebhookResource};
pub use effect::{Effect, Effects, NotPublished, Payload};

/// What is done with the connections of a path.
///
/// A worker has one value of each resource for all its connections, and calls it on its only
/// thread: a call that takes long delays everybody on that worker. What belongs to one client goes
/// into its tags, which all workers can address, or into a map by [`Handle::id`]. Whatever a
/// resource wants done it tells the [`Handle`]; it is done, in order, when the call has returned.
///
/// A panic ends the connection that it was called for with Close 1011, and nothing else. A call that
/// does not return for more than two seconds makes its worker look hung: it is killed with all its
/// connections, and replaced.
///
/// ```
/// use tagcast::resource::{ClientHandle, Resource};
/// use tagcast::session::Message;
/// use tagcast::types::Address;
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
    /// How its connections speak, unless their headers say that they are phpWebSocketServer's or
    /// Gomoob's PHP clients.
    fn speech(&self) -> Speech {
        Speech::Gomoob
    }

    /// A tag that all its clients carry from the start, beside their own.
    fn common_tag(&self) -> Option<&Tag> {
        None
    }

    /// What a client must be allowed to do, to be let in: who may not is answered 401, or closed when
    /// a reload takes the right away.
    fn needs(&self) -> Right {
        Right::Listen
    }

    /// Whether a client is let in whose credentials are right: asked before it joins.
    ///
    /// # Errors
    ///
    /// The answer that it gets instead.
    fn admit(&self, opening: &ConnectRequest<'_>) -> Result<(), Refusal> {
        let _ = opening;
        Ok(())
    }

    /// The only space whose clients it serves; none: it serves those of every space.
    fn tenant(&self) -> Option<&Tenant> {
        None
    }

    /// The resource whose logic is a backend, for the worker that hands its events over; no other
    /// resource is one.
    fn backed(&mut self) -> Option<&mut WebhookResource> {
        None
    }

    /// A connection was opened: it can be addressed, and the handshake is answered.
    fn on_open(&mut self, client: &mut ClientHandle<'_>, opening: &ConnectRequest<'_>) {
        let (_, _) = (client, opening);
    }

    /// A whole message came.
    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>);

    /// The answer to [`Handle::ask_who`].
    fn on_who(&mut self, client: &mut ClientHandle<'_>, who: &Presence) {
        let (_, _) = (client, who);
    }

    /// The answer to [`Handle::inquire`] or [`Desk::inquire`]; `about` is what was given to it.
    fn on_findings(&mut self, desk: &mut ResourceContext<'_>, about: u64, who: &Presence) {
        let (_, _, _) = (desk, about, who);
    }

    /// How often [`Resource::on_tick`] is called; never, unless a resource says otherwise.
    fn every(&self) -> Option<Duration> {
        None
    }

    /// Time has passed: called at once when the server begins, then at the interval. Of all workers
    /// one is called, the steward; when it ends, another one goes on, so that an interval may be
    /// longer or shorter then.
    fn on_tick(&mut self, desk: &mut ResourceContext<'_>) {
        let _ = desk;
    }

    /// A client was not let in, because a limit is reached.
    fn on_full(&mut self, desk: &mut ResourceContext<'_>, client: &Client, limit: Limit) {
        let (_, _, _) = (desk, client, limit);
    }

    /// A script has pushed a message for this resource into a space.
    ///
    /// # Errors
    ///
    /// Why it is not taken, for the log.
    fn on_push(
        &mut self,
        desk: &mut ResourceContext<'_>,
        tenant: &Tenant,
        message: &str,
    ) -> Result<(), &'static str> {
        let (_, _, _) = (desk, tenant, message);
        Err("it takes nothing that is pushed")
    }

    /// The connection ends, whoever ended it; always the last call for it. Its tags can still be
    /// read, replies reach it no more, publications reach others.
    fn on_close(&mut self, client: &mut ClientHandle<'_>) {
        let _ = client;
    }

    /// As [`Resource::on_close`], with why it ends: the code and the words of whoever ended it.
    fn on_end(&mut self, client: &mut ClientHandle<'_>, why: &CloseReason) {
        let _ = why;
        self.on_close(client);
    }

    /// The connection ends because of a fault: the client broke the protocol, was too slow or
    /// silent, or its socket broke. [`Resource::on_close`] follows.
    fn on_error(&mut self, client: &mut ClientHandle<'_>, fault: &CloseReason) {
        let (_, _) = (client, fault);
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
