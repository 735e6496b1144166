//! `[bloatless]`: the applications of bloatless/php-websocket, and its switches.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::diagnostic::{Problem, visible};
use crate::config::layers::ConfigLayers;
use crate::config::parse::{Bounds, choice, count, is_absent, list, switch};
use crate::resource::bloatless::{
    BloatlessAnswers, BloatlessApplication, CloseText, StatusClients,
};
use crate::types::{NoOrigin, OriginPattern};

/// The applications of bloatless/php-websocket, and its switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BloatlessSettings {
    /// The applications that are served, each on the path of its name.
    pub applications: Vec<BloatlessApplication>,
    /// The hosts whose pages may connect to them, as they were written; none when nobody checks.
    pub origins: Option<Vec<String>>,
    /// Messages of a connection within a minute, beside its handshake; 0 means no limit.
    pub max_requests_per_minute: u32,
    /// Which clients `status` writes for.
    pub status: StatusClients,
    /// How a Close is answered.
    pub close_text: CloseText,
    /// How an opening is refused.
    pub answers: BloatlessAnswers,
    /// Where scripts push messages.
    pub push_socket: Option<PushSocketSettings>,
}

/// The datagram socket that scripts push messages into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSocketSettings {
    /// Where it stands.
    pub path: PathBuf,
    /// Who may write into it, as file modes have it.
    pub mode: u32,
}

const REQUESTS: Bounds<usize> = Bounds::or_off(1, 1_000_000);
/// What fits into an address of the kernel, with the byte behind it.
const SOCKET_PATH_BYTES_MAX: usize = 107;

pub(in crate::config) fn read(given: &mut ConfigLayers<'_>, folder: &Path) -> BloatlessSettings {
    let requests =
        given.or_default("bloatless", "maxRequestsPerMinute", |text| count(text, &REQUESTS));
    BloatlessSettings {
        applications: given.or_default("bloatless", "applications", applications),
        origins: origins(given),
        max_requests_per_minute: u32::try_from(requests).unwrap_or(u32::MAX),
        status: given.read("bloatless", "status", choice).unwrap_or(StatusClients::V3),
        close_text: given.read("bloatless", "closeText", choice).unwrap_or(CloseText::Given),
        answers: given.read("bloatless", "answers", choice).unwrap_or(BloatlessAnswers::Http),
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
            "lets no client in, as no host is named",
            "name hosts in allowedOrigins of [bloatless], or set `checkOrigin = off`",
        );
        given.find_fault(place, "checkOrigin", fault);
    }
    checks.then_some(allowed)
}

/// A host, as an origin names it; scheme, `www.` and a path do not count.
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

/// A file mode in octal digits, without anything but permissions.
fn mode(text: &str) -> Result<u32, Problem> {
    let mode = u32::from_str_radix(text.trim(), 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| Problem::new("is not a file mode", "use octal digits up to 0777, like 0660"))
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

    #[test]
    fn a_mode_is_octal() {
        assert_eq!(mode("0660").unwrap(), 0o660);
        assert_eq!(mode("600").unwrap(), 0o600);
        for wrong in ["", "8", "01777", "rw", "-1"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}
