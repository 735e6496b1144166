//! What other hosts of a cluster know. A server without one answers by itself, as if it were all there is.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{EndpointContext, broker_answer};
use crate::api::error::{ApiError, ErrorCode};
use crate::api::publisher::Reached;
use crate::link::query::{
    CountedClients, HostsAnswer, HostsQuery, PresenceQuery, QueryKind, QueryResult,
};
use crate::types::limits::{CLUSTER_QUERY_GRACE, CLUSTER_USED_ID_PAUSE};
use crate::types::{
    Address, ClientFilter, ClientUuid, CountedHosts, HostId, IdUse, Number, PublicationId,
    QueryReach, Recipients,
};

/// How many hosts were asked, this one included, and how many have answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HostCounts {
    pub(super) asked: usize,
    pub(super) answered: usize,
}

impl HostCounts {
    /// No other host was asked.
    pub(super) const ALONE: Self = Self { asked: 1, answered: 1 };

    /// Returns whether a host has not answered.
    pub(super) fn is_partial(self) -> bool {
        self.answered < self.asked
    }

    /// Counts this host, which has answered, and others.
    pub(super) fn of(others: &HostsAnswer) -> Self {
        let answered = others.hosts.iter().filter(|(_, answer)| answer.is_some()).count();
        Self { asked: 1 + others.hosts.len(), answered: 1 + answered }
    }

    /// The counts of two questions of one answer.
    pub(super) fn and(self, other: Self) -> Self {
        let missing = (self.asked - self.answered).max(other.asked - other.answered);
        let asked = self.asked.max(other.asked);
        Self { asked, answered: asked - missing }
    }

    /// One more host has not answered.
    pub(super) fn without_one(self) -> Self {
        Self { answered: self.answered.saturating_sub(1), ..self }
    }

    /// Only this host is counted.
    pub(super) fn own_only(self) -> Self {
        Self { answered: 1, ..self }
    }

    /// The members of an answer, after others. None for a server without a cluster.
    pub(super) fn members(counts: Option<Self>) -> String {
        let Some(Self { asked, answered }) = counts else { return String::new() };
        let is_partial = counts.is_some_and(Self::is_partial);
        format!(",\"hosts\":{{\"asked\":{asked},\"answered\":{answered}}},\"partial\":{is_partial}")
    }
}

impl From<CountedHosts> for HostCounts {
    fn from(CountedHosts { asked, answered }: CountedHosts) -> Self {
        Self { asked: asked as usize, answered: answered as usize }
    }
}

impl From<HostCounts> for CountedHosts {
    fn from(HostCounts { asked, answered }: HostCounts) -> Self {
        let count = |hosts| u32::try_from(hosts).unwrap_or(u32::MAX);
        Self { asked: count(asked), answered: count(answered) }
    }
}

/// What hosts have answered.
#[derive(Debug)]
pub(super) struct AnswersOfHosts<T> {
    /// The answer of this host.
    pub(super) own: T,
    /// Those of others.
    pub(super) others: BTreeMap<HostId, T>,
    /// This host. Unknown on a server without a cluster.
    pub(super) own_host: HostId,
    /// None on a server without a cluster.
    pub(super) counts: Option<HostCounts>,
}

impl<T> AnswersOfHosts<T> {
    /// Returns the sum of something over all hosts.
    pub(super) fn sum(&self, of: impl Fn(&T) -> u64) -> u64 {
        self.others.values().chain([&self.own]).map(of).sum()
    }
}

/// Asks this host and all others. `read` returns none if the answer is not one to this question.
///
/// # Errors
///
/// If this host does not answer, or if `read` fails for one of them.
pub(super) async fn ask_all<T>(
    context: EndpointContext<'_>,
    kind: QueryKind,
    read: impl Fn(QueryResult) -> Option<Result<T, ApiError>>,
) -> Result<AnswersOfHosts<T>, ApiError> {
    let (own, others) = tokio::join!(
        broker_answer(context, kind.clone()),
        ask_others(context, QueryReach::All, kind)
    );
    let own = read(own?).ok_or_else(super::unexpected)??;
    let mut answers =
        AnswersOfHosts { own, others: BTreeMap::new(), own_host: HostId(0), counts: None };
    let Some(others) = others else { return Ok(answers) };
    let mut counts = HostCounts::of(&others);
    answers.own_host = others.own;
    for (host, answer) in others.hosts {
        match answer.map(&read) {
            Some(Some(answer)) => drop(answers.others.insert(host, answer?)),
            Some(None) => counts = counts.without_one(),
            None => {}
        }
    }
    answers.counts = Some(counts);
    Ok(answers)
}

/// Counts the clients that match, on all hosts that answer.
///
/// # Errors
///
/// If this host does not answer, or if the expression is too expensive.
pub(super) async fn count_clients(
    context: EndpointContext<'_>,
    filter: ClientFilter,
) -> Result<(u64, Option<HostCounts>), ApiError> {
    let query = PresenceQuery { filter, tag: Box::default() };
    let read = |result| match result {
        QueryResult::Presence(found) => Some(Ok(found.clients)),
        QueryResult::Refused(cost) => Some(Err(ApiError::too_expensive(cost))),
        _ => None,
    };
    let answers = ask_all(context, QueryKind::Presence(query), read).await?;
    Ok((answers.sum(|clients| *clients), answers.counts))
}

/// Counts the clients of other hosts that a publication reaches.
#[derive(Debug)]
pub(super) struct ReachElsewhere<'a> {
    context: EndpointContext<'a>,
    address: Address,
}

/// What a publication has reached on all hosts.
#[derive(Debug)]
pub(super) struct ReachedEverywhere {
    pub(super) reached: Reached,
    /// What other hosts have counted.
    pub(super) others: Vec<(HostId, CountedClients)>,
    /// None on a server without a cluster.
    pub(super) hosts: Option<HostCounts>,
}

impl<'a> ReachElsewhere<'a> {
    /// `None` on a server without a cluster.
    pub(super) fn new(context: EndpointContext<'a>, address: &Address) -> Option<Self> {
        context.config.query_timeout?;
        Some(Self { context, address: address.clone() })
    }

    /// Adds the clients of other hosts to those of this one. They are counted when the question arrives there, which
    /// may be a moment before or after the publication. The only client of an address is looked for elsewhere if it is
    /// not here.
    pub(super) async fn add_to(&self, own: Reached) -> ReachedEverywhere {
        let is_single = self.address.recipients.is_single();
        if is_single && (own.clients > 0 || own.is_away) {
            let (others, hosts) = (Vec::new(), Some(HostCounts::ALONE));
            return ReachedEverywhere { reached: own, others, hosts };
        }
        let home = match self.address.recipients {
            Recipients::First { uuid: Some(uuid), ident: None } => Some(uuid.home()),
            _ => None,
        };
        let mut answer = self.ask(home.map_or(QueryReach::All, QueryReach::One)).await;
        if home.is_some_and(|home| answer.hosts.is_empty() && answer.own != home) {
            answer = self.ask(QueryReach::All).await;
        }
        let mut hosts = HostCounts::of(&answer);
        let (mut reached, mut others) = (own, Vec::new());
        for (host, answer) in answer.hosts {
            match answer {
                Some(QueryResult::Counted(counted)) => {
                    reached.clients += counted.clients;
                    reached.workers += counted.workers;
                    reached.scan_values = reached.scan_values.max(counted.scan_values);
                    reached.is_away |= counted.is_away;
                    others.push((host, counted));
                }
                Some(_) => hosts = hosts.without_one(),
                None => {}
            }
        }
        reached.is_away &= reached.clients == 0;
        ReachedEverywhere { reached, others, hosts: Some(hosts) }
    }

    /// Waits for the reports of other hosts on a publication of this number. `None` if the own bridge does not answer.
    pub(super) async fn reports(&self, number: Number, until: Instant) -> Option<HostsAnswer> {
        ask_bridge(self.context, number, until + CLUSTER_QUERY_GRACE).await
    }

    /// Returns what this host knows of an earlier publication with the same id.
    pub(super) fn used(&self, id: &PublicationId) -> Option<IdUse> {
        self.context.state.publisher.used(id)
    }

    /// Keeps what a publication with an id has reached, for those who repeat it.
    pub(super) fn keep(&self, id: &PublicationId, everywhere: &ReachedEverywhere) {
        let ReachedEverywhere { reached, hosts, .. } = everywhere;
        if let Some(hosts) = hosts {
            self.context.state.publisher.keep_reached(id, *reached, (*hosts).into());
        }
    }

    /// Asks for the first answer to a publication, beginning with the host that this one knows the id from: it may be
    /// the one of the only client, which knows the one that has accepted it. That host may still count clients, or its
    /// broker may not have the counts yet; then it is asked again, for little more than `queryTimeout`. `None` if no host
    /// answers, or knows the publication any longer.
    pub(super) async fn first_use(&self, known_from: HostId, id: &PublicationId) -> Option<IdUse> {
        let timeout = self.context.config.query_timeout?;
        let until = Instant::now() + timeout + CLUSTER_QUERY_GRACE;
        let (mut asked, mut first) = (known_from, None);
        loop {
            let Some((own, used)) = self.use_at(asked, id).await else { return first };
            if used.hosts.is_some() {
                return Some(used);
            }
            if Instant::now() + CLUSTER_USED_ID_PAUSE >= until {
                return first.or(Some(used));
            }
            match used.origin {
                // The host that has accepted it may know it from this one before it has its own counts.
                Some(origin) if first.is_none() && origin != own => asked = origin,
                _ => sleep(CLUSTER_USED_ID_PAUSE).await,
            }
            first.get_or_insert(used);
        }
    }

    /// Returns this host, and what another one knows of an earlier publication with the same id.
    async fn use_at(&self, host: HostId, id: &PublicationId) -> Option<(HostId, IdUse)> {
        let (reach, kind) = (QueryReach::One(host), QueryKind::UsedId(id.id));
        let answer = ask_others(self.context, reach, kind).await?;
        let mut results = answer.hosts.into_iter().filter_map(|(_, result)| result);
        results.find_map(|result| match result {
            QueryResult::UsedId(used) => used.map(|used| (answer.own, *used)),
            _ => None,
        })
    }

    /// Returns how many hosts there are, of which only this one is counted.
    pub(super) async fn own_only(&self) -> HostCounts {
        HostCounts::of(&self.ask(QueryReach::All).await).own_only()
    }

    async fn ask(&self, reach: QueryReach) -> HostsAnswer {
        let kind = QueryKind::Count(Box::new(self.address.clone()));
        let answer = ask_others(self.context, reach, kind).await;
        answer.unwrap_or(HostsAnswer { own: HostId(0), hosts: Vec::new() })
    }
}

/// Asks other hosts. `None` on a server without a cluster. If the own bridge hangs, it is one host that has not
/// answered.
pub(super) async fn ask_others(
    context: EndpointContext<'_>,
    reach: QueryReach,
    kind: QueryKind,
) -> Option<HostsAnswer> {
    let timeout = context.config.query_timeout?;
    let left = context.until.saturating_duration_since(Instant::now());
    let unknown = HostsAnswer { own: HostId(0), hosts: vec![(HostId(0), None)] };
    if left.is_zero() {
        return Some(unknown);
    }
    let timeout = timeout.min(left.saturating_sub(CLUSTER_QUERY_GRACE)).max(SHORTEST);
    let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    let query = QueryKind::Hosts(Box::new(HostsQuery { reach, timeout_ms, kind }));
    let until = Instant::now() + timeout + CLUSTER_QUERY_GRACE;
    let EndpointContext { state, application, .. } = context;
    match state.publisher.query(&application.tenant, query, until).await {
        Some(QueryResult::Hosts(answer)) => Some(answer),
        _ => Some(unknown),
    }
}

/// Asks the bridge of this host what others have made of a question to a client, or of a publication with a report. `None` if it is not known in time.
pub(super) async fn ask_bridge(
    context: EndpointContext<'_>,
    number: Number,
    until: Instant,
) -> Option<HostsAnswer> {
    let (reach, kind) = (QueryReach::All, QueryKind::Directed(number));
    let query = QueryKind::Hosts(Box::new(HostsQuery { reach, timeout_ms: 0, kind }));
    let EndpointContext { state, application, .. } = context;
    match state.publisher.query(&application.tenant, query, until).await? {
        QueryResult::Hosts(answer) => Some(answer),
        _ => None,
    }
}

/// The shortest time that other hosts have.
const SHORTEST: Duration = Duration::from_millis(1);

/// Asks about one client: this host, then the one that the UUID names, then all if that one is gone. `is_found` says
/// whether an answer knows the client. Returns the answer of this host if none knows it.
///
/// # Errors
///
/// If a host does not answer that may know the client.
pub(super) async fn ask_about(
    context: EndpointContext<'_>,
    client: ClientUuid,
    kind: QueryKind,
    is_found: fn(&QueryResult) -> bool,
) -> Result<QueryResult, ApiError> {
    let own = broker_answer(context, kind.clone()).await?;
    if is_found(&own) {
        return Ok(own);
    }
    let home = client.home();
    for reach in [QueryReach::One(home), QueryReach::All] {
        let Some(HostsAnswer { own: own_host, hosts }) =
            ask_others(context, reach, kind.clone()).await
        else {
            return Ok(own);
        };
        let has_missing = hosts.iter().any(|(_, answer)| answer.is_none());
        let is_answered = !hosts.is_empty() || own_host == home;
        if let Some(found) = hosts.into_iter().filter_map(|(_, it)| it).find(is_found) {
            return Ok(found);
        }
        if has_missing {
            return Err(silent());
        }
        if is_answered {
            break;
        }
    }
    Ok(own)
}

/// The error about a client whose host does not answer.
pub(super) fn silent() -> ApiError {
    let message = "the host of this client does not answer";
    ApiError::new(ErrorCode::BrokerUnavailable, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_has_not_answered_makes_the_answer_partial() {
        let result = || Some(QueryResult::Described(None));
        let of = |hosts: Vec<(HostId, Option<QueryResult>)>| {
            HostCounts::of(&HostsAnswer { own: HostId(1), hosts })
        };
        let (all, alone) = (of(vec![(HostId(2), result())]), of(Vec::new()));
        let one_less = of(vec![(HostId(2), result()), (HostId(3), None)]);
        let text = ",\"hosts\":{\"asked\":2,\"answered\":2},\"partial\":false";
        assert_eq!(HostCounts::members(Some(all)), text);
        assert_eq!((alone.asked, alone.answered), (1, 1));
        let text = ",\"hosts\":{\"asked\":3,\"answered\":2},\"partial\":true";
        for counts in [one_less, all.and(one_less), one_less.and(all), one_less.and(one_less)] {
            assert_eq!(HostCounts::members(Some(counts)), text);
        }
        assert_eq!(HostCounts::members(None), "");
    }
}
