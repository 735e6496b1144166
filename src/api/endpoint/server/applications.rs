//! `GET /v1/server/applications`: the applications that an operator may see.

use serde::Serialize;

use super::json;
use crate::api::config::ApiConfig;
use crate::api::error::ApiError;
use crate::api::response::ApiAnswer;
use crate::api::state::{ApiState, unix_seconds};
use crate::auth::Operator;

#[derive(Debug, Serialize)]
struct ApplicationList<'a> {
    applications: Vec<ApplicationShown<'a>>,
}

#[derive(Debug, Serialize)]
struct ApplicationShown<'a> {
    application: &'a str,
    tenant: &'a str,
    denied: u64,
    rate_limited: u64,
    secrets: Vec<SecretShown<'a>>,
}

#[derive(Debug, Serialize)]
struct SecretShown<'a> {
    id: &'a str,
    last_used: Option<u64>,
    expired: bool,
}

/// Returns the answer.
///
/// # Errors
///
/// Only by a fault of the server.
pub(in crate::api) fn list(
    state: &ApiState,
    config: &ApiConfig,
    operator: &Operator,
) -> Result<ApiAnswer, ApiError> {
    let (refusals, now) = (state.refusals.borrow(), unix_seconds());
    let shown = config.access.applications().filter(|it| operator.sees(&it.key)).map(|it| {
        let of = refusals.of(&it.key);
        let secrets = config.access.secret_uses(&it.key, now).map(|secret| SecretShown {
            id: secret.id,
            last_used: secret.last_used,
            expired: secret.is_expired,
        });
        ApplicationShown {
            application: &it.key,
            tenant: &it.tenant.0,
            denied: of.denied,
            rate_limited: of.rate_limited,
            secrets: secrets.collect(),
        }
    });
    let mut applications: Vec<_> = shown.collect();
    applications.sort_by_key(|it| it.application);
    json(&ApplicationList { applications })
}
