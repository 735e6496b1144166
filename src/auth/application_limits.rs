//! Limits of an application: how much it may do in a time.

use serde::{Deserialize, Serialize};

use crate::types::{LimitValue, RateLimit};

/// The member `limits` of an application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationLimits {
    /// Requests to the HTTP API.
    #[serde(default)]
    pub requests: LimitValue<RateLimit>,
}

/// Limits of applications that have none of their own, from `websock.ini`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultLimits {
    /// Requests to the HTTP API.
    pub requests: Option<RateLimit>,
}

impl ApplicationLimits {
    /// Returns the limits with these defaults.
    #[must_use]
    pub fn or(self, defaults: &DefaultLimits) -> Self {
        Self { requests: self.requests.or(defaults.requests) }
    }
}
