//! The measured server: its address, its protocol and the messages to it.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection};
use serde_json::{Map, Value, json};
use tungstenite::http::Uri;

use super::connect::{Resumption, WantedClient};
use super::error::{At, BenchError};
use super::template::{PublishForm, RenderedStep, ServerDialect};
use super::tls_tickets::ClientTickets;
use crate::client::{ApplicationKey, ClientCredentials, ServerUrl, tls};
use crate::websocket::{Fin, Opcode, write};

/// The protocol of the measured server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchProtocol {
    /// Packets of phpWebSocketServer.
    Phpws,
    /// Requests of Gomoob.
    Gomoob,
    /// Frames of `tagcast.v1`.
    V1,
    /// Messages of the floor server.
    Floor,
    /// The target that a template describes.
    Template,
}

/// The recipients of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BenchDestination<'a> {
    /// All clients.
    All,
    /// All clients of a group.
    Group(usize),
    /// One client: its UUID, and its group for dialects without UUIDs.
    One(&'a str, usize),
}

/// The server that is measured.
#[derive(Clone, Debug)]
pub(super) struct BenchTarget {
    pub(super) wire: BenchProtocol,
    pub(super) address: SocketAddr,
    url: ServerUrl,
    access: ClientCredentials,
    tls: Option<Arc<ClientConfig>>,
    tickets: Option<Arc<ClientTickets>>,
    dialect: Option<Arc<ServerDialect>>,
}

/// Name of the subprotocol of clients of `tagcast.v1`.
const SUBPROTOCOL: &str = "tagcast.v1";
/// Name of the tag whose value is the group of a client.
const GROUP: &str = "group";
/// Mask of client frames. A zero mask would make unmasking unrealistically cheap for the server.
const MASK: [u8; 4] = [0x5A, 0xA5, 0x3C, 0xC3];

impl BenchTarget {
    pub(super) fn new(
        wire: BenchProtocol,
        url: ServerUrl,
        access: ClientCredentials,
    ) -> Result<Self, BenchError> {
        let mut addresses = (url.host(), url.port()).to_socket_addrs().at("finding the server")?;
        let address = addresses
            .next()
            .ok_or_else(|| BenchError::Plan(format!("{} has no address", url.host())))?;
        let tls = match url.is_tls() {
            true => Some(Arc::new(tls::trusting(access.ca.as_deref())?)),
            false => None,
        };
        Ok(Self { wire, address, url, access, tls, tickets: None, dialect: None })
    }

    /// Returns the target whose clients belong to this application.
    pub(super) fn of_application(mut self, key: ApplicationKey) -> Self {
        self.access.credentials = Some(key);
        self
    }

    /// Returns the target that speaks this dialect.
    pub(super) fn with_dialect(mut self, dialect: &ServerDialect) -> Self {
        self.wire = BenchProtocol::Template;
        self.dialect = Some(Arc::new(dialect.clone()));
        self
    }

    /// Returns the dialect of the template, if there is one.
    pub(super) fn dialect(&self) -> Option<&Arc<ServerDialect>> {
        self.dialect.as_ref()
    }

    /// Returns what happens after the handshake of a client. Empty without a template.
    pub(super) fn steps(&self, wanted: &WantedClient) -> Vec<RenderedStep> {
        if wanted.wire == BenchProtocol::V1 {
            return vec![RenderedStep::Send(self.hello(wanted, None))];
        }
        let topic = wanted.group.map(ServerDialect::topic);
        self.dialect.as_ref().map_or_else(Vec::new, |dialect| dialect.steps(topic.as_deref()))
    }

    /// Returns the first frame of a client of `tagcast.v1`, with what it knows of the connection that it continues.
    pub(super) fn hello(&self, wanted: &WantedClient, earlier: Option<&Resumption>) -> String {
        let mut hello = json!({"op": "hello", "tags": tags_of(wanted)});
        if let Some(members) = hello.as_object_mut() {
            members.extend(self.access.members().map(|(name, text)| (name.into(), text.into())));
            let token = earlier.and_then(|it| it.token.clone());
            members.extend(token.map(|token| ("resume".to_owned(), token.into())));
            let at = earlier.and_then(|it| it.at.clone());
            members.extend(at.map(|at| ("since".to_owned(), at.into())));
        }
        hello.to_string()
    }

    /// Returns the target of clients of `tagcast.v1`.
    pub(super) fn with_v1(mut self) -> Self {
        self.wire = BenchProtocol::V1;
        self
    }

    /// Returns true if publications are HTTP requests.
    pub(super) fn publishes_by_http(&self) -> bool {
        let publish = self.dialect.as_ref().map(|dialect| &dialect.publish);
        matches!(publish, Some(PublishForm::Post { .. }))
    }

    /// Returns the frame that answers a ping of the dialect.
    pub(super) fn answer_to(&self, received: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        if let Some(answer) = self.dialect.as_ref().and_then(|it| it.answer_to(received)) {
            self.put(&mut frame, answer.as_bytes());
        }
        frame
    }

    /// Returns true if a received message is an error of the dialect.
    pub(super) fn is_error(&self, received: &[u8]) -> bool {
        self.dialect.as_ref().is_some_and(|dialect| dialect.is_error(received))
    }

    /// Appends a masked frame with this text.
    pub(super) fn put(&self, frames: &mut Vec<u8>, text: &[u8]) {
        let is_binary = self.dialect.as_ref().is_some_and(|dialect| dialect.is_binary);
        let opcode = if is_binary { Opcode::Binary } else { Opcode::Text };
        write::masked(frames, opcode, Fin::Last, text, MASK);
    }

    /// Keeps one session ticket of each of these clients. With 0 clients every handshake is a full
    /// one. Without TLS nothing changes.
    pub(super) fn with_tickets(mut self, clients: usize) -> Self {
        if let Some(tls) = &mut self.tls {
            let kept = Arc::new(ClientTickets::new(clients));
            Arc::make_mut(tls).resumption = kept.resumption();
            self.tickets = Some(kept);
        }
        self
    }

    /// Lets new connections use tickets of earlier ones.
    pub(super) fn release_tickets(&self) {
        self.tickets.iter().for_each(|tickets| tickets.release());
    }

    /// Returns the client side of TLS for a new connection. None without TLS.
    pub(super) fn tls(&self) -> Result<Option<ClientConnection>, BenchError> {
        let config = self.tls.as_ref().map(Arc::clone);
        Ok(config.map(|config| tls::connection(&self.url, config)).transpose()?)
    }

    /// Returns the arguments with which a helper process reaches the server. They do not contain
    /// the secret.
    pub(super) fn arguments(&self) -> Vec<String> {
        let wire = match self.wire {
            BenchProtocol::Gomoob => "gomoob",
            BenchProtocol::V1 => "v1",
            _ => "phpws",
        };
        let mut arguments =
            ["--url", &self.url.to_text(), "--dialect", wire].map(str::to_owned).to_vec();
        if let Some(credentials) = &self.access.credentials {
            arguments.extend(["--key".to_owned(), credentials.key.clone()]);
        }
        if let Some(ca) = &self.access.ca {
            arguments.extend(["--ca".to_owned(), ca.display().to_string()]);
        }
        arguments
    }

    /// Returns the secret for the server.
    pub(super) fn secret(&self) -> Option<&str> {
        self.access.credentials.as_ref()?.secret()
    }

    /// Returns the dialect of a publication to this destination, because phpws has no groups.
    pub(super) fn wire_to(&self, to: &BenchDestination<'_>) -> BenchProtocol {
        match (self.wire, to) {
            (BenchProtocol::Phpws, BenchDestination::Group(_)) => BenchProtocol::Gomoob,
            (wire, _) => wire,
        }
    }

    /// Returns the handshake request of a client.
    pub(super) fn opening(&self, wanted: &WantedClient) -> Result<Vec<u8>, BenchError> {
        let WantedClient { wire, group, .. } = *wanted;
        if let Some(dialect) = &self.dialect {
            let topic = group.map(ServerDialect::topic);
            return self.request_of(&dialect.path_of(topic.as_deref()), &dialect.headers);
        }
        let mut shown: Vec<(&'static str, String)> =
            self.access.members().map(|(name, text)| (name, text.to_owned())).collect();
        if wire == BenchProtocol::Floor {
            shown.extend(group.map(|group| (GROUP, group.to_string())));
            return Ok(request(&self.with(&shown)?, ""));
        }
        if wire == BenchProtocol::V1 {
            // The first frame has the rest.
            let lines = format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n");
            return Ok(request(&self.with(&[])?, &lines));
        }
        let tags = tags_of(wanted);
        // The parameter selects the Gomoob dialect even if it is empty.
        if !tags.is_empty() || wire == BenchProtocol::Gomoob {
            shown.push(("tags", Value::Object(tags).to_string()));
        }
        // Any value except `php` selects the dialect on every path and changes nothing else.
        let client_type = if wire == BenchProtocol::Phpws { "Client-Type: web\r\n" } else { "" };
        Ok(request(&self.with(&shown)?, client_type))
    }

    /// Returns the handshake request for another server.
    fn request_of(&self, path: &str, headers: &[String]) -> Result<Vec<u8>, BenchError> {
        let authority = format!("{}:{}", self.url.host(), self.url.port());
        let uri = Uri::builder().scheme("ws").authority(authority).path_and_query(path).build();
        let uri =
            uri.map_err(|error| BenchError::Plan(format!("[open] path: `{path}`: {error}")))?;
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        Ok(request(&uri, &lines))
    }

    fn with(&self, shown: &[(&'static str, String)]) -> Result<Uri, BenchError> {
        Ok(self.url.with(shown.iter().map(|(name, text)| (*name, text.as_str())))?)
    }

    /// Returns a publication as the text of a frame.
    pub(super) fn publication(
        &self,
        wire: BenchProtocol,
        to: &BenchDestination<'_>,
        message: &str,
    ) -> String {
        if let Some(dialect) = &self.dialect {
            return self.templated(dialect, to, message);
        }
        match (wire, to) {
            (BenchProtocol::Floor, BenchDestination::All) => format!("* {message}"),
            (
                BenchProtocol::Floor,
                BenchDestination::Group(group) | BenchDestination::One(_, group),
            ) => format!("{group} {message}"),
            (BenchProtocol::Phpws, BenchDestination::One(uuid, _)) => {
                self.packet(json!({"opcode": "feedback", "uuid": uuid, "message": message}))
            }
            (BenchProtocol::Phpws | BenchProtocol::Template, _) => {
                self.packet(json!({"opcode": "broadcast", "message": message}))
            }
            (BenchProtocol::V1, to) => {
                let to = match to {
                    BenchDestination::All => json!({"all": true}),
                    BenchDestination::Group(group) => json!({"tags": {GROUP: group.to_string()}}),
                    BenchDestination::One(uuid, _) => json!({"uuid": uuid}),
                };
                json!({"op": "pub", "to": to, "data": message}).to_string()
            }
            (BenchProtocol::Gomoob, BenchDestination::All) => self.tagged(message, &json!({})),
            (
                BenchProtocol::Gomoob,
                BenchDestination::Group(group) | BenchDestination::One(_, group),
            ) => self.tagged(message, &json!({GROUP: group.to_string()})),
        }
    }

    /// Returns the text of a frame or, for servers that take publications by HTTP, a request.
    fn templated(
        &self,
        dialect: &ServerDialect,
        to: &BenchDestination<'_>,
        message: &str,
    ) -> String {
        let topic = ServerDialect::topic(match to {
            BenchDestination::All => 0,
            BenchDestination::Group(group) | BenchDestination::One(_, group) => *group,
        });
        match &dialect.publish {
            PublishForm::Frame(text) => text.render(&topic, message),
            PublishForm::Post { path, headers, body } => {
                let (path, body) = (path.render(&topic, message), body.render(&topic, message));
                let (host, port) = (self.url.host(), self.url.port());
                let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
                format!(
                    "POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: tagcast-bench\r\n\
                     {lines}Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
        }
    }

    fn packet(&self, mut packet: Value) -> String {
        if let Some(members) = packet.as_object_mut() {
            members.extend(self.access.members().map(|(name, text)| (name.into(), text.into())));
        }
        packet.to_string()
    }

    fn tagged(&self, message: &str, tags: &Value) -> String {
        let metadata: Map<_, _> =
            self.access.members().map(|(name, text)| (name.to_owned(), text.into())).collect();
        let mut request = json!({"message": message, "tags": tags});
        if let Some(members) = request.as_object_mut().filter(|_| !metadata.is_empty()) {
            members.insert("metadata".to_owned(), metadata.into());
        }
        request.to_string()
    }
}

/// Returns the tags of a client.
fn tags_of(wanted: &WantedClient) -> Map<String, Value> {
    let WantedClient { group, tags, own, .. } = *wanted;
    let value = own.map_or_else(|| "yes".to_owned(), |client| client.to_string());
    let more = (1..tags).map(|n| (format!("tag{n}"), value.clone()));
    let group = group.or_else(|| (tags > 0).then_some(0));
    let own = group.map(|group| (GROUP.to_owned(), group.to_string())).into_iter().chain(more);
    own.map(|(name, value)| (name, value.into())).collect()
}

/// Returns a handshake request with these additional lines.
fn request(uri: &Uri, lines: &str) -> Vec<u8> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tagcast-bench\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         {lines}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// Appends a masked text frame.
pub(super) fn put_text(frames: &mut Vec<u8>, text: &[u8]) {
    write::masked(frames, Opcode::Text, Fin::Last, text, MASK);
}

/// Returns the pong for a ping.
pub(super) fn pong(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write::masked(&mut frame, Opcode::Pong, Fin::Last, payload, MASK);
    frame
}
