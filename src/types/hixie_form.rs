//! Compatibility with the WebSocket drafts before RFC 6455.

use super::word_choices;

word_choices! {
    /// How closely the server imitates the first servers of drafts 75 and 76.
    HixieForm {
        /// Follows the drafts.
        Draft = "draft",
        /// Behaves like PHP-WebSockets-Server. It does not wait for the bytes after the head,
        /// answers draft 75 with header names of draft 76, with a protocol name of its own and an
        /// extra empty line, processes one message per read, and does not answer a close.
        Original = "original",
    }
}
