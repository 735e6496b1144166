//! The progress of the broker with the messages that it was sent.

use super::Uplink;
use crate::broker_client::sync::SyncMark;
use crate::types::Slot;

impl Uplink {
    /// Returns the mark that is reached when this broker or a later one has applied everything sent so far.
    pub fn mark(&mut self) -> SyncMark {
        SyncMark { synced: self.syncs.want(), acknowledged: 0 }
    }

    /// Returns the mark that is reached when every link has taken everything published so far (rule L5).
    #[must_use]
    pub fn mark_of_publications(&self) -> SyncMark {
        SyncMark { synced: 0, acknowledged: self.published() }
    }

    /// Returns the progress that the broker has made.
    #[must_use]
    pub fn reached(&self) -> SyncMark {
        let acknowledged = self.published() - self.unacknowledged();
        SyncMark { synced: self.syncs.answered(), acknowledged }
    }

    /// Returns whether a client has an alias request that no broker has answered.
    #[must_use]
    pub fn awaits_alias(&self, slot: Slot) -> bool {
        self.aliases.is_asking(slot)
    }
}
