//! `legacy`, `rawClients` and related keys: protocols older than RFC 6455.

use serde::{Deserialize, Serialize};

use crate::config::layers::ConfigLayers;
use crate::config::parse::{choice, switch};
use crate::types::HixieForm;
use crate::websocket::RawEnd;

/// Legacy protocols that are accepted in addition to RFC 6455.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LegacySettings {
    /// Drafts 75 and 76 and the Flash policy, with the compatibility mode of the drafts. None if
    /// they are rejected.
    pub drafts: Option<HixieForm>,
    /// Raw TCP clients of phpWebSocketServer, with the rule that ends their messages. None if they
    /// are rejected.
    pub raw: Option<RawEnd>,
}

pub(in crate::config) fn read(given: &mut ConfigLayers<'_>) -> LegacySettings {
    let form = given.read("", "legacyForm", choice).unwrap_or(HixieForm::Draft);
    let messages = given.read("phpws", "rawMessages", choice).unwrap_or(RawEnd::Value);
    LegacySettings {
        drafts: given.or_default("", "legacy", switch).then_some(form),
        raw: given.or_default("", "rawClients", switch).then_some(messages),
    }
}
