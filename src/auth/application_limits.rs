//! Limits of an application: how much it may do in a time.

use serde::{Deserialize, Serialize};

use crate::types::{LimitValue, RateLimit};

/// The member `limits` of an application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationLimits {
    /// Joined WebSocket clients.
    #[serde(default)]
    pub connections: LimitValue<u32>,
    /// Requests to the HTTP API.
    #[serde(default)]
    pub requests: LimitValue<RateLimit>,
    /// Publications of its clients and backends.
    #[serde(default)]
    pub publications: LimitValue<RateLimit>,
    /// Bytes of the payloads of these.
    #[serde(default)]
    pub bytes: LimitValue<RateLimit>,
    /// Maximum bytes of a message.
    #[serde(default)]
    pub message: LimitValue<usize>,
    /// Limits of each WebSocket connection.
    #[serde(default)]
    pub per_connection: PublisherLimits,
}

/// Limits of the publications of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublisherLimits {
    /// Publications.
    pub publications: LimitValue<RateLimit>,
    /// Bytes of their payloads.
    pub bytes: LimitValue<RateLimit>,
}

/// Limits of applications that have none of their own, from `websock.ini`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultLimits {
    /// Requests to the HTTP API.
    pub requests: Option<RateLimit>,
    /// Publications of clients and backends.
    pub publications: Option<RateLimit>,
    /// Bytes of the payloads of these.
    pub bytes: Option<RateLimit>,
}

impl ApplicationLimits {
    /// Returns the limits with these defaults.
    #[must_use]
    pub fn or(self, defaults: &DefaultLimits) -> Self {
        Self {
            requests: self.requests.or(defaults.requests),
            publications: self.publications.or(defaults.publications),
            bytes: self.bytes.or(defaults.bytes),
            ..self
        }
    }

    /// Returns the limits of all its publications together.
    #[must_use]
    pub fn of_all(&self) -> PublisherLimits {
        PublisherLimits { publications: self.publications, bytes: self.bytes }
    }
}

impl PublisherLimits {
    /// Returns the share of one host in these rates, by the number of hosts.
    #[must_use]
    pub fn shared_by(self, hosts: u32) -> [Option<RateLimit>; 2] {
        [self.publications, self.bytes].map(|it| it.limit().map(|limit| limit.shared_by(hosts)))
    }

    /// Returns true if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publications.limit().is_none() && self.bytes.limit().is_none()
    }
}
