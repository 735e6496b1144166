//! What this host knows about clients, while other hosts are asked the same.

use std::collections::BTreeMap;

use super::descriptions::AskedDescription;
use crate::link::query::{HostsAnswer, PresenceResult, QueryResult};
use crate::types::WorkerIncarnation;
use crate::types::limits::ANSWER_VALUES_MAX;

/// Findings of this host, by the process that has asked and its number. There are not more than open questions.
#[derive(Debug, Default)]
pub(super) struct OwnFindings(BTreeMap<(WorkerIncarnation, u32), PresenceResult>);

impl OwnFindings {
    /// Keeps findings until other hosts have answered.
    pub(super) fn keep(&mut self, asked: AskedDescription, own: PresenceResult) {
        self.0.insert((asked.asker, asked.number), own);
    }

    /// Returns the findings of all hosts that have answered, or the answer itself if its process has asked others
    /// only.
    pub(super) fn with(&mut self, asked: AskedDescription, answer: HostsAnswer) -> QueryResult {
        let Some(mut sum) = self.0.remove(&(asked.asker, asked.number)) else {
            return QueryResult::Hosts(answer);
        };
        for (_, result) in answer.hosts {
            if let Some(QueryResult::Presence(found)) = result {
                sum.clients += found.clients;
                let room = ANSWER_VALUES_MAX.saturating_sub(sum.values.len());
                sum.values.extend(found.values.into_iter().take(room));
            }
        }
        QueryResult::Presence(sum)
    }

    /// Forgets what a process has asked that is gone.
    pub(super) fn forget(&mut self, asker: WorkerIncarnation) {
        self.0.retain(|(of, _), _| *of != asker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Generation, HostId, Slot, WorkerId};

    fn asked(worker: u16, number: u32) -> AskedDescription {
        let asker = WorkerIncarnation { worker: WorkerId(worker), generation: Generation(1) };
        AskedDescription { asker, slot: Slot::NONE, number }
    }

    fn found(clients: u64, values: usize) -> PresenceResult {
        PresenceResult { clients, values: vec!["v".into(); values] }
    }

    fn answer() -> HostsAnswer {
        let others = [Some(found(5, 600)), None, Some(found(7, 600))];
        let hosts = (2..).map(HostId).zip(others.map(|it| it.map(QueryResult::Presence)));
        HostsAnswer { own: HostId(1), hosts: hosts.collect() }
    }

    #[test]
    fn findings_of_hosts_are_added_up_to_the_most_values() {
        let mut findings = OwnFindings::default();
        findings.keep(asked(0, 3), found(2, 1));
        let QueryResult::Presence(sum) = findings.with(asked(0, 3), answer()) else {
            panic!("findings");
        };
        assert_eq!((sum.clients, sum.values.len()), (14, ANSWER_VALUES_MAX));
        let again = findings.with(asked(0, 3), answer());
        assert_eq!(again, QueryResult::Hosts(answer()), "it was asked of others only");
        findings.keep(asked(1, 4), found(2, 1));
        findings.forget(asked(1, 4).asker);
        assert!(findings.0.is_empty());
    }
}
