//! From a request head to an answer: a WebSocket, a page, or a refusal.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tracing::info;

use super::connection::{Connection, Joining, NO_BROKER, Phase, UNKNOWN_PATH};
use super::hub::Hub;
use super::outbox::{Kind, Pace};
use super::settings::Page;
use crate::dialect::phpws;
use crate::http::{self, Refusal, Request, Status, Upgrade, Wanted};
use crate::page;
use crate::resource::Unknown;
use crate::session::{Service, Session};
use crate::types::{Client, ClientClass, ClientUuid, CloseReason, Ident, Slot, Tags};
use crate::websocket::write;

const NO_BROKER_REFUSAL: Refusal =
    Refusal::new(Status::Unavailable, "the server is busy: try again later");

impl Hub {
    /// Takes bytes of a request head.
    pub(super) fn on_head(&mut self, slot: Slot, connection: &mut Connection, input: &[u8]) {
        let Phase::Head(heading) = &mut connection.phase else { return };
        heading.bytes.extend_from_slice(input);
        let length = match heading.scanner.scan(&heading.bytes) {
            Ok(Some(length)) => length,
            Ok(None) => return,
            Err(refusal) => return self.refuse(slot, connection, &refusal),
        };
        let mut bytes = std::mem::take(&mut heading.bytes);
        let (peer, until) = (heading.peer, heading.until);
        let early = bytes.split_off(length);
        let answered = http::parse(&bytes).and_then(|head| {
            match http::decide(&head)? {
                Request::Page { path, wanted } => {
                    self.serve_page(slot, connection, path, wanted)?
                }
                Request::Upgrade(upgrade) => {
                    self.upgrade(slot, connection, &upgrade, (peer, until, early))?;
                }
            }
            Ok(())
        });
        if let Err(refusal) = answered {
            self.refuse(slot, connection, &refusal);
        }
    }

    /// Answers a request that becomes no WebSocket, and ends.
    pub(super) fn refuse(&mut self, slot: Slot, connection: &mut Connection, refusal: &Refusal) {
        info!(connection = connection.serial, status = refusal.status.line(), reason = %refusal.why, "refused");
        self.answer_and_end(slot, connection, refusal.response().into());
    }

    fn serve_page(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        path: &str,
        wanted: Wanted,
    ) -> Result<(), Refusal> {
        if path != "/" || self.settings.page == Page::Off {
            let is_websocket = path != "/" && self.settings.paths.is_bound(path);
            return Err(if is_websocket { Refusal::WEBSOCKET_ONLY } else { Refusal::NOT_FOUND });
        }
        let content = match wanted {
            Wanted::Whole => http::Content::Whole(page::HTML),
            Wanted::Head => http::Content::LengthOf(page::HTML),
        };
        let response = http::page_response("text/html; charset=utf-8", content);
        self.answer_and_end(slot, connection, response.into());
        Ok(())
    }

    /// Chooses who serves the connection, and asks the broker to let it in (rule L8).
    fn upgrade(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        upgrade: &Upgrade<'_>,
        (peer, until, early): (SocketAddr, super::clock::Moment, Vec<u8>),
    ) -> Result<(), Refusal> {
        let answer: Bytes = http::switching_protocols(&upgrade.accept, None).into();
        let service = match self.settings.paths.choose(upgrade.path) {
            Ok(kind) => kind.service(),
            Err(Unknown::NotFound) => return Err(Refusal::NOT_FOUND),
            Err(_) => {
                self.pace(connection, upgrade.class());
                self.turn_away(slot, connection, answer, (phpws::CLOSE, &UNKNOWN_PATH));
                return Ok(());
            }
        };
        let uuid = ClientUuid(uuid::Uuid::new_v4().into_bytes());
        let client = Client {
            tenant: self.tenant.clone(),
            uuid,
            ident: upgrade.ident.and_then(|text| Ident::new(text).ok()),
            tags: Tags::default(),
            class: class(upgrade, &service),
            takes_publications: service.dialect().is_some(),
            ip: peer.ip(),
        };
        let class = client.class;
        self.pace(connection, class);
        self.uplink.join(slot, client);
        let session = Box::new(Session { uuid, tenant: self.tenant.clone(), class, service });
        info!(connection = connection.serial, client = ?uuid, peer = %peer.ip(),
            path = %shown(upgrade.path), ?class, "joining");
        connection.phase = Phase::Joining(Box::new(Joining { session, answer, early, until }));
        Ok(())
    }

    fn pace(&self, connection: &mut Connection, class: ClientClass) {
        if class == ClientClass::Php {
            let pace = Pace::new(self.settings.ready_gap, self.settings.frame_gap);
            connection.pace = Some(Box::new(pace));
        }
    }

    /// The broker's yes: the client is addressable, so its handshake is completed.
    pub(super) fn open(&mut self, slot: Slot) {
        let Some(mut connection) = self.table.take(slot) else { return };
        if matches!(connection.phase, Phase::Joining(_)) {
            self.open_taken(slot, &mut connection);
        }
        self.put_back(slot, connection);
    }

    fn open_taken(&mut self, slot: Slot, connection: &mut Connection) {
        let Phase::Joining(joining) = self.advance(connection, Phase::Gone) else { return };
        let Joining { session, answer, mut early, .. } = *joining;
        let greeting = match session.service {
            Service::Phpws(_) => Some(phpws::ready(&self.settings.rules.signer.text(session.uuid))),
            Service::Echo => None,
        };
        info!(connection = connection.serial, client = ?session.uuid, "connection opened");
        connection.phase = Phase::Open(session);
        if !self.settings.ping_every.is_zero() && connection.pace.is_none() {
            connection.next_beat = self.now.after(self.settings.ping_every);
        }
        self.greet(slot, connection, answer, greeting.as_deref());
        if !early.is_empty() && connection.is_open() {
            self.on_bytes(slot, connection, &mut early);
        }
    }

    /// The 101 and the first frame: together, or for a client that is paced one after the other.
    fn greet(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        answer: Bytes,
        greeting: Option<&str>,
    ) {
        let frame = greeting.map(|text| write::text_frame(text.as_bytes()));
        if connection.pace.is_some() {
            self.write(slot, connection, answer, Kind::Head);
            if let Some(frame) = frame {
                self.write(slot, connection, frame, Kind::Step);
            }
            return;
        }
        let mut both = BytesMut::from(answer);
        both.extend_from_slice(&frame.unwrap_or_default());
        self.write(slot, connection, both.freeze(), Kind::Frames);
    }

    /// Completes a handshake only to say why it ends: browsers hide an HTTP error from the page,
    /// and PHP clients print it.
    fn turn_away(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        answer: Bytes,
        (text, reason): (&str, &CloseReason),
    ) {
        self.greet(slot, connection, answer, Some(text));
        self.close(slot, connection, reason);
    }

    /// Nobody let the client in before its deadline.
    pub(super) fn give_up_joining(&mut self, slot: Slot, connection: &mut Connection) {
        let Phase::Joining(joining) = &connection.phase else { return };
        let answer = joining.answer.clone();
        if matches!(joining.session.service, Service::Phpws(_)) {
            self.turn_away(slot, connection, answer, (phpws::TRY_AGAIN, &NO_BROKER));
        } else {
            self.refuse(slot, connection, &NO_BROKER_REFUSAL);
        }
    }
}

/// Php-type clients exist on phpWebSocketServer's paths only.
fn class(upgrade: &Upgrade<'_>, service: &Service) -> ClientClass {
    match service {
        Service::Phpws(_) => upgrade.class(),
        Service::Echo => ClientClass::Web,
    }
}

/// A path as the log may show it: it came from outside.
fn shown(path: &str) -> String {
    path.chars().take(64).filter(|c| !c.is_control()).collect()
}
