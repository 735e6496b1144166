//! Keys of `[phpws]` that restore the behavior of phpWebSocketServer.

use crate::config::diagnostic::Problem;
use crate::config::layers::ConfigLayers;
use crate::config::parse::{choice, switch};
use crate::protocol::phpws::{CompatFlag, CompatFlags};
use crate::types::word_choices;

/// The keys that are switches, their flags, and the values that turn a flag on.
const KEYS: [(&str, CompatFlag, ValueForm); 17] = [
    ("abruptClose", CompatFlag::AbruptClose, ValueForm::On),
    ("exactTarget", CompatFlag::ExactTarget, ValueForm::On),
    ("requireOrigin", CompatFlag::RequireOrigin, ValueForm::On),
    ("ackOrder", CompatFlag::AckAfter, ValueForm::Word("before", "after")),
    ("phpReencode", CompatFlag::PhpReencode, ValueForm::On),
    ("closeOnJsonError", CompatFlag::CloseOnJsonError, ValueForm::On),
    ("broadcastToOldScripts", CompatFlag::BroadcastToOldScripts, ValueForm::On),
    ("broadcastWithoutOpcode", CompatFlag::BroadcastWithoutOpcode, ValueForm::On),
    ("uuidReachesPhp", CompatFlag::UuidMissesPhp, ValueForm::Off),
    ("looseCompare", CompatFlag::LooseCompare, ValueForm::On),
    ("chunkOverflow", CompatFlag::DropChunks, ValueForm::Word("close", "drop")),
    ("fragments", CompatFlag::RefuseFragments, ValueForm::Word("whole", "refuse")),
    ("acceptUnmasked", CompatFlag::AcceptUnmasked, ValueForm::On),
    ("lenientFrames", CompatFlag::LenientFrames, ValueForm::On),
    ("dropSlow", CompatFlag::DropSlow, ValueForm::On),
    ("legacyTypos", CompatFlag::LegacyTypos, ValueForm::On),
    ("broadcastTags", CompatFlag::BroadcastByTags, ValueForm::Word("ignore", "select")),
];

/// The value of a key that selects the old behavior.
#[derive(Clone, Copy)]
enum ValueForm {
    /// The key is on.
    On,
    /// The key is off, because it is named after the new behavior.
    Off,
    /// The key has the second of these words. The first is the default.
    Word(&'static str, &'static str),
}

impl ValueForm {
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
    let is_on = |(name, what, form): &(&'static str, CompatFlag, ValueForm)| {
        let is_wanted = given.read("phpws", name, |text| form.is_wanted(text));
        is_wanted.unwrap_or(false).then_some(*what)
    };
    let on: CompatFlags = KEYS.iter().filter_map(is_on).collect();
    match given.read("phpws", "httpErrors", choice).unwrap_or(HttpErrors::Http) {
        HttpErrors::Http => on,
        HttpErrors::Legacy => on.with(CompatFlag::BareErrors),
        HttpErrors::Of2021 => on.with(CompatFlag::BareErrors).with(CompatFlag::ErrorsOf2021),
    }
}
