//! Questions to clients of this worker (`ask` of the HTTP API and of `tagcast.v1`): which are open, and what becomes of
//! them.
//!
//! A question is delivered as a publication to one client, with a number that only this client knows. The
//! packet that answers it is taken out of the client's messages before its resource sees it.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::Moment;
use super::context::Context;
use super::dispatch::resumption::ClientEnd;
use crate::broker_client::fanout::Question;
use crate::session::Session;
use crate::types::limits::ASKS_PER_CLIENT_MAX;
use crate::types::{AskToken, Number, Slot, TrackedOutcome, WorkerIncarnation};

/// The open questions of a worker. Usually there are none.
#[derive(Debug, Default)]
pub(super) struct OpenQuestions {
    open: BTreeMap<(Slot, AskToken), OpenQuestion>,
    /// The same questions, by the end of their time.
    due: BTreeSet<(Moment, Slot, AskToken)>,
}

#[derive(Clone, Copy, Debug)]
struct OpenQuestion {
    publisher: WorkerIncarnation,
    number: Number,
    due: Moment,
}

impl OpenQuestions {
    fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Returns when the time of the next question is over.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.first().map(|(due, ..)| *due)
    }

    fn tokens_of(&self, slot: Slot) -> impl Iterator<Item = AskToken> {
        let all = (slot, AskToken([0; 16]))..=(slot, AskToken([u8::MAX; 16]));
        self.open.range(all).map(|((_, token), _)| *token)
    }

    fn first_of(&self, slot: Slot) -> Option<AskToken> {
        self.tokens_of(slot).next()
    }

    /// Adds a question. Returns whether the client has room for it.
    fn add(&mut self, slot: Slot, token: AskToken, question: OpenQuestion) -> bool {
        let has_room = self.tokens_of(slot).count() < ASKS_PER_CLIENT_MAX;
        if has_room {
            self.due.insert((question.due, slot, token));
            self.open.insert((slot, token), question);
        }
        has_room
    }

    fn take(&mut self, slot: Slot, token: AskToken) -> Option<OpenQuestion> {
        let question = self.open.remove(&(slot, token))?;
        self.due.remove(&(question.due, slot, token));
        Some(question)
    }

    fn take_due(&mut self, now: Moment) -> Option<OpenQuestion> {
        let (due, slot, token) = self.due.first().copied()?;
        if due <= now { self.take(slot, token) } else { None }
    }
}

/// Opens a question that is about to be delivered to a client. Returns false if it has too many.
pub(super) fn open(context: &mut Context, slot: Slot, question: &Question) -> bool {
    let Question { publisher, number, token, within } = *question;
    let due = context.clock.now().after(within);
    let opened = OpenQuestion { publisher, number, due };
    let has_room = context.questions.add(slot, token, opened);
    if !has_room {
        // The publisher bounds its questions too. Some of them are over there and not here yet.
        context.broker.uplink.answer(publisher, number, TrackedOutcome::Full);
    }
    has_room
}

/// Returns true if a question to the client is open.
pub(super) fn is_asked(context: &Context, slot: Slot) -> bool {
    !context.questions.is_empty() && context.questions.first_of(slot).is_some()
}

/// Takes a message that answers an open question of the client. Returns false if it is any other message.
pub(super) fn take_answer(
    context: &mut Context,
    slot: Slot,
    session: &Session,
    text: &str,
) -> bool {
    if !is_asked(context, slot) {
        return false;
    }
    let Some(questions) = &session.protocol.spec().questions else { return false };
    let Some(answer) = (questions.answer)(text) else { return false };
    take_read_answer(context, slot, answer.token, answer.reply.outcome())
}

/// Takes an answer with this token. Returns false if no such question of the client is open.
pub(super) fn take_read_answer(
    context: &mut Context,
    slot: Slot,
    token: AskToken,
    outcome: TrackedOutcome,
) -> bool {
    let Some(question) = context.questions.take(slot, token) else { return false };
    end(context, question, outcome);
    true
}

/// Ends the questions of a client whose connection ends. It may come back.
pub(super) fn on_end(context: &mut Context, slot: Slot, client: ClientEnd) {
    if context.questions.is_empty() {
        return;
    }
    let is_away = client == ClientEnd::Away && context.broker.uplink.record(slot).is_some();
    let outcome = || if is_away { TrackedOutcome::Away } else { TrackedOutcome::Closed };
    while !context.questions.is_empty()
        && let Some(token) = context.questions.first_of(slot)
        && let Some(question) = context.questions.take(slot, token)
    {
        end(context, question, outcome());
    }
}

/// Ends the questions whose time is over.
pub(super) fn expire_due(context: &mut Context) {
    let now = context.clock.now();
    while let Some(question) = context.questions.take_due(now) {
        end(context, question, TrackedOutcome::Expired);
    }
}

fn end(context: &mut Context, question: OpenQuestion, outcome: TrackedOutcome) {
    let OpenQuestion { publisher, number, .. } = question;
    context.broker.uplink.answer(publisher, number, outcome);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Generation, WorkerId};
    use std::time::Duration;

    fn question(number: u64, seconds: u64) -> OpenQuestion {
        let publisher = WorkerIncarnation { worker: WorkerId::API, generation: Generation(1) };
        let due = Moment::START.after(Duration::from_secs(seconds));
        OpenQuestion { publisher, number: Number(number), due }
    }

    #[test]
    fn a_question_is_answered_once_and_by_its_own_client() {
        let (mut questions, token) = (OpenQuestions::default(), AskToken([7; 16]));
        assert!(questions.add(Slot(1), token, question(1, 5)));
        assert!(questions.take(Slot(2), token).is_none());
        assert!(questions.take(Slot(1), AskToken([8; 16])).is_none());
        assert!(questions.take(Slot(1), token).is_some());
        assert!(questions.take(Slot(1), token).is_none());
        assert!(questions.is_empty() && questions.next_due().is_none());
    }

    #[test]
    fn a_question_ends_when_its_time_is_over() {
        let mut questions = OpenQuestions::default();
        for (number, seconds) in [(1, 9), (2, 3)] {
            let token = AskToken([u8::try_from(number).unwrap(); 16]);
            assert!(questions.add(Slot(4), token, question(number, seconds)));
        }
        let at = |seconds| Moment::START.after(Duration::from_secs(seconds));
        assert_eq!(questions.next_due(), Some(at(3)));
        assert!(questions.take_due(at(2)).is_none());
        assert_eq!(questions.take_due(at(3)).map(|it| it.number), Some(Number(2)));
        assert!(questions.take_due(at(8)).is_none());
    }

    #[test]
    fn a_client_has_a_bounded_number_of_open_questions() {
        let mut questions = OpenQuestions::default();
        let added =
            (0..=u8::MAX).filter(|n| questions.add(Slot(1), AskToken([*n; 16]), question(1, 1)));
        assert_eq!(added.count(), ASKS_PER_CLIENT_MAX);
        assert!(questions.add(Slot(2), AskToken([0; 16]), question(1, 1)));
    }
}
