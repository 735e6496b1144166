//! Answers requests of operators about one application, as a backend makes them.

use hyper::body::Incoming;
use hyper::{Method, Request};
use tokio::time::Instant;

use super::change::{OperatorChange, ReasonedBody, is_reason, no_reason, not_permitted};
use crate::api::access::ApiApplication;
use crate::api::body::RequestBody;
use crate::api::endpoint::server::no_such_application;
use crate::api::endpoint::{
    EndpointContext, connection, connections, disconnect, explain, retag, revocation, stats, tags,
};
use crate::api::error::ApiError;
use crate::api::parameters::{self, Parameters};
use crate::api::request::ServedRequest;
use crate::api::response::ApiAnswer;
use crate::api::route::{self, ApiRoute, Endpoint, RouteRow};
use crate::auth::Operator;

/// Bytes of a UUID that the log shows, as it does elsewhere.
const SHOWN_UUID_BYTES: usize = 8;

/// A request about one application, without its body.
#[derive(Clone, Copy, Debug)]
struct ApplicationRequest<'a> {
    route: &'a ApiRoute<'a>,
    endpoint: Endpoint,
    parameters: &'a Parameters<'a>,
}

impl ServedRequest<'_> {
    /// Returns the application of a path.
    ///
    /// # Errors
    ///
    /// 404 if there is none, or if the operator may not see it.
    pub(super) fn application_of(
        &self,
        operator: &Operator,
        route: &ApiRoute<'_>,
    ) -> Result<ApiApplication, ApiError> {
        let (key, access) = (&route.application, &self.config.access);
        let found = operator.sees(key).then(|| access.for_operator(key, operator.permissions()));
        found.flatten().ok_or_else(no_such_application)
    }

    /// Answers a request about one application.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) async fn answer_about_application(
        &self,
        operator: &Operator,
        route: &ApiRoute<'_>,
        row: &'static RouteRow,
        request: Request<Incoming>,
    ) -> Result<ApiAnswer, ApiError> {
        let application = self.application_of(operator, route)?;
        if !row.permissions.iter().any(|it| operator.permissions().has(*it)) {
            return Err(not_permitted(operator));
        }
        let (uri, method) = (request.uri().clone(), request.method().clone());
        let parameters = &Parameters::read(uri.query(), row.parameters)?;
        let body = match method {
            Method::POST | Method::PATCH | Method::PUT => Some(self.read_body(request).await?),
            _ => None,
        };
        let text = body.as_ref().map_or(Ok(""), RequestBody::text)?;
        let until = Instant::now() + self.config.timeout;
        let (state, config, application) = (self.state, self.config, &application);
        let (key, trace, turn) = (None, None, None);
        let context = EndpointContext { state, config, application, key, until, trace, turn };
        let asked = ApplicationRequest { route, endpoint: row.endpoint, parameters };
        if !row.is_change() {
            return Box::pin(asked.answer(context, text)).await;
        }
        let (rest, reason) = asked.reason(text)?;
        let answer = Box::pin(asked.answer(context, &rest)).await?;
        if let Some(reason) = reason {
            let action = format!("{method} {}", row.path());
            let application = &*application.key;
            // With the whole UUID a reader of the log could publish to the client.
            let uuid = route.uuid.get(..SHOWN_UUID_BYTES).unwrap_or_default();
            let (action, reason) = (action.as_str(), reason.as_str());
            let change = OperatorChange { operator, action, application, uuid, reason };
            change.note(self.config).await;
        }
        Ok(answer)
    }
}

impl ApplicationRequest<'_> {
    /// Returns the body for the endpoint, and the reason, which only a dry run does not need.
    fn reason(&self, text: &str) -> Result<(String, Option<String>), ApiError> {
        if self.endpoint == Endpoint::Close {
            let reason = self.parameters.text("reason").filter(|reason| is_reason(reason));
            let missing = || parameters::invalid("reason", "must be one line of 1 to 123 bytes");
            return Ok((String::new(), Some(reason.ok_or_else(missing)?.to_owned())));
        }
        let body = ReasonedBody::read(text)?;
        if body.reason.is_none() && !body.is_dry {
            return Err(no_reason());
        }
        // The client gets the reason of its close.
        let rest = if self.endpoint == Endpoint::Disconnect { text.to_owned() } else { body.rest };
        Ok((rest, body.reason.filter(|_| !body.is_dry)))
    }

    async fn answer(self, context: EndpointContext<'_>, text: &str) -> Result<ApiAnswer, ApiError> {
        let Self { route, endpoint, parameters } = self;
        match endpoint {
            Endpoint::Connections => connections::list(context, parameters).await,
            Endpoint::Connection => connection::show(context, &route.uuid).await,
            Endpoint::Tags => tags::list(context, parameters).await,
            Endpoint::Explain => explain::explain(context, text).await,
            Endpoint::Stats => stats::show(context).await,
            Endpoint::Close => disconnect::close_one(context, &route.uuid, parameters).await,
            Endpoint::Disconnect => disconnect::close_matching(context, text).await,
            Endpoint::Retag => retag::update_matching(context, text).await,
            Endpoint::UpdateTags => retag::update(context, &route.uuid, text).await,
            Endpoint::ReplaceTags => retag::replace(context, &route.uuid, text).await,
            Endpoint::RevokeTokens => revocation::revoke(context, text).await,
            Endpoint::Publish => {
                let taken = context.take_over(text).await?;
                taken.answer(context.until).await
            }
            _ => Err(route::not_found()),
        }
    }
}
