//! How far the broker is with what it was sent.

use super::Uplink;
use crate::broker_client::sync::SyncMark;
use crate::types::Slot;

impl Uplink {
    /// What is reached when the broker, this one or a later one, has done all that was sent so far.
    pub fn mark(&mut self) -> SyncMark {
        SyncMark { synced: self.syncs.want(), acknowledged: 0 }
    }

    /// What is reached when every link has taken all that was published so far (rule L5).
    #[must_use]
    pub fn mark_of_publications(&self) -> SyncMark {
        SyncMark { synced: 0, acknowledged: self.published() }
    }

    /// How far the broker is.
    #[must_use]
    pub fn reached(&self) -> SyncMark {
        let acknowledged = self.published() - self.unacknowledged();
        SyncMark { synced: self.syncs.answered(), acknowledged }
    }

    /// Whether a client wants an alias that no broker has decided about.
    #[must_use]
    pub fn awaits_alias(&self, slot: Slot) -> bool {
        self.aliases.is_asking(slot)
    }
}
