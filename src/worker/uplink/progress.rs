//! How far the broker is with what it was told.

use super::Uplink;
use crate::types::Slot;
use crate::worker::marks::Mark;

impl Uplink {
    /// What is reached when the broker, this one or a later one, has done all that was said so far.
    pub fn mark(&mut self) -> Mark {
        Mark { synced: self.syncs.want(), acknowledged: 0 }
    }

    /// What is reached when every link has taken all that was published so far (rule L5).
    #[must_use]
    pub fn mark_of_publications(&self) -> Mark {
        Mark { synced: 0, acknowledged: self.published() }
    }

    /// How far the broker is.
    #[must_use]
    pub fn reached(&self) -> Mark {
        let acknowledged = self.published() - self.unacknowledged();
        Mark { synced: self.syncs.answered(), acknowledged }
    }

    /// Whether a client wants an alias that no broker has decided about.
    #[must_use]
    pub fn awaits_alias(&self, slot: Slot) -> bool {
        self.aliases.is_asking(slot)
    }
}
