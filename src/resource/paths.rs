//! Which resource serves a request, and how its connection speaks.

use std::collections::HashMap;

use crate::session::Speech;

/// A built-in resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// phpWebSocketServer's packets.
    Phpws,
    /// Gomoob's requests.
    Gomoob,
    /// Every message back to its sender.
    Echo,
}

/// The place of a resource in the list of a worker; the built-in ones come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceId(u16);

impl ResourceId {
    /// The place of a resource of an embedding program, by its place among those.
    #[must_use]
    pub fn own(place: usize) -> Self {
        Self(u16::try_from(place + Kind::ALL.len()).unwrap_or(u16::MAX))
    }

    /// Whether it is one of an embedding program.
    #[must_use]
    pub fn is_own(self) -> bool {
        self.place() >= Kind::ALL.len()
    }

    /// The place in the list.
    #[must_use]
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

impl Kind {
    /// All of them, in the order of the list.
    pub const ALL: [Self; 3] = [Self::Phpws, Self::Gomoob, Self::Echo];

    const fn id(self) -> ResourceId {
        match self {
            Self::Phpws => ResourceId(0),
            Self::Gomoob => ResourceId(1),
            Self::Echo => ResourceId(2),
        }
    }

    fn choice(self) -> Choice {
        Choice { resource: self.id(), speech: None }
    }
}

/// What a path comes to that nothing is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// 101, `{"opcode":"close"}`, Close 1008: clients of phpWebSocketServer show a message for it.
    Phpws,
    /// An HTTP 404.
    NotFound,
    /// A built-in resource.
    Served(Kind),
}

/// What a request says about the dialect that its client expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The headers `Client-Type` or `Ident`: phpWebSocketServer's.
    Phpws,
    /// Gomoob's PHP client.
    GomoobPhp,
    /// Tags, or key and secret, in the query: Gomoob's, where nobody else claims the path.
    GomoobQuery,
    /// Nothing.
    Nothing,
}

/// What a path is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// A built-in resource, which pins the dialect too.
    Kind(Kind),
    /// A resource of an embedding program, by its place among those.
    Own(usize),
}

/// Who serves a connection.
#[derive(Debug)]
pub struct Choice {
    /// The resource.
    pub resource: ResourceId,
    /// How the connection speaks, where its headers decide that and not the resource.
    pub speech: Option<Speech>,
}

/// The paths that are served. They are compared to the letter; the query is no part of them.
#[derive(Debug)]
pub struct Paths {
    bound: HashMap<Box<str>, Binding>,
    default: Kind,
    unknown: Unknown,
}

/// The paths that phpWebSocketServer registers beside `/`.
const PHPWS_PATHS: [&str; 2] = ["/web", "/php"];

impl Paths {
    /// No bindings: `default` serves `/`, phpWebSocketServer's paths are as it has them.
    #[must_use]
    pub fn new(default: Kind, unknown: Unknown) -> Self {
        Self { bound: HashMap::new(), default, unknown }
    }

    /// Binds a path, also one that was bound before.
    pub fn bind(&mut self, path: &str, binding: Binding) {
        self.bound.insert(path.into(), binding);
    }

    /// Who serves a path for a client that expects something: the order of `docs/protocol.md`.
    ///
    /// # Errors
    ///
    /// What to do with a path that nothing is bound to.
    pub fn choose(&self, path: &str, asked: Asked) -> Result<Choice, Unknown> {
        match self.bound.get(path) {
            Some(Binding::Kind(kind)) => return Ok(kind.choice()),
            Some(Binding::Own(place)) => return Ok(own(*place, asked)),
            None => {}
        }
        let is_phpws = PHPWS_PATHS.contains(&path);
        match asked {
            Asked::Phpws if is_phpws || path == "/" => Ok(Kind::Phpws.choice()),
            Asked::GomoobPhp => Ok(Kind::Gomoob.choice()),
            _ if is_phpws => Ok(Kind::Phpws.choice()),
            Asked::GomoobQuery => Ok(Kind::Gomoob.choice()),
            Asked::Nothing if path == "/" => Ok(self.default.choice()),
            _ => match self.unknown {
                Unknown::Served(kind) => Ok(kind.choice()),
                unknown => Err(unknown),
            },
        }
    }

    /// Whether a plain GET of this path asks for something that speaks WebSocket only.
    #[must_use]
    pub fn is_bound(&self, path: &str) -> bool {
        self.bound.contains_key(path) || PHPWS_PATHS.contains(&path)
    }
}

/// A resource of an embedding program: headers choose the dialect, but never the resource.
fn own(place: usize, asked: Asked) -> Choice {
    let speech = match asked {
        Asked::Phpws => Some(Speech::Phpws),
        Asked::GomoobPhp => Some(Speech::Gomoob),
        Asked::GomoobQuery | Asked::Nothing => None,
    };
    Choice { resource: ResourceId::own(place), speech }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(paths: &Paths, path: &str, asked: Asked) -> Result<Kind, Unknown> {
        let id = paths.choose(path, asked)?.resource;
        Ok(*Kind::ALL.iter().find(|kind| kind.id() == id).unwrap())
    }

    #[test]
    fn headers_come_before_paths_and_paths_before_the_query() {
        let paths = Paths::new(Kind::Phpws, Unknown::Phpws);
        let of = |path, asked| chosen(&paths, path, asked);
        assert_eq!(of("/", Asked::Nothing), Ok(Kind::Phpws));
        assert_eq!(of("/", Asked::GomoobQuery), Ok(Kind::Gomoob));
        assert_eq!(of("/any/path", Asked::GomoobQuery), Ok(Kind::Gomoob));
        assert_eq!(of("/web", Asked::GomoobQuery), Ok(Kind::Phpws));
        assert_eq!(of("/web", Asked::GomoobPhp), Ok(Kind::Gomoob));
        assert_eq!(of("/nope", Asked::GomoobPhp), Ok(Kind::Gomoob));
        assert_eq!(of("/nope", Asked::Phpws), Err(Unknown::Phpws));
        assert_eq!(of("/nope", Asked::Nothing), Err(Unknown::Phpws));
        let gomoob = Paths::new(Kind::Gomoob, Unknown::Served(Kind::Gomoob));
        assert_eq!(chosen(&gomoob, "/", Asked::Nothing), Ok(Kind::Gomoob));
        assert_eq!(chosen(&gomoob, "/", Asked::Phpws), Ok(Kind::Phpws));
        assert_eq!(chosen(&gomoob, "/x", Asked::Nothing), Ok(Kind::Gomoob));
    }

    #[test]
    fn paths_are_compared_to_the_letter_and_the_file_wins() {
        let mut paths = Paths::new(Kind::Phpws, Unknown::Phpws);
        assert_eq!(chosen(&paths, "/WEB", Asked::Nothing), Err(Unknown::Phpws));
        assert_eq!(chosen(&paths, "/web/", Asked::Nothing), Err(Unknown::Phpws));
        paths.bind("/web", Binding::Kind(Kind::Echo));
        for asked in [Asked::Nothing, Asked::Phpws, Asked::GomoobPhp, Asked::GomoobQuery] {
            assert_eq!(chosen(&paths, "/web", asked), Ok(Kind::Echo));
        }
    }

    #[test]
    fn a_header_changes_how_an_own_resource_is_spoken_to_but_not_who_serves() {
        let mut paths = Paths::new(Kind::Phpws, Unknown::Phpws);
        paths.bind("/chat", Binding::Own(0));
        let of = |asked| paths.choose("/chat", asked).unwrap();
        assert!(matches!(of(Asked::Phpws).speech, Some(Speech::Phpws)));
        assert!(of(Asked::Nothing).speech.is_none());
        assert!(of(Asked::Phpws).resource == ResourceId::own(0));
    }
}
