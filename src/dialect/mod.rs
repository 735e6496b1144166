//! The wire languages: how the text of a client becomes a command, and how a publication is
//! rendered for one. A new dialect is a new file and one line in each list here.

pub mod gomoob;
pub mod php;
pub mod phpws;
pub mod tags;

use std::borrow::Cow;

use crate::types::Content;

/// A wire language that takes publications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// phpWebSocketServer's.
    Phpws,
    /// Gomoob's: the bare JSON of each message. Also what resources of an embedding program speak.
    Gomoob,
}

impl Dialect {
    /// How many there are: tables by dialect have this many places.
    pub const COUNT: usize = 2;

    /// The dialect's place in such a table.
    #[must_use]
    pub const fn place(self) -> usize {
        match self {
            Self::Phpws => 0,
            Self::Gomoob => 1,
        }
    }

    /// The text that a client of this dialect gets for a publication.
    #[must_use]
    pub fn render(self, content: &Content, cast: Cast) -> Cow<'_, [u8]> {
        match self {
            Self::Phpws => phpws::render(content, cast),
            Self::Gomoob => gomoob::render(content),
        }
    }
}

/// Whether a publication goes to one client or to many; some dialects word it differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// Addressed by UUID or ident.
    One,
    /// Addressed by tags, or to everyone.
    Many,
}
