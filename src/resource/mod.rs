//! What a path is served by.

use std::collections::HashMap;

use crate::session::Service;

/// A built-in resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// phpWebSocketServer's packets.
    Phpws,
    /// Every message back to its sender.
    Echo,
    /// Gomoob's requests.
    Gomoob,
}

impl Kind {
    /// A new connection's service.
    #[must_use]
    pub fn service(self) -> Service {
        match self {
            Self::Phpws => Service::phpws(),
            Self::Echo | Self::Gomoob => Service::Echo,
        }
    }
}

/// What a path comes to that nothing is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// 101, `{"opcode":"close"}`, Close 1008: clients of phpWebSocketServer show a message for it.
    Phpws,
    /// An HTTP 404.
    NotFound,
    /// The resource `echo`.
    Echo,
    /// The resource `gomoob`.
    Gomoob,
}

/// The paths that are served. They are compared to the letter; the query is no part of them.
#[derive(Debug)]
pub struct Paths {
    bound: HashMap<Box<str>, Kind>,
    unknown: Unknown,
}

impl Paths {
    /// The paths that phpWebSocketServer registers: `/`, `/web` and `/php`.
    #[must_use]
    pub fn new(unknown: Unknown) -> Self {
        let bound = ["/", "/web", "/php"].map(|path| (path.into(), Kind::Phpws));
        Self { bound: HashMap::from(bound), unknown }
    }

    /// Binds a path, also one that was bound before.
    pub fn bind(&mut self, path: &str, kind: Kind) {
        self.bound.insert(path.into(), kind);
    }

    /// What serves a path.
    ///
    /// # Errors
    ///
    /// What to do with a path that nothing is bound to.
    pub fn choose(&self, path: &str) -> Result<Kind, Unknown> {
        match (self.bound.get(path), self.unknown) {
            (Some(kind), _) => Ok(*kind),
            (None, Unknown::Echo) => Ok(Kind::Echo),
            (None, Unknown::Gomoob) => Ok(Kind::Gomoob),
            (None, unknown) => Err(unknown),
        }
    }

    /// Whether something is bound to a path.
    #[must_use]
    pub fn is_bound(&self, path: &str) -> bool {
        self.bound.contains_key(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_to_the_letter_and_the_file_wins() {
        let mut paths = Paths::new(Unknown::Phpws);
        assert_eq!(paths.choose("/web"), Ok(Kind::Phpws));
        assert_eq!(paths.choose("/WEB"), Err(Unknown::Phpws));
        assert_eq!(paths.choose("/web/"), Err(Unknown::Phpws));
        paths.bind("/web", Kind::Echo);
        assert_eq!(paths.choose("/web"), Ok(Kind::Echo));
        assert_eq!(Paths::new(Unknown::Echo).choose("/any"), Ok(Kind::Echo));
    }
}
