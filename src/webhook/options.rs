//! Options of a resource with a backend.

use crate::types::word_choices;

word_choices! {
    /// Event that a backend can subscribe to.
    WebhookEventName {
        /// A client wants to open a connection. The backend may refuse it.
        Open = "open",
        /// A client sent a message.
        Message = "message",
        /// A connection ended.
        Close = "close",
        /// A connection is about to end because of a fault.
        Error = "error",
    }

    /// Policy for a client that opens a connection while the backend does not answer.
    OpenWhenDown {
        /// The client is refused.
        Refuse = "refuse",
        /// The client is accepted.
        Accept = "accept",
    }
}
