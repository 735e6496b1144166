//! Common parts of the bloatless/php-websocket applications.

mod applications;
mod chat;
mod demo;
mod echo;
mod options;
mod rate_limit;
mod room;
mod status;
mod status_updates;
mod time;

use core::net::SocketAddr;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use self::rate_limit::RequestLimiter;
use self::status_updates::{ConnectionNews, StatusUpdates};
use super::{ClientHandle, ConnectRequest, Limit, Presence, ResourceContext, ResourceHooks};
use crate::auth::Right;
use crate::http::{Refusal, RefusalStatus};
use crate::protocol::bloatless::BloatlessAnswers;
use crate::protocol::{Protocol, bloatless};
use crate::session::Message;
use crate::types::{Client, ClientUuid, CloseCode, CloseReason, Tag, TagError, TagQuery, Tenant};

pub use self::applications::BloatlessApplications;
pub use self::options::{BloatlessApplication, BloatlessOptions, StatusClients};
pub use self::room::Room;

/// Tag that contains the client's address. The client list of `status` reads it.
const PEER_TAG: &str = "@peer";
/// Tag that clients of all applications have.
const FAMILY_TAG: (&str, &str) = ("@family", "bloatless");
/// Empty tag name in a presence query: only the number of clients is wanted.
const NO_TAG: &str = "";

/// Behavior in which the applications differ.
pub trait BloatlessApp: fmt::Debug + Send + Sync {
    /// Returns the name of the application. The path is the name after a slash.
    fn name(&self) -> &'static str;

    /// Returns the protocol of its clients.
    fn protocol(&self) -> Protocol {
        Protocol::Bloatless
    }

    /// Returns the right that a client needs to connect.
    fn needs(&self) -> Right {
        Right::Listen
    }

    /// Returns whether a new client first receives the limits and the connected clients. After
    /// that, `status` clients are informed about it.
    fn greets_with_server_info(&self) -> bool {
        false
    }

    /// Handles a message of a client.
    fn on_message(&self, room: &Room, client: &mut ClientHandle<'_>, message: Message<'_>);

    /// Handles a message that a script pushed.
    ///
    /// # Errors
    ///
    /// Returns the reason when the message is not accepted.
    fn on_push(
        &self,
        room: &Room,
        context: &mut ResourceContext<'_>,
        tenant: &Tenant,
        data: &str,
    ) -> Result<(), &'static str> {
        let (_, _, _, _) = (room, context, tenant, data);
        Err("this application takes nothing that is pushed")
    }

    /// Returns the interval of [`BloatlessApp::tick`], or `None` for an application without ticks.
    fn every(&self) -> Option<Duration> {
        None
    }

    /// Publishes on a timer.
    fn tick(&self, room: &Room, context: &mut ResourceContext<'_>) {
        let (_, _) = (room, context);
    }
}

/// Resource that serves one application.
#[derive(Debug)]
pub struct BloatlessResource {
    app: Arc<dyn BloatlessApp>,
    room: Room,
    options: Rc<RefCell<BloatlessOptions>>,
    family: TagQuery,
    quotas: RequestLimiter,
    updates: StatusUpdates,
}

impl BloatlessResource {
    /// Creates the resource of an application. All applications of a worker share the options.
    ///
    /// # Errors
    ///
    /// Never fails with the built-in names.
    pub fn new(
        app: impl BloatlessApp + 'static,
        options: &Rc<RefCell<BloatlessOptions>>,
    ) -> Result<Self, TagError> {
        let (name, value) = FAMILY_TAG;
        Ok(Self {
            room: Room::of(&app)?,
            app: Arc::new(app),
            options: Rc::clone(options),
            family: TagQuery::new([Tag::new(name, value)?])?,
            quotas: RequestLimiter::default(),
            updates: StatusUpdates::new()?,
        })
    }

    fn is_watched(&self) -> bool {
        self.options.borrow().has_status
    }

    /// Queries the number of clients. The answer publishes `event` to the `status` clients.
    fn publish_update(
        &mut self,
        client: &mut ClientHandle<'_>,
        event: impl FnOnce(SocketAddr) -> ConnectionNews,
    ) {
        let peer = client.tag(PEER_TAG).and_then(|peer| peer.parse().ok());
        if let Some(peer) = peer
            && self.is_watched()
        {
            let about = self.updates.keep(client.tenant().clone(), event(peer));
            client.query_resource_presence(about, self.family.clone(), NO_TAG);
        }
    }
}

/// An application without the state of its clients.
#[derive(Debug)]
struct DetachedApp {
    app: Arc<dyn BloatlessApp>,
    room: Room,
}

impl ResourceHooks for DetachedApp {
    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        self.app.on_message(&self.room, client, message);
    }
}

impl ResourceHooks for BloatlessResource {
    fn takes_requests(&self) -> bool {
        false
    }

    fn protocol(&self) -> Protocol {
        self.app.protocol()
    }

    fn common_tag(&self) -> Option<&Tag> {
        Some(self.room.tag())
    }

    fn needs(&self) -> Right {
        self.app.needs()
    }

    fn authorize(&self, request: &ConnectRequest<'_>) -> Result<(), Refusal> {
        let options = self.options.borrow();
        if options.answers == BloatlessAnswers::Legacy && !request.query().is_empty() {
            return Err(Refusal::NOT_FOUND);
        }
        let origin = request.header("Origin").filter(|origin| !origin.is_empty());
        let origin = origin.or_else(|| request.header("Sec-WebSocket-Origin"));
        match &options.origins {
            Some(hosts) if !hosts.admit(origin.as_deref()) => Err(BAD_ORIGIN),
            _ => Ok(()),
        }
    }

    fn on_open(&mut self, client: &mut ClientHandle<'_>, request: &ConnectRequest<'_>) {
        let (name, value) = FAMILY_TAG;
        let tagged = client
            .set_tag(PEER_TAG, &request.peer().to_string())
            .and_then(|()| client.set_tag(name, value));
        if let Err(error) = tagged {
            let text = error.to_string().into();
            return client.close(CloseReason { code: CloseCode::POLICY, text });
        }
        if self.options.borrow().requests_per_minute > 0 {
            self.quotas.begin(client.id(), client.uptime());
        }
        if self.app.greets_with_server_info() {
            client.query_presence(self.family.clone(), PEER_TAG);
        } else {
            self.publish_update(client, ConnectionNews::Connected);
        }
    }

    fn on_presence(&mut self, client: &mut ClientHandle<'_>, who: &Presence) {
        let own = client.tag(PEER_TAG).unwrap_or_default().to_owned();
        client.reply_text(status::server_info(&self.options.borrow(), who, &own));
        self.publish_update(client, ConnectionNews::Connected);
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        if self.on_detached(client) {
            self.app.on_message(&self.room, client, message);
        }
    }

    fn detached(&self, _: ClientUuid) -> Option<Box<dyn ResourceHooks + Send>> {
        Some(Box::new(DetachedApp { app: Arc::clone(&self.app), room: self.room.clone() }))
    }

    fn on_detached(&mut self, client: &mut ClientHandle<'_>) -> bool {
        let limit = self.options.borrow().requests_per_minute;
        if limit > 0 && !self.quotas.admit(client.id(), client.uptime(), limit) {
            client.close(bloatless::CLOSED);
            return false;
        }
        if let Some(peer) = client.tag(PEER_TAG).and_then(|peer| peer.parse().ok())
            && self.is_watched()
        {
            let text = status::activity(self.options.borrow().clients, peer);
            self.updates.publish_of(client, text);
        }
        true
    }

    fn on_resource_presence(
        &mut self,
        context: &mut ResourceContext<'_>,
        about: u64,
        who: &Presence,
    ) {
        if let Some((tenant, event)) = self.updates.take(about) {
            for text in status::connection_messages(&event, who.clients, context.unix_time()) {
                self.updates.publish(context, &tenant, text);
            }
        }
    }

    fn tick_interval(&self) -> Option<Duration> {
        self.app.every()
    }

    fn on_tick(&mut self, context: &mut ResourceContext<'_>) {
        self.app.tick(&self.room, context);
    }

    fn on_full(&mut self, context: &mut ResourceContext<'_>, client: &Client, limit: Limit) {
        if self.is_watched() {
            let text = status::warning(limit, client.ip, context.unix_time());
            self.updates.publish(context, &client.tenant, text);
        }
    }

    fn on_push(
        &mut self,
        context: &mut ResourceContext<'_>,
        tenant: &Tenant,
        data: &str,
    ) -> Result<(), &'static str> {
        self.app.on_push(&self.room, context, tenant, data)
    }

    fn on_close(&mut self, client: &mut ClientHandle<'_>, _: &CloseReason) {
        self.quotas.end(client.id());
        self.publish_update(client, ConnectionNews::Disconnected);
    }
}

const BAD_ORIGIN: Refusal =
    Refusal::new(RefusalStatus::Unauthorized, "this origin may not connect");
