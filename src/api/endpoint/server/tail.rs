//! `GET /v1/server/tail`: publications while they are made, for an operator.

use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};

use super::no_such_application;
use super::publication_json::{publication_json, push_payload};
use super::stream::{
    EMPTY_LINE, FAREWELL_TIME, KeptAlive, NOT_PERMITTED, ReaderToken, read_to_the_end,
};
use crate::api::config::ApiConfig;
use crate::api::endpoint::recipients::expression_error;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::event_stream::{ClientGone, EventSender, event_stream, push_event};
use crate::api::operators::AuthenticatedOperator;
use crate::api::operators::reader_places::ReaderPlace;
use crate::api::parameters::{self, Parameters};
use crate::api::response::ApiAnswer;
use crate::api::state::ApiState;
use crate::auth::Operator;
use crate::link::query::{PresenceQuery, QueryKind, QueryResult};
use crate::link::tail::{TailPage, TailQuery};
use crate::telemetry::unix_millis;
use crate::types::limits::{TAIL_PAYLOAD_MAX, TAIL_RATE, TAIL_RATE_MAX};
use crate::types::{Expression, Tenant};

/// How often a fast reader asks the broker, a second.
const QUESTIONS_PER_SECOND: usize = 4;
/// How long one question waits. A broker that dies meanwhile has a successor, which is asked again.
const QUESTION_TIME: Duration = Duration::from_secs(3600);
/// What a reader wants to see.
#[derive(Debug)]
struct TailFilter {
    /// The application, and its tenant. `None`: all of them.
    application: Option<(String, Tenant)>,
    expression: Option<Expression>,
    /// Publications a second.
    rate: usize,
    payloads: bool,
}

/// Whether a stream shows the content of messages.
const PAYLOAD_CHOICES: [(&str, bool); 4] =
    [("0", false), ("1", true), ("false", false), ("true", true)];

/// Answers with a stream of publications.
///
/// # Errors
///
/// 403 if the operator may not see this, 400 for wrong parameters, 503 if there are too many readers.
pub(in crate::api) async fn open(
    state: &Rc<ApiState>,
    config: &ApiConfig,
    authenticated: AuthenticatedOperator<'_>,
    parameters: &Parameters<'_>,
) -> Result<ApiAnswer, ApiError> {
    let filter = filter(config, authenticated.operator, parameters)?;
    let shown = ReaderToken::of(authenticated)?;
    check_cost(state, config, &filter).await?;
    let full = || ApiError::new(ErrorCode::Busy, "there are too many readers of publications");
    let place = state.operators.tail.take().ok_or_else(full)?;
    let (events, body) = event_stream();
    let reader = TailStream { state: Rc::clone(state), place, filter, shown, events };
    spawn_local(reader.run());
    Ok(ApiAnswer::events(body))
}

fn filter(
    config: &ApiConfig,
    operator: &Operator,
    parameters: &Parameters<'_>,
) -> Result<TailFilter, ApiError> {
    let application = match parameters.text("application") {
        None if operator.sees_all() => None,
        None => {
            let what = "is missing: this operator may see some applications only";
            return Err(parameters::invalid("application", what));
        }
        Some(key) => {
            let tenant = tenant_of(config, operator, key).ok_or_else(no_such_application)?;
            Some((key.to_owned(), tenant))
        }
    };
    let expression = match parameters.text("expr") {
        None => None,
        Some(_) if application.is_none() => {
            return Err(parameters::invalid("expr", "needs the parameter `application`"));
        }
        Some(text) => {
            Some(Expression::from_parameter(text).map_err(|why| expression_error(&why, ""))?)
        }
    };
    let rate = parameters.count("rate", TAIL_RATE_MAX)?.unwrap_or(TAIL_RATE);
    if rate == 0 {
        let what = format!("must be a number from 1 to {TAIL_RATE_MAX}");
        return Err(parameters::invalid("rate", &what));
    }
    let payloads = match parameters.text("payloads") {
        None => false,
        Some(text) => {
            let known = PAYLOAD_CHOICES.iter().find(|(word, _)| *word == text);
            known.ok_or_else(|| parameters::invalid("payloads", "must be 0 or 1"))?.1
        }
    };
    if payloads && !operator.payloads {
        let message = "the operator may not see the content of messages; `payloads` of \
                       operatorFile allows it";
        return Err(ApiError::new(ErrorCode::PermissionDenied, message));
    }
    Ok(TailFilter { application, expression, rate, payloads })
}

fn tenant_of(config: &ApiConfig, operator: &Operator, key: &str) -> Option<Tenant> {
    let application = config.access.for_operator(key, operator.permissions());
    application.filter(|_| operator.sees(key)).map(|it| it.tenant)
}

/// Checks that the expression does not cost too much at present.
async fn check_cost(
    state: &ApiState,
    config: &ApiConfig,
    filter: &TailFilter,
) -> Result<(), ApiError> {
    let (Some((_, tenant)), Some(expression)) = (&filter.application, &filter.expression) else {
        return Ok(());
    };
    let query = PresenceQuery { filter: expression.clone().into(), tag: Box::default() };
    let until = Instant::now() + config.timeout;
    match state.publisher.query(tenant, QueryKind::Presence(query), until).await {
        Some(QueryResult::Refused(cost)) => Err(ApiError::too_expensive(cost)),
        Some(_) => Ok(()),
        None => Err(ApiError::broker_unavailable()),
    }
}

/// One reader of publications.
#[derive(Debug)]
struct TailStream {
    state: Rc<ApiState>,
    place: ReaderPlace,
    filter: TailFilter,
    shown: ReaderToken,
    events: EventSender,
}

impl TailStream {
    async fn run(self) {
        read_to_the_end(&self.state, &self.events, self.read()).await;
        let _freed = self.ask(0, FAREWELL_TIME).await;
    }

    /// Asks the broker again and again.
    async fn read(&self) -> Result<&'static str, ClientGone> {
        let credit = (self.filter.rate / QUESTIONS_PER_SECOND).max(1);
        let every = Duration::from_secs(1) * u32::try_from(credit).unwrap_or(1)
            / u32::try_from(self.filter.rate).unwrap_or(1).max(1);
        let (mut is_first, mut stream) = (true, KeptAlive::new(&self.events));
        loop {
            let next = Instant::now() + every;
            if !self.is_permitted() {
                return Ok(NOT_PERMITTED);
            }
            if let Some(page) = self.ask(credit, QUESTION_TIME).await {
                let mut lines = String::new();
                match std::mem::take(&mut is_first) {
                    // From here on publications are copied.
                    true => lines.push_str(EMPTY_LINE),
                    false if page.is_continued => {}
                    false => push_event(&mut lines, "gap", "{\"reason\":\"broker_replaced\"}"),
                }
                self.push_page(&mut lines, &page);
                stream.send(lines).await?;
            }
            sleep_until(next).await;
        }
    }

    /// Takes the copies of the time since the last question, and allows this many more.
    async fn ask(&self, credit: usize, within: Duration) -> Option<TailPage> {
        let TailFilter { application, expression, payloads, .. } = &self.filter;
        let (_, tenant) = application.clone().unwrap_or_else(|| (String::new(), Tenant::shared()));
        let query = TailQuery {
            place: self.place.index(),
            reader: self.place.reader(),
            is_one_tenant: application.is_some(),
            expression: expression.clone(),
            credit: u32::try_from(credit).unwrap_or(u32::MAX),
            payload_max: if *payloads { TAIL_PAYLOAD_MAX } else { 0 },
        };
        let (kind, until) = (QueryKind::Tail(Box::new(query)), Instant::now() + within);
        match self.state.publisher.query(&tenant, kind, until).await? {
            QueryResult::Tail(page) => Some(page),
            _ => None,
        }
    }

    /// Returns whether the operator may still see this.
    fn is_permitted(&self) -> bool {
        let config = self.state.config();
        let Some(operators) = &config.operators.operators else { return false };
        let operator = self.shown.operator(&self.state, operators);
        let Some(operator) = operator.filter(|it| it.payloads || !self.filter.payloads) else {
            return false;
        };
        match &self.filter.application {
            None => operator.sees_all(),
            Some((key, tenant)) => tenant_of(&config, operator, key).as_ref() == Some(tenant),
        }
    }

    fn push_page(&self, out: &mut String, page: &TailPage) {
        let (config, time) = (self.state.config(), unix_millis());
        for publication in &page.publications {
            let mut json = publication_json(publication, &config.signer, time);
            if self.filter.payloads {
                push_payload(&mut json, publication);
            }
            json.push('}');
            push_event(out, "", &json);
        }
        if page.dropped > 0 {
            push_event(out, "dropped", &format!("{{\"dropped\":{}}}", page.dropped));
        }
    }
}
