//! Where the tags of clients come from.

use crate::types::word_choices;

word_choices! {
    /// Where the tags of the clients of an application come from.
    #[derive(Default)]
    TagSource {
        /// Clients may choose tags.
        #[default]
        Client = "client",
        /// Clients have the tags of their token and no others.
        Token = "token",
    }
}
