//! How the drafts before RFC 6455 are followed.

use super::word_choices;

word_choices! {
    /// How closely the first servers of the drafts 75 and 76 are followed.
    HixieForm {
        /// As the drafts say.
        Draft = "draft",
        /// As PHP-WebSockets-Server does it. It does not wait for what comes after the head, answers
        /// draft 75 with names of draft 76, a protocol name of its own and an empty line too many, takes
        /// one message a read, and does not answer the end.
        Original = "original",
    }
}
