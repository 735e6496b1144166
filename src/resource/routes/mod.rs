//! Routing: which resource serves a request, and in which protocol.

mod requested;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

pub use self::requested::RequestedProtocol;
use crate::protocol::{Protocol, phpws};
use crate::types::{WordChoice, word_choices};

/// Built-in resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuiltinKind {
    /// Packets of phpWebSocketServer.
    Phpws,
    /// Requests of Gomoob.
    Gomoob,
    /// Returns each message to its sender.
    Echo,
    /// Ignores all messages.
    Silent,
    /// Closes the connection at its first message, because its subprotocol is unknown.
    Nameless,
    /// Requests of `tagcast.v1` only.
    V1,
}

/// Position of a resource in the list of a worker. The built-in resources come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResourceId(u16);

impl ResourceId {
    /// Returns the id of a resource that is not built in. `place` is its position among those
    /// resources.
    #[must_use]
    pub fn beyond(place: usize) -> Self {
        Self(u16::try_from(place + BuiltinKind::ALL.len()).unwrap_or(u16::MAX))
    }

    /// Returns true for a built-in resource. Those implement only `on_message`.
    #[must_use]
    pub fn is_built_in(self) -> bool {
        self.place() < BuiltinKind::ALL.len()
    }

    /// Returns true for the resource of scripts: a client that calls itself a script is checked by its
    /// address there.
    #[must_use]
    pub fn is_for_scripts(self) -> bool {
        self == BuiltinKind::Phpws.id()
    }

    /// Returns the id as a number, for use as a map key.
    #[must_use]
    pub fn key(self) -> u16 {
        self.0
    }

    /// Returns the position in the list.
    #[must_use]
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

impl BuiltinKind {
    /// All built-in resources, in the order of their ids.
    pub const ALL: [Self; 6] =
        [Self::Phpws, Self::Gomoob, Self::Echo, Self::Silent, Self::Nameless, Self::V1];

    /// Returns the id of the built-in resource.
    #[must_use]
    pub const fn id(self) -> ResourceId {
        match self {
            Self::Phpws => ResourceId(0),
            Self::Gomoob => ResourceId(1),
            Self::Echo => ResourceId(2),
            Self::Silent => ResourceId(3),
            Self::Nameless => ResourceId(4),
            Self::V1 => ResourceId(5),
        }
    }

    fn choice<'a>(self) -> Route<'a> {
        Route { resource: self.id(), protocol: None, subprotocol: None }
    }
}

/// Treatment of a path without a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownPath {
    /// Accept with 101, then send `{"opcode":"close"}` and Close 1008. Clients of
    /// phpWebSocketServer show a message for it.
    Closed,
    /// Refuse with HTTP 404.
    NotFound,
    /// Serve with a built-in resource.
    Served(BuiltinKind),
}

impl UnknownPath {
    /// Text of the frame before the Close frame, for a client that is closed.
    pub const CLOSE_WORD: &'static str = phpws::CLOSE;
}

impl WordChoice for UnknownPath {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("phpws", Self::Closed),
        ("404", Self::NotFound),
        ("echo", Self::Served(BuiltinKind::Echo)),
        ("gomoob", Self::Served(BuiltinKind::Gomoob)),
    ];
}

/// Resource of the path `/`.
impl WordChoice for Option<BuiltinKind> {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("phpws", Some(BuiltinKind::Phpws)),
        ("gomoob", Some(BuiltinKind::Gomoob)),
        ("echo", Some(BuiltinKind::Echo)),
        ("none", None),
    ];
}

/// Resource that the configuration can bind to a path or a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResourceKind {
    /// Built-in resource.
    BuiltIn(BuiltinKind),
    /// Sends each client's text to all clients of the resource, including the sender.
    Broadcast,
    /// Backend of the operator, over HTTP.
    Http,
}

impl WordChoice for ResourceKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("phpws", Self::BuiltIn(BuiltinKind::Phpws)),
        ("echo", Self::BuiltIn(BuiltinKind::Echo)),
        ("gomoob", Self::BuiltIn(BuiltinKind::Gomoob)),
        ("broadcast", Self::Broadcast),
        ("http", Self::Http),
    ];
}

/// Binding of a path or a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Built-in resource. It also determines the protocol.
    Kind(BuiltinKind),
    /// Resource of an embedding program or of the configuration.
    Beyond(ResourceId),
}

/// Parts of a request that decide its route.
#[derive(Clone, Copy, Debug)]
pub struct RouteRequest<'t, 'a> {
    /// Path.
    pub path: &'t str,
    /// Query, not decoded.
    pub query: &'t str,
    /// Protocol that the request indicates.
    pub asked: RequestedProtocol,
    /// Offered subprotocols, in the client's order of preference.
    pub protocols: &'t [&'a str],
    /// Unparsed header of the offered subprotocols, for servers that take it as one name.
    pub offered: Option<&'a str>,
}

/// Strictness of the handshake check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// All rules of RFC 6455.
    Rfc6455,
    /// The request may announce a body that it does not have. The original read the bytes after the
    /// head as frames.
    AnyLength,
    /// As `AnyLength`, and the key may have any value. The original did not check keys, and
    /// one-shot scripts send arbitrary letters.
    AnyKey,
}

word_choices! {
    /// Interpretation of the offered subprotocols.
    Offers {
        /// The server agrees to the first offered subprotocol that it knows.
        Negotiated = "negotiated",
        /// The offer is one name and is returned unchanged, known or not, as in
        /// PHP-WebSockets-Server.
        OneName = "legacy",
    }
}

/// Result of routing a request.
#[derive(Debug)]
pub struct Route<'a> {
    /// Resource that serves the connection.
    pub resource: ResourceId,
    /// Protocol of the connection if its headers determine it. `None`: the resource determines it.
    pub protocol: Option<Protocol>,
    /// Subprotocol that selected the resource, for the 101 response.
    pub subprotocol: Option<&'a str>,
}

/// Routes to resources. Paths are compared byte for byte, without the query.
///
/// A name without a slash matches a subprotocol of that name. It also matches a query that consists
/// of the name only (`/any?Foo`), as in PHP-WebSockets-Server.
#[derive(Debug)]
pub struct Routes {
    bound: HashMap<Box<str>, Binding>,
    default: Option<BuiltinKind>,
    unknown: UnknownPath,
    offers: Offers,
}

/// Paths that phpWebSocketServer registers in addition to `/`.
const PHPWS_PATHS: [&str; 2] = ["/web", "/php"];

impl Routes {
    /// Creates routes without bindings. `default` serves `/`; with `None` no resource serves `/`.
    /// phpWebSocketServer's paths are served as in the original.
    #[must_use]
    pub fn new(default: impl Into<Option<BuiltinKind>>, unknown: UnknownPath) -> Self {
        let offers = Offers::Negotiated;
        Self { bound: HashMap::new(), default: default.into(), unknown, offers }
    }

    /// Sets the interpretation of offered subprotocols.
    #[must_use]
    pub fn taking(self, offers: Offers) -> Self {
        Self { offers, ..self }
    }

    /// Binds a path or a name. Replaces an existing binding.
    pub fn bind(&mut self, name: &str, binding: Binding) {
        self.bound.insert(name.into(), binding);
    }

    /// Returns the route of a request. `docs/protocol.md` documents the order of the rules.
    ///
    /// # Errors
    ///
    /// Returns the treatment of unknown paths if no rule matches.
    pub fn choose<'a>(&self, target: &RouteRequest<'_, 'a>) -> Result<Route<'a>, UnknownPath> {
        let RouteRequest { path, asked, .. } = *target;
        if let Some(binding) = self.bound.get(path).filter(|_| path.starts_with('/')) {
            return Ok(bound(*binding, asked));
        }
        let is_phpws = PHPWS_PATHS.contains(&path);
        match asked {
            RequestedProtocol::Phpws if is_phpws || path == "/" => Ok(BuiltinKind::Phpws.choice()),
            RequestedProtocol::GomoobPhp => Ok(BuiltinKind::Gomoob.choice()),
            _ if is_phpws => Ok(BuiltinKind::Phpws.choice()),
            RequestedProtocol::GomoobQuery => Ok(BuiltinKind::Gomoob.choice()),
            _ => self.named(target).map_or_else(|| self.fall_back(target), Ok),
        }
    }

    /// Returns the resource of a path for a client of `tagcast.v1`. `None`: the path is bound to a built-in
    /// resource, which has a protocol of its own.
    #[must_use]
    pub fn choose_for_requests(&self, path: &str) -> Option<ResourceId> {
        match self.bound.get(path).filter(|_| path.starts_with('/')) {
            Some(Binding::Beyond(resource)) => Some(*resource),
            Some(Binding::Kind(_)) => None,
            None => Some(BuiltinKind::V1.id()),
        }
    }

    /// Returns the route of the first known subprotocol, or else of the name in the query.
    fn named<'a>(&self, target: &RouteRequest<'_, 'a>) -> Option<Route<'a>> {
        if let (Offers::OneName, Some(offered)) = (self.offers, target.offered) {
            let known = self.by_name(offered).map(|binding| bound(*binding, target.asked));
            let choice = known.unwrap_or_else(|| BuiltinKind::Nameless.choice());
            return Some(Route { subprotocol: Some(offered), ..choice });
        }
        for protocol in target.protocols.iter().copied() {
            if let Some(binding) = self.by_name(protocol) {
                return Some(Route {
                    subprotocol: Some(protocol),
                    ..bound(*binding, target.asked)
                });
            }
        }
        self.by_name(target.query).map(|binding| bound(*binding, target.asked))
    }

    fn by_name(&self, name: &str) -> Option<&Binding> {
        Some(name).filter(|name| !name.starts_with('/')).and_then(|name| self.bound.get(name))
    }

    fn fall_back<'a>(&self, target: &RouteRequest<'_, '_>) -> Result<Route<'a>, UnknownPath> {
        let default = self
            .default
            .filter(|_| target.asked == RequestedProtocol::Nothing && target.path == "/");
        match (default, self.unknown) {
            (Some(kind), _) | (None, UnknownPath::Served(kind)) => Ok(kind.choice()),
            (None, unknown) => Err(unknown),
        }
    }

    /// Returns how strictly handshakes of this path are checked.
    #[must_use]
    pub fn exactness(&self, path: &str, resource: ResourceId) -> Exactness {
        let is_bound = self.bound.contains_key(path);
        match BuiltinKind::ALL.get(resource.place()) {
            Some(BuiltinKind::Phpws) => Exactness::AnyKey,
            Some(BuiltinKind::Gomoob) if !is_bound => Exactness::AnyLength,
            Some(BuiltinKind::Echo | BuiltinKind::Silent | BuiltinKind::Nameless) if !is_bound => {
                Exactness::AnyKey
            }
            _ => Exactness::Rfc6455,
        }
    }

    /// Returns true if the configuration or an embedding program has bound this path.
    #[must_use]
    pub fn is_spoken_for(&self, path: &str) -> bool {
        self.bound.contains_key(path)
    }

    /// Returns true if this path is served only over WebSocket, for the response to a plain GET.
    #[must_use]
    pub fn is_bound(&self, path: &str) -> bool {
        self.bound.contains_key(path) || PHPWS_PATHS.contains(&path)
    }
}

/// Returns the route of a binding. Headers determine the protocol of a resource that is not built
/// in, but never the resource.
fn bound<'a>(binding: Binding, asked: RequestedProtocol) -> Route<'a> {
    let resource = match binding {
        Binding::Kind(kind) => return kind.choice(),
        Binding::Beyond(resource) => resource,
    };
    let protocol = match asked {
        RequestedProtocol::Phpws => Some(Protocol::Phpws),
        RequestedProtocol::GomoobPhp => Some(Protocol::Gomoob),
        RequestedProtocol::GomoobQuery | RequestedProtocol::Nothing => None,
    };
    Route { resource, protocol, subprotocol: None }
}

#[cfg(test)]
mod tests;
