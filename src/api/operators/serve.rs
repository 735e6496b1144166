//! Answers requests of operators, below `/v1/server/`.

use hyper::body::Incoming;
use hyper::{HeaderMap, Method, Request};
use tokio::time::Instant;

use super::login;
use super::sessions::SESSION_TOKEN_PREFIX;
use super::{AuthenticatedOperator, OperatorState};
use crate::api::access::shown_secret;
use crate::api::connection::registry::ConnectionOrigin;
use crate::api::endpoint::server;
use crate::api::endpoint::{EndpointContext, stats};
use crate::api::error::{ApiError, ErrorCode};
use crate::api::parameters::Parameters;
use crate::api::request::ServedRequest;
use crate::api::response::ApiAnswer;
use crate::api::route::{self, ApiRoute, ServerEndpoint};
use crate::auth::{Operators, TokenDigest};
use crate::types::counted_as;

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
        if request.method() == Method::OPTIONS {
            return Ok(ApiAnswer::methods(&route.allow()));
        }
        let row = route.row(request.method())?;
        let _place = self.begin().await?;
        let Some(endpoint) = row.server_endpoint() else { return Err(route::not_found()) };
        if endpoint == ServerEndpoint::Login {
            Parameters::read(request.uri().query(), row.parameters)?;
            let body = self.read_body(request).await?;
            let address = counted_as(self.peer);
            return login::log_in(self.state, self.config, operators, address, body.text()?).await;
        }
        let operator = self.state.operators.authenticate(operators, request.headers())?;
        Parameters::read(request.uri().query(), row.parameters)?;
        self.serve_operator(operator, &route, endpoint, request).await
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
            ServerEndpoint::Login => Err(route::not_found()),
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
                let application = operator
                    .sees(&route.application)
                    .then(|| config.access.for_operator(&route.application, operator.permissions()))
                    .flatten()
                    .ok_or_else(server::no_such_application)?;
                let until = Instant::now() + config.timeout;
                let (application, key) = (&application, None);
                stats::show(EndpointContext { state, config, application, key, until }).await
            }
        }
    }
}
