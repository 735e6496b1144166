//! `[gomoob]`: options of the Gomoob dialect.

use serde::{Deserialize, Serialize};

use crate::config::layers::ConfigLayers;
use crate::config::parse::{choice, switch};
use crate::protocol::Encoding;
use crate::protocol::gomoob::{GomoobMessages, GomoobOptions, RefusalClose, TagMatch};

/// Options of the Gomoob dialect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GomoobSettings {
    /// Options for parsing and publishing requests.
    pub options: GomoobOptions,
    /// True if all clients may choose their tags on paths without a resource. Otherwise only
    /// clients with key and secret may.
    pub has_open_tags: bool,
}

pub(in crate::config) fn read(given: &mut ConfigLayers<'_>) -> GomoobSettings {
    let options = GomoobOptions {
        messages: given.read("gomoob", "messages", choice).unwrap_or(GomoobMessages::Any),
        matching: given.read("gomoob", "tagMatch", choice).unwrap_or(TagMatch::Strict),
        close: given.read("gomoob", "closeCode", choice).unwrap_or(RefusalClose::Policy),
        encoding: match given.or_default("gomoob", "phpReencode", switch) {
            true => Encoding::Php,
            false => Encoding::AsItCame,
        },
    };
    let has_open_tags = given.read("gomoob", "openTags", switch).unwrap_or(true);
    GomoobSettings { options, has_open_tags }
}
