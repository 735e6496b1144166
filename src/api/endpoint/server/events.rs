//! `GET /v1/server/events` and `/v1/server/events/stream`: what has happened to the server.

use std::rc::Rc;

use serde::Serialize;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};

use super::json;
use super::stream::{EMPTY_LINE, KeptAlive, NOT_PERMITTED, ReaderToken, read_to_the_end};
use crate::admin::{EventPage, EventPosition, ServerEvent, ServerEventKind};
use crate::api::config::ApiConfig;
use crate::api::cursor::ListScope;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::event_stream::{ClientGone, EventSender, event_stream, push_event};
use crate::api::operators::reader_places::ReaderPlace;
use crate::api::operators::{AuthenticatedOperator, supervisor};
use crate::api::parameters::Parameters;
use crate::api::response::ApiAnswer;
use crate::api::state::ApiState;
use crate::auth::Operator;
use crate::types::limits::EVENTS_EVERY;

/// The list, as its cursors name it.
const LIST: [&str; 1] = ["server events"];

/// An event, as operators read it.
#[derive(Debug, Serialize)]
struct EventShown<'a> {
    id: u64,
    /// Unix second.
    time: u64,
    kind: ServerEventKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<&'a str>,
    text: &'a str,
}

#[derive(Debug, Serialize)]
struct EventsShown<'a> {
    events: Vec<EventShown<'a>>,
    /// The position after the last event.
    cursor: String,
    /// Events after the cursor of the request that are not kept any more.
    missed: u64,
}

impl<'a> EventShown<'a> {
    fn of(event: &'a ServerEvent) -> Self {
        let ServerEvent { id, at, kind, application, text } = event;
        Self { id: *id, time: *at, kind: *kind, application: application.as_deref(), text }
    }
}

/// Whether an operator may see an event. What is counted over all tenants, and what is done to the whole
/// server with a reason, is for operators of all applications.
fn is_shown(event: &ServerEvent, operator: &Operator) -> bool {
    match (&event.application, event.kind) {
        (Some(application), _) => operator.sees(application),
        (
            None,
            ServerEventKind::Refusals
            | ServerEventKind::RateLimited
            | ServerEventKind::Throttles
            | ServerEventKind::OperatorChange,
        ) => operator.sees_all(),
        (
            None,
            ServerEventKind::Ready
            | ServerEventKind::ProcessExit
            | ServerEventKind::WorkerReplaced
            | ServerEventKind::Reload
            | ServerEventKind::Drain
            | ServerEventKind::Memory,
        ) => true,
    }
}

fn cursor(position: EventPosition) -> String {
    let [start, id] = [position.started_at, position.id].map(u64::to_le_bytes);
    ListScope::new(&LIST).cursor(&[start, id].concat())
}

fn position(parameters: &Parameters<'_>) -> Result<Option<EventPosition>, ApiError> {
    let Some(cursor) = parameters.text("cursor") else { return Ok(None) };
    let bytes = ListScope::new(&LIST).position(cursor)?;
    let (numbers, []) = bytes.as_chunks::<8>() else { return Ok(None) };
    let [started_at, id] = *numbers else { return Ok(None) };
    let (started_at, id) = (u64::from_le_bytes(started_at), u64::from_le_bytes(id));
    Ok(Some(EventPosition { started_at, id }))
}

/// Answers with the events after a cursor; without one, with all that are kept.
///
/// # Errors
///
/// 400 for a wrong cursor, 503 if the supervisor does not answer.
pub(in crate::api) async fn list(
    config: &ApiConfig,
    operator: &Operator,
    parameters: &Parameters<'_>,
) -> Result<ApiAnswer, ApiError> {
    let page = supervisor::events(config, position(parameters)?).await?;
    let shown = page.events.iter().filter(|event| is_shown(event, operator));
    json(&EventsShown {
        events: shown.map(EventShown::of).collect(),
        cursor: cursor(page.position),
        missed: page.missed,
    })
}

/// Answers with a stream of the events after a cursor; without one, of those from now on.
///
/// # Errors
///
/// 400 for a wrong cursor, 503 if there are too many readers.
pub(in crate::api) fn open(
    state: &Rc<ApiState>,
    authenticated: AuthenticatedOperator<'_>,
    parameters: &Parameters<'_>,
) -> Result<ApiAnswer, ApiError> {
    let position = position(parameters)?;
    let shown = ReaderToken::of(authenticated)?;
    let full = || ApiError::new(ErrorCode::Busy, "there are too many readers of events");
    let place = state.operators.events.take().ok_or_else(full)?;
    let (events, body) = event_stream();
    let reader = ServerEventStream { state: Rc::clone(state), _place: place, shown, events };
    spawn_local(reader.run(position));
    Ok(ApiAnswer::events(body))
}

/// One reader of events.
#[derive(Debug)]
struct ServerEventStream {
    state: Rc<ApiState>,
    _place: ReaderPlace,
    shown: ReaderToken,
    events: EventSender,
}

impl ServerEventStream {
    async fn run(self, position: Option<EventPosition>) {
        read_to_the_end(&self.state, &self.events, self.read(position)).await;
    }

    /// Asks the supervisor again and again.
    async fn read(&self, mut position: Option<EventPosition>) -> Result<&'static str, ClientGone> {
        let (mut is_begun, mut stream) = (false, KeptAlive::new(&self.events));
        loop {
            let next = Instant::now() + EVENTS_EVERY;
            let config = self.state.config();
            let operators = config.operators.operators.as_ref();
            let operator = operators.and_then(|it| self.shown.operator(&self.state, it)).cloned();
            let Some(operator) = operator else { return Ok(NOT_PERMITTED) };
            // A supervisor that does not answer is asked again.
            if let Ok(page) = supervisor::events(&config, position).await {
                let mut lines = String::new();
                if !std::mem::replace(&mut is_begun, true) {
                    // From here on no event is left out.
                    lines.push_str(EMPTY_LINE);
                }
                if position.is_some() {
                    push_page(&mut lines, &page, &operator);
                }
                position = Some(page.position);
                stream.send(lines).await?;
            }
            sleep_until(next).await;
        }
    }
}

fn push_page(out: &mut String, page: &EventPage, operator: &Operator) {
    if page.missed > 0 {
        push_event(out, "gap", &format!("{{\"missed\":{}}}", page.missed));
    }
    for event in page.events.iter().filter(|event| is_shown(event, operator)) {
        let position = EventPosition { id: event.id, ..page.position };
        // The id of an event (WHATWG HTML, section 9.2.6) is the cursor after it.
        out.push_str("id: ");
        out.push_str(&cursor(position));
        out.push('\n');
        push_event(out, "", &serde_json::to_string(&EventShown::of(event)).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::OperatorRole;

    fn operator(applications: Option<&[&str]>) -> Operator {
        let applications =
            applications.map(|all| all.iter().map(|one| (*one).to_owned()).collect());
        Operator {
            name: "ci".to_owned(),
            role: OperatorRole::Viewer,
            password: None,
            token: None,
            applications,
            payloads: false,
        }
    }

    #[test]
    fn an_operator_of_some_applications_sees_no_event_of_others() {
        let event = |kind, application: Option<&str>| ServerEvent {
            id: 1,
            at: 2,
            kind,
            application: application.map(str::to_owned),
            text: String::new(),
        };
        let (all, shop) = (operator(None), operator(Some(&["shop"])));
        for (kind, application, expected) in [
            (ServerEventKind::OperatorChange, Some("shop"), true),
            (ServerEventKind::OperatorChange, Some("other"), false),
            (ServerEventKind::OperatorChange, None, false),
            (ServerEventKind::Refusals, None, false),
            (ServerEventKind::Throttles, None, false),
            (ServerEventKind::ProcessExit, None, true),
        ] {
            let event = event(kind, application);
            assert_eq!(is_shown(&event, &shop), expected, "{event:?}");
            assert!(is_shown(&event, &all));
        }
    }

    #[test]
    fn a_cursor_has_its_position() {
        let position = EventPosition { started_at: 1_764_345_600, id: 7 };
        let text = format!("cursor={}", cursor(position));
        let parameters = Parameters::read(Some(&text), &["cursor"]).unwrap();
        assert_eq!(super::position(&parameters).unwrap(), Some(position));
    }
}
