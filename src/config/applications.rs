//! The applications of auth.yml: who may open, who may send, and in which space.

use serde::{Deserialize, Serialize};

use super::Secret;

/// Who may use the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applications {
    /// In the order of the file; no key stands there twice.
    pub list: Vec<Application>,
    /// The place in the list of the application that a connection without a key counts as.
    pub anonymous: Option<usize>,
}

/// One application.
#[expect(clippy::struct_excessive_bools, reason = "two independent permissions, as in the file")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Its name on the wire.
    pub key: String,
    /// What proves that somebody speaks for it.
    pub secret: Secret,
    /// Whether its key alone opens a connection.
    pub authorize_open: bool,
    /// Whether clients that opened with it may publish without a secret.
    pub client_publish: bool,
    /// The space of its clients; applications without one share a space.
    pub tenant: Option<String>,
}
