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
use std::time::Duration;

use self::rate_limit::RequestLimiter;
use self::status_updates::{ConnectionNews, StatusUpdates};
use super::{ClientHandle, ConnectRequest, Limit, Presence, ResourceContext, ResourceHooks};
use crate::auth::Right;
use crate::http::{Refusal, RefusalStatus};
use crate::protocol::bloatless::BloatlessAnswers;
use crate::protocol::{Protocol, bloatless};
use crate::session::Message;
use crate::types::{Client, CloseCode, CloseReason, Tag, TagError, TagQuery, Tenant};

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
pub trait BloatlessApp: fmt::Debug {
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
    fn hear(&self, room: &Room, client: &mut ClientHandle<'_>, message: Message<'_>);

    /// Handles a message that a script pushed.
    ///
    /// # Errors
    ///
    /// Returns the reason when the message is not accepted.
    fn pushed(
        &self,
        room: &Room,
        desk: &mut ResourceContext<'_>,
        tenant: &Tenant,
        data: &str,
    ) -> Result<(), &'static str> {
        let (_, _, _, _) = (room, desk, tenant, data);
        Err("this application takes nothing that is pushed")
    }

    /// Returns the interval of [`BloatlessApp::tick`], or `None` for an application without ticks.
    fn every(&self) -> Option<Duration> {
        None
    }

    /// Publishes on a timer.
    fn tick(&self, room: &Room, desk: &mut ResourceContext<'_>) {
        let (_, _) = (room, desk);
    }
}

/// Resource that serves one application.
#[derive(Debug)]
pub struct BloatlessResource {
    talk: Box<dyn BloatlessApp>,
    room: Room,
    manners: Rc<RefCell<BloatlessOptions>>,
    family: TagQuery,
    quotas: RequestLimiter,
    news: StatusUpdates,
}

impl BloatlessResource {
    /// Creates the resource of an application. All applications of a worker share the options.
    ///
    /// # Errors
    ///
    /// Never fails with the built-in names.
    pub fn new(
        talk: impl BloatlessApp + 'static,
        manners: &Rc<RefCell<BloatlessOptions>>,
    ) -> Result<Self, TagError> {
        let (name, value) = FAMILY_TAG;
        Ok(Self {
            room: Room::of(&talk)?,
            talk: Box::new(talk),
            manners: Rc::clone(manners),
            family: TagQuery::new([Tag::new(name, value)?])?,
            quotas: RequestLimiter::default(),
            news: StatusUpdates::new()?,
        })
    }

    fn is_watched(&self) -> bool {
        self.manners.borrow().has_status
    }

    /// Queries the number of clients. The answer publishes `event` to the `status` clients.
    fn tell(
        &mut self,
        client: &mut ClientHandle<'_>,
        event: impl FnOnce(SocketAddr) -> ConnectionNews,
    ) {
        let peer = client.tag(PEER_TAG).and_then(|peer| peer.parse().ok());
        if let Some(peer) = peer
            && self.is_watched()
        {
            let about = self.news.keep(client.tenant().clone(), event(peer));
            client.query_resource_presence(about, self.family.clone(), NO_TAG);
        }
    }
}

impl ResourceHooks for BloatlessResource {
    fn protocol(&self) -> Protocol {
        self.talk.protocol()
    }

    fn common_tag(&self) -> Option<&Tag> {
        Some(self.room.tag())
    }

    fn needs(&self) -> Right {
        self.talk.needs()
    }

    fn authorize(&self, opening: &ConnectRequest<'_>) -> Result<(), Refusal> {
        let manners = self.manners.borrow();
        if manners.answers == BloatlessAnswers::Legacy && !opening.query().is_empty() {
            return Err(Refusal::NOT_FOUND);
        }
        let origin = opening.header("Origin").filter(|origin| !origin.is_empty());
        let origin = origin.or_else(|| opening.header("Sec-WebSocket-Origin"));
        match &manners.origins {
            Some(hosts) if !hosts.admit(origin.as_deref()) => Err(BAD_ORIGIN),
            _ => Ok(()),
        }
    }

    fn on_open(&mut self, client: &mut ClientHandle<'_>, opening: &ConnectRequest<'_>) {
        let (name, value) = FAMILY_TAG;
        let tagged = client
            .set_tag(PEER_TAG, &opening.peer().to_string())
            .and_then(|()| client.set_tag(name, value));
        if let Err(error) = tagged {
            let text = error.to_string().into();
            return client.close(CloseReason { code: CloseCode::POLICY, text });
        }
        if self.manners.borrow().requests_per_minute > 0 {
            self.quotas.begin(client.id(), client.uptime());
        }
        if self.talk.greets_with_server_info() {
            client.query_presence(self.family.clone(), PEER_TAG);
        } else {
            self.tell(client, ConnectionNews::Connected);
        }
    }

    fn on_presence(&mut self, client: &mut ClientHandle<'_>, who: &Presence) {
        let own = client.tag(PEER_TAG).unwrap_or_default().to_owned();
        client.reply_text(status::server_info(&self.manners.borrow(), who, &own));
        self.tell(client, ConnectionNews::Connected);
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        let limit = self.manners.borrow().requests_per_minute;
        if limit > 0 && !self.quotas.admit(client.id(), client.uptime(), limit) {
            return client.close(bloatless::CLOSED);
        }
        if let Some(peer) = client.tag(PEER_TAG).and_then(|peer| peer.parse().ok())
            && self.is_watched()
        {
            let text = status::activity(self.manners.borrow().clients, peer);
            self.news.publish_of(client, text);
        }
        self.talk.hear(&self.room, client, message);
    }

    fn on_resource_presence(&mut self, desk: &mut ResourceContext<'_>, about: u64, who: &Presence) {
        if let Some((tenant, event)) = self.news.take(about) {
            for text in status::story(&event, who.clients, desk.unix_time()) {
                self.news.publish(desk, &tenant, text);
            }
        }
    }

    fn tick_interval(&self) -> Option<Duration> {
        self.talk.every()
    }

    fn on_tick(&mut self, desk: &mut ResourceContext<'_>) {
        self.talk.tick(&self.room, desk);
    }

    fn on_full(&mut self, desk: &mut ResourceContext<'_>, client: &Client, limit: Limit) {
        if self.is_watched() {
            let text = status::warning(limit, client.ip, desk.unix_time());
            self.news.publish(desk, &client.tenant, text);
        }
    }

    fn on_push(
        &mut self,
        desk: &mut ResourceContext<'_>,
        tenant: &Tenant,
        data: &str,
    ) -> Result<(), &'static str> {
        self.talk.pushed(&self.room, desk, tenant, data)
    }

    fn on_close(&mut self, client: &mut ClientHandle<'_>, _: &CloseReason) {
        self.quotas.end(client.id());
        self.tell(client, ConnectionNews::Disconnected);
    }
}

const BAD_ORIGIN: Refusal =
    Refusal::new(RefusalStatus::Unauthorized, "this origin may not connect");
