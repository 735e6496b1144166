//! Tests with valid and invalid files, variables and flags.

use std::fs;

use super::*;
use crate::auth::php_session::Truth;
use crate::auth::uuid::UuidForm;
use crate::protocol::phpws::{CompatFlag, CompatFlags};
use crate::resource::{BuiltinKind, ResourceKind};

/// A temporary folder, removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path =
            std::env::temp_dir().join(format!("tagcast-config-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            fs::write(path.join(file), text).unwrap();
        }
        Self(path)
    }

    fn source(&self) -> ConfigSources {
        ConfigSources { folder: self.0.clone(), ..ConfigSources::default() }
    }

    fn load(&self) -> Result<Loaded, Diagnostics> {
        load(&self.source())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn config(name: &str, text: &str) -> Config {
    Folder::new(name, &[(INI, text)]).load().unwrap().config
}

/// Returns line and key of each finding.
fn findings(name: &str, text: &str) -> Vec<(usize, String)> {
    let Diagnostics(all) = Folder::new(name, &[(INI, text)]).load().unwrap_err();
    let line = |finding: &Diagnostic| match finding.place {
        ValueLocation::Line(_, line) => line,
        _ => 0,
    };
    all.iter().map(|finding| (line(finding), finding.key.clone())).collect()
}

#[test]
fn defaults_apply_without_a_file() {
    let folder = Folder::new("none", &[]);
    let loaded = folder.load().unwrap();
    assert_eq!(loaded.ini, None);
    assert_eq!(loaded.config.listen[0].text, "ws://127.0.0.1:8094");
    assert_eq!(loaded.config.limits.max_message, 5 * 1024 * 1024);
    assert_eq!(loaded.config.limits.outbox_limit, 6 * 1024 * 1024);
    assert_eq!(loaded.config.uuid_key, UuidKey::File(folder.0.join("state/uuid.key")));
    assert_eq!(Config::from_json(&loaded.config.to_json()).unwrap(), loaded.config);
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let folder = Folder::new("named", &[]);
    let source = ConfigSources { ini: Some("x.ini".into()), ..folder.source() };
    let Diagnostics(all) = load(&source).unwrap_err();
    assert_eq!(all.len(), 1);
    assert!(all[0].to_string().contains("x.ini"), "{}", all[0]);
}

#[test]
fn both_layouts_of_phpwebsocketserver_are_read() {
    for (name, text) in [
        ("flat", "adress='ws://localhost:8096'\nconsole=true\n"),
        ("section", "\u{feff}[websocketserver]\r\nadress = \"ws://localhost:8096\"\r\n"),
    ] {
        assert_eq!(config(name, text).listen[0].port, 8096);
    }
    assert_eq!(config("noport", "address = tcp://127.0.0.1").listen[0].port, 80);
}

#[test]
fn values_are_read_in_their_units() {
    let text = "MAX_MESSAGE = 64K ; small\noutboxLimit=2M\npingInterval = 0\ndrain_time = 1500ms\n\
        workers=3\nPage = Off\n[phpws]\nuuid = plain\nframeGap = 7ms\nmax_chunks = 100\n\
        [resource /echo]\nkind = echo\n";
    let config = config("units", text);
    assert_eq!((config.limits.max_message, config.limits.outbox_limit), (65536, 2 * 1024 * 1024));
    assert!(config.limits.ping_interval.is_zero());
    assert_eq!(config.limits.drain_time.as_millis(), 1500);
    assert_eq!((config.workers, config.page), (3, false));
    assert_eq!(config.phpws.uuid, UuidForm::Plain);
    assert_eq!((config.phpws.frame_gap.as_millis(), config.phpws.max_chunks), (7, 100));
    let echo = ResourceBinding {
        name: "/echo".to_owned(),
        kind: ResourceKind::BuiltIn(BuiltinKind::Echo),
        backend: None,
    };
    assert_eq!(config.resources, [echo]);
}

#[test]
fn each_compatibility_option_has_its_key_and_values() {
    assert!(config("new ways", "").phpws.options.switches.is_empty());
    let on = |lines: &str| config("old ways", &format!("[phpws]\n{lines}")).phpws.options.switches;
    for (line, switch) in [
        ("abruptClose = on", CompatFlag::AbruptClose),
        ("exact_target = yes", CompatFlag::ExactTarget),
        ("requireOrigin = true", CompatFlag::RequireOrigin),
        ("httpErrors = legacy", CompatFlag::BareErrors),
        ("ackOrder = AFTER", CompatFlag::AckAfter),
        ("phpReencode = 1", CompatFlag::PhpReencode),
        ("closeOnJsonError = on", CompatFlag::CloseOnJsonError),
        ("broadcastToOldScripts = on", CompatFlag::BroadcastToOldScripts),
        ("broadcastWithoutOpcode = on", CompatFlag::BroadcastWithoutOpcode),
        ("uuidReachesPhp = off", CompatFlag::UuidMissesPhp),
        ("looseCompare = on", CompatFlag::LooseCompare),
        ("chunkOverflow = drop", CompatFlag::DropChunks),
        ("fragments = refuse", CompatFlag::RefuseFragments),
        ("acceptUnmasked = on", CompatFlag::AcceptUnmasked),
        ("lenientFrames = on", CompatFlag::LenientFrames),
        ("dropSlow = on", CompatFlag::DropSlow),
        ("legacyTypos = on", CompatFlag::LegacyTypos),
    ] {
        assert_eq!(on(line), CompatFlags::default().with(switch), "{line}");
    }
    let of_2021 =
        CompatFlags::default().with(CompatFlag::BareErrors).with(CompatFlag::ErrorsOf2021);
    assert_eq!(on("httpErrors = 2021"), of_2021);
    let default = "ackOrder = before\nuuidReachesPhp = on\nfragments = whole\nhttpErrors = http";
    assert!(on(default).is_empty());
    let wrong = "[phpws]\nackOrder = never\nabruptClose = maybe\naliases = all\n\
        [gomoob]\nmessages = none\ntagMatch = loose\ncloseCode = 1000\n";
    let keys: Vec<String> = findings("wrong ways", wrong).into_iter().map(|it| it.1).collect();
    let named = ["ackOrder", "abruptClose", "aliases", "messages", "tagMatch", "closeCode"];
    assert!(named.iter().all(|key| keys.iter().any(|found| found == key)), "{keys:?}");
    assert_eq!(keys.len(), named.len());
}

#[test]
fn all_findings_come_at_once_with_line_and_key() {
    let text = "workers = 0\nmaxMesage = 5M\nconsole = maybe\nauthFile = no.yml\n\
        adress = ws://127.0.0.1:1\naddress = ws://127.0.0.1:2\nframeGap = 1ms\n[nonsense]\nx = 1\n\
        [resource no path]\nkind = echo\n[resource /x]\nkin = echo\n";
    let expected = [
        (1, "workers"),
        (2, "maxMesage"),
        (3, "console"),
        (4, "authFile"),
        (6, "address"),
        (7, "frameGap"),
        (8, "[nonsense]"),
        (10, "[resource no path]"),
        (12, "[resource /x]"),
        (13, "kin"),
    ];
    assert_eq!(findings("all", text), expected.map(|(line, key)| (line, key.to_owned())));
}

#[test]
fn what_is_open_to_the_network_or_locked_without_a_lock_is_refused() {
    for (name, text) in [
        ("wild", "address = ws://0.0.0.0:8094"),
        ("tls", "address = wss://127.0.0.1:8094"),
        ("jsauth", "[jsauth]\nrequire = 'yes'\n"),
        ("both", "uuidKey = 00\n"),
        ("outbox", "maxMessage = 5M\noutboxLimit = 1M"),
        ("variable", "logfile = ${NO_SUCH_VARIABLE}"),
    ] {
        assert_eq!(findings(name, text).len(), 1, "{text}");
    }
    let folder = Folder::new("off", &[(INI, "[jsauth]\nrequire = 'false'\n")]);
    let loaded = folder.load().unwrap();
    assert!(loaded.config.jsauth.is_none() && loaded.warnings.is_empty());
}

#[test]
fn loose_matching_on_several_hosts_is_warned_about() {
    let key = "01".repeat(32);
    let cluster = "[cluster]\nnats = nats://c\nname = a\n";
    for (at, (section, line)) in [
        ("gomoob", "tagMatch = legacy"),
        ("phpws", "looseCompare = on"),
        ("phpws", "uuidReachesPhp = off"),
    ]
    .iter()
    .enumerate()
    {
        let text = format!("uuidKey = {key}\n[{section}]\n{line}\n");
        let alone = Folder::new(&format!("loose-{at}"), &[(INI, &text)]).load().unwrap();
        assert!(alone.warnings.is_empty(), "{line}: {:?}", alone.warnings);
        let text = format!("{text}{cluster}");
        let shared = Folder::new(&format!("shared-{at}"), &[(INI, &text)]).load().unwrap();
        let [warning] = &shared.warnings[..] else { panic!("{line}: {:?}", shared.warnings) };
        let (name, _) = line.split_once(' ').unwrap();
        let warning = warning.to_string();
        assert!(warning.contains(name) && warning.contains("each host"), "{warning}");
    }
}

#[test]
fn a_lock_without_a_key_is_refused_and_a_whole_one_is_taken() {
    for (name, text) in [
        ("js-ssp", "[jsauth]\nrequire = on\nkey = allow\n"),
        ("js-key", "[jsauth]\nrequire = on\nssp = .\n"),
        ("js-empty", "[jsauth]\nrequire = on\nssp = ''\nkey = allow\n"),
        ("js-placeholder", "[jsauth]\nrequire = on\nssp = __SESSIONSAVEPATH__\nkey = allow\n"),
        ("js-folder", "[jsauth]\nrequire = on\nssp = nowhere\nkey = allow\n"),
        ("js-name", "[jsauth]\ncookie_name = 'a b'\n"),
        ("js-truth", "[jsauth]\ntruth = maybe\n"),
    ] {
        assert_eq!(findings(name, text).len(), 1, "{text}");
    }
    let text = "[jsauth]\nrequire = 'TRUE'\nssp = .\nkey = allow\ntruth = strict\n";
    let loaded = Folder::new("js-whole", &[(INI, text)]).load().unwrap();
    assert_eq!(loaded.warnings.len(), 1, "pages of other sites: {:?}", loaded.warnings);
    let text = format!("allowedOrigins = https://a.example\n{text}");
    let loaded = Folder::new("js-origins", &[(INI, &text)]).load().unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let jsauth = loaded.config.jsauth.unwrap();
    assert_eq!((jsauth.cookie_name.as_str(), jsauth.key.as_str()), ("PHPSESSID", "allow"));
    assert_eq!(jsauth.truth, Truth::Strict);
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let folder = Folder::new("order", &[(INI, "workers = 2\nmaxMessage = 64K\npage = off\n")]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let source = ConfigSources {
        variables: vec![
            pair("TAGCAST_WORKERS", "3"),
            pair("TAGCAST_MAX_MESSAGE", "128K"),
            pair("TAGCAST_PHPWS_FRAME_GAP", "9ms"),
            pair("TAGCAST_SECRET", "x"),
            pair("TAGCAST_PAGE", ""),
        ],
        flags: vec![pair("workers", "4"), pair("phpws.maxChunks", "5")],
        ..folder.source()
    };
    let config = load(&source).unwrap().config;
    assert_eq!((config.workers, config.limits.max_message), (4, 128 * 1024));
    assert_eq!((config.phpws.frame_gap.as_millis(), config.phpws.max_chunks), (9, 5));
    assert!(!config.page);
}

#[test]
fn unknown_variables_are_warned_about_and_those_of_containers_not() {
    let folder = Folder::new("variables", &[(INI, "workers = 2\n")]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let variables = vec![
        pair("TAGCAST_NONSENSE", "hunter2"),
        pair("TAGCAST_ALOWED_ORIGINS", "https://a.example"),
        pair("TAGCAST_PORT", "tcp://10.3.104.46:8094"),
        pair("TAGCAST_PORT_8094_TCP_ADDR", "10.3.104.46"),
        pair("TAGCAST_SERVICE_HOST", "10.3.104.46"),
        pair("TAGCAST_ENV_HOME", "/root"),
    ];
    let warnings = load(&ConfigSources { variables, ..folder.source() }).unwrap().warnings;
    let shown: Vec<String> = warnings.iter().map(Diagnostic::to_string).collect();
    assert_eq!(
        shown,
        [
            "TAGCAST_NONSENSE: is not a variable of this program and is ignored; see \
             docs/configuration.md",
            "TAGCAST_ALOWED_ORIGINS: is not a variable of this program and is ignored; did you mean \
             `TAGCAST_ALLOWED_ORIGINS`?",
        ]
    );
}

#[test]
fn dot_env_fills_in_and_its_first_definition_wins() {
    let files =
        [(INI, "logfile = ${LOG_FILE}\n"), (".env", "LOG_FILE=\"a.log\"\nLOG_FILE=b.log\n")];
    let folder = Folder::new("env", &files);
    assert_eq!(folder.load().unwrap().config.log.file, Some(folder.0.join("a.log")));
    let variables = vec![("LOG_FILE".to_owned(), "/c.log".to_owned())];
    let source = ConfigSources { variables, ..folder.source() };
    assert_eq!(load(&source).unwrap().config.log.file, Some(PathBuf::from("/c.log")));
}

#[test]
fn the_key_of_the_uuids_is_never_shown() {
    let key = "a".repeat(64);
    let config = config("secret", &format!("uuidKey = {key}\n"));
    assert!(config.uuid_key.bytes().is_some());
    assert!(!format!("{config:?}").contains(&key));
    let wrong = Folder::new("short", &[(INI, "uuidKey = feedface\n")]).load().unwrap_err();
    assert!(!wrong.to_string().contains("feedface"));
}

#[test]
fn a_secret_from_the_environment_is_not_shown_in_a_finding() {
    let files = [(INI, "workers = ${SECRET}\n"), (".env", "SECRET=hunter2\n")];
    let text = Folder::new("shown", &files).load().unwrap_err().to_string();
    assert!(text.contains("${SECRET}") && !text.contains("hunter2"), "{text}");
}

#[test]
fn the_key_of_the_uuids_is_not_a_flag() {
    let folder = Folder::new("flag", &[]);
    let flags = vec![("uuidKey".to_owned(), "b".repeat(64))];
    let text = load(&ConfigSources { flags, ..folder.source() }).unwrap_err().to_string();
    assert!(!text.contains("bbb"), "{text}");
}

#[test]
fn a_file_of_phpwebsocketserver_with_certificates_is_read_with_a_warning() {
    let text =
        "adress = ws://127.0.0.1:1\ncertFile = ''\npkFile = ''\n[develop]\ndevelopsystem=true\n";
    assert_eq!(Folder::new("cert", &[(INI, text)]).load().unwrap().warnings.len(), 1);
}

#[test]
fn a_dot_env_that_cannot_be_read_is_a_finding() {
    let folder = Folder::new("badenv", &[]);
    fs::write(folder.0.join(".env"), [0xff]).unwrap();
    assert!(folder.load().unwrap_err().to_string().contains(".env"));
}
