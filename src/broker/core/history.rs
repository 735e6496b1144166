//! What is kept for clients that come back: how many publications the spaces store.

use super::BrokerCore;
use crate::broker::router::{Router, recording, timers};
use crate::types::limits::HISTORY_MEMORY;
use crate::types::{HistoryTerms, Tenant};

/// How many publications the spaces store.
#[derive(Debug)]
pub(super) struct StoredHistory {
    /// Memory for all of them, in bytes.
    bytes_max: usize,
    spaces: Vec<(Tenant, HistoryTerms)>,
    /// Number from which the epochs of journals are made.
    seed: u64,
}

impl Default for StoredHistory {
    fn default() -> Self {
        Self { bytes_max: HISTORY_MEMORY, spaces: Vec::new(), seed: 0 }
    }
}

impl StoredHistory {
    /// Configures a router.
    pub(super) fn apply(&self, router: &mut Router) {
        recording::seed_epochs(router, self.seed);
        recording::limit_history(router, self.bytes_max, &self.spaces);
    }
}

impl BrokerCore {
    /// Sets the memory for clients that are away, in bytes.
    pub fn limit_away(&mut self, bytes: usize) {
        self.away_bytes = bytes;
        timers::limit_away(&mut self.router, bytes);
    }

    /// Sets the memory for stored publications in bytes, and how many each space stores, by the name of its tenant.
    pub fn limit_history(&mut self, bytes_max: usize, spaces: Vec<(String, HistoryTerms)>) {
        let tenant = |name: String| match name.is_empty() {
            true => Tenant::shared(),
            false => Tenant(name.into()),
        };
        let spaces = spaces.into_iter().map(|(name, terms)| (tenant(name), terms));
        self.history.bytes_max = bytes_max;
        self.history.spaces = spaces.collect();
        recording::limit_history(&mut self.router, bytes_max, &self.history.spaces);
    }

    /// Sets the number from which the epochs of journals are made. Each broker of a server must have another one.
    pub fn seed_epochs(&mut self, seed: u64) {
        self.history.seed = seed;
        recording::seed_epochs(&mut self.router, seed);
    }
}
