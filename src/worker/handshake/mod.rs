//! From a request head to an answer: a WebSocket, a page, or a refusal.

pub(crate) mod admission;
pub(crate) mod authorize;
pub(crate) mod legacy;
pub(crate) mod pages;
pub(crate) mod refusals;
pub(crate) mod server_name;
pub(crate) mod session_cookie;

use std::net::{IpAddr, SocketAddr};

use bytes::{Bytes, BytesMut};
use rustix::net::getsockname;
use tracing::{debug, info};

use self::admission::{AdmittedClient, Rejection};
use self::legacy::FirstBytes;
use self::pages::{PageAsked, program_for};
use self::refusals::Caller;
use super::bloatless::Answered;
use super::clock::Moment;
use super::connection::outbox::PartKind;
use super::connection::pacing::Pacer;
use super::connection::{
    Connection, FULL, JoinRequest, KeepaliveMode, NO_BROKER, PendingJoin, Phase,
};
use super::dispatch::delivery_report;
use super::dispatch::{ConnectionEffect, Rest};
use super::event_loop::EventLoop;
use crate::config::EchoHandshake;
use crate::http::{self, Refusal, RefusalStatus, RequestKind, Upgrade};
use crate::link::message::Full;
use crate::protocol::phpws;
use crate::resource::{ConnectRequest, Limit};
use crate::session::{Session, Speech};
use crate::types::limits::RAW_PAUSE;
use crate::types::{Client, ClientClass, CloseReason, CompatFlag, Ident, Slot};
use crate::websocket::write;

const NO_BROKER_REFUSAL: Refusal =
    Refusal::new(RefusalStatus::Unavailable, "the server is busy: try again later");

const NO_ROOM_FOR_HEADS: Refusal = Refusal::new(
    RefusalStatus::Unavailable,
    "too many long requests come at once: try again later",
);

/// A whole request head, and what came with it.
struct ReceivedHead<'a> {
    head: &'a [u8],
    /// What came behind the head.
    early: Vec<u8>,
    peer: SocketAddr,
    until: Moment,
}

impl EventLoop {
    /// Takes bytes of a request head.
    pub(super) fn on_head(&mut self, slot: Slot, connection: &mut Connection, input: &[u8]) {
        let Phase::Head(heading) = &mut connection.phase else { return };
        heading.bytes.extend_from_slice(input);
        if self.on_first_words(slot, connection) == FirstBytes::Done {
            return;
        }
        let Phase::Head(heading) = &mut connection.phase else { return };
        let scanner = heading.scanner;
        let length = match heading.scanner.scan(&heading.bytes) {
            Ok(Some(length)) if self.settings.legacy.waits_behind(heading, length) => {
                heading.scanner = scanner;
                return;
            }
            Ok(Some(length)) => length,
            Ok(None) if heading.bytes.len() > self.doors.share_of_heads() => {
                return self.refuse(slot, connection, &NO_ROOM_FOR_HEADS);
            }
            Ok(None) => return,
            Err(refusal) => return self.refuse(slot, connection, &refusal),
        };
        let mut bytes = std::mem::take(&mut heading.bytes);
        let (peer, until) = (heading.peer, heading.until);
        let mut early = bytes.split_off(length);
        let answered = http::parse(&bytes).and_then(|head| {
            let request = match self.settings.answers_in_bytes(head.path()) {
                true => http::decide_leniently(&head)?,
                false => self.decide(connection, &head, &mut early)?,
            };
            match request {
                RequestKind::Page { path, wanted } => {
                    let asked = PageAsked { path, wanted, program: program_for(peer, &head) };
                    self.serve_page(slot, connection, asked)?;
                }
                RequestKind::Upgrade(upgrade) => {
                    let arrived = ReceivedHead { head: &bytes, early, peer, until };
                    self.upgrade(slot, connection, &upgrade, arrived)?;
                }
            }
            Ok(())
        });
        if let Err(refusal) = answered {
            self.refuse_head(slot, connection, &refusal, &bytes);
        }
    }

    /// Chooses who serves the connection, and asks the broker to let it in (rule L8).
    #[expect(clippy::too_many_lines, reason = "the steps of a decision, in their order")]
    fn upgrade(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        upgrade: &Upgrade<'_>,
        ReceivedHead { head, early, peer, until }: ReceivedHead<'_>,
    ) -> Result<(), Refusal> {
        let plain = |protocol| Bytes::from(upgrade.answer(protocol));
        let admitted = match self.admit_upgrade(upgrade, (peer, slot)) {
            Ok(admitted) => admitted,
            Err(Rejection::Refused(refusal)) => {
                let Some(bytes) = self.settings.bare_refusal(upgrade.path, &refusal) else {
                    return Err(refusal);
                };
                self.log_refused(connection, head, (refusal.status.line(), &refusal.why));
                self.answer_and_end(slot, connection, bytes);
                return Ok(());
            }
            Err(Rejection::Closed { class, word, reason }) => {
                self.log_closed(connection, head, &reason);
                self.pace(connection, class);
                self.turn_away(slot, connection, plain(None), (word, &reason));
                return Ok(());
            }
        };
        let uuid = self.dice.uuid();
        let AdmittedClient {
            grant,
            resource,
            speech,
            protocol,
            class,
            reach,
            counted,
            tags,
            ip,
            sign,
        } = admitted;
        let ident = upgrade.ident().as_deref().and_then(|text| Ident::new(text).ok());
        debug!(connection = connection.serial, client = ?uuid,
            path = %shown(upgrade.path), ?class, "joining");
        let client = Client {
            tenant: grant.tenant.clone(),
            uuid,
            ident,
            tags,
            class: reach,
            takes_publications: speech.dialect().is_some(),
            counted,
            ip,
        };
        self.pace(connection, class);
        (connection.resource, connection.sign) = (resource, sign);
        if protocol.is_none() && upgrade.protocols().next().is_some() {
            self.unmet_offers.insert(connection.serial);
        }
        let token =
            delivery_report::granted(upgrade, speech, (&self.settings.rules.access, &grant));
        let mut session = Box::new(Session::new(uuid, grant, (class, speech)));
        session.words = token.and_then(delivery_report::words);
        let asked = || JoinRequest {
            head: head.to_owned(),
            peer: SocketAddr::new(ip, peer.port()),
            protocol: protocol.map(str::to_owned),
            user: None,
            commands: Vec::new(),
            never: None,
        };
        let asked = (!resource.is_built_in()).then(|| Box::new(asked()));
        let answer = match (self.settings.echo_handshake, speech) {
            (EchoHandshake::Legacy, Speech::Echo | Speech::Plain)
                if upgrade.wire == http::WireFormat::Rfc6455 =>
            {
                upgrade.switching_protocols_of_2011(protocol).into()
            }
            _ => match token {
                None => plain(protocol),
                Some(token) => delivery_report::in_answer(upgrade.answer(protocol), token).into(),
            },
        };
        let caller = Box::new(Caller::of(peer, upgrade.head, &self.settings.trusted_proxies));
        let joining = PendingJoin { session, caller, answer, asked, early, until };
        self.ask_or_join(slot, connection, (Box::new(joining), client));
        Ok(())
    }

    /// The address that a client has connected to.
    pub(super) fn local_ip(&self, slot: Slot) -> Option<IpAddr> {
        let address = getsockname(self.table.socket(slot)?).ok()?;
        SocketAddr::try_from(address).ok().map(|address| address.ip())
    }

    fn pace(&self, connection: &mut Connection, class: ClientClass) {
        if class == ClientClass::Php {
            let pace = Pacer::new(self.settings.ready_gap, self.settings.frame_gap);
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
        let PendingJoin { session, answer, asked, mut early, .. } = *joining;
        let greeting = (session.speech == Speech::Phpws)
            .then(|| phpws::ready(&self.settings.rules.signer.text(session.uuid)));
        // One line for the beginning of a life: with two the log was two fifths of a handshake.
        let peer = self.relay.uplink.client(slot).map(|client| client.ip);
        info!(connection = connection.serial, client = ?session.uuid,
            peer = peer.map(tracing::field::display), class = ?session.class, "connection opened");
        self.books.opened += 1;
        connection.phase = Phase::Open(session);
        connection.next_beat = self.first_beat(connection.sign);
        let mut rest =
            asked.map_or_else(Rest::new, |asked| self.tell_open(slot, connection, *asked));
        if matches!(rest.first(), Some(ConnectionEffect::Settle)) {
            rest.remove(0);
            // Whoever sees it open finds what its resource has done with it (rule L8).
            self.hold_until_done(slot, connection, &mut BytesMut::new());
        }
        self.greet(slot, connection, answer, greeting.as_deref());
        self.say(slot, connection, rest);
        if !early.is_empty() && connection.is_open() {
            self.on_bytes(slot, connection, &mut early);
        }
    }

    /// Tells the resource that a connection was opened, and does what its backend said when it was
    /// asked; what is left to do on the connection itself.
    fn tell_open(&mut self, slot: Slot, connection: &Connection, asked: JoinRequest) -> Rest {
        let Ok(head) = http::parse(&asked.head) else { return Rest::new() };
        let opening = ConnectRequest::new(&head, asked.peer, asked.protocol.as_deref());
        let opening = opening.with_user(asked.user.as_deref());
        let mut rest = self.told(slot, connection, |resource, handle| {
            resource.on_open(handle, &opening);
        });
        if !rest.iter().any(|own| matches!(own, ConnectionEffect::Close(_))) {
            let (commanded, _) = self.told_by_backend(slot, connection, ("open", asked.commands));
            rest.extend(commanded);
        }
        let is_settle = |own: &ConnectionEffect| matches!(own, ConnectionEffect::Settle);
        if rest.iter().any(is_settle) {
            rest.retain(|own| !is_settle(own));
            rest.insert(0, ConnectionEffect::Settle);
        }
        rest
    }

    pub(super) fn first_beat(&self, sign: KeepaliveMode) -> Moment {
        match sign {
            KeepaliveMode::Ping if !self.settings.ping_every.is_zero() => {
                self.now.after(self.settings.ping_every)
            }
            KeepaliveMode::KeepAlive if !self.settings.php_keepalive.is_zero() => {
                self.now.after(self.settings.php_keepalive)
            }
            // There may be the beginning of a message.
            KeepaliveMode::Pause => self.now.after(RAW_PAUSE),
            KeepaliveMode::Ping | KeepaliveMode::KeepAlive | KeepaliveMode::Kernel => Moment::NEVER,
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
        if connection.pace.is_some() || connection.reader.foreign().is_some() {
            self.write(slot, connection, answer, PartKind::Head);
            if let Some(frame) = frame {
                self.write(slot, connection, frame, PartKind::Step);
            }
            return;
        }
        let mut both = BytesMut::from(answer);
        both.extend_from_slice(&frame.unwrap_or_default());
        self.write(slot, connection, both.freeze(), PartKind::Frames);
    }

    /// Completes a handshake only to say why it ends: browsers hide an HTTP error from the page,
    /// and PHP clients print it.
    pub(super) fn turn_away(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        answer: Bytes,
        (word, reason): (Option<&str>, &CloseReason),
    ) {
        self.greet(slot, connection, answer, word);
        match word {
            Some(_) if self.settings.has(CompatFlag::AbruptClose) => {
                self.cut(slot, connection, reason);
            }
            _ => self.close(slot, connection, reason),
        }
    }

    /// Nobody let the client in before its deadline.
    pub(super) fn give_up_joining(&mut self, slot: Slot, connection: &mut Connection) {
        let refusal = NO_BROKER_REFUSAL;
        self.end_joining(slot, connection, (phpws::TRY_AGAIN, &NO_BROKER), &refusal);
    }

    /// There are as many clients as there may be, in all or from this address.
    pub(super) fn turn_full_away(&mut self, slot: Slot, full: Full, client: &Client) {
        let Some(mut connection) = self.table.take(slot) else { return };
        let (why, status, limit) = match full {
            Full::Clients => {
                ("Too many connections".to_owned(), RefusalStatus::Unavailable, Limit::Clients)
            }
            Full::Address => {
                let why = format!("Too many connections from: {}", client.ip);
                (why, RefusalStatus::TooManyRequests, Limit::Address)
            }
        };
        self.call_at_desk(connection.resource, |it, desk| it.on_full(desk, client, limit));
        if self.turn_away_in_bytes(slot, &mut connection) == Answered::Yes {
            return self.put_back(slot, connection);
        }
        let word = match full {
            _ if !self.settings.has(CompatFlag::LegacyTypos) => phpws::close_because(&why),
            Full::Clients => phpws::close_because("To many connections "),
            Full::Address => {
                phpws::close_because(&format!("To many connections from:  {}", client.ip))
            }
        };
        let refusal = Refusal { status, why: why.into() };
        self.end_joining(slot, &mut connection, (&word, &FULL), &refusal);
        self.put_back(slot, connection);
    }

    fn end_joining(
        &mut self,
        slot: Slot,
        connection: &mut Connection,
        (word, reason): (&str, &CloseReason),
        refusal: &Refusal,
    ) {
        let joining = match &connection.phase {
            Phase::Joining(joining) => joining,
            Phase::Authorizing(asking) => &asking.joining,
            _ => return,
        };
        if joining.session.speech == Speech::Phpws {
            let answer = joining.answer.clone();
            self.log_refused(connection, b"", (refusal.status.line(), &refusal.why));
            self.turn_away(slot, connection, answer, (Some(word), reason));
        } else {
            self.refuse(slot, connection, refusal);
        }
    }
}

/// A path as the log may show it: it came from outside.
fn shown(path: &str) -> String {
    path.chars().take(64).filter(|c| !c.is_control()).collect()
}
