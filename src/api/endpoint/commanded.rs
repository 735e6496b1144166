//! What has become of a command on all hosts.

use super::EndpointContext;
use super::over_hosts::{HostCounts, ask_others};
use crate::api::queries::CommandReceipt;
use crate::link::command::{CommandOutcome, MatchedClients};
use crate::link::query::{QueryKind, QueryResult};
use crate::types::QueryReach;

/// The outcomes of a command.
#[derive(Debug)]
pub(super) struct CommandedEverywhere {
    /// On this host.
    own: CommandOutcome,
    /// On others that have answered in time.
    others: Vec<CommandOutcome>,
    /// None on a server without a cluster.
    hosts: Option<HostCounts>,
}

impl CommandedEverywhere {
    /// Waits for the outcome on this host, and then for those on others if they carry the command out, too. `None` if
    /// the broker does not acknowledge in time. It will be carried out then.
    pub(super) async fn of(context: EndpointContext<'_>, receipt: CommandReceipt) -> Option<Self> {
        let number = receipt.number;
        let own = match receipt.outcome(context.until).await? {
            CommandOutcome::Forwarded(own) => *own,
            own => {
                let hosts = context.config.query_timeout.map(|_| HostCounts::ALONE);
                return Some(Self { own, others: Vec::new(), hosts });
            }
        };
        let query = QueryKind::Directed(number);
        let Some(answer) = ask_others(context, QueryReach::All, query).await else {
            return Some(Self { own, others: Vec::new(), hosts: None });
        };
        let mut hosts = HostCounts::of(&answer);
        let mut others = Vec::new();
        for (_, result) in answer.hosts {
            match result {
                Some(QueryResult::Commanded(outcome)) => others.push(*outcome),
                Some(_) => hosts = hosts.without_one(),
                None => {}
            }
        }
        Some(Self { own, others, hosts: Some(hosts) })
    }

    /// Returns the outcome of a command about one client: that on its host. `None` if a host that has not answered may
    /// have it.
    pub(super) fn of_one(self) -> Option<CommandOutcome> {
        let Self { own, others, hosts } = self;
        let is_known = |outcome: &CommandOutcome| *outcome != CommandOutcome::Unknown;
        match others.into_iter().chain([own]).find(is_known) {
            Some(outcome) => Some(outcome),
            None if hosts.is_some_and(HostCounts::is_partial) => None,
            None => Some(CommandOutcome::Unknown),
        }
    }

    /// Returns the outcome of a command about all clients that match: their sum, if this host has carried it out. A
    /// host that has refused it counts as one that has not answered.
    pub(super) fn of_matching(self) -> (CommandOutcome, Option<HostCounts>) {
        let Self { own, others, mut hosts } = self;
        let CommandOutcome::Matched(mut sum) = own else { return (own, None) };
        for other in others {
            match other {
                CommandOutcome::Matched(MatchedClients { clients, workers }) => {
                    sum.clients += clients;
                    sum.workers += workers;
                }
                _ => hosts = hosts.map(HostCounts::without_one),
            }
        }
        (CommandOutcome::Matched(sum), hosts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(clients: u64) -> CommandOutcome {
        CommandOutcome::Matched(MatchedClients { clients, workers: 1 })
    }

    fn everywhere(
        own: CommandOutcome,
        others: Vec<CommandOutcome>,
        asked: usize,
    ) -> CommandedEverywhere {
        let hosts = Some(HostCounts { asked, answered: 1 + others.len() });
        CommandedEverywhere { own, others, hosts }
    }

    #[test]
    fn the_outcome_about_one_client_is_that_on_its_host() {
        let (unknown, done) = (CommandOutcome::Unknown, matched(1));
        let of = |own: &CommandOutcome, others: &[&CommandOutcome], asked| {
            let others = others.iter().map(|it| (*it).clone()).collect();
            everywhere(own.clone(), others, asked).of_one()
        };
        assert_eq!(of(&done, &[], 1), Some(done.clone()));
        assert_eq!(of(&unknown, &[&unknown, &done], 3), Some(done.clone()));
        assert_eq!(of(&unknown, &[&unknown], 2), Some(unknown.clone()));
        assert_eq!(of(&unknown, &[&unknown], 3), None, "the third may have the client");
    }

    #[test]
    fn the_outcome_about_many_clients_is_their_sum() {
        let (sum, hosts) = everywhere(matched(2), vec![matched(3), matched(4)], 3).of_matching();
        assert_eq!(sum, CommandOutcome::Matched(MatchedClients { clients: 9, workers: 3 }));
        assert!(!hosts.unwrap().is_partial());
        let refused = vec![matched(3), CommandOutcome::TooManyTags];
        let (sum, hosts) = everywhere(matched(2), refused, 3).of_matching();
        assert_eq!(sum, CommandOutcome::Matched(MatchedClients { clients: 5, workers: 2 }));
        assert!(hosts.unwrap().is_partial());
    }
}
