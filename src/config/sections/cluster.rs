//! `[cluster]`: the NATS servers by which several hosts share publications, and what is kept for other hosts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cluster::ClusterName;
use crate::config::diagnostic::{Diagnostic, Problem, ValueLocation, visible};
use crate::config::file_permissions::{Keep, of as permissions_of};
use crate::config::layers::ConfigLayers;
use crate::config::parse::{Bounds, Size, choice, count, duration, is_absent, list, size, switch};
use crate::config::resolve::{CLIENTS, path};
use crate::config::{Config, UuidKey};
use crate::protocol::gomoob::TagMatch;
use crate::protocol::phpws::CompatFlag;
use crate::types::limits::{
    CLUSTER_HELD_TIME, CLUSTER_ITEM_BYTES_MAX, CLUSTER_QUERY_TIMEOUT, CLUSTER_REPLAY_BYTES,
    CLUSTER_REPLAY_TIME, HOST_NAME_BYTES_MAX, NATS_SERVERS_MAX,
};
use crate::types::word_choices;

/// Warns about switches for old servers whose matching each host does for itself.
pub(in crate::config) fn warn_of_loose_matching(given: &mut ConfigLayers<'_>, config: &Config) {
    if config.cluster.is_none() {
        return;
    }
    let switches = config.phpws.options.switches;
    for (section, name, is_on) in [
        ("gomoob", "tagMatch", config.gomoob.options.matching == TagMatch::Legacy),
        ("phpws", "looseCompare", switches.has(CompatFlag::LooseCompare)),
        ("phpws", "uuidReachesPhp", switches.has(CompatFlag::UuidMissesPhp)),
    ] {
        if is_on {
            let what = "makes each host of the cluster look for recipients among its own clients";
            let right = "leave the key out, or expect one recipient on each host";
            given.warn_in(section, name, Problem::new(what, right));
        }
    }
}

/// The settings of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSettings {
    /// Its name, which has been checked.
    pub name: String,
    /// Where the NATS servers are, and how this host shows who it is.
    pub nats: NatsSettings,
    /// Bytes of the replay buffer.
    pub replay_bytes: usize,
    /// How long the replay buffer keeps an item.
    pub replay_time: Duration,
    /// How long other hosts are waited for that are asked about their clients.
    pub query_timeout: Duration,
    /// Maximum connections of all hosts together; 0 means no limit.
    pub max_clients: u32,
    /// Maximum web-type connections from one address to all hosts; 0 means no limit.
    pub max_per_ip: u32,
    /// What clients learn of publications that are lost between hosts.
    pub on_gap: OnGap,
    /// Whether the host takes traffic only while publications pass between it and others.
    pub is_required: bool,
    /// The name of this host, for people.
    pub host_name: String,
    /// The life of the supervisor: random bits, which it makes at its start.
    pub run: u64,
    /// When the supervisor was started, in seconds since 1970.
    pub begun_s: u64,
}

word_choices! {
    /// What the clients of a host learn when publications of another host are lost. The host does not know for which
    /// of its clients they were.
    OnGap {
        /// Clients of a protocol that can say it get `recovery` with the reason `gap`.
        Report = "report",
        /// Connections that take publications are closed, spread over `drainTime`.
        Close = "close",
    }
}

/// Where the NATS servers are, and how this host shows who it is. Files are read at each connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatsSettings {
    /// URLs of servers of one NATS cluster. There is at least one.
    pub servers: Vec<String>,
    /// The file with credentials, if the servers need them.
    pub credentials: Option<NatsCredentials>,
    /// Certificate authorities in addition to those of the system, as PEM.
    pub ca_file: Option<PathBuf>,
    /// The certificate of this host and its key, as PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// A file with credentials for NATS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NatsCredentials {
    /// A JWT and a seed, as `nsc` writes them.
    Creds(PathBuf),
    /// The seed of an NKey.
    Nkey(PathBuf),
    /// `user:password`.
    User(PathBuf),
    /// A token.
    Token(PathBuf),
}

impl NatsCredentials {
    /// Returns the file.
    #[must_use]
    pub fn file(&self) -> &Path {
        match self {
            Self::Creds(file) | Self::Nkey(file) | Self::User(file) | Self::Token(file) => file,
        }
    }
}

/// The name of the section.
const SECTION: &str = "cluster";
/// Keys that only count along with `nats`.
const OTHER_KEYS: [&str; 16] = [
    "name",
    "hostName",
    "credsFile",
    "nkeyFile",
    "userFile",
    "tokenFile",
    "caFile",
    "certFile",
    "pkFile",
    "replayBytes",
    "replayTime",
    "queryTimeout",
    "maxClients",
    "maxPerIP",
    "onGap",
    "required",
];
const REPLAY: Bounds<Size> = Bounds::new(Size(64 * 1024), Size(64 * CLUSTER_ITEM_BYTES_MAX));
/// Shorter than items wait for a host that is gone, its return would help no client.
const REPLAY_TIME: Bounds<Duration> = Bounds::new(CLUSTER_HELD_TIME, Duration::from_secs(3600));
/// A question holds a request of the API.
const QUERY_TIMEOUT: Bounds<Duration> =
    Bounds::new(Duration::from_millis(10), Duration::from_secs(10));
const URLS: &str =
    "use URLs like nats://127.0.0.1:4222 or tls://nats.example.org:4222, with commas";

/// Reads the section. `None` without `nats`, and if anything is wrong.
pub(in crate::config) fn read(
    given: &mut ConfigLayers<'_>,
    folder: &Path,
    message_bytes_max: usize,
    uuid_key: &UuidKey,
) -> Option<ClusterSettings> {
    let before = given.faults();
    let servers = given.read(SECTION, "nats", servers).unwrap_or_default();
    let name = given.read(SECTION, "name", |text| match ClusterName::parse(text.trim()) {
        Some(_) => Ok(text.trim().to_owned()),
        None => Err(Problem::new("is not a name", "use 1 to 32 of the characters a-z, 0-9 and -")),
    });
    let host_name = given.read(SECTION, "hostName", host_name).flatten();
    let credentials = credentials(given, folder);
    let ca_file = file(given, folder, "caFile");
    let certificate = certificate(given, folder);
    let replay_bytes = given.read(SECTION, "replayBytes", |text| {
        let bytes = size(text, &REPLAY)?;
        if bytes <= message_bytes_max {
            let what = format!(
                "is not above maxMessage ({message_bytes_max} bytes): the largest \
                message would be lost whenever a host misses it"
            );
            return Err(Problem::new(what, format!("use more than {message_bytes_max}")));
        }
        Ok(bytes)
    });
    let replay_time = given.read(SECTION, "replayTime", |text| duration(text, &REPLAY_TIME));
    let query_timeout = given.read(SECTION, "queryTimeout", |text| duration(text, &QUERY_TIMEOUT));
    let [max_clients, max_per_ip] = ["maxClients", "maxPerIP"].map(|key| limit(given, key));
    let on_gap = given.read(SECTION, "onGap", choice);
    let is_required = given.read(SECTION, "required", switch);
    if servers.is_empty() {
        warn_without_servers(given);
        return None;
    }
    check_key(given, uuid_key);
    if message_bytes_max >= CLUSTER_REPLAY_BYTES && replay_bytes.is_none() {
        let what = format!("must be above maxMessage ({message_bytes_max} bytes)");
        fault(given, "replayBytes", Problem::new(what, "set replayBytes of [cluster]"));
    }
    if given.place(SECTION, "name").is_none() {
        let right = "give the cluster a name: name = shop";
        fault(given, "name", Problem::new("is missing, and nats is set", right));
    }
    let name = name.filter(|_| given.faults() == before)?;
    Some(ClusterSettings {
        name,
        nats: NatsSettings { servers, credentials, ca_file, certificate },
        replay_bytes: replay_bytes.unwrap_or(CLUSTER_REPLAY_BYTES),
        replay_time: replay_time.unwrap_or(CLUSTER_REPLAY_TIME),
        query_timeout: query_timeout.unwrap_or(CLUSTER_QUERY_TIMEOUT),
        max_clients,
        max_per_ip,
        on_gap: on_gap.unwrap_or(OnGap::Report),
        is_required: is_required.unwrap_or_default(),
        host_name: host_name.unwrap_or_else(machine_name),
        run: 0,
        begun_s: 0,
    })
}

fn limit(given: &mut ConfigLayers<'_>, key: &'static str) -> u32 {
    let limit = given.read(SECTION, key, |text| count(text, &CLIENTS));
    limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(0)
}

/// Reads a name of a host. `None` for that of the machine.
fn host_name(text: &str) -> Result<Option<String>, Problem> {
    let name = text.trim();
    if is_absent(name) {
        return Ok(None);
    }
    let is_name = name.len() <= HOST_NAME_BYTES_MAX && name.bytes().all(is_of_name);
    let right = "use 1 to 64 of the characters A-Z, a-z, 0-9, `.`, `-` and `_`";
    if is_name { Ok(Some(name.to_owned())) } else { Err(Problem::new("is not a name", right)) }
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')
}

/// Returns the name of the machine, without characters that no terminal should show.
fn machine_name() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let shown = text.trim().chars().filter(|it| u8::try_from(*it).is_ok_and(is_of_name));
    let name: String = shown.take(HOST_NAME_BYTES_MAX).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Hosts with keys of their own would drop the messages of each other, and nothing would show why.
fn check_key(given: &mut ConfigLayers<'_>, uuid_key: &UuidKey) {
    let is_own = matches!(uuid_key, UuidKey::File(_)) && given.place("", "uuidKeyFile").is_none();
    if is_own {
        let what = "needs a key that all hosts share, and neither uuidKey nor uuidKeyFile is set";
        let right = "copy the uuid.key of one host to all, and set uuidKeyFile";
        fault(given, "nats", Problem::new(what, right));
    }
}

fn warn_without_servers(given: &mut ConfigLayers<'_>) {
    let set = OTHER_KEYS.into_iter().find(|key| given.place(SECTION, key).is_some());
    if let Some(key) = set
        && given.place(SECTION, "nats").is_none()
    {
        let what = "is not used: nats of [cluster] is not set";
        let right = "set nats to the URLs of NATS servers, or remove it";
        let place = given.place(SECTION, key).unwrap_or(ValueLocation::Default);
        let warning =
            Diagnostic::new(place, &format!("{SECTION}.{key}"), Problem::new(what, right));
        given.take_read(Vec::new(), vec![warning]);
    }
}

fn fault(given: &mut ConfigLayers<'_>, key: &str, fault: Problem) {
    let place = given.place(SECTION, "nats").unwrap_or(ValueLocation::Default);
    given.find_fault(place, &format!("{SECTION}.{key}"), fault);
}

fn servers(text: &str) -> Result<Vec<String>, Problem> {
    if is_absent(text) {
        return Ok(Vec::new());
    }
    let all = list(text).map(server).collect::<Result<Vec<String>, Problem>>()?;
    if all.len() > NATS_SERVERS_MAX {
        let what = format!("names {} servers, {NATS_SERVERS_MAX} at most", all.len());
        return Err(Problem::new(what, "name a few servers; others are found through them"));
    }
    Ok(all)
}

fn server(item: &str) -> Result<String, Problem> {
    let wrong = |what: &str| Problem::new(format!("holds `{}`, which {what}", visible(item)), URLS);
    if item.contains('@') {
        let what = "has a user in it, which every status would show".to_owned();
        return Err(Problem::new(what, "put user:password into a file, and name it in userFile"));
    }
    let (scheme, rest) = item.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "nats" | "tls") {
        return Err(wrong("is neither nats:// nor tls://"));
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let uri: hyper::Uri = format!("http://{rest}").parse().map_err(|_| wrong("is not a URL"))?;
    let authority = uri.authority().filter(|it| !it.host().is_empty());
    let authority = authority.ok_or_else(|| wrong("names no host"))?;
    if uri.path() != "/" || uri.query().is_some() || authority.as_str().ends_with(':') {
        return Err(wrong("has more than a host and a port"));
    }
    let has_port = authority.as_str().len() > authority.host().len();
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return Err(wrong("has an invalid port"));
    }
    Ok(format!("{scheme}://{}", authority.as_str()))
}

fn file(given: &mut ConfigLayers<'_>, folder: &Path, key: &'static str) -> Option<PathBuf> {
    given
        .read(SECTION, key, |text| {
            let Some(file) = path(text, folder) else { return Ok(None) };
            match std::fs::metadata(&file) {
                Ok(found) if found.is_file() => Ok(Some(file)),
                Ok(_) => Err(Problem::new("is not a file", "name a file")),
                Err(error) => {
                    let what = format!("cannot be read: {error}");
                    Err(Problem::new(what, "name a file that exists"))
                }
            }
        })
        .flatten()
}

fn credentials(given: &mut ConfigLayers<'_>, folder: &Path) -> Option<NatsCredentials> {
    type Kind = fn(PathBuf) -> NatsCredentials;
    let kinds: [(&'static str, Kind); 4] = [
        ("credsFile", NatsCredentials::Creds),
        ("nkeyFile", NatsCredentials::Nkey),
        ("userFile", NatsCredentials::User),
        ("tokenFile", NatsCredentials::Token),
    ];
    let mut found: Option<(&'static str, NatsCredentials)> = None;
    for (key, kind) in kinds {
        let Some(file) = file(given, folder, key) else { continue };
        if let Some((other, _)) = found {
            let place = given.place(SECTION, key).unwrap_or(ValueLocation::Default);
            let problem = Problem::new(format!("is set in addition to {other}"), "use one of them");
            given.find_fault(place, &format!("{SECTION}.{key}"), problem);
        } else {
            given.take_read(Vec::new(), permissions_of(&file, Keep::FromReaders));
            found = Some((key, kind(file)));
        }
    }
    found.map(|(_, credentials)| credentials)
}

fn certificate(given: &mut ConfigLayers<'_>, folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let [chain, key] = ["certFile", "pkFile"].map(|name| file(given, folder, name));
    if let Some(key) = &key {
        given.take_read(Vec::new(), permissions_of(key, Keep::FromReaders));
    }
    let is_set = |name| given.place(SECTION, name).is_some();
    if is_set("certFile") != is_set("pkFile") {
        let key = if is_set("certFile") { "certFile" } else { "pkFile" };
        let place = given.place(SECTION, key).unwrap_or(ValueLocation::Default);
        let problem = Problem::new("is set alone", "set both certFile and pkFile of [cluster]");
        given.find_fault(place, &format!("{SECTION}.{key}"), problem);
    }
    chain.zip(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_name_of_its_machine_or_a_word() {
        assert_eq!(host_name("none"), Ok(None));
        assert_eq!(host_name(" web-1.example_2 "), Ok(Some("web-1.example_2".to_owned())));
        for wrong in ["web 1", "é", "a\u{1b}", &"a".repeat(65)] {
            assert!(host_name(wrong).is_err(), "{wrong}");
        }
        assert!(host_name(&machine_name()).is_ok_and(|name| name.is_some()));
    }

    #[test]
    fn a_server_is_a_url_with_a_host_and_perhaps_a_port() {
        for (text, expected) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
            ("NATS://nats.example.org/", "nats://nats.example.org"),
            ("tls://[::1]:4222", "tls://[::1]:4222"),
        ] {
            assert_eq!(server(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(servers("none"), Ok(Vec::new()));
        assert_eq!(servers("nats://a, nats://b").map(|all| all.len()), Ok(2));
    }

    #[test]
    fn a_wrong_server_is_refused_with_the_reason() {
        for (text, words) in [
            ("127.0.0.1:4222", "no scheme"),
            ("http://a", "neither"),
            ("nats://", "not a URL"),
            ("nats://a:b@c", "user in it"),
            ("a:b@c", "user in it"),
            ("nats://a/b", "more than"),
            ("nats://a:0", "invalid port"),
            ("nats://a:99999", "invalid port"),
        ] {
            let problem = server(text).unwrap_err();
            assert!(problem.what.contains(words), "{text}: {}", problem.what);
            assert!(!problem.what.contains("a:b"), "{text}: no password in an error");
        }
    }
}
