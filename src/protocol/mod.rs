//! The protocol families: how the text of a client becomes a command, how a publication is rendered, and
//! what else a family answers. A new family is a new file with a table and one line in the list here.

pub mod php_json;
mod spec;
pub mod tags;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use self::spec::{AckExtras, Acknowledge, ChunkMarks, ProtocolOptions, ProtocolSpec, Render};
use crate::types::Content;

/// The list of the families: each is a variant of [`Protocol`] and a file or folder with a table `SPEC`.
macro_rules! protocols {
    ($($(#[$doc:meta])* $name:ident = $file:ident),+ $(,)?) => {
        $(pub mod $file;)+

        /// How a connection speaks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Protocol {
            $($(#[$doc])* $name),+
        }

        impl Protocol {
            /// How many there are: tables by protocol have this many places.
            pub const COUNT: usize = [$(stringify!($name)),+].len();

            /// Its answers.
            #[must_use]
            pub const fn spec(self) -> &'static ProtocolSpec {
                match self { $(Self::$name => &$file::SPEC),+ }
            }
        }
    };
}

protocols! {
    /// phpWebSocketServer's way: a greeting, an acknowledgement for each message, chunks.
    Phpws = phpws,
    /// Gomoob's way: the bare JSON of each message. Also what resources of an embedding program speak.
    Gomoob = gomoob,
    /// Texts without anything around them: PHP-WebSockets-Server's clients, and HTTP resources.
    Plain = plain,
    /// As [`Protocol::Plain`], and no publication ever reaches it.
    Echo = echo,
    /// bloatless/php-websocket's way: an action and its data.
    Bloatless = bloatless,
}

impl Protocol {
    /// The protocol's place in a table of [`Protocol::COUNT`].
    #[must_use]
    pub const fn place(self) -> usize {
        self as usize
    }

    /// Whether publications reach its clients.
    #[must_use]
    pub const fn takes_publications(self) -> bool {
        self.spec().render.is_some()
    }

    /// The text that a client gets for a publication; the bare payload where it takes none.
    #[must_use]
    pub fn render(self, content: &Content, cast: Cast) -> Cow<'_, [u8]> {
        match self.spec().render {
            Some(render) => render(content, cast),
            None => Cow::Borrowed(&content.payload),
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

/// How JSON that a client sent is written to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// Byte for byte.
    AsItCame,
    /// As PHP would have written it.
    Php,
}
