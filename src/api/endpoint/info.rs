//! `GET /v1/info`: the version of the API and the server's time.

use crate::api::response::ApiAnswer;
use crate::api::state::unix_seconds;

/// Returns the answer. It needs no credentials.
pub(in crate::api) fn answer() -> ApiAnswer {
    let now = unix_seconds();
    ApiAnswer::ok(format!("{{\"service\":\"tagcast\",\"api\":1,\"time\":{now}}}"))
}
