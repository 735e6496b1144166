//! Answers requests of operators, below `/v1/server/`.

use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request};
use tokio::time::Instant;

use super::change::{OperatorChange, not_permitted, reason_of};
use super::login;
use super::sessions::SESSION_TOKEN_PREFIX;
use super::{AuthenticatedOperator, OperatorState, supervisor};
use crate::admin::AdminRequest;
use crate::api::access::shown_secret;
use crate::api::connection::registry::ConnectionOrigin;
use crate::api::endpoint::server;
use crate::api::endpoint::{EndpointContext, stats};
use crate::api::error::{ApiError, ErrorCode};
use crate::api::json_object::{JsonObject, JsonPlace};
use crate::api::parameters::Parameters;
use crate::api::request::ServedRequest;
use crate::api::response::ApiAnswer;
use crate::api::route::{self, ApiRoute, ServerEndpoint};
use crate::auth::{Operator, OperatorRole, Operators, TokenDigest};
use crate::types::counted_as;

/// Members of the body of an order.
const ORDER_MEMBERS: &[&str] = &["reason"];

impl OperatorState {
    /// Returns the operator of a request.
    ///
    /// # Errors
    ///
    /// 401 if the request has no token, or one that is not valid.
    pub(in crate::api) fn authenticate<'a>(
        &self,
        operators: &'a Operators,
        headers: &HeaderMap,
    ) -> Result<AuthenticatedOperator<'a>, ApiError> {
        let Some(shown) = shown_secret(headers)? else {
            let message = "this endpoint needs `Authorization: Bearer TOKEN` of an operator";
            return Err(ApiError::new(ErrorCode::MissingCredentials, message));
        };
        let token = TokenDigest::of(shown);
        let found = if shown.starts_with(SESSION_TOKEN_PREFIX.as_bytes()) {
            let mut sessions = self.sessions.borrow_mut();
            let operator = sessions.operator(token, operators, Instant::now());
            operator.map(|operator| AuthenticatedOperator { operator, session: Some(token) })
        } else {
            let operator = operators.with_token(token);
            operator.map(|operator| AuthenticatedOperator { operator, session: None })
        };
        found.ok_or_else(|| {
            let message = "this is not the token of an operator, or the session has ended";
            ApiError::new(ErrorCode::InvalidCredentials, message)
        })
    }
}

impl ServedRequest<'_> {
    /// Checks that a request may read the metrics. On the API's own addresses it needs no credentials,
    /// unless `metricsAuth` is on.
    ///
    /// # Errors
    ///
    /// 404 on the addresses of the clients if there are no operators; 401 without an operator's token.
    pub(in crate::api) fn check_metrics(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let operators = &self.config.operators;
        if self.origin == ConnectionOrigin::Own && !operators.metrics_auth {
            return Ok(());
        }
        let all = operators.operators.as_ref().ok_or_else(route::not_found)?;
        self.state.operators.authenticate(all, headers).map(drop)
    }

    /// Answers a request to a path below `/v1/server/`.
    ///
    /// # Errors
    ///
    /// What is wrong with the request.
    pub(in crate::api) async fn answer_operator(
        &self,
        request: Request<Incoming>,
        path: &str,
    ) -> Result<ApiAnswer, ApiError> {
        let operators = self.config.operators.operators.as_ref();
        let operators = operators.filter(|_| self.origin == ConnectionOrigin::Own);
        let operators = operators.ok_or_else(route::not_found)?;
        let route = route::find(path)?;
        self.label.set(route.label());
        if request.method() == Method::OPTIONS {
            return Ok(ApiAnswer::methods(&route.allow()));
        }
        let row = route.row(request.method())?;
        let _place = self.begin().await?;
        let endpoint = row.server_endpoint();
        if endpoint == Some(ServerEndpoint::Login) {
            Parameters::read(request.uri().query(), row.parameters)?;
            let body = self.read_body(request).await?;
            let address = counted_as(self.peer);
            return login::log_in(self.state, self.config, operators, address, body.text()?).await;
        }
        let operator = self.state.operators.authenticate(operators, request.headers())?;
        let Some(endpoint) = endpoint else {
            let operator = operator.operator;
            let answer = self.answer_about_application(operator, &route, row, request);
            return Box::pin(answer).await;
        };
        let parameters = Parameters::read(request.uri().query(), row.parameters)?;
        match endpoint {
            ServerEndpoint::Tail => {
                server::tail::open(self.state, self.config, operator, &parameters).await
            }
            ServerEndpoint::Events => {
                server::events::list(self.config, operator.operator, &parameters).await
            }
            ServerEndpoint::EventStream => server::events::open(self.state, operator, &parameters),
            endpoint => self.serve_operator(operator, &route, endpoint, request).await,
        }
    }

    async fn serve_operator(
        &self,
        authenticated: AuthenticatedOperator<'_>,
        route: &ApiRoute<'_>,
        endpoint: ServerEndpoint,
        request: Request<Incoming>,
    ) -> Result<ApiAnswer, ApiError> {
        let AuthenticatedOperator { operator, session } = authenticated;
        let (state, config) = (self.state, self.config);
        match endpoint {
            ServerEndpoint::Login
            | ServerEndpoint::Events
            | ServerEndpoint::EventStream
            | ServerEndpoint::Tail => Err(route::not_found()),
            ServerEndpoint::Logout => {
                let body = self.read_body(request).await?;
                server::check_empty(body.text()?)?;
                if let Some(token) = session {
                    state.operators.sessions.borrow_mut().end(token);
                }
                Ok(ApiAnswer::ok("{}".to_owned()))
            }
            ServerEndpoint::Me => {
                let sessions = state.operators.sessions.borrow();
                let rest = session.and_then(|token| sessions.rest(token, Instant::now()));
                server::me(operator, rest)
            }
            ServerEndpoint::Overview => server::overview::show(state, config).await,
            ServerEndpoint::Processes => server::processes(config).await,
            ServerEndpoint::Configuration => server::configuration(config),
            ServerEndpoint::Applications => server::applications::list(state, config, operator),
            ServerEndpoint::Application => {
                let application = self.application_of(operator, route)?;
                let until = Instant::now() + config.timeout;
                let (application, key, trace, turn) = (&application, None, None, None);
                let context =
                    EndpointContext { state, config, application, key, until, trace, turn };
                stats::show(context).await
            }
            ServerEndpoint::Reload => self.order(operator, AdminRequest::Reload, request).await,
            ServerEndpoint::Drain => self.order(operator, AdminRequest::Drain, request).await,
            ServerEndpoint::RestartWorkers => {
                self.order(operator, AdminRequest::RestartWorkers, request).await
            }
        }
    }

    /// Carries out an order about the whole server.
    async fn order(
        &self,
        operator: &Operator,
        order: AdminRequest,
        request: Request<Incoming>,
    ) -> Result<ApiAnswer, ApiError> {
        if operator.role != OperatorRole::Operator || !operator.sees_all() {
            return Err(not_permitted(operator));
        }
        let action = format!("{} {}", request.method(), request.uri().path());
        let body = self.read_body(request).await?;
        let body = JsonObject::read(body.text()?, JsonPlace::Body, ORDER_MEMBERS)?;
        let reason = reason_of(&body)?;
        let (action, reason, application, uuid) = (action.as_str(), &*reason, "", "");
        // A drain ends this process, perhaps before the answer.
        OperatorChange { operator, action, application, uuid, reason }.note(self.config).await;
        supervisor::order(self.config, order).await
    }
}
