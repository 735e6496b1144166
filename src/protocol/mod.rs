//! The protocol families: how a client's text is parsed, how a publication is rendered, and other properties
//! of a family. A new family needs a file with a table `SPEC` and one line in the list below.

pub mod php_json;
mod spec;
pub mod tags;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use self::gomoob::RefusalClose;
pub use self::spec::{
    AckExtras, Acknowledge, ChunkMarks, ProtocolOptions, ProtocolSpec, QuestionAnswer,
    QuestionReply, QuestionSpec, Render, RenderAt,
};
use crate::types::{Content, PayloadForm, ReplayPosition};

/// Defines the families. Each is a variant of [`Protocol`] and a file or folder with a table `SPEC`.
macro_rules! protocols {
    ($($(#[$doc:meta])* $name:ident = $file:ident),+ $(,)?) => {
        $(pub mod $file;)+

        /// The protocol family of a connection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Protocol {
            $($(#[$doc])* $name),+
        }

        impl Protocol {
            /// Number of families, which is the size of tables that are indexed by protocol.
            pub const COUNT: usize = [$(stringify!($name)),+].len();

            /// All families.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name),+];

            /// Returns the name of the family.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($file)),+ }
            }

            /// Returns the properties of the family.
            #[must_use]
            pub const fn spec(self) -> &'static ProtocolSpec {
                match self { $(Self::$name => &$file::SPEC),+ }
            }
        }
    };
}

protocols! {
    /// phpWebSocketServer: a greeting, an acknowledgement for each message, chunks.
    Phpws = phpws,
    /// Gomoob: the bare JSON of each message. Resources of an embedding program use it too.
    Gomoob = gomoob,
    /// Bare texts: clients of PHP-WebSockets-Server, and HTTP resources.
    Plain = plain,
    /// Like [`Protocol::Plain`], but without publications.
    Echo = echo,
    /// bloatless/php-websocket: an action and its data.
    Bloatless = bloatless,
    /// `tagcast.v1`, the protocol of modern clients.
    V1 = v1,
    /// Server-sent events, for clients that only receive.
    Sse = sse,
}

impl Protocol {
    /// Returns the index of the protocol in a table of [`Protocol::COUNT`] entries.
    #[must_use]
    pub const fn place(self) -> usize {
        self as usize
    }

    /// Returns whether clients of this protocol receive publications.
    #[must_use]
    pub const fn takes_publications(self) -> bool {
        self.spec().render.is_some()
    }

    /// Renders a publication for a client; the bare payload if the protocol has no publications.
    #[must_use]
    pub fn render(self, content: Content<&[u8]>, cast: Cast) -> Cow<'_, [u8]> {
        let spec = self.spec();
        let content = match content.form {
            PayloadForm::WithHeaders if !spec.has_event_names => content.split_headers().1,
            _ => content,
        };
        match spec.render {
            Some(render) => render(content, cast),
            None => Cow::Borrowed(content.payload),
        }
    }
}

impl Protocol {
    /// Renders a publication like [`Protocol::render`], with its position if the protocol has positions.
    #[must_use]
    pub fn render_at(
        self,
        content: Content<&[u8]>,
        cast: Cast,
        at: Option<ReplayPosition>,
    ) -> Cow<'_, [u8]> {
        match (at, self.spec().render_at) {
            (Some(at), Some(render)) => Cow::Owned(render(content, cast, at)),
            _ => self.render(content, cast),
        }
    }
}

/// Whether a publication goes to one client or to many. Some families use different words for the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// Addressed by UUID or ident.
    One,
    /// Addressed by tags, or to everyone.
    Many,
}

/// Form in which JSON from a client is forwarded to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// Byte for byte.
    AsItCame,
    /// As PHP would encode it.
    Php,
}
