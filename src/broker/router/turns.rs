//! The end of a turn, and the acknowledgements that it makes possible (rule L5).

use std::collections::BTreeMap;

use super::Router;
use crate::types::{Number, WorkerIncarnation};

/// The publications resolved in one turn. They are acknowledged when every link has taken the bytes that were
/// queued for it at the end of that turn.
#[derive(Debug)]
pub(super) struct Turn {
    /// Number of the last publication of each source.
    resolved: BTreeMap<WorkerIncarnation, Number>,
    /// For each link, the total number of bytes that it must have taken.
    marks: Vec<(WorkerIncarnation, u64)>,
}

impl Router {
    /// Ends a turn. Its publications are acknowledged when all links have taken their bytes (rule L5).
    pub fn end_turn(&mut self) {
        self.resolve_cache.forget();
        let mut resolved = BTreeMap::new();
        for member in self.workers.values_mut() {
            member.set_names = 0;
            if let Some(last) = member.last_publication
                && member.turn_ended_at.is_none_or(|before| before < last)
            {
                member.turn_ended_at = Some(last);
                resolved.insert(member.source, last);
            }
        }
        if !resolved.is_empty() {
            let marks = self.workers.values().map(|member| (member.source, member.out.appended()));
            self.turns.push_back(Turn { resolved, marks: marks.collect() });
        }
        self.acknowledge();
    }

    /// Acknowledges publications that all links have taken. The link of the source itself is not waited for,
    /// because the acknowledgement follows the deliveries in the same byte stream.
    pub fn acknowledge(&mut self) {
        while let Some(turn) = self.turns.front_mut() {
            let members = &self.workers;
            turn.marks.retain(|(source, mark)| {
                members
                    .get(&source.worker)
                    .is_some_and(|member| member.source == *source && member.out.written() < *mark)
            });
            let open = &turn.marks;
            turn.resolved.retain(|source, up_to| {
                let waits = open.iter().any(|(waited_for, _)| waited_for != source);
                if let Some(member) = self.workers.get_mut(&source.worker)
                    && member.source == *source
                    && !waits
                {
                    member.acknowledge(*up_to);
                }
                waits
            });
            if !turn.resolved.is_empty() {
                return;
            }
            self.turns.pop_front();
        }
    }
}
