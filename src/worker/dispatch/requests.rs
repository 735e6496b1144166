//! Requests of `tagcast.v1`: what they do in the worker, and their answers.
//!
//! A publication or a change of tags is answered when the broker has acknowledged it (rule L5). Until then the
//! request is kept with the number that it has in the send window, which bounds how many there are.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::{ClientRef, ConnectionEffect, ConnectionEffects, presence, sent_data, text_frame};
use crate::broker_client::report_requests::{RecipientForm, ReportRequester};
use crate::broker_client::sent_requests::RequestVerdict;
use crate::broker_client::uplink::Uplink;
use crate::link::command::CommandOutcome;
use crate::link::message::CountedPublication;
use crate::protocol::v1::{
    V1Counts, V1Error, V1ErrorCode, V1RequestId, ack, ack_repeated, tags_changed,
};
use crate::resource::RequestEffect;
use crate::session::Session;
use crate::types::limits::TAGS_MAX;
use crate::types::{Client, ClientUuid, Number, Slot, TagEdit};
use crate::websocket::write as frames;
use crate::worker::asks::{self, OpenAsk};
use crate::worker::connection::outbox::PartKind;
use crate::worker::connection::table::ConnectionTable;
use crate::worker::connection::{readiness, write};
use crate::worker::context::Context;

/// Time after which a client may repeat a request that memory was too short for.
const BUSY_RETRY_MS: u64 = 1000;

/// Requests that the broker has not acknowledged, in the order of their numbers.
#[derive(Debug, Default)]
pub(in crate::worker) struct OpenRequests(VecDeque<V1OpenRequest>);

#[derive(Debug)]
struct V1OpenRequest {
    number: Number,
    slot: Slot,
    /// Identifies the client, because its slot may be reused.
    client: ClientUuid,
    /// `None`: only an error is answered.
    id: Option<V1RequestId>,
    kind: OpenRequestKind,
    counts: Option<V1Counts>,
    /// Whether the answer has the counts.
    is_reported: bool,
    error: Option<Box<V1Error>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenRequestKind {
    Publication,
    TagChange,
    /// It was accepted before.
    Repeated,
}

impl V1OpenRequest {
    /// Returns the answer, if there is one.
    fn answer(&self, uplink: &Uplink) -> Option<String> {
        if let Some(error) = &self.error {
            return Some(error.frame(self.id));
        }
        let id = self.id?;
        Some(match self.kind {
            OpenRequestKind::Publication | OpenRequestKind::TagChange => {
                ack(id, self.counts.filter(|_| self.is_reported))
            }
            OpenRequestKind::Repeated => match uplink.judge_request(self.slot, id.0) {
                Some(RequestVerdict::Doubtful) => unknown().frame(self.id),
                _ => ack_repeated(id),
            },
        })
    }
}

fn unknown() -> Box<V1Error> {
    let why =
        "the broker has died since this request was accepted: some clients may not have got it";
    V1Error::new(V1ErrorCode::Unknown, why)
}

impl OpenRequests {
    fn find(&mut self, number: Number) -> Option<&mut V1OpenRequest> {
        let place = self.0.partition_point(|request| request.number < number);
        let request = self.0.get_mut(place).filter(|request| request.number == number);
        request.filter(|request| request.kind != OpenRequestKind::Repeated)
    }

    fn is_own_change(&mut self, number: Number) -> bool {
        self.find(number).is_some_and(|request| request.kind == OpenRequestKind::TagChange)
    }

    fn next_acknowledged(&mut self, up_to: u64) -> Option<V1OpenRequest> {
        self.0.pop_front_if(|request| request.number.0 <= up_to)
    }

    /// Takes the counts of a publication of a client. Returns false if no request has asked for them. A request of
    /// another client may wait for the same number.
    pub(in crate::worker) fn on_counted(
        &mut self,
        publisher: Slot,
        counted: &CountedPublication,
    ) -> bool {
        let CountedPublication { number, clients, workers, scan_values, away, .. } = *counted;
        let request = self.find(number).filter(|request| request.slot == publisher);
        let Some(request) = request else { return false };
        request.counts = Some(V1Counts { matched: clients, away, workers });
        if scan_values > 0 {
            let why =
                format!("the expression would scan {scan_values} values: use longer prefixes");
            request.error = Some(V1Error::new(V1ErrorCode::LimitExceeded, why));
        }
        true
    }

    /// Takes what has become of a change of tags.
    pub(in crate::worker) fn on_outcome(&mut self, number: Number, outcome: &CommandOutcome) {
        let is_change = |request: &&mut V1OpenRequest| request.kind == OpenRequestKind::TagChange;
        let Some(request) = self.find(number).filter(is_change) else { return };
        if *outcome == CommandOutcome::TooManyTags {
            let error = V1Error::new(V1ErrorCode::LimitExceeded, "more than 128 tags");
            request.error = Some(error.over(TAGS_MAX));
        }
    }
}

/// State between the parts of one request.
#[derive(Debug, Default)]
pub(super) struct RequestProgress {
    /// The recipients of the next publication are counted.
    is_counted: bool,
    /// The number of the request, if it is new and is recognised when it is repeated.
    new_id: Option<V1RequestId>,
    /// What is known of the request, if it is not new.
    known: Option<RequestVerdict>,
    /// The next publication is a question.
    ask: Option<OpenAsk>,
    /// The server or a backend was too busy for it, or the client has too many open questions.
    error: Option<Box<V1Error>>,
}

impl RequestProgress {
    /// Notes that something was not accepted. Returns whether the client gets the answer of its protocol to that. A
    /// client with requests gets an error instead.
    pub(super) fn reports_busy(&mut self, session: &Session) -> bool {
        let busy = V1Error::new(V1ErrorCode::Busy, "the server is busy: try again later");
        self.error = Some(busy.retry_after_ms(BUSY_RETRY_MS));
        !session.protocol.spec().has_requests
    }

    /// Begins the request with this number.
    fn begin(&mut self, uplink: &Uplink, slot: Slot, id: V1RequestId) {
        match uplink.judge_request(slot, id.0) {
            None => {}
            Some(RequestVerdict::New) => self.new_id = Some(id),
            Some(known) => self.known = Some(known),
        }
    }

    /// Returns whether its publication is not made.
    pub(super) fn is_refused(&self) -> bool {
        self.error.is_some()
    }

    /// Takes why the request is not carried out.
    pub(super) fn take_error(&mut self) -> Option<Box<V1Error>> {
        self.error.take()
    }

    /// Returns the question that the next publication is.
    pub(super) fn take_ask(&mut self) -> Option<OpenAsk> {
        self.ask.take()
    }

    /// Returns whether the request was accepted before, or may have been.
    pub(super) fn was_accepted(&self) -> bool {
        self.known.is_some()
    }

    /// Says which request the next publication is.
    pub(super) fn begin_publication(&mut self, uplink: &mut Uplink, slot: Slot) {
        if let Some(id) = self.new_id.take() {
            uplink.begin_request(slot, id.0);
        }
    }

    /// Returns the client that gets the count of the publication.
    pub(super) fn take_requester(&mut self, slot: Slot) -> Option<ReportRequester> {
        let naming = RecipientForm::Usual;
        std::mem::take(&mut self.is_counted).then_some(ReportRequester { slot, naming })
    }
}

/// Applies a part of a request. Returns the effects on the connection.
pub(super) fn apply(
    context: &mut Context,
    client: ClientRef<'_>,
    effect: RequestEffect,
    received: &[u8],
    progress: &mut RequestProgress,
) -> ConnectionEffects {
    let one = match effect {
        RequestEffect::CountNext => {
            progress.is_counted = true;
            None
        }
        RequestEffect::Begin(id) => {
            progress.begin(&context.broker.uplink, client.slot, id);
            None
        }
        RequestEffect::DropAnswer => {
            context.labelled.note_answer_dropped();
            None
        }
        RequestEffect::Ask { id, within } => {
            match asks::begin(context, client, id, within) {
                Ok(ask) => progress.ask = Some(ask),
                Err(error) => progress.error = Some(error),
            }
            None
        }
        RequestEffect::Asked(id) => {
            progress.ask = None;
            progress.error.take().map(|error| error_frame(Some(id), &error))
        }
        RequestEffect::Pong(id) => Some(ConnectionEffect::Pong(id)),
        RequestEffect::Alive => Some(ConnectionEffect::Alive),
        RequestEffect::Refuse { id, error } => Some(error_frame(id, &error)),
        RequestEffect::Acknowledge { id, is_reported } => match progress.error.take() {
            Some(error) => Some(error_frame(id, &error)),
            None if let Some(known) = progress.known => answer_known(context, client, id, known),
            None => {
                let number = context.broker.uplink.last_number();
                let kind = OpenRequestKind::Publication;
                answer_later(context, client, OpenAnswer { number, id, kind, is_reported })
            }
        },
        RequestEffect::Tag { id, edit } => {
            progress.begin(&context.broker.uplink, client.slot, id);
            match progress.known {
                Some(known) => answer_known(context, client, Some(id), known),
                None => change_tags(context, client, id, edit, progress),
            }
        }
        RequestEffect::Watch { id, terms } => presence::watch(context, client, id, *terms),
        RequestEffect::Unwatch { id, watch } => presence::unwatch(context, client, id, watch),
        RequestEffect::Send { id, data } => {
            return sent_data::pass_on(context, client, id, received, data);
        }
    };
    one.into_iter().collect()
}

fn change_tags(
    context: &mut Context,
    client: ClientRef<'_>,
    id: V1RequestId,
    edit: TagEdit,
    progress: &mut RequestProgress,
) -> Option<ConnectionEffect> {
    context.memory.grow(edit.held());
    context.labelled.note_tag_change("client");
    let uplink = &mut context.broker.uplink;
    // Tags that the broker does not have change at once.
    if uplink.client(client.slot).is_some_and(Client::is_reached_by_tags) {
        progress.begin_publication(uplink, client.slot);
    }
    let (number, kind) = match uplink.request_tag_change(client.slot, edit) {
        Some(number) => (number, OpenRequestKind::TagChange),
        None => (uplink.last_number(), OpenRequestKind::Publication),
    };
    answer_later(context, client, OpenAnswer { number, id: Some(id), kind, is_reported: false })
}

/// Answers a request that was accepted before, once all links have taken it.
fn answer_known(
    context: &mut Context,
    client: ClientRef<'_>,
    id: Option<V1RequestId>,
    known: RequestVerdict,
) -> Option<ConnectionEffect> {
    const TOO_OLD: &str = "this number is more than 255 below the greatest one of this instance";
    context.labelled.note_request_repeated();
    let uplink = &mut context.broker.uplink;
    let number = match known {
        RequestVerdict::New | RequestVerdict::Repeated => uplink.last_number(),
        RequestVerdict::RepeatedBehindBarrier => uplink.barrier(client.slot)?,
        RequestVerdict::Doubtful => return Some(error_frame(id, &unknown())),
        RequestVerdict::TooOld => {
            return Some(error_frame(id, &V1Error::new(V1ErrorCode::TooOld, TOO_OLD)));
        }
    };
    let kind = OpenRequestKind::Repeated;
    answer_later(context, client, OpenAnswer { number, id, kind, is_reported: false })
}

pub(super) fn error_frame(id: Option<V1RequestId>, error: &V1Error) -> ConnectionEffect {
    text_frame(error.frame(id).as_bytes())
}

/// A request that is answered when the broker has acknowledged this number.
struct OpenAnswer {
    number: Number,
    id: Option<V1RequestId>,
    kind: OpenRequestKind,
    is_reported: bool,
}

/// Keeps a request until the broker has acknowledged its number. Returns the answer if it has already.
fn answer_later(
    context: &mut Context,
    ClientRef { slot, session, .. }: ClientRef<'_>,
    OpenAnswer { number, id, kind, is_reported }: OpenAnswer,
) -> Option<ConnectionEffect> {
    let (client, counts, error) = (session.uuid, None, None);
    let request = V1OpenRequest { number, slot, client, id, kind, counts, is_reported, error };
    if number.0 <= context.broker.uplink.reached().acknowledged {
        return request.answer(&context.broker.uplink).map(|answer| text_frame(answer.as_bytes()));
    }
    context.requests.0.push_back(request);
    None
}

/// Answers the requests that the broker's progress completes, within the time budget of this part of the turn.
/// Consecutive answers to one client are written together.
pub(in crate::worker) fn answer_acknowledged(
    context: &mut Context,
    connections: &mut ConnectionTable,
) {
    if context.requests.0.is_empty() {
        return;
    }
    let up_to = context.broker.uplink.reached().acknowledged;
    let part = context.clock.part();
    let mut next = context.requests.next_acknowledged(up_to);
    while let Some(first) = next.take() {
        let (slot, client) = (first.slot, first.client);
        let mut answers = BytesMut::new();
        let mut request = first;
        loop {
            if let Some(answer) = request.answer(&context.broker.uplink) {
                frames::text(&mut answers, answer.as_bytes());
            }
            match context.requests.next_acknowledged(up_to) {
                Some(other) if (other.slot, other.client) == (slot, client) => request = other,
                other => {
                    next = other;
                    break;
                }
            }
        }
        write_to(context, connections, slot, client, answers);
        if context.clock.is_over(part) {
            if let Some(next) = next {
                context.requests.0.push_front(next);
            }
            return;
        }
    }
}

/// Writes frames to a client, if it is still in its slot.
pub(in crate::worker) fn write_to(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
    client: ClientUuid,
    bytes: BytesMut,
) {
    let is_it = connections.get(slot).is_some_and(|it| it.is_open() && it.uuid() == Some(client));
    if !is_it {
        return;
    }
    let Some(mut connection) = connections.take(slot) else { return };
    write::write(context, &mut connection, bytes.freeze(), PartKind::Frames);
    readiness::rearm(context, connections, connection);
}

/// Tells a client its tags, because something else than its own request has changed them.
pub(in crate::worker) fn on_tags_changed(
    context: &mut Context,
    connections: &mut ConnectionTable,
    slot: Slot,
    own: Option<Number>,
) {
    if own.is_some_and(|number| context.requests.is_own_change(number)) {
        return;
    }
    let Some(client) = context.broker.uplink.client(slot) else { return };
    let (uuid, text) = (client.uuid, tags_changed(&client.tags));
    let mut frame = BytesMut::new();
    frames::text(&mut frame, text.as_bytes());
    write_to(context, connections, slot, uuid, frame);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request of a client that waits for a number, as one with a new token does.
    fn waiting(slot: u32, number: u64) -> OpenRequests {
        let request = V1OpenRequest {
            number: Number(number),
            slot: Slot(slot),
            client: ClientUuid([1; 16]),
            id: Some(V1RequestId(1)),
            kind: OpenRequestKind::Publication,
            counts: None,
            is_reported: false,
            error: None,
        };
        OpenRequests([request].into())
    }

    #[test]
    fn a_waiting_request_leaves_the_counts_of_another_client() {
        let mut requests = waiting(7, 3);
        let counted = |number| CountedPublication {
            number: Number(number),
            clients: 1,
            workers: 1,
            scan_values: 0,
            away: None,
            is_forwarded: false,
        };
        assert!(!requests.on_counted(Slot(8), &counted(3)));
        assert!(!requests.on_counted(Slot(7), &counted(2)));
        assert!(requests.on_counted(Slot(7), &counted(3)));
    }

    #[test]
    fn a_waiting_request_leaves_the_outcome_of_another_command() {
        let mut requests = waiting(7, 3);
        requests.on_outcome(Number(3), &CommandOutcome::TooManyTags);
        assert_eq!(requests.0[0].error, None);
        requests.0[0].kind = OpenRequestKind::TagChange;
        requests.on_outcome(Number(3), &CommandOutcome::TooManyTags);
        assert!(requests.0[0].error.is_some());
    }
}
