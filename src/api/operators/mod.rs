//! Operators: their credentials, sessions, and the requests that they make.

mod application;
mod change;
pub(super) mod history;
mod login;
pub(super) mod reader_places;
mod serve;
mod sessions;
pub(super) mod supervisor;
mod tries;

use std::cell::{Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};

use self::history::FigureHistory;
#[cfg(test)]
pub(super) use self::login::LOGIN_MEMBERS;
use self::reader_places::ReaderPlaces;
use self::sessions::Sessions;
pub(super) use self::supervisor::first_answer;
use self::tries::LoginTries;
use crate::auth::{Operator, Operators, TokenDigest};
use crate::config::{ConfigReport, OperatorSettings};

/// What the configuration says about operators.
#[expect(clippy::struct_excessive_bools, reason = "two independent keys")]
#[derive(Debug)]
pub(super) struct OperatorConfig {
    /// The operators. `None`: the operator API is not served.
    pub(super) operators: Option<Operators>,
    /// Whether `/metrics` on the API's own addresses needs an operator.
    pub(super) metrics_auth: bool,
    /// Whether the console is served, if there are operators.
    console_page: bool,
    /// The configuration without secrets.
    pub(super) report: ConfigReport,
}

impl OperatorConfig {
    pub(super) fn of(settings: &OperatorSettings) -> Self {
        let OperatorSettings { operators, metrics_auth, console_page, report } = settings.clone();
        Self { operators, metrics_auth, console_page, report }
    }

    /// Returns true if the console is served.
    pub(super) fn serves_console(&self) -> bool {
        self.console_page && self.operators.is_some()
    }
}

/// The state of operators between requests. A new API process begins without sessions.
#[derive(Debug)]
pub(super) struct OperatorState {
    sessions: RefCell<Sessions>,
    tries: RefCell<LoginTries>,
    /// One check of a password at a time: it takes a core and megabytes.
    check: Arc<Semaphore>,
    pub(super) history: RefCell<FigureHistory>,
    /// Signals that the configuration may have operators now.
    pub(super) configured: Notify,
    /// Those who read publications.
    pub(super) tail: Rc<ReaderPlaces>,
    /// Those who read events.
    pub(super) events: Rc<ReaderPlaces>,
}

impl OperatorState {
    /// Returns the sessions.
    pub(super) fn sessions(&self) -> Ref<'_, Sessions> {
        self.sessions.borrow()
    }
}

impl Default for OperatorState {
    fn default() -> Self {
        Self {
            sessions: RefCell::default(),
            tries: RefCell::default(),
            check: Arc::new(Semaphore::new(1)),
            history: RefCell::default(),
            configured: Notify::new(),
            tail: Rc::default(),
            events: Rc::default(),
        }
    }
}

/// The operator of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct AuthenticatedOperator<'a> {
    pub(super) operator: &'a Operator,
    /// The session, unless the request has the operator's own token.
    pub(super) session: Option<TokenDigest>,
}

/// Samples the figures of all processes once a second while there are operators.
pub(super) async fn sample(state: Rc<super::state::ApiState>) {
    loop {
        let configured = state.operators.configured.notified();
        if state.config().operators.operators.is_none() {
            configured.await;
            continue;
        }
        if let Some(snapshot) = state.metrics.snapshot().await {
            let now = super::state::unix_seconds();
            state.operators.history.borrow_mut().record(now, &snapshot);
        }
        tokio::time::sleep(history::EVERY).await;
    }
}
