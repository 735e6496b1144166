//! The protocol that a request indicates by its headers and its query.

use crate::http::{ClientType, Upgrade, has_members, has_parameter};

/// Protocol that a request indicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedProtocol {
    /// phpWebSocketServer: the request has the header `Client-Type` or `Ident`.
    Phpws,
    /// PHP client of Gomoob.
    GomoobPhp,
    /// Gomoob: the query contains tags, or key and secret. Applies only to paths without another
    /// binding.
    GomoobQuery,
    /// No indication.
    Nothing,
}

/// `User-Agent` of Textalk's client library, on which Gomoob's PHP client is based.
const GOMOOB_AGENT: &str = "websocket-client-php";

impl RequestedProtocol {
    /// Reads the indications of a request.
    #[must_use]
    pub fn of(upgrade: &Upgrade<'_>, query: &str) -> Self {
        let has = |name| has_parameter(query, name) || has_members(query, name);
        if upgrade.client_type != ClientType::Absent || upgrade.ident().is_some() {
            Self::Phpws
        } else if upgrade.user_agent() == Some(GOMOOB_AGENT.as_bytes()) && upgrade.origin.is_none()
        {
            Self::GomoobPhp
        } else if has("tags") || (has("key") && has("secret")) {
            Self::GomoobQuery
        } else {
            Self::Nothing
        }
    }

    /// Returns true if the client takes a ping for the reply to its request.
    #[must_use]
    pub fn mistakes_pings(self) -> bool {
        self == Self::GomoobPhp
    }
}
