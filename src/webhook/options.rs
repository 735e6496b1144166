//! What a resource with a backend can be set to.

use crate::types::word_choices;

word_choices! {
    /// An event that a backend can ask for.
    WebhookEventName {
        /// A client wants to open a connection; the backend may refuse it.
        Open = "open",
        /// A message.
        Message = "message",
        /// A connection has ended.
        Close = "close",
        /// A connection ends because of a fault.
        Error = "error",
    }

    /// What happens to a client that opens a connection while the backend cannot be asked.
    OpenWhenDown {
        /// It is refused.
        Refuse = "refuse",
        /// It is let in.
        Accept = "accept",
    }
}
