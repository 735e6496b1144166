//! Options of bloatless/php-websocket's protocol (`[bloatless]`).

use serde::{Deserialize, Serialize};

use crate::types::word_choices;

word_choices! {
    /// Answer to a Close frame.
    #[derive(Default)]
    CloseText {
        /// Repeats the received code.
        #[default]
        Given = "given",
        /// Always 1000 and `normal closure`.
        Normal = "normal",
    }
    /// Form of a handshake refusal, and the meaning of a query after the path.
    #[derive(Default)]
    BloatlessAnswers {
        /// A complete HTTP response with a suitable status. The query is not part of the
        /// application's name.
        #[default]
        Http = "http",
        /// The bytes that the original server sends. The query is part of the application's name,
        /// so a path with a query names no application.
        Legacy = "legacy",
    }
}

/// Options for closing and refusing clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BloatlessCloseOptions {
    /// Answer to a Close frame.
    pub text: CloseText,
    /// Form of a handshake refusal.
    pub answers: BloatlessAnswers,
}
