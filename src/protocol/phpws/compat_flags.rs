//! Switches for what the old servers did and this one does not unless it is told to.

use serde::{Deserialize, Serialize};

/// One of phpWebSocketServer's ways, as a key of `[phpws]` asks for it. All are off by default;
/// the table in `docs/configuration.md` says what each does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CompatFlag {
    /// `abruptClose`: connections end without a Close frame.
    AbruptClose,
    /// `exactTarget`: a target with a query is another path.
    ExactTarget,
    /// `requireOrigin`: a handshake without `Origin` is refused.
    RequireOrigin,
    /// `httpErrors = legacy` and `2021`: refusals are bare status lines.
    BareErrors,
    /// `httpErrors = 2021`: as [`Self::BareErrors`], with the misspelt header of that year.
    ErrorsOf2021,
    /// `ackOrder = after`: `next` follows what a message causes.
    AckAfter,
    /// `phpReencode`: `echo` and `feedback` are written again as PHP writes JSON.
    PhpReencode,
    /// `closeOnJsonError`: the opcode `jsonerror` ends the connection.
    CloseOnJsonError,
    /// `broadcastToOldScripts`: scripts that do not say that they are some get broadcasts.
    BroadcastToOldScripts,
    /// `uuidReachesPhp = off`: a UUID finds web-type clients only.
    UuidMissesPhp,
    /// `looseCompare`: names in a feedback are compared as PHP compares.
    LooseCompare,
    /// `chunkOverflow = drop`: chunks that are too many are lost without a word.
    DropChunks,
    /// `fragments = refuse`: the first piece of a message is taken for all of it.
    RefuseFragments,
    /// `acceptUnmasked`: frames of clients need no mask.
    AcceptUnmasked,
    /// `lenientFrames`: reserved bits and opcodes are ignored.
    LenientFrames,
    /// `dropSlow`: a client whose socket is full is closed at once.
    DropSlow,
    /// `legacyTypos`: limits are told in the words of 2021.
    LegacyTypos,
    /// `broadcastWithoutOpcode`: JSON without a known opcode is broadcast.
    BroadcastWithoutOpcode,
    /// `broadcastTags = select`: the `tags` of a broadcast say who gets it.
    BroadcastByTags,
}

/// Which switches are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompatFlags(u32);

impl CompatFlags {
    /// Whether one is on.
    #[must_use]
    pub const fn has(self, switch: CompatFlag) -> bool {
        self.0 & (1 << switch as u32) != 0
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, switch: CompatFlag) -> Self {
        Self(self.0 | 1 << switch as u32)
    }

    /// Whether none is on, as usual.
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
