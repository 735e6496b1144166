//! TLS of a listening socket.

use serde::{Deserialize, Serialize};

/// Whether a listening socket uses TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encryption {
    /// Without TLS.
    Plain,
    /// With TLS.
    Tls,
}

impl Encryption {
    /// Returns the URL scheme: `ws` or `wss`.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Plain => "ws",
            Self::Tls => "wss",
        }
    }
}
