//! Builds the effective configuration from the given values.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::auth_file;
use super::auth_file::{FileNeed, SecretReading};
use super::diagnostic::{Problem, ValueLocation, visible};
use super::env_application;
use super::layers::ConfigLayers;
use super::listen::addresses;
use super::parse;
use super::parse::{Bounds, Size, choice, count, duration, is_absent, size, switch};
use super::sections::backend::BackendSources;
use super::sections::{
    api, bloatless, cluster, echo, gomoob, jsauth, legacy, operators, phpws, rates, resource, sse,
    tls,
};
use super::settings::{
    Admission, Config, LimitSettings, LogSettings, MaxMemory, Refuse, TlsMode, UuidKey,
};
use super::{AUTH_FILE, KEYS, ListenAddress, UnixAddresses, state_beside, unix_address};
use crate::auth::{Application, Applications, AuthorizeOpen};
use crate::resource::{BuiltinKind, UnknownPath};
use crate::telemetry::{LogFormat, LogLevel, unix_seconds};
use crate::types::limits::{
    AWAY_MEMORY, EXPRESSION_SCAN_MAX, FAIR_SHARE_WORK, HEAD_BYTES_MAX, HISTORY_MEMORY,
    LOG_BYTES_MAX, LOG_FILES_KEPT, MESSAGE_BYTES_MAX, MESSAGE_TIMEOUT, OUTBOX_SLACK_BYTES, TOPICS,
    TOPICS_MAX,
};
use crate::types::{Encryption, HistorySettings, HostId, IpRange, Secret};

const WORKERS: Bounds<usize> = Bounds::new(1, 256);
pub(super) const HANDSHAKE: Bounds<Duration> =
    Bounds::new(Duration::from_millis(100), Duration::from_secs(300));
const DRAIN: Bounds<Duration> = Bounds::new(Duration::from_millis(100), Duration::from_secs(3600));
const PING: Bounds<Duration> =
    Bounds::or_off(Duration::from_millis(100), Duration::from_secs(3600));
const MESSAGE_TIME: Bounds<Duration> =
    Bounds::new(Duration::from_millis(100), Duration::from_secs(3600));
/// The total for all heads of a worker has a separate limit: `HEADS_BYTES_MAX`.
const HEAD: Bounds<Size> = Bounds::new(Size(1024), Size(64 * 1024));
const MESSAGE: Bounds<Size> = Bounds::new(Size(1024), Size(64 * 1024 * 1024));
const AWAY: Bounds<Size> = Bounds::new(Size(64 * 1024), Size(64 * 1024 * 1024 * 1024));
const OUTBOX: Bounds<Size> = Bounds::new(Size(1024), Size(1024 * 1024 * 1024));
/// Even an empty server needs more than the minimum.
const MEMORY: Bounds<Size> = Bounds::new(Size(4 * 1024 * 1024), Size(1 << 50));
/// More values than this would keep the broker busy for about half a second.
const SCANS: Bounds<usize> = Bounds::or_off(1, 10_000_000);
const FAIR_SHARES: Bounds<usize> = Bounds::or_off(1, 1_000_000_000);
const TOPIC_COUNTS: Bounds<usize> = Bounds::new(0, TOPICS_MAX);
pub(super) const CLIENTS: Bounds<usize> = Bounds::or_off(1, 1_000_000_000);
const LOG_FILE: Bounds<Size> = Bounds::or_off(Size(64 * 1024), Size(1024 * 1024 * 1024));
const OLD_LOGS: Bounds<usize> = Bounds::new(0, 1000);
/// Builds the configuration. An invalid value becomes a finding and is replaced by its default, so
/// that the remaining values are checked too.
pub(super) fn build(given: &mut ConfigLayers<'_>, folder: &Path) -> Config {
    let applications = env_application::add_to(applications(given, folder), given, folder);
    warn_of_other_sites(given, applications.as_ref().ok().and_then(Option::as_ref));
    let exposure = Exposure::of(&applications);
    let mut listen = listen(given, &exposure);
    let known = applications.as_ref().map(Option::as_ref).map_err(|_| ());
    let limits = limits(given);
    check_history(given, folder, applications.as_ref().ok().and_then(Option::as_ref), &limits);
    let api = api::read(given, folder, limits.max_message, &|address| exposure.check(address));
    let tls = tls::read(given, folder, &mut listen, &api);
    let operators =
        operators::read(given, folder, applications.as_ref().ok().and_then(Option::as_ref));
    let rates = rates::read(given);
    let uuid_key = uuid_key(given, folder);
    let cluster = cluster::read(given, folder, limits.max_message, &uuid_key);
    let resources = resource::read(given, BackendSources { applications: known, folder });
    Config {
        listen,
        unix: unix(given, folder),
        workers: workers(given),
        log: log(given, folder),
        limits,
        applications: applications.ok().flatten().map(|all| all.with_limits(&rates.applications)),
        authorize_open: given
            .read("", "authorizeOpen", choice)
            .unwrap_or(AuthorizeOpen::Application),
        refuse: given.read("", "refuse", choice).unwrap_or(Refuse::Http),
        admission: admission(given),
        rates,
        tls,
        uuid_key,
        host: HostId::default(),
        state_folder: state_dir(given, folder),
        default_dialect: given
            .read("", "defaultDialect", choice)
            .unwrap_or(Some(BuiltinKind::Phpws)),
        unknown_path: given.read("", "unknownPath", choice).unwrap_or(UnknownPath::Closed),
        page: given.read("", "page", switch).unwrap_or(true),
        sse: sse::read(given),
        api,
        operators,
        jsauth: jsauth::read(given, folder),
        phpws: phpws::read(given),
        echo: echo::read(given),
        legacy: legacy::read(given),
        bloatless: bloatless::read(given, folder),
        cluster,
        gomoob: gomoob::read(given),
        resources,
    }
}

/// Warns about pages of other sites where a cookie may carry a token: a browser sends it with each opening.
fn warn_of_other_sites(given: &mut ConfigLayers<'_>, applications: Option<&Applications>) {
    let has_cookie = |it: &&Application| it.tokens.as_ref().is_some_and(|it| it.cookie.is_some());
    let found = applications.and_then(|all| all.list.iter().find(has_cookie));
    if let Some(application) = found.filter(|_| given.place("", "allowedOrigins").is_none()) {
        let key = visible(&application.key);
        let what = format!(
            "is not set, and pages of every other site may connect with the token in the visitor's \
             cookie (`tokenCookie` of the application `{key}`)"
        );
        given.warn("allowedOrigins", Problem::new(what, "name the site's own pages"));
    }
}

/// Checks that everything that a client gets again fits into its outbox.
fn check_history(
    given: &mut ConfigLayers<'_>,
    folder: &Path,
    applications: Option<&Applications>,
    limits: &LimitSettings,
) {
    let most = HistorySettings::bytes_max(limits.outbox_limit);
    let is_above = |it: &&Application| it.history.bytes.is_some_and(|bytes| bytes > most);
    let Some(at) = applications.and_then(|all| all.list.iter().position(|it| is_above(&it))) else {
        return;
    };
    let file = auth_path(given, folder).flatten().unwrap_or_else(|| folder.join(AUTH_FILE));
    let limit = limits.outbox_limit;
    let what = format!("is more than half of outboxLimit ({limit} bytes)");
    let problem = Problem::new(what, format!("use {most} or less"));
    let about = format!("application {}: historyBytes", at + 1);
    given.find_fault(ValueLocation::File(file), &about, problem);
}

/// Reads the applications of `auth.yml`. Without applications the server is open to all clients.
/// Returns an error if the file is invalid.
fn applications(
    given: &mut ConfigLayers<'_>,
    folder: &Path,
) -> Result<Option<Applications>, auth_file::InvalidAuthFile> {
    let (file, wanted) = match auth_path(given, folder) {
        Some(None) => return Ok(None),
        Some(Some(file)) => (file, FileNeed::Named),
        None => (folder.join(AUTH_FILE), FileNeed::IfThere),
    };
    let variable = |name: &str| given.variable(name);
    let with = SecretReading { variable: &variable, now: unix_seconds() };
    let mut read = auth_file::load(&file, wanted, with);
    if read.is_unread
        && let Some(place) = given.place("", "authFile")
    {
        // If the named file cannot be read, the finding is about the key that names it.
        for finding in &mut read.findings {
            (finding.place, finding.key) = (place.clone(), "authFile".to_owned());
        }
    }
    let is_right = read.findings.is_empty();
    given.take_read(read.findings, read.warnings);
    if is_right { Ok(read.applications) } else { Err(auth_file::InvalidAuthFile) }
}

/// Returns the file of the applications. The outer None means that no file is named, the inner None
/// that none should be used.
pub(super) fn auth_path(given: &mut ConfigLayers<'_>, folder: &Path) -> Option<Option<PathBuf>> {
    given.read("", "authFile", |text| Ok(path(text, folder)))
}

/// Returns the state folder.
pub(super) fn state_dir(given: &mut ConfigLayers<'_>, folder: &Path) -> PathBuf {
    let named = given.read("", "stateDir", |text| match path(text, folder) {
        Some(path) => Ok(path),
        None => Err(Problem::new("names no folder", "name one, or leave it out")),
    });
    named.unwrap_or_else(|| state_beside(folder))
}

/// The addresses that the server may listen on.
pub(super) enum Exposure {
    Anywhere,
    /// Loopback addresses only, for this reason.
    Loopback {
        why: String,
        right: &'static str,
    },
}

impl Exposure {
    /// Restricts the server to loopback addresses while any client may do everything, or while a
    /// publicly known secret is in use.
    pub(super) fn of(
        applications: &Result<Option<Applications>, auth_file::InvalidAuthFile>,
    ) -> Self {
        let right = "create an application of your own (tagcast app add NAME), or listen on \
            loopback: ws://127.0.0.1:port";
        match applications {
            // The errors were already reported.
            Err(auth_file::InvalidAuthFile) => Self::Anywhere,
            Ok(None) => {
                let why =
                    "there are no applications (no auth.yml), so any client may do everything";
                Self::Loopback { why: why.to_owned(), right }
            }
            Ok(Some(applications)) => match applications.with_public_secret() {
                None => Self::of_weak_secrets(applications),
                Some(it) => {
                    let why = format!(
                        "the secret of the application `{}` is the public secret of the example",
                        visible(&it.key)
                    );
                    let right = "create an application of your own (tagcast app add NAME) and \
                        remove the examples from auth.yml, or listen on loopback: \
                        ws://127.0.0.1:port";
                    Self::Loopback { why, right }
                }
            },
        }
    }

    fn of_weak_secrets(applications: &Applications) -> Self {
        let weak = |it: &Application| Some((visible(&it.key), it.weakness()?));
        let Some((key, weakness)) = applications.list.iter().find_map(weak) else {
            return Self::Anywhere;
        };
        let why = format!("the secret of the application `{key}` {weakness}");
        let right = "use a long random secret (tagcast app rotate NAME), or listen on loopback: \
            ws://127.0.0.1:port";
        Self::Loopback { why, right }
    }

    pub(super) fn check(&self, address: &ListenAddress) -> Result<(), Problem> {
        match self {
            Self::Anywhere => Ok(()),
            Self::Loopback { why, right } => address.check_loopback(why, right),
        }
    }
}

/// Returns the addresses as they are written, regardless of the allowed exposure.
pub(super) fn addresses_of(given: &mut ConfigLayers<'_>) -> Vec<ListenAddress> {
    let mut all = listen(given, &Exposure::Anywhere);
    if given.read("", "tls", choice).unwrap_or(TlsMode::On) != TlsMode::On {
        all.iter_mut().for_each(|address| address.encryption = Encryption::Plain);
    }
    all
}

fn listen(given: &mut ConfigLayers<'_>, exposure: &Exposure) -> Vec<ListenAddress> {
    let checked = |text: &str| {
        let all = addresses(text)?;
        all.iter().try_for_each(|address| exposure.check(address))?;
        Ok(all)
    };
    let default = KEYS.iter().find(|key| key.name == "address").map_or("", |key| key.default);
    let default = || addresses(default).unwrap_or_default();
    given.read("", "address", checked).unwrap_or_else(default)
}

/// The Unix sockets need no check of the exposure: their file mode says who may connect.
fn unix(given: &mut ConfigLayers<'_>, folder: &Path) -> UnixAddresses {
    let paths = given.read("", "address", |text| unix_address::paths(text, folder));
    let mode = given.or_default("", "socketMode", unix_address::mode);
    UnixAddresses { paths: paths.unwrap_or_default(), mode }
}

fn workers(given: &mut ConfigLayers<'_>) -> u16 {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let parse = |text: &str| match text.trim() {
        text if text.eq_ignore_ascii_case("auto") => Ok(cores().min(256)),
        text => count(text, &WORKERS)
            .map_err(|fault| Problem { right: format!("{}, or auto", fault.right), ..fault }),
    };
    let workers = given.read("", "workers", parse).unwrap_or_else(cores);
    u16::try_from(workers).unwrap_or(u16::MAX)
}

fn log(given: &mut ConfigLayers<'_>, folder: &Path) -> LogSettings {
    LogSettings {
        file: given.read("", "logfile", |text| Ok(path(text, folder))).flatten(),
        console: given.read("", "console", switch).unwrap_or(true),
        level: given.read("", "logLevel", choice).unwrap_or(LogLevel::Info),
        format: given.read("", "logFormat", choice).unwrap_or(LogFormat::Text),
        bytes_max: given
            .read("", "logMaxSize", |text| size(text, &LOG_FILE))
            .unwrap_or(LOG_BYTES_MAX),
        old_files: given
            .read("", "logFiles", |text| count(text, &OLD_LOGS))
            .unwrap_or(LOG_FILES_KEPT),
    }
}

/// Resolves a path relative to the folder of the ini file.
pub(super) fn path(text: &str, folder: &Path) -> Option<PathBuf> {
    (!is_absent(text)).then(|| folder.join(text.trim()))
}

fn limits(given: &mut ConfigLayers<'_>) -> LimitSettings {
    let max_message = given.read("", "maxMessage", |text| size(text, &MESSAGE));
    let max_message = max_message.unwrap_or(MESSAGE_BYTES_MAX);
    let max_head = given.read("", "maxHead", |text| size(text, &HEAD));
    let outbox_limit = given.read("", "outboxLimit", |text| {
        let limit = size(text, &OUTBOX)?;
        if limit < max_message {
            let what = format!("is below maxMessage ({max_message} bytes): no such message fits");
            return Err(Problem::new(what, format!("use {max_message} or more")));
        }
        Ok(limit)
    });
    let away_bytes = given.read("", "awayMemory", |text| size(text, &AWAY));
    let max_topics = given.read("", "maxTopics", |text| count(text, &TOPIC_COUNTS));
    let history_bytes = given.read("", "historyMemory", |text| size(text, &AWAY));
    let expression_scan = given.read("", "exprScanMax", |text| count(text, &SCANS));
    let expression_scan = expression_scan.and_then(|values| u64::try_from(values).ok());
    let fair_share_work = given.read("", "fairShareWork", |text| count(text, &FAIR_SHARES));
    let fair_share_work = fair_share_work.and_then(|work| u64::try_from(work).ok());
    let mut time = |name, bounds: &Bounds<Duration>, default| {
        given.read("", name, |text| duration(text, bounds)).unwrap_or(default)
    };
    LimitSettings {
        expression_scan: expression_scan.unwrap_or(EXPRESSION_SCAN_MAX),
        fair_share_work: fair_share_work.unwrap_or(FAIR_SHARE_WORK),
        handshake_timeout: time("handshakeTimeout", &HANDSHAKE, Duration::from_secs(10)),
        message_timeout: time("messageTimeout", &MESSAGE_TIME, MESSAGE_TIMEOUT),
        drain_time: time("drainTime", &DRAIN, Duration::from_secs(5)),
        ping_interval: time("pingInterval", &PING, Duration::from_secs(20)),
        max_head: max_head.unwrap_or(HEAD_BYTES_MAX),
        max_message,
        max_memory: given.read("", "maxMemory", max_memory).unwrap_or(MaxMemory::Auto),
        outbox_limit: outbox_limit.unwrap_or(max_message + OUTBOX_SLACK_BYTES),
        away_bytes: away_bytes.unwrap_or(AWAY_MEMORY),
        history_bytes: history_bytes.unwrap_or(HISTORY_MEMORY),
        max_topics: max_topics.unwrap_or(TOPICS),
    }
}

fn max_memory(text: &str) -> Result<MaxMemory, Problem> {
    match text.trim() {
        text if text.eq_ignore_ascii_case("auto") => Ok(MaxMemory::Auto),
        text if is_absent(text) => Ok(MaxMemory::Unlimited),
        text => size(text, &MEMORY).map(|bytes| MaxMemory::Bytes(bytes as u64)).map_err(|fault| {
            Problem { right: format!("{}, or auto, or none", fault.right), ..fault }
        }),
    }
}

fn admission(given: &mut ConfigLayers<'_>) -> Admission {
    let mut limit = |name| {
        let limit = given.read("", name, |text| count(text, &CLIENTS));
        limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(0)
    };
    let (max_clients, max_per_ip) = (limit("maxClients"), limit("maxPerIP"));
    Admission {
        max_clients,
        max_per_ip,
        allowed_origins: given.read("", "allowedOrigins", parse::origins).unwrap_or_default(),
        allowed_ip: given.read("", "allowedIP", ranges).unwrap_or_default(),
        trusted_proxies: given.read("", "trustedProxies", ranges).unwrap_or_default(),
    }
}

fn ranges(text: &str) -> Result<Vec<IpRange>, Problem> {
    let right = "use addresses like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32, with commas";
    let range = |item: &str| {
        let what =
            || Problem::new(format!("holds `{}`, which is not an address", visible(item)), right);
        IpRange::parse(item).ok_or_else(what)
    };
    if is_absent(text) { Ok(Vec::new()) } else { parse::list(text).map(range).collect() }
}

fn uuid_key(given: &mut ConfigLayers<'_>, folder: &Path) -> UuidKey {
    let value = |text: &str| match is_absent(text) {
        true => Ok(None),
        false => parse::key(text).map(|_| Some(Secret::new(text.trim().to_owned()))),
    };
    let key = given.read("", "uuidKey", value).flatten();
    let file = given.read("", "uuidKeyFile", |text| Ok(path(text, folder))).flatten();
    match (key, file) {
        (Some(key), Some(_)) => {
            let place = given.place("", "uuidKeyFile").unwrap_or(ValueLocation::Default);
            let fault = Problem::new("is set in addition to uuidKey", "use one of the two");
            given.find_fault(place, "uuidKeyFile", fault);
            UuidKey::Value(key)
        }
        (Some(key), None) => UuidKey::Value(key),
        (None, file) => {
            UuidKey::File(file.unwrap_or_else(|| state_dir(given, folder).join("uuid.key")))
        }
    }
}
