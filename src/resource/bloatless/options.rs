//! What the applications of bloatless/php-websocket can be set to.

use crate::http::HostAllowlist;
use crate::types::word_choices;

word_choices! {
    /// An application, bound to the path of its name.
    BloatlessApplication {
        /// What a client says to all, with a name that it is given.
        Chat = "chat",
        /// Which clients come, send something, and go.
        Status = "status",
        /// What a client says to all.
        Demo = "demo",
        /// Bare texts to all.
        Echo = "echo",
        /// The time, every four seconds.
        Time = "time",
    }
    /// Which clients `status` writes for, where two kinds cannot both be content.
    #[derive(Default)]
    StatusClients {
        /// Those of version 3: a client is `ip:port`.
        #[default]
        V3 = "v3",
        /// Those of version 1: a client is its port.
        V1 = "v1",
    }
    /// How a Close is answered.
    CloseText {
        /// With the code that came.
        Given = "given",
        /// With 1000 and `normal closure`, whatever came.
        Normal = "normal",
    }
    /// How an opening is refused, and with it what a query after the path means.
    #[derive(Default)]
    BloatlessAnswers {
        /// By a whole answer of HTTP with the status that fits; a query is not part of the name of an
        /// application.
        #[default]
        Http = "http",
        /// By the bytes that the original server sends; a query is part of the name, so that there is no
        /// such application.
        Legacy = "legacy",
    }
}

impl BloatlessApplication {
    /// The path that it is bound to.
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

/// What applies to all applications of a worker; a reload changes it.
#[derive(Debug, Default)]
pub struct BloatlessOptions {
    /// Whether `status` is served; nothing is published for it otherwise.
    pub has_status: bool,
    /// Which clients `status` writes for.
    pub clients: StatusClients,
    /// Connections in all, as `status` tells; 0 means no limit.
    pub max_clients: u32,
    /// Connections from one address, the same.
    pub max_per_ip: u32,
    /// Messages of a connection within a minute, beside its handshake; 0 means no limit.
    pub requests_per_minute: u32,
    /// Hosts whose pages may connect; none when origins are not checked.
    pub origins: Option<HostAllowlist>,
    /// How openings are refused.
    pub answers: BloatlessAnswers,
}
