//! `GET /v1/info`: that this is the API, in which version, and the server's time.

use crate::api::response::ApiAnswer;
use crate::api::state::unix_seconds;

/// The answer for a request without credentials.
pub(in crate::api) fn answer() -> ApiAnswer {
    let now = unix_seconds();
    ApiAnswer::ok(format!("{{\"service\":\"tagcast\",\"api\":1,\"time\":{now}}}"))
}
