//! The wire languages: how the text of a client becomes a command, and how a publication is
//! rendered for one. A new dialect is a new file and one line in the list here.

pub mod php_json;
pub mod tags;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::types::Content;

/// The list of the dialects that take publications: each is a variant of [`Dialect`] and a file with
/// a function `render`.
macro_rules! dialects {
    ($($(#[$doc:meta])* $name:ident = $file:ident),+ $(,)?) => {
        $(pub mod $file;)+

        /// A wire language that takes publications.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Dialect {
            $($(#[$doc])* $name),+
        }

        impl Dialect {
            /// How many there are: tables by dialect have this many places.
            pub const COUNT: usize = [$(stringify!($name)),+].len();

            /// The text that a client of this dialect gets for a publication.
            #[must_use]
            pub fn render(self, content: &Content, cast: Cast) -> Cow<'_, [u8]> {
                match self {
                    $(Self::$name => $file::render(content, cast)),+
                }
            }
        }
    };
}

dialects! {
    /// phpWebSocketServer's.
    Phpws = phpws,
    /// Gomoob's: the bare JSON of each message. Also what resources of an embedding program speak.
    Gomoob = gomoob,
    /// Texts as they are: PHP-WebSockets-Server's clients, and HTTP resources.
    Plain = plain,
    /// bloatless/php-websocket's: an action and its data.
    Bloatless = bloatless,
}

impl Dialect {
    /// The dialect's place in a table of [`Dialect::COUNT`].
    #[must_use]
    pub const fn place(self) -> usize {
        self as usize
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

/// How JSON that a client sent is written to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// Byte for byte.
    AsItCame,
    /// As PHP would have written it.
    Php,
}
