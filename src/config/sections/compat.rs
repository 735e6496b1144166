//! Keys of `[phpws]` that restore the behavior of phpWebSocketServer.

use crate::config::diagnostic::Problem;
use crate::config::layers::ConfigLayers;
use crate::config::parse::{choice, switch};
use crate::protocol::phpws::{CompatFlag, CompatFlags};
use crate::types::word_choices;

/// The keys that are switches, their flags, and the values that turn a flag on.
const KEYS: [(&str, CompatFlag, Says); 17] = [
    ("abruptClose", CompatFlag::AbruptClose, Says::On),
    ("exactTarget", CompatFlag::ExactTarget, Says::On),
    ("requireOrigin", CompatFlag::RequireOrigin, Says::On),
    ("ackOrder", CompatFlag::AckAfter, Says::Word("before", "after")),
    ("phpReencode", CompatFlag::PhpReencode, Says::On),
    ("closeOnJsonError", CompatFlag::CloseOnJsonError, Says::On),
    ("broadcastToOldScripts", CompatFlag::BroadcastToOldScripts, Says::On),
    ("broadcastWithoutOpcode", CompatFlag::BroadcastWithoutOpcode, Says::On),
    ("uuidReachesPhp", CompatFlag::UuidMissesPhp, Says::Off),
    ("looseCompare", CompatFlag::LooseCompare, Says::On),
    ("chunkOverflow", CompatFlag::DropChunks, Says::Word("close", "drop")),
    ("fragments", CompatFlag::RefuseFragments, Says::Word("whole", "refuse")),
    ("acceptUnmasked", CompatFlag::AcceptUnmasked, Says::On),
    ("lenientFrames", CompatFlag::LenientFrames, Says::On),
    ("dropSlow", CompatFlag::DropSlow, Says::On),
    ("legacyTypos", CompatFlag::LegacyTypos, Says::On),
    ("broadcastTags", CompatFlag::BroadcastByTags, Says::Word("ignore", "select")),
];

/// The value of a key that selects the old behavior.
#[derive(Clone, Copy)]
enum Says {
    /// The key is on.
    On,
    /// The key is off, because it is named after the new behavior.
    Off,
    /// The key has the second of these words. The first is the default.
    Word(&'static str, &'static str),
}

impl Says {
    fn is_wanted(self, text: &str) -> Result<bool, Problem> {
        match self {
            Self::On => switch(text),
            Self::Off => switch(text).map(|better| !better),
            Self::Word(default, _) if text.trim().eq_ignore_ascii_case(default) => Ok(false),
            Self::Word(_, old) if text.trim().eq_ignore_ascii_case(old) => Ok(true),
            Self::Word(default, old) => {
                Err(Problem::new("is not known", format!("use {default} or {old}")))
            }
        }
    }
}

word_choices! {
    /// Response to an invalid HTTP request.
    HttpErrors {
        /// A complete HTTP response.
        Http = "http",
        /// The bare status line that phpWebSocketServer sends.
        Legacy = "legacy",
        /// The response of the version of 2021, which misspells a header.
        Of2021 = "2021",
    }
}

pub(super) fn read(given: &mut ConfigLayers<'_>) -> CompatFlags {
    let is_on = |(name, what, says): &(&'static str, CompatFlag, Says)| {
        let is_wanted = given.read("phpws", name, |text| says.is_wanted(text));
        is_wanted.unwrap_or(false).then_some(*what)
    };
    let on: CompatFlags = KEYS.iter().filter_map(is_on).collect();
    match given.read("phpws", "httpErrors", choice).unwrap_or(HttpErrors::Http) {
        HttpErrors::Http => on,
        HttpErrors::Legacy => on.with(CompatFlag::BareErrors),
        HttpErrors::Of2021 => on.with(CompatFlag::BareErrors).with(CompatFlag::ErrorsOf2021),
    }
}
