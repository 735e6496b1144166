//! Flags for behaviour of the old servers that Tagcast has only when it is configured.

use serde::{Deserialize, Serialize};

/// A behaviour of phpWebSocketServer, enabled by a key of `[phpws]`. All are off by default. The table in
/// `docs/configuration.md` describes each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CompatFlag {
    /// `abruptClose`: connections are closed without a Close frame.
    AbruptClose,
    /// `exactTarget`: a target with a query is a different path.
    ExactTarget,
    /// `requireOrigin`: a handshake without `Origin` is refused.
    RequireOrigin,
    /// `httpErrors = legacy` and `2021`: refusals are bare status lines.
    BareErrors,
    /// `httpErrors = 2021`: like [`Self::BareErrors`], with the misspelled header of that year.
    ErrorsOf2021,
    /// `ackOrder = after`: `next` is sent after the effects of a message.
    AckAfter,
    /// `phpReencode`: `echo` and `feedback` are re-encoded as PHP encodes JSON.
    PhpReencode,
    /// `closeOnJsonError`: the opcode `jsonerror` closes the connection.
    CloseOnJsonError,
    /// `broadcastToOldScripts`: scripts that do not identify themselves as scripts get broadcasts.
    BroadcastToOldScripts,
    /// `uuidReachesPhp = off`: a UUID matches only web-type clients.
    UuidMissesPhp,
    /// `looseCompare`: names in a feedback are compared as PHP compares with `==`.
    LooseCompare,
    /// `chunkOverflow = drop`: excess chunks are dropped silently.
    DropChunks,
    /// `fragments = refuse`: the first fragment of a message is taken for the whole message.
    RefuseFragments,
    /// `acceptUnmasked`: client frames need not be masked.
    AcceptUnmasked,
    /// `lenientFrames`: reserved bits and opcodes are ignored.
    LenientFrames,
    /// `dropSlow`: a client whose socket is full is closed at once.
    DropSlow,
    /// `legacyTypos`: limit errors have the wording of 2021.
    LegacyTypos,
    /// `broadcastWithoutOpcode`: JSON without a known opcode is broadcast.
    BroadcastWithoutOpcode,
    /// `broadcastTags = select`: the `tags` of a broadcast select its recipients.
    BroadcastByTags,
}

/// The set of enabled flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompatFlags(u32);

impl CompatFlags {
    /// Returns whether a flag is enabled.
    #[must_use]
    pub const fn has(self, switch: CompatFlag) -> bool {
        self.0 & (1 << switch as u32) != 0
    }

    /// Returns the set with one more flag.
    #[must_use]
    pub const fn with(self, switch: CompatFlag) -> Self {
        Self(self.0 | 1 << switch as u32)
    }

    /// Returns whether no flag is enabled, which is the default.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<CompatFlag> for CompatFlags {
    fn from_iter<I: IntoIterator<Item = CompatFlag>>(all: I) -> Self {
        all.into_iter().fold(Self::default(), Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let some: CompatFlags =
            [CompatFlag::AbruptClose, CompatFlag::BroadcastWithoutOpcode].into_iter().collect();
        assert!(some.has(CompatFlag::AbruptClose) && some.has(CompatFlag::BroadcastWithoutOpcode));
        assert!(!some.has(CompatFlag::AckAfter) && !some.is_empty());
        assert!(CompatFlags::default().is_empty());
    }
}
