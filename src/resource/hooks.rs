//! All hooks that a worker calls in a resource.

use std::time::Duration;

use super::{ClientHandle, ConnectRequest, Limit, Presence, ResourceContext, WebhookResource};
use crate::auth::Right;
use crate::http::Refusal;
use crate::protocol::Protocol;
use crate::session::Message;
use crate::types::{Client, ClientUuid, CloseReason, Tag, Tenant};

/// All hooks that a worker calls in a resource. The built-in resources implement this trait. A resource
/// of an embedding program implements [`Resource`](super::Resource) and is called through
/// [`Embedded`](super::Embedded).
///
/// | method | when it is called |
/// | --- | --- |
/// | [`authorize`](Self::authorize) | before the handshake is answered, after the credentials were checked |
/// | [`on_full`](Self::on_full) | instead of `on_open`, when a limit refuses the client |
/// | [`on_open`](Self::on_open) | once, when the client can be addressed and its handshake is answered |
/// | [`on_message`](Self::on_message) | for each complete message of the client |
/// | [`on_presence`](Self::on_presence) | for each answer to [`ClientHandle::query_presence`] |
/// | [`on_connection_lost`](Self::on_connection_lost) | before `on_close`, when a fault ends the connection |
/// | [`on_close`](Self::on_close) | once, as the last call for the client, whatever ended the connection |
/// | [`on_resource_presence`](Self::on_resource_presence) | for each answer to [`ResourceContext::query_presence`] or [`ClientHandle::query_resource_presence`] |
/// | [`on_tick`](Self::on_tick) | in one of the workers, at the interval of [`tick_interval`](Self::tick_interval) |
/// | [`on_push`](Self::on_push) | in one of the workers, for each message that a script pushes |
pub trait ResourceHooks {
    /// Returns the default protocol of its connections. Clients whose headers identify them as
    /// phpWebSocketServer's or Gomoob's PHP clients use their own protocol instead.
    fn protocol(&self) -> Protocol {
        Protocol::Gomoob
    }

    /// Returns a tag that all its clients get in addition to their own.
    fn common_tag(&self) -> Option<&Tag> {
        None
    }

    /// Returns whether clients of `tagcast.v1` may use it.
    fn takes_requests(&self) -> bool {
        true
    }

    /// Returns whether a backend decides about each opening. It gets the UUID of the client before the broker
    /// knows which client it is, so clients of `tagcast.v1` cannot resume there.
    fn is_asked_to_open(&self) -> bool {
        false
    }

    /// Returns the right that a client needs. A client without it is refused with 401, or closed
    /// when a reload removes the right.
    fn needs(&self) -> Right {
        Right::Listen
    }

    /// Returns the only tenant whose clients it serves. `None`: it serves all tenants.
    fn tenant(&self) -> Option<&Tenant> {
        None
    }

    /// Returns the resource as a webhook resource, whose events the worker delivers. `None`: it is
    /// not one.
    fn as_webhook(&mut self) -> Option<&mut WebhookResource> {
        None
    }

    /// Returns the user that a backend has named for a client, as JSON.
    fn user(&self, client: ClientUuid) -> Option<&str> {
        let _ = client;
        None
    }

    /// Decides whether a client may connect. Its credentials have been checked already.
    ///
    /// # Errors
    ///
    /// Returns the response that refuses the client.
    fn authorize(&self, request: &ConnectRequest<'_>) -> Result<(), Refusal> {
        let _ = request;
        Ok(())
    }

    /// Called when a limit refused a client.
    fn on_full(&mut self, context: &mut ResourceContext<'_>, client: &Client, limit: Limit) {
        let (_, _, _) = (context, client, limit);
    }

    /// Called when a connection was opened.
    fn on_open(&mut self, client: &mut ClientHandle<'_>, request: &ConnectRequest<'_>) {
        let (_, _) = (client, request);
    }

    /// Called for a complete message of the client.
    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>);

    /// Returns a copy of the resource that handles one large message of this client on another thread.
    /// `None`: its messages are always handled in the event loop, because they change its state.
    fn detached(&self, client: ClientUuid) -> Option<Box<dyn ResourceHooks + Send>> {
        let _ = client;
        None
    }

    /// Called for a message that a [detached](Self::detached) copy has handled, before the actions that
    /// the copy has requested. Returns false if those must be dropped.
    fn on_detached(&mut self, client: &mut ClientHandle<'_>) -> bool {
        let _ = client;
        true
    }

    /// Called with the answer to [`ClientHandle::query_presence`].
    fn on_presence(&mut self, client: &mut ClientHandle<'_>, presence: &Presence) {
        let (_, _) = (client, presence);
    }

    /// Called with the answer to a query of the resource. `about` is the value that the query
    /// contained.
    fn on_resource_presence(
        &mut self,
        context: &mut ResourceContext<'_>,
        about: u64,
        presence: &Presence,
    ) {
        let (_, _, _) = (context, about, presence);
    }

    /// Called when a fault ends the connection: the client violated the protocol, was too slow or
    /// silent, or its socket failed. [`ResourceHooks::on_close`] follows.
    fn on_connection_lost(&mut self, client: &mut ClientHandle<'_>, fault: &CloseReason) {
        let (_, _) = (client, fault);
    }

    /// Called when the connection ends. `reason` is that of the side that closed it. The client's
    /// tags can still be read. Replies no longer reach the client; publications reach other
    /// clients.
    fn on_close(&mut self, client: &mut ClientHandle<'_>, reason: &CloseReason) {
        let (_, _) = (client, reason);
    }

    /// Returns the interval of [`ResourceHooks::on_tick`]. `None`: it is never called.
    fn tick_interval(&self) -> Option<Duration> {
        None
    }

    /// Called at the tick interval, as [`Resource::on_tick`](super::Resource::on_tick).
    fn on_tick(&mut self, context: &mut ResourceContext<'_>) {
        let _ = context;
    }

    /// Called when a script pushed a message for this resource into a tenant.
    ///
    /// # Errors
    ///
    /// Returns the reason for the log when the message is not accepted.
    fn on_push(
        &mut self,
        context: &mut ResourceContext<'_>,
        tenant: &Tenant,
        message: &str,
    ) -> Result<(), &'static str> {
        let (_, _, _) = (context, tenant, message);
        Err("it takes nothing that is pushed")
    }
}
