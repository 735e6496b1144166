//! What the sockets of all hosts have taken of a publication (`ack: written`).

use super::over_hosts::{HostCounts, ReachedEverywhere};
use crate::api::publisher::Reached;
use crate::link::query::{HostsAnswer, QueryResult, WrittenByHost};
use crate::types::WriteCounts;

/// What is known of the clients of a publication when it is answered.
#[derive(Debug)]
pub(super) struct WrittenEverywhere {
    pub(super) everywhere: ReachedEverywhere,
    pub(super) sums: WriteCounts,
}

impl WrittenEverywhere {
    /// Adds the reports of other hosts to what was counted, and to the sums of this one. A report counts in place of what
    /// its host has answered before. What that was counts as waiting if there is no report. `answer` is none if the own
    /// bridge has none.
    pub(super) fn new(
        own: Reached,
        sums: WriteCounts,
        counted: ReachedEverywhere,
        answer: Option<HostsAnswer>,
    ) -> Self {
        let hosts = match &answer {
            Some(answer) => Some(HostCounts::of(answer)),
            None => counted.hosts.map(HostCounts::own_only),
        };
        let answers = answer.map(|answer| answer.hosts).unwrap_or_default();
        let (mut reached, mut sums, mut hosts) = (own, sums, hosts);
        let (mut others, mut reported) = (counted.others, Vec::new());
        for (host, result) in answers {
            match result {
                Some(QueryResult::Written(written)) => {
                    let WrittenByHost { clients, workers, counts } = written;
                    reached.clients = reached.clients.saturating_add(clients);
                    reached.workers = reached.workers.saturating_add(workers);
                    sums = sums.and(counts);
                    reported.push(host);
                }
                Some(_) => hosts = hosts.map(HostCounts::without_one),
                None => {}
            }
        }
        others.retain(|(host, _)| !reported.contains(host));
        for (_, counted) in &others {
            reached.clients = reached.clients.saturating_add(counted.clients);
            reached.workers = reached.workers.saturating_add(counted.workers);
            sums.waiting = sums.waiting.saturating_add(counted.clients);
        }
        reached.is_away = counted.reached.is_away && reached.clients == 0;
        Self { everywhere: ReachedEverywhere { reached, others, hosts }, sums }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::publisher::ReachedHosts;
    use crate::link::query::CountedClients;
    use crate::replay::IdOutcome;
    use crate::types::HostId;

    fn reached(clients: u64) -> Reached {
        let (hosts, id) = (ReachedHosts::Others, IdOutcome::WithoutId);
        Reached { clients, workers: 1, scan_values: 0, is_away: false, hosts, id }
    }

    fn counts(written: u64, waiting: u64) -> WriteCounts {
        WriteCounts { written, waiting, ..WriteCounts::default() }
    }

    /// This host has two clients. Hosts 2 and 3 have counted five and seven, and host 4 has not answered.
    fn all(answer: Option<Vec<(u32, Option<QueryResult>)>>) -> (u64, WriteCounts, HostCounts) {
        let one = |clients| CountedClients { clients, workers: 1, ..CountedClients::default() };
        let others = vec![(HostId(2), one(5)), (HostId(3), one(7))];
        let hosts = Some(HostCounts { asked: 4, answered: 3 });
        let counted = ReachedEverywhere { reached: reached(14), others, hosts };
        let answer = answer.map(|hosts| {
            let hosts = hosts.into_iter().map(|(host, result)| (HostId(host), result)).collect();
            HostsAnswer { own: HostId(1), hosts }
        });
        let all = WrittenEverywhere::new(reached(2), counts(2, 0), counted, answer);
        let clients = all.everywhere.reached.clients;
        assert_eq!(clients, all.sums.total(), "the counts agree");
        (clients, all.sums, all.everywhere.hosts.unwrap())
    }

    fn report(clients: u64, counts: WriteCounts) -> Option<QueryResult> {
        Some(QueryResult::Written(WrittenByHost { clients, workers: 1, counts }))
    }

    #[test]
    fn a_report_counts_in_place_of_what_its_host_has_counted() {
        let reports = vec![
            (2, report(6, counts(6, 0))),
            (3, report(7, counts(4, 3))),
            (4, report(1, counts(1, 0))),
        ];
        let complete = HostCounts { asked: 4, answered: 4 };
        assert_eq!(all(Some(reports)), (16, counts(13, 3), complete));
    }

    #[test]
    fn clients_of_a_host_without_a_report_count_as_waiting() {
        let reports = vec![(2, report(5, counts(5, 0))), (3, None), (4, None)];
        let partial = HostCounts { asked: 4, answered: 2 };
        assert_eq!(all(Some(reports)), (14, counts(7, 7), partial));
        let other = Some(QueryResult::Counted(CountedClients::default()));
        let reports = vec![(2, report(5, counts(5, 0))), (3, other), (4, None)];
        assert_eq!(all(Some(reports)), (14, counts(7, 7), partial));
        let alone = HostCounts { asked: 4, answered: 1 };
        assert_eq!(all(None), (14, counts(2, 12), alone));
    }
}
