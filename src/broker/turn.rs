//! Publications of one turn that wait for their acknowledgement.

use std::collections::BTreeMap;

use crate::types::{Number, WorkerIncarnation};

/// The publications resolved in one turn. They are acknowledged when every link has taken the bytes that were
/// queued for it at the end of that turn.
#[derive(Debug)]
pub(super) struct Turn {
    /// Number of the last publication of each source.
    pub(super) resolved: BTreeMap<WorkerIncarnation, Number>,
    /// For each link, the total number of bytes that it must have taken.
    pub(super) marks: Vec<(WorkerIncarnation, u64)>,
}
