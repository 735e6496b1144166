//! Whether a listening socket speaks TLS.

use serde::{Deserialize, Serialize};

/// Whether a listening socket speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encryption {
    /// It does not.
    Plain,
    /// It does.
    Tls,
}

impl Encryption {
    /// The scheme of its URLs.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Plain => "ws",
            Self::Tls => "wss",
        }
    }
}
