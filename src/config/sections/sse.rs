//! Keys of server-sent events, in the first section.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::diagnostic::{Problem, visible};
use crate::config::layers::ConfigLayers;
use crate::config::parse::{Bounds, duration, is_absent, switch};

const HEARTBEAT: Bounds<Duration> =
    Bounds::or_off(Duration::from_secs(1), Duration::from_secs(3600));
const PATH_BYTES_MAX: usize = 255;
/// Paths that the server itself serves.
const TAKEN: [&str; 3] = ["/v1/", "/apps/", "/metrics"];

/// Settings of server-sent events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SseSettings {
    /// Path of the streams. None if there are none.
    pub path: Option<String>,
    /// True if a token in the query is accepted. `EventSource` cannot send it in a header.
    pub takes_query_token: bool,
    /// Interval of comments that show that a stream is alive; zero means never.
    pub heartbeat: Duration,
}

impl Default for SseSettings {
    fn default() -> Self {
        let heartbeat = Duration::from_secs(15);
        Self { path: Some("/sse".to_owned()), takes_query_token: false, heartbeat }
    }
}

pub(in crate::config) fn read(given: &mut ConfigLayers<'_>) -> SseSettings {
    let SseSettings { path: usual, takes_query_token, heartbeat } = SseSettings::default();
    SseSettings {
        path: given.read("", "ssePath", path).unwrap_or(usual),
        takes_query_token: given.read("", "sseQueryToken", switch).unwrap_or(takes_query_token),
        heartbeat: given
            .read("", "sseHeartbeat", |text| duration(text, &HEARTBEAT))
            .unwrap_or(heartbeat),
    }
}

fn path(text: &str) -> Result<Option<String>, Problem> {
    if is_absent(text) {
        return Ok(None);
    }
    let path = text.trim();
    let what = |what: &str| {
        let right = "use a path like /sse, or `none`";
        Err(Problem::new(format!("is `{}`, which {what}", visible(path)), right))
    };
    let is_path = path.starts_with('/')
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"'));
    if !is_path || path.len() > PATH_BYTES_MAX {
        return what("is not the path of a URL");
    }
    if path == "/" || TAKEN.iter().any(|taken| path.starts_with(taken)) {
        return what("the server itself serves");
    }
    Ok(Some(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_absolute_and_not_one_of_the_server() {
        assert_eq!(path("none").unwrap(), None);
        assert_eq!(path("/events/all").unwrap().as_deref(), Some("/events/all"));
        for text in ["sse", "/a b", "/a?b", "/", "/v1/sse", "/apps/x", "/metrics"] {
            assert!(path(text).is_err(), "{text}");
        }
    }
}
