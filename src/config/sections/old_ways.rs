//! Keys of `[phpws]` that bring back what phpWebSocketServer did.

use crate::config::finding::Fault;
use crate::config::given::Given;
use crate::config::value::{choice, choices, switch};
use crate::types::{Switch, Switches};

/// The keys that are on or off, what each turns on, and how it says so.
const KEYS: [(&str, Switch, Says); 17] = [
    ("abruptClose", Switch::AbruptClose, Says::On),
    ("exactTarget", Switch::ExactTarget, Says::On),
    ("requireOrigin", Switch::RequireOrigin, Says::On),
    ("ackOrder", Switch::AckAfter, Says::Word("before", "after")),
    ("phpReencode", Switch::PhpReencode, Says::On),
    ("closeOnJsonError", Switch::CloseOnJsonError, Says::On),
    ("broadcastToOldScripts", Switch::BroadcastToOldScripts, Says::On),
    ("broadcastWithoutOpcode", Switch::BroadcastWithoutOpcode, Says::On),
    ("uuidReachesPhp", Switch::UuidMissesPhp, Says::Off),
    ("looseCompare", Switch::LooseCompare, Says::On),
    ("chunkOverflow", Switch::DropChunks, Says::Word("close", "drop")),
    ("fragments", Switch::RefuseFragments, Says::Word("whole", "refuse")),
    ("acceptUnmasked", Switch::AcceptUnmasked, Says::On),
    ("lenientFrames", Switch::LenientFrames, Says::On),
    ("dropSlow", Switch::DropSlow, Says::On),
    ("legacyTypos", Switch::LegacyTypos, Says::On),
    ("broadcastTags", Switch::BroadcastByTags, Says::Word("ignore", "select")),
];

/// How a key says that the old way is wanted.
#[derive(Clone, Copy)]
enum Says {
    /// It is on.
    On,
    /// It is off: the key names what is better.
    Off,
    /// It has the second of these words.
    Word(&'static str, &'static str),
}

impl Says {
    fn is_wanted(self, text: &str) -> Result<bool, Fault> {
        match self {
            Self::On => switch(text),
            Self::Off => switch(text).map(|better| !better),
            Self::Word(default, _) if text.trim().eq_ignore_ascii_case(default) => Ok(false),
            Self::Word(_, old) if text.trim().eq_ignore_ascii_case(old) => Ok(true),
            Self::Word(default, old) => {
                Err(Fault::new("is not known", format!("use {default} or {old}")))
            }
        }
    }
}

choices! {
    /// How a request that is no good is answered.
    HttpErrors {
        /// By a whole HTTP response.
        Http = "http",
        /// By the bare status line that phpWebSocketServer sends.
        Legacy = "legacy",
        /// By that of 2021, which misspells a header.
        Of2021 = "2021",
    }
}

pub(super) fn read(given: &mut Given<'_>) -> Switches {
    let is_on = |(name, what, says): &(&'static str, Switch, Says)| {
        let is_wanted = given.read(("phpws", name), |text| says.is_wanted(text));
        is_wanted.unwrap_or(false).then_some(*what)
    };
    let on: Switches = KEYS.iter().filter_map(is_on).collect();
    match given.read(("phpws", "httpErrors"), choice).unwrap_or(HttpErrors::Http) {
        HttpErrors::Http => on,
        HttpErrors::Legacy => on.with(Switch::BareErrors),
        HttpErrors::Of2021 => on.with(Switch::BareErrors).with(Switch::ErrorsOf2021),
    }
}
