//! Publications of one turn that wait for their acknowledgement.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::types::{Number, WorkerIncarnation};

/// The publications resolved in one turn. They are acknowledged when every link has taken the bytes that were
/// queued for it at the end of that turn.
#[derive(Debug)]
pub(super) struct Turn {
    /// Number of the last publication of each source.
    pub(super) resolved: BTreeMap<WorkerIncarnation, Number>,
    /// For each link, the total number of bytes that it must have taken.
    pub(super) marks: Vec<(WorkerIncarnation, u64)>,
    /// How many of the publications for other hosts must be carried, counted from the first on.
    pub(super) forwards: u64,
    /// When it ended, since any fixed moment.
    pub(super) ended_at: Duration,
}
