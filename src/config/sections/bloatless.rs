//! `[bloatless]`: the applications of bloatless/php-websocket and their options.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::diagnostic::{Problem, visible};
use crate::config::layers::ConfigLayers;
use crate::config::parse::{Bounds, choice, count, is_absent, list, switch};
use crate::config::unix_address::mode;
use crate::protocol::bloatless::{BloatlessAnswers, BloatlessCloseOptions, CloseText};
use crate::resource::bloatless::{BloatlessApplication, StatusClients};
use crate::types::{NoOrigin, OriginPattern};

/// The applications of bloatless/php-websocket and their options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BloatlessSettings {
    /// Enabled applications. Each has its name as its path.
    pub applications: Vec<BloatlessApplication>,
    /// Hosts whose pages may connect to the applications, as they were written. None if hosts are
    /// not checked.
    pub origins: Option<Vec<String>>,
    /// Maximum messages of a connection per minute, not counting its handshake; 0 means no limit.
    pub max_requests_per_minute: u32,
    /// Clients that `status` reports.
    pub status: StatusClients,
    /// Answer to a Close, and response to a rejected handshake.
    pub close: BloatlessCloseOptions,
    /// Socket into which scripts push messages. None if there is no such socket.
    pub push_socket: Option<PushSocketSettings>,
}

/// The datagram socket into which scripts push messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSocketSettings {
    /// Path of the socket.
    pub path: PathBuf,
    /// File mode of the socket: the users that may write to it.
    pub mode: u32,
}

const REQUESTS: Bounds<usize> = Bounds::or_off(1, 1_000_000);
/// Maximum bytes of a path in a socket address, without the terminating zero byte.
const SOCKET_PATH_BYTES_MAX: usize = 107;

pub(in crate::config) fn read(given: &mut ConfigLayers<'_>, folder: &Path) -> BloatlessSettings {
    let requests =
        given.or_default("bloatless", "maxRequestsPerMinute", |text| count(text, &REQUESTS));
    BloatlessSettings {
        applications: given.or_default("bloatless", "applications", applications),
        origins: origins(given),
        max_requests_per_minute: u32::try_from(requests).unwrap_or(u32::MAX),
        status: given.read("bloatless", "status", choice).unwrap_or(StatusClients::V3),
        close: BloatlessCloseOptions {
            text: given.read("bloatless", "closeText", choice).unwrap_or(CloseText::Given),
            answers: given.read("bloatless", "answers", choice).unwrap_or(BloatlessAnswers::Http),
        },
        push_socket: push_socket(given, folder),
    }
}

fn applications(text: &str) -> Result<Vec<BloatlessApplication>, Problem> {
    if is_absent(text) {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for item in list(text) {
        let application = choice(item)?;
        if all.contains(&application) {
            let what = format!("names `{}` twice", visible(item));
            return Err(Problem::new(what, "name it once"));
        }
        all.push(application);
    }
    Ok(all)
}

fn origins(given: &mut ConfigLayers<'_>) -> Option<Vec<String>> {
    let checks = given.or_default("bloatless", "checkOrigin", switch);
    let hosts = |text: &str| {
        let all = list(if is_absent(text) { "" } else { text });
        all.map(host).collect::<Result<Vec<String>, Problem>>()
    };
    let allowed = given.or_default("bloatless", "allowedOrigins", hosts);
    if checks && allowed.is_empty() {
        let place = given.place("bloatless", "checkOrigin")?;
        let fault = Problem::new(
            "allows no host, so no client can connect",
            "name hosts in allowedOrigins of [bloatless], or set `checkOrigin = off`",
        );
        given.find_fault(place, "checkOrigin", fault);
    }
    checks.then_some(allowed)
}

/// Parses a host of an origin. Scheme, `www.` and path are ignored.
fn host(item: &str) -> Result<String, Problem> {
    let lower = item.to_lowercase();
    let bare = lower.strip_prefix("http://").or_else(|| lower.strip_prefix("https://"));
    let bare = bare.unwrap_or(&lower).split('/').next().unwrap_or_default();
    let wrong = |why: NoOrigin| {
        let what = format!("holds `{}`, which {}", visible(item), why.text());
        Problem::new(what, "use hosts like example.org, *.example.org or localhost:*, with commas")
    };
    OriginPattern::parse(&format!("http://{bare}")).map_err(wrong)?;
    Ok(item.to_owned())
}

fn push_socket(given: &mut ConfigLayers<'_>, folder: &Path) -> Option<PushSocketSettings> {
    let mode = given.or_default("bloatless", "pushSocketMode", mode);
    let path = |text: &str| {
        if is_absent(text) {
            return Ok(None);
        }
        let path = folder.join(text.trim());
        if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let what = format!("is longer than {SOCKET_PATH_BYTES_MAX} bytes");
            return Err(Problem::new(what, "use a shorter path"));
        }
        Ok(Some(path))
    };
    let path = given.read("bloatless", "pushSocket", path).flatten()?;
    Some(PushSocketSettings { path, mode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_are_a_list_without_repeats() {
        use BloatlessApplication::{Chat, Status};
        assert_eq!(applications("none").unwrap(), []);
        assert_eq!(applications("chat, Status").unwrap(), [Chat, Status]);
        assert!(applications("chat, chat").is_err() && applications("chat, nope").is_err());
    }
}
