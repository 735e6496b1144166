//! Limits of rates that apply to all applications, and to addresses.

use serde::{Deserialize, Serialize};

use crate::auth::DefaultLimits;
use crate::config::layers::ConfigLayers;
use crate::config::parse::rate::{RateUnit, rate_or_none};
use crate::types::RateLimit;

/// Limits of rates from `websock.ini`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateSettings {
    /// Limits of applications that have none of their own.
    pub applications: DefaultLimits,
    /// Requests to the HTTP API from one address.
    pub requests_per_ip: Option<RateLimit>,
}

pub(in crate::config) fn read(given: &mut ConfigLayers<'_>) -> RateSettings {
    let mut rate = |name, unit| given.read("", name, |text| rate_or_none(text, unit)).flatten();
    RateSettings {
        applications: DefaultLimits {
            requests: rate("limitRequests", RateUnit::Count),
            publications: rate("limitPublications", RateUnit::Count),
            bytes: rate("limitBytes", RateUnit::Bytes),
        },
        requests_per_ip: rate("limitRequestsPerIP", RateUnit::Count),
    }
}
