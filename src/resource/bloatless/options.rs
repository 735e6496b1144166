//! Options of the bloatless/php-websocket applications.

use crate::http::HostAllowlist;
use crate::protocol::bloatless::BloatlessAnswers;
use crate::types::word_choices;

word_choices! {
    /// Application, bound to the path of its name.
    BloatlessApplication {
        /// Sends each client's text to all, prefixed with a guest name.
        Chat = "chat",
        /// Reports when clients connect, send and disconnect.
        Status = "status",
        /// Sends each client's text to all.
        Demo = "demo",
        /// Sends each client's text to all, as a plain text frame.
        Echo = "echo",
        /// Sends the time every four seconds.
        Time = "time",
    }
    /// Client version for which `status` writes, where the versions need different formats.
    #[derive(Default)]
    StatusClients {
        /// Version 3: a client is `ip:port`.
        #[default]
        V3 = "v3",
        /// Version 1: a client is its port.
        V1 = "v1",
    }
}

impl BloatlessApplication {
    /// Returns the path of the application.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat",
            Self::Status => "/status",
            Self::Demo => "/demo",
            Self::Echo => "/echo",
            Self::Time => "/time",
        }
    }
}

/// Options of all applications of a worker. A reload changes them.
#[derive(Debug, Default)]
pub struct BloatlessOptions {
    /// True if `status` is served. Otherwise nothing is published for it.
    pub has_status: bool,
    /// Client version for which `status` writes.
    pub clients: StatusClients,
    /// Most connections, as `status` reports it. 0 means no limit.
    pub max_clients: u32,
    /// Most connections from one address, as `status` reports it. 0 means no limit.
    pub max_per_ip: u32,
    /// Most messages per connection and minute, not counting the handshake. 0 means no limit.
    pub requests_per_minute: u32,
    /// Hosts whose pages may connect. `None`: origins are not checked.
    pub origins: Option<HostAllowlist>,
    /// Form of a handshake refusal.
    pub answers: BloatlessAnswers,
}
