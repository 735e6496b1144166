//! Keys of `[resource …]` with `kind = http`: the backend of the resource and its options.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::auth::Applications;
use crate::config::diagnostic::{Problem, ValueLocation, visible};
use crate::config::layers::ConfigLayers;
use crate::config::parse;
use crate::config::parse::{Bounds, choice, count, duration, is_absent};
use crate::config::read as read_file;
use crate::config::schema::folded;
use crate::types::Secret;
use crate::webhook::{OpenWhenDown, WebhookEventName};

/// The backend of an HTTP resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendBinding {
    /// URL that events are posted to. It is never displayed, because it may contain a token.
    pub url: Secret,
    /// Key of the application that the resource belongs to.
    pub application: String,
    /// Secret of that application, which signs events.
    pub secret: Secret,
    /// Tenant of that application. Applications without a tenant share one.
    pub tenant: Option<String>,
    /// Events that are sent to the backend.
    pub events: Vec<WebhookEventName>,
    /// Maximum time for one event.
    pub deadline: Duration,
    /// Maximum concurrent events of one worker.
    pub max_concurrent: usize,
    /// Interval of `tick` events. None for no ticks.
    pub every: Option<Duration>,
    /// Error that a client receives if its message could not be delivered to the backend, as JSON.
    pub when_down: String,
    /// The treatment of new connections while the backend is unavailable.
    pub open_when_down: OpenWhenDown,
    /// PEM certificates to trust instead of the authorities of the system.
    pub ca: Option<String>,
}

const DEADLINE: Bounds<Duration> = Bounds::new(Duration::from_millis(100), Duration::from_secs(60));
const CONCURRENT: Bounds<usize> = Bounds::new(1, 1024);
const EVERY: Bounds<Duration> =
    Bounds::new(Duration::from_millis(100), Duration::from_secs(24 * 3600));
const WHEN_DOWN: &str = r#"{"error":"try again later"}"#;
const WHEN_DOWN_BYTES_MAX: usize = 1024;

/// Keys of a resource with a backend.
pub(super) const KEYS: &[&str] = &[
    "kind",
    "url",
    "application",
    "events",
    "deadline",
    "maxConcurrent",
    "every",
    "whenDown",
    "openWhenDown",
    "ca",
];

/// The context for reading the keys of a backend.
#[derive(Clone, Copy)]
pub(in crate::config) struct BackendSources<'s> {
    /// Applications of `auth.yml`. An error if that file is invalid, which was already reported.
    pub(in crate::config) applications: Result<Option<&'s Applications>, ()>,
    /// Folder that relative paths start from.
    pub(in crate::config) folder: &'s Path,
}

/// The entries of a section. Each entry is consumed once.
pub(super) struct Entries<'e> {
    /// Location, key and value of the entries that are not consumed yet.
    pub(super) all: Vec<(ValueLocation, String, String)>,
    /// Location of the section and its heading.
    pub(super) section: (ValueLocation, &'e str),
}

impl Entries<'_> {
    pub(super) fn take<T>(
        &mut self,
        given: &mut ConfigLayers<'_>,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let at = self.all.iter().position(|(_, key, _)| folded(key) == folded(name))?;
        let (place, key, written) = self.all.remove(at);
        match parse(&written) {
            Ok(value) => Some(value),
            Err(fault) => {
                given.find_fault(place, &key, fault);
                None
            }
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.all.iter().any(|(_, key, _)| folded(key) == folded(name))
    }

    /// Like [`Entries::take`], for a required key.
    fn need<T>(
        &mut self,
        given: &mut ConfigLayers<'_>,
        name: &str,
        right: &str,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        if !self.has(name) {
            let (place, title) = self.section.clone();
            let fault = Problem::new(format!("has no `{name}`"), right);
            given.find_fault(place, title, fault);
        }
        self.take(given, name, parse)
    }
}

/// Reads the keys of a backend. Returns None if a required one is missing or invalid.
pub(super) fn read(
    given: &mut ConfigLayers<'_>,
    entries: &mut Entries<'_>,
    sources: BackendSources<'_>,
) -> Option<BackendBinding> {
    let right = "add `url = http://127.0.0.1:8001/chat.php`";
    let url = entries.need(given, "url", right, url);
    let right = "add `application = …`, the key of an application of auth.yml: its secret signs";
    let application =
        entries.need(given, "application", right, |key| application(key, sources.applications));
    let events = entries.take(given, "events", events);
    let within = |bounds| move |text: &str| duration(text, bounds);
    let deadline = entries.take(given, "deadline", within(&DEADLINE));
    let concurrent = entries.take(given, "maxConcurrent", |text| count(text, &CONCURRENT));
    let every = entries.take(given, "every", |text| match is_absent(text) {
        true => Ok(None),
        false => duration(text, &EVERY).map(Some),
    });
    let when_down = entries.take(given, "whenDown", json);
    let open_when_down = entries.take(given, "openWhenDown", choice);
    let ca = entries.take(given, "ca", |text| certificates(text, sources.folder));
    let (application, secret, tenant) = application?;
    let all = [
        WebhookEventName::Open,
        WebhookEventName::Message,
        WebhookEventName::Close,
        WebhookEventName::Error,
    ];
    Some(BackendBinding {
        url: Secret::new(url?),
        application,
        secret,
        tenant,
        events: events.unwrap_or_else(|| all.to_vec()),
        deadline: deadline.unwrap_or(Duration::from_secs(5)),
        max_concurrent: concurrent.unwrap_or(32),
        every: every.flatten(),
        when_down: when_down.unwrap_or_else(|| WHEN_DOWN.to_owned()),
        open_when_down: open_when_down.unwrap_or(OpenWhenDown::Refuse),
        ca,
    })
}

/// Parses the URL. An error does not repeat it, because it may contain a token.
fn url(text: &str) -> Result<String, Problem> {
    let right = "use http:// or https://, a host, and a path";
    let wrong = |what: &str| Problem::new(what, right);
    let is_clean = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let uri: hyper::Uri = text.parse().map_err(|_| wrong("is not an address of a backend"))?;
    let authority = uri.authority().ok_or_else(|| wrong("is not an address of a backend"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || !is_clean(text) {
        return Err(wrong("is not an address of a backend"));
    }
    if authority.as_str().contains('@') || authority.host().is_empty() {
        return Err(wrong("names a user, which is not sent"));
    }
    if text.contains('#') {
        return Err(wrong("has a fragment, which no server sees"));
    }
    Ok(text.to_owned())
}

fn application(
    key: &str,
    applications: Result<Option<&Applications>, ()>,
) -> Result<(String, Secret, Option<String>), Problem> {
    // The errors of `auth.yml` were already reported.
    let Ok(applications) = applications else {
        return Ok((key.to_owned(), Secret::new(String::new()), None));
    };
    let right = "name one of auth.yml, or make one: tagcast app add NAME";
    let known = applications.and_then(|all| all.list.iter().find(|it| it.key == key));
    let unknown =
        || Problem::new(format!("`{}` is not an application of auth.yml", visible(key)), right);
    let known = known.ok_or_else(unknown)?;
    // One without a secret has an error that was already reported.
    let secret = known.signing_secret().cloned().unwrap_or_else(|| Secret::new(String::new()));
    Ok((key.to_owned(), secret, known.tenant.clone()))
}

fn events(text: &str) -> Result<Vec<WebhookEventName>, Problem> {
    if is_absent(text) {
        return Ok(Vec::new());
    }
    parse::list(text).map(choice).collect()
}

fn json(text: &str) -> Result<String, Problem> {
    let right = r#"use JSON, as {"error":"try again later"}"#;
    if text.len() > WHEN_DOWN_BYTES_MAX {
        return Err(Problem::new(format!("has more than {WHEN_DOWN_BYTES_MAX} bytes"), right));
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(Problem::new(format!("is not valid JSON ({error})"), right)),
    }
}

fn certificates(text: &str, folder: &Path) -> Result<String, Problem> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let right = "name a file of certificates in PEM";
    let pem = read_file(&folder.join(text.trim())).map_err(|unread| {
        Problem::new(format!("cannot be read ({})", unread.fault().what), right)
    })?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(pem.to_string()),
        _ => Err(Problem::new("holds no certificate in PEM", right)),
    }
}
