//! Which resource serves a request, and how its connection speaks.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::protocol::Protocol;
use crate::types::{WordChoice, word_choices};

/// A built-in resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuiltinKind {
    /// phpWebSocketServer's packets.
    Phpws,
    /// Gomoob's requests.
    Gomoob,
    /// Every message back to its sender.
    Echo,
    /// No answer to anything.
    Silent,
    /// The end of the connection at its first message: its subprotocol names nothing.
    Nameless,
}

/// The place of a resource in the list of a worker; the built-in ones come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ResourceId(u16);

impl ResourceId {
    /// The place of a resource that is not built in, by its place among those.
    #[must_use]
    pub fn beyond(place: usize) -> Self {
        Self(u16::try_from(place + BuiltinKind::ALL.len()).unwrap_or(u16::MAX))
    }

    /// Whether it is one of those that look at messages only.
    #[must_use]
    pub fn is_built_in(self) -> bool {
        self.place() < BuiltinKind::ALL.len()
    }

    /// A key for what is kept of it.
    #[must_use]
    pub fn key(self) -> u16 {
        self.0
    }

    /// The place in the list.
    #[must_use]
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

impl BuiltinKind {
    /// All of them, in the order of the list.
    pub const ALL: [Self; 5] =
        [Self::Phpws, Self::Gomoob, Self::Echo, Self::Silent, Self::Nameless];

    /// The built-in resource of this kind.
    #[must_use]
    pub const fn id(self) -> ResourceId {
        match self {
            Self::Phpws => ResourceId(0),
            Self::Gomoob => ResourceId(1),
            Self::Echo => ResourceId(2),
            Self::Silent => ResourceId(3),
            Self::Nameless => ResourceId(4),
        }
    }

    fn choice<'a>(self) -> Route<'a> {
        Route { resource: self.id(), protocol: None, subprotocol: None }
    }
}

/// What a path comes to that nothing is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownPath {
    /// 101, `{"opcode":"close"}`, Close 1008: clients of phpWebSocketServer show a message for it.
    Phpws,
    /// An HTTP 404.
    NotFound,
    /// A built-in resource.
    Served(BuiltinKind),
}

impl WordChoice for UnknownPath {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("phpws", Self::Phpws),
        ("404", Self::NotFound),
        ("echo", Self::Served(BuiltinKind::Echo)),
        ("gomoob", Self::Served(BuiltinKind::Gomoob)),
    ];
}

/// What serves `/`.
impl WordChoice for Option<BuiltinKind> {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("phpws", Some(BuiltinKind::Phpws)),
        ("gomoob", Some(BuiltinKind::Gomoob)),
        ("echo", Some(BuiltinKind::Echo)),
        ("none", None),
    ];
}

/// What a path or a name can be bound to in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResourceKind {
    /// A built-in resource.
    BuiltIn(BuiltinKind),
    /// A client's text to all clients of the same resource, itself included.
    Broadcast,
    /// A backend of the user's own, over HTTP.
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

/// What a request says about the protocol that its client expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedProtocol {
    /// The headers `Client-Type` or `Ident`: phpWebSocketServer's.
    Phpws,
    /// Gomoob's PHP client.
    GomoobPhp,
    /// Tags, or key and secret, in the query: Gomoob's, where nobody else claims the path.
    GomoobQuery,
    /// Nothing.
    Nothing,
}

/// What a path or a name is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// A built-in resource, which pins the protocol too.
    Kind(BuiltinKind),
    /// A resource that is not built in: of an embedding program, or made from the file.
    Beyond(ResourceId),
}

/// What a request says about who is to serve it.
#[derive(Clone, Copy, Debug)]
pub struct RouteRequest<'t, 'a> {
    /// Its path.
    pub path: &'t str,
    /// Its query, as it came.
    pub query: &'t str,
    /// The protocol that it expects.
    pub asked: RequestedProtocol,
    /// The subprotocols that it offers, with commas, the one it likes best first.
    pub protocols: &'t [&'a str],
    /// The same as it came, for who takes it for one name.
    pub offered: Option<&'a str>,
}

/// How exact a handshake has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactness {
    /// As RFC 6455 has it.
    Rfc6455,
    /// It may announce a body, which is not there: the original took frames behind the head.
    AnyLength,
    /// The same, and the original looked at no key: one-shot scripts send letters of their own.
    AnyKey,
}

word_choices! {
    /// What becomes of the subprotocols that a client offers.
    Offers {
        /// The first known one is agreed.
        Negotiated = "negotiated",
        /// They are one name, which is given back as it came, known or not: PHP-WebSockets-Server's way.
        OneName = "legacy",
    }
}

/// Who serves a connection.
#[derive(Debug)]
pub struct Route<'a> {
    /// The resource.
    pub resource: ResourceId,
    /// How the connection speaks, where its headers decide that and not the resource.
    pub protocol: Option<Protocol>,
    /// The subprotocol that chose it, for the 101.
    pub subprotocol: Option<&'a str>,
}

/// The paths that are served. They are compared to the letter; the query is no part of them.
///
/// A name without a slash stands for the subprotocol of that name, and for a query that is that name
/// and nothing else (`/any?Foo`), as PHP-WebSockets-Server has it.
#[derive(Debug)]
pub struct Routes {
    bound: HashMap<Box<str>, Binding>,
    default: Option<BuiltinKind>,
    unknown: UnknownPath,
    offers: Offers,
}

/// The paths that phpWebSocketServer registers beside `/`.
const PHPWS_PATHS: [&str; 2] = ["/web", "/php"];

impl Routes {
    /// No bindings: `default` serves `/`, phpWebSocketServer's paths are as it has them. Without one
    /// `/` is a path that nothing is bound to.
    #[must_use]
    pub fn new(default: impl Into<Option<BuiltinKind>>, unknown: UnknownPath) -> Self {
        let offers = Offers::Negotiated;
        Self { bound: HashMap::new(), default: default.into(), unknown, offers }
    }

    /// Takes subprotocols another way.
    #[must_use]
    pub fn taking(self, offers: Offers) -> Self {
        Self { offers, ..self }
    }

    /// Binds a path or a name, also one that was bound before.
    pub fn bind(&mut self, name: &str, binding: Binding) {
        self.bound.insert(name.into(), binding);
    }

    /// Who serves a request: the order of `docs/protocol.md`.
    ///
    /// # Errors
    ///
    /// What to do with a path that nothing is bound to.
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

    /// The first subprotocol that is known, else the name in the query.
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

    /// How exact the handshakes are that clients of this path send.
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

    /// Whether the configuration or an embedding program says what this path is served by.
    #[must_use]
    pub fn is_spoken_for(&self, path: &str) -> bool {
        self.bound.contains_key(path)
    }

    /// Whether a plain GET of this path asks for something that speaks WebSocket only.
    #[must_use]
    pub fn is_bound(&self, path: &str) -> bool {
        self.bound.contains_key(path) || PHPWS_PATHS.contains(&path)
    }
}

/// Who serves what is bound. Headers choose the protocol of a resource that is not built in, but
/// never the resource.
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
