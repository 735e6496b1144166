//! Questions that clients of this worker have asked other clients (`ask` of `tagcast.v1`), until they are answered.
//!
//! A question is a publication to one client with a return address: this worker, and its number. The worker of the asked
//! client sends the outcome through the broker. Only this worker keeps the time. If the client is on another host, the
//! bridge knows the outcome, and is asked for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bytes::BytesMut;

use super::clock::Moment;
use super::connection::table::ConnectionTable;
use super::context::Context;
use super::dispatch::ClientRef;
use super::dispatch::requests::write_to;
use super::questions;
use crate::broker_client::report_requests::{RecipientForm, ReportRequester};
use crate::broker_client::uplink::NewPublication;
use crate::link::message::CountedPublication;
use crate::link::query::{BrokerQuery, HostsAnswer, QueryKind, QueryResult};
use crate::protocol::v1::{ANSWERED, UNHANDLED, V1Error, V1ErrorCode, V1RequestId, answered};
use crate::types::limits::{ASKS_MAX, ASKS_PER_CLIENT_MAX};
use crate::types::{AskToken, ClientUuid, Number, Slot, TrackedOutcome, TrackedSubject, Tracking};
use crate::websocket::write as frames;

/// The questions that clients of a worker have asked and that have no answer. Usually there are none.
#[derive(Debug, Default)]
pub(super) struct AskedQuestions {
    open: BTreeMap<Number, OpenAsk>,
    /// The same questions, by the end of their time.
    due: BTreeSet<(Moment, Number)>,
    /// How many each client has.
    of_client: HashMap<Slot, usize>,
}

/// A question and the client that has asked it.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenAsk {
    pub(super) slot: Slot,
    /// Identifies the client, because its slot may be reused.
    pub(super) client: ClientUuid,
    pub(super) id: V1RequestId,
    pub(super) within: Duration,
    pub(super) due: Moment,
    /// Other hosts are asked for the outcome.
    pub(super) is_directed: bool,
}

impl AskedQuestions {
    /// Returns whether a client may ask one more.
    pub(super) fn has_room(&self, slot: Slot) -> bool {
        let own = self.of_client.get(&slot).copied().unwrap_or_default();
        self.open.len() < ASKS_MAX && own < ASKS_PER_CLIENT_MAX
    }

    /// Adds the question that was sent with this number.
    pub(super) fn open(&mut self, number: Number, ask: OpenAsk) {
        self.due.insert((ask.due, number));
        *self.of_client.entry(ask.slot).or_default() += 1;
        self.open.insert(number, ask);
    }

    fn take(&mut self, number: Number) -> Option<OpenAsk> {
        let ask = self.open.remove(&number)?;
        self.due.remove(&(ask.due, number));
        if let Some(own) = self.of_client.get_mut(&ask.slot) {
            *own -= 1;
            if *own == 0 {
                self.of_client.remove(&ask.slot);
            }
        }
        Some(ask)
    }

    /// Removes the questions of a client whose connection ends. It does not get their answers any more.
    pub(super) fn forget(&mut self, slot: Slot) {
        if !self.of_client.contains_key(&slot) {
            return;
        }
        let own = self.open.iter().filter(|(_, ask)| ask.slot == slot);
        let own: Vec<Number> = own.map(|(number, _)| *number).collect();
        for number in own {
            self.take(number);
        }
    }

    /// Returns when the time of the next question is over.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(due, _)| *due)
    }

    fn take_due(&mut self, now: Moment) -> Option<OpenAsk> {
        let (due, number) = self.due.first().copied()?;
        if due <= now { self.take(number) } else { None }
    }
}

/// Begins the question of a client.
///
/// # Errors
///
/// If the client has too many open questions.
pub(super) fn begin(
    context: &mut Context,
    client: ClientRef<'_>,
    id: V1RequestId,
    within: Duration,
) -> Result<OpenAsk, Box<V1Error>> {
    let ClientRef { slot, session, .. } = client;
    if !context.asks.has_room(slot) {
        return Err(noted(context, too_many()));
    }
    let due = context.clock.now().after(within);
    let client = session.uuid;
    Ok(OpenAsk { slot, client, id, within, due, is_directed: false })
}

/// Sends a question to the client of its address.
pub(super) fn send(
    context: &mut Context,
    slot: Slot,
    ask: OpenAsk,
    publication: NewPublication<'_>,
) {
    let token = AskToken(context.rng.uuid().0);
    let tracking = Tracking { subject: TrackedSubject::Answer(token), within: ask.within };
    let requester = ReportRequester { slot, naming: RecipientForm::Usual };
    context.broker.uplink.publish_tracked(requester, None, Some(tracking), publication);
    context.asks.open(context.broker.uplink.last_number(), ask);
}

fn tell(context: &mut Context, connections: &mut ConnectionTable, ask: &OpenAsk, text: &[u8]) {
    let mut frame = BytesMut::new();
    frames::text(&mut frame, text);
    write_to(context, connections, ask.slot, ask.client, frame);
}

/// Answers the client whose question has this outcome.
pub(super) fn on_outcome(
    context: &mut Context,
    connections: &mut ConnectionTable,
    number: Number,
    outcome: &TrackedOutcome,
) {
    match context.asks.take(number) {
        Some(ask) => answer(context, connections, &ask, outcome),
        // Its worker took the answer in time, and it is late here.
        None if matches!(outcome, TrackedOutcome::Answer(_) | TrackedOutcome::Refused(_)) => {
            context.labelled.note_answer_dropped();
        }
        None => {}
    }
}

/// Answers a client whose question has reached no client of this host, or asks for the outcome on other hosts.
pub(super) fn on_counted(
    context: &mut Context,
    connections: &mut ConnectionTable,
    counted: &CountedPublication,
) {
    if context.asks.open.is_empty() || counted.clients > 0 {
        return;
    }
    let number = counted.number;
    let Some(ask) = context.asks.open.get_mut(&number) else { return };
    let is_away = counted.away == Some(true);
    if !is_away && counted.is_forwarded {
        // A new broker counts again what it has not acknowledged.
        if std::mem::replace(&mut ask.is_directed, true) {
            return;
        }
        let slot = ask.slot;
        if context.broker.uplink.query_directed(slot, number) {
            return;
        }
    }
    let Some(ask) = context.asks.take(number) else { return };
    let error = noted(context, if is_away { away() } else { gone() });
    tell(context, connections, &ask, error.frame(Some(ask.id)).as_bytes());
}

/// Answers a client whose question went to other hosts.
pub(super) fn on_hosts(
    context: &mut Context,
    connections: &mut ConnectionTable,
    query: &BrokerQuery,
    answer: HostsAnswer,
) {
    let QueryKind::Hosts(hosts) = &query.kind else { return };
    let QueryKind::Directed(number) = hosts.kind else { return };
    let Some(ask) = context.asks.take(number) else { return };
    let outcome = outcome_on_hosts(answer);
    self::answer(context, connections, &ask, &outcome);
}

fn outcome_on_hosts(HostsAnswer { hosts, .. }: HostsAnswer) -> TrackedOutcome {
    let mut otherwise = TrackedOutcome::Closed;
    for (_, result) in hosts {
        match result {
            Some(QueryResult::Asked(outcome)) => return outcome,
            Some(_) => {}
            // It may have received the question.
            None => otherwise = TrackedOutcome::Lost,
        }
    }
    otherwise
}

/// Returns when the time of the next question is over, of those that clients of this worker have asked or are asked.
pub(super) fn next_due(context: &Context) -> Option<Moment> {
    context.questions.next_due().into_iter().chain(context.asks.next_due()).min()
}

/// Answers the clients whose questions have no answer in time.
pub(super) fn expire_due(context: &mut Context, connections: &mut ConnectionTable) {
    questions::expire_due(context);
    let now = context.clock.now();
    while let Some(ask) = context.asks.take_due(now) {
        answer(context, connections, &ask, &TrackedOutcome::Expired);
    }
}

fn answer(
    context: &mut Context,
    connections: &mut ConnectionTable,
    ask: &OpenAsk,
    outcome: &TrackedOutcome,
) {
    let frame = match outcome {
        TrackedOutcome::Answer(json) => {
            context.labelled.note_ask(ANSWERED);
            answered(ask.id, json)
        }
        other => {
            let error = noted(context, error_of(other, ask.within));
            error.frame(Some(ask.id)).into_bytes()
        }
    };
    tell(context, connections, ask, &frame);
}

/// Counts a question that has no answer.
fn noted(context: &mut Context, error: Box<V1Error>) -> Box<V1Error> {
    context.labelled.note_ask(error.code.name());
    error
}

fn error_of(outcome: &TrackedOutcome, within: Duration) -> Box<V1Error> {
    match outcome {
        TrackedOutcome::Refused(reason) if **reason == *UNHANDLED.as_bytes() => {
            let why = "the client has no handler for such questions";
            V1Error::new(V1ErrorCode::Unhandled, why)
        }
        TrackedOutcome::Refused(reason) => {
            V1Error::new(V1ErrorCode::Refused, String::from_utf8_lossy(reason).into_owned())
        }
        TrackedOutcome::Unsupported => {
            let why = "the protocol of this client has no answers; nothing was sent";
            V1Error::new(V1ErrorCode::Unsupported, why)
        }
        TrackedOutcome::Full => too_many(),
        TrackedOutcome::Closed => gone(),
        TrackedOutcome::Away => away(),
        // It is not known whether the client of a worker that has died has answered.
        _ => {
            let why = format!("the client has not answered within {} ms", within.as_millis());
            V1Error::new(V1ErrorCode::Timeout, why).retryable()
        }
    }
}

/// Returns the error of a client, the asking one or the asked one, that has too many open questions.
fn too_many() -> Box<V1Error> {
    let why = format!("a client has at most {ASKS_PER_CLIENT_MAX} open questions");
    V1Error::new(V1ErrorCode::LimitExceeded, why).over(ASKS_PER_CLIENT_MAX).retryable()
}

fn gone() -> Box<V1Error> {
    V1Error::new(V1ErrorCode::Gone, "there is no such client, or it has ended")
}

fn away() -> Box<V1Error> {
    let why = "the client is away; questions are not kept for it";
    V1Error::new(V1ErrorCode::Away, why).retryable()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::query::CountedClients;
    use crate::types::HostId;

    fn ask(slot: u32, seconds: u64) -> OpenAsk {
        let within = Duration::from_secs(seconds);
        let (client, id) = (ClientUuid([1; 16]), V1RequestId(1));
        let (slot, due) = (Slot(slot), Moment::START.after(within));
        OpenAsk { slot, client, id, within, due, is_directed: false }
    }

    #[test]
    fn a_client_asks_a_bounded_number_of_questions_at_once() {
        let mut asks = AskedQuestions::default();
        let most = ASKS_PER_CLIENT_MAX as u64;
        (0..most).for_each(|number| asks.open(Number(number), ask(1, 5)));
        assert!(!asks.has_room(Slot(1)) && asks.has_room(Slot(2)));
        asks.open(Number(most), ask(2, 3));
        assert!(asks.take(Number(0)).is_some() && asks.take(Number(0)).is_none());
        assert!(asks.has_room(Slot(1)));
        asks.forget(Slot(1));
        assert_eq!((asks.open.len(), asks.due.len(), asks.of_client.len()), (1, 1, 1));
        let at = |seconds| Moment::START.after(Duration::from_secs(seconds));
        assert!(asks.take_due(at(2)).is_none());
        assert_eq!(asks.take_due(at(3)).map(|ask| ask.slot), Some(Slot(2)));
        assert!(asks.next_due().is_none() && asks.of_client.is_empty());
    }

    #[test]
    fn an_outcome_of_another_host_counts_and_one_that_is_missing_is_not_gone() {
        let hosts = |results: Vec<Option<QueryResult>>| {
            let hosts = (2..).map(HostId).zip(results).collect();
            HostsAnswer { own: HostId(1), hosts }
        };
        let (none, unknown) = (None, Some(QueryResult::Counted(CountedClients::default())));
        let full = || Some(QueryResult::Asked(TrackedOutcome::Full));
        for (answer, outcome) in [
            (hosts(vec![none.clone(), unknown.clone(), full()]), TrackedOutcome::Full),
            (hosts(vec![none, unknown.clone()]), TrackedOutcome::Lost),
            (hosts(vec![unknown]), TrackedOutcome::Closed),
            (hosts(vec![]), TrackedOutcome::Closed),
        ] {
            assert_eq!(outcome_on_hosts(answer), outcome);
        }
    }
}
