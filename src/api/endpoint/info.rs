//! `GET /v1/info`: that this is the API, in which version, and the server's time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::api::response::ApiAnswer;

/// The answer for a request without credentials.
pub(in crate::api) fn answer() -> ApiAnswer {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    ApiAnswer::ok(format!("{{\"service\":\"tagcast\",\"api\":1,\"time\":{now}}}"))
}
