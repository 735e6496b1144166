//! All the calls that a worker makes of a resource.

use std::time::Duration;

use super::{ClientHandle, ConnectRequest, Limit, Presence, ResourceContext, WebhookResource};
use crate::auth::Right;
use crate::http::Refusal;
use crate::protocol::Protocol;
use crate::session::Message;
use crate::types::{Client, CloseReason, Tag, Tenant};

/// All the calls that a worker makes of a resource. The built-in resources implement it; a resource of
/// an embedding program implements [`Resource`](super::Resource) and is called through
/// [`Embedded`](super::Embedded).
///
/// | method | when it is called |
/// | --- | --- |
/// | [`authorize`](Self::authorize) | before the handshake is answered, when the credentials are right |
/// | [`on_full`](Self::on_full) | instead of `on_open`, when a limit refuses the client |
/// | [`on_open`](Self::on_open) | once, when the client can be addressed and its handshake is answered |
/// | [`on_message`](Self::on_message) | for each whole message of the client |
/// | [`on_presence`](Self::on_presence) | for each answer to [`ClientHandle::query_presence`] |
/// | [`on_connection_lost`](Self::on_connection_lost) | before `on_close`, when a fault ends the connection |
/// | [`on_close`](Self::on_close) | once, as the last call for the client, for whatever reason it ends |
/// | [`on_resource_presence`](Self::on_resource_presence) | for each answer to [`ResourceContext::query_presence`] or [`ClientHandle::query_resource_presence`] |
/// | [`on_tick`](Self::on_tick) | in one of the workers, at the interval of [`tick_interval`](Self::tick_interval) |
/// | [`on_push`](Self::on_push) | in one of the workers, for each message that a script pushes |
pub trait ResourceHooks {
    /// How its connections speak, unless their headers say that they are phpWebSocketServer's or
    /// Gomoob's PHP clients.
    fn protocol(&self) -> Protocol {
        Protocol::Gomoob
    }

    /// A tag that all its clients carry from the start, next to their own.
    fn common_tag(&self) -> Option<&Tag> {
        None
    }

    /// What a client must be allowed to do. A client that may not is answered 401, or closed when a
    /// reload takes the right away.
    fn needs(&self) -> Right {
        Right::Listen
    }

    /// The only space whose clients it serves; `None`: it serves those of every space.
    fn tenant(&self) -> Option<&Tenant> {
        None
    }

    /// The resource with a backend, whose events the worker delivers.
    fn as_webhook(&mut self) -> Option<&mut WebhookResource> {
        None
    }

    /// Whether a client may connect. Its credentials are right already.
    ///
    /// # Errors
    ///
    /// The answer that the client gets instead.
    fn authorize(&self, request: &ConnectRequest<'_>) -> Result<(), Refusal> {
        let _ = request;
        Ok(())
    }

    /// A client was not let in, because a limit is reached.
    fn on_full(&mut self, context: &mut ResourceContext<'_>, client: &Client, limit: Limit) {
        let (_, _, _) = (context, client, limit);
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

    /// The answer to a question of the resource itself; `about` is what was given to it.
    fn on_resource_presence(
        &mut self,
        context: &mut ResourceContext<'_>,
        about: u64,
        presence: &Presence,
    ) {
        let (_, _, _) = (context, about, presence);
    }

    /// The connection ends because of a fault: the client broke the protocol, was too slow or silent,
    /// or its socket broke. [`ResourceHooks::on_close`] follows.
    fn on_connection_lost(&mut self, client: &mut ClientHandle<'_>, fault: &CloseReason) {
        let (_, _) = (client, fault);
    }

    /// The connection ends, for the reason of the side that ended it. Its tags can still be read.
    /// Replies do not reach the client any more; publications reach the others.
    fn on_close(&mut self, client: &mut ClientHandle<'_>, reason: &CloseReason) {
        let (_, _) = (client, reason);
    }

    /// How often [`ResourceHooks::on_tick`] is called; `None` for never.
    fn tick_interval(&self) -> Option<Duration> {
        None
    }

    /// As [`Resource::on_tick`](super::Resource::on_tick).
    fn on_tick(&mut self, context: &mut ResourceContext<'_>) {
        let _ = context;
    }

    /// A script has pushed a message for this resource into a space.
    ///
    /// # Errors
    ///
    /// Why it is not taken, for the log.
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
