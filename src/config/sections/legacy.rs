//! `legacy`, `rawClients` and what belongs to them: protocols that are older than RFC 6455.

use serde::{Deserialize, Serialize};

use crate::config::layers::ConfigLayers;
use crate::config::parse::{choice, switch};
use crate::types::HixieForm;
use crate::websocket::RawEnd;

/// Who is served beside those that speak RFC 6455.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LegacySettings {
    /// The drafts 75 and 76 and the Flash policy, and how the drafts are followed; nobody is served
    /// without it.
    pub drafts: Option<HixieForm>,
    /// phpWebSocketServer's raw TCP clients, and where their messages end; nobody is served without
    /// it.
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
