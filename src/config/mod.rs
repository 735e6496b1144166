//! The configuration: reads and checks `websock.ini`, variables and flags, and reports all errors
//! at once.

mod app_add;
mod app_edit;
mod auth_file;
mod bridge;
mod broker;
mod certificate;
mod diagnostic;
mod effective;
mod env;
mod env_application;
mod file_permissions;
mod foreign_variables;
mod ini;
mod layers;
mod listen;
mod message_schema;
mod operator_file;
mod parse;
mod reload;
mod report;
mod resolve;
mod schema;
mod sections;
mod settings;
mod shared_settings;
mod state_file;
mod unix_address;

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub(crate) use self::diagnostic::Problem;
pub use self::diagnostic::{Diagnostic, Diagnostics, ValueLocation};
pub use self::effective::EffectiveValues;
pub use self::file_permissions::site_in;
pub(crate) use self::ini::{IniEntry, Title, parse as parse_ini};
pub use self::schema::{ConfigKey, KEYS};
pub use self::sections::compat::HttpErrors;
pub use app_add::{NewApplication, NotAdded, add_application};
pub use app_edit::{
    add_secret, applications_in, make_anonymous, remove_application, remove_secret, replace_secret,
};
pub use bridge::BridgeConfig;
pub use broker::BrokerConfig;
pub use certificate::CertificateSummary;
pub use listen::ListenAddress;
pub use operator_file::edit::{OperatorNotChanged, add_operator, change_operator};
pub use operator_file::password::{hash_password, is_password};
pub use reload::{ConfigChange, Reload};
pub use report::{ConfigReport, ConfigReportRow};
pub use sections::api::{ApiAddress, ApiSettings};
pub use sections::backend::BackendBinding;
pub use sections::bloatless::{BloatlessSettings, PushSocketSettings};
pub use sections::cluster::{ClusterSettings, NatsCredentials, NatsSettings, OnGap};
pub use sections::echo::{EchoHandshake, EchoSettings};
pub use sections::gomoob::GomoobSettings;
pub use sections::jsauth::JsAuth;
pub use sections::legacy::LegacySettings;
pub use sections::operators::OperatorSettings;
pub use sections::phpws::PhpwsSettings;
pub use sections::rates::RateSettings;
pub use sections::resource::ResourceBinding;
pub use sections::sse::SseSettings;
pub use settings::{
    Admission, Config, LimitSettings, LogSettings, MaxMemory, Refuse, TlsMode, TlsSettings, UuidKey,
};
pub(crate) use state_file::replace_state_file;
pub use unix_address::UnixAddresses;

use self::env::DotEnv;
use self::file_permissions::Keep;
use self::layers::ConfigLayers;

/// Default configuration file.
const INI: &str = "websock.ini";
/// Default file of the applications.
const AUTH_FILE: &str = "auth.yml";
/// `O_NONBLOCK` as a flag of open(2).
#[expect(clippy::cast_possible_wrap, reason = "flags of open(2) are small")]
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;
/// Maximum size of a configuration file in bytes. A larger file is not one of ours.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Sources of the configuration. A later field takes precedence.
#[derive(Clone, Debug, Default)]
pub struct ConfigSources {
    /// The file. Defaults to `websock.ini` in `folder`, which may be missing.
    pub ini: Option<PathBuf>,
    /// Environment variables of the process.
    pub variables: Vec<(String, String)>,
    /// Command-line flags as key and value. A key of a section is written like `phpws.frameGap`.
    pub flags: Vec<(String, String)>,
    /// The current folder.
    pub folder: PathBuf,
}

/// A configuration without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The effective configuration.
    pub config: Config,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
    /// The file that was read. None if there is none.
    pub ini: Option<PathBuf>,
    /// Values as they were written.
    pub values: EffectiveValues,
}

/// Reads and checks the configuration.
///
/// # Errors
///
/// All errors: first those of the file, then of variables, then of flags.
pub fn load(source: &ConfigSources) -> Result<Loaded, Diagnostics> {
    let files = Files::read(source)?;
    let mut given = files.given(source);
    let mut config = resolve::build(&mut given, &files.folder);
    sections::cluster::warn_of_loose_matching(&mut given, &config);
    let values = given.values();
    files.look_at_rights(&mut given, &config);
    let (mut findings, warnings) = given.findings();
    // Findings are grouped by file and sorted by line.
    findings.sort_by_key(|finding| {
        let Diagnostic { place, .. } = finding;
        (place.rank(), place.file() != Some(files.path.as_path()), place.line())
    });
    if findings.is_empty() {
        let ini = files.text.map(|_| files.path);
        let tls = config.tls.as_ref();
        config.operators.take_report(ini.as_deref(), &values, &warnings, tls);
        Ok(Loaded { config, warnings, ini, values })
    } else {
        Err(Diagnostics(findings))
    }
}

/// Returns the path of the file of applications: `authFile`, otherwise `auth.yml` next to the ini
/// file. The file may be missing. Nothing else is checked.
///
/// # Errors
///
/// If the ini file or `.env` cannot be read.
pub fn auth_file(source: &ConfigSources) -> Result<PathBuf, Diagnostics> {
    let files = Files::read(source)?;
    let named = resolve::auth_path(&mut files.given(source), &files.folder);
    Ok(named.flatten().unwrap_or_else(|| files.folder.join(AUTH_FILE)))
}

/// Returns the path of the file of operators. `None` if the configuration names none. Nothing else is
/// checked.
///
/// # Errors
///
/// If the ini file or `.env` cannot be read.
pub fn operator_file(source: &ConfigSources) -> Result<Option<PathBuf>, Diagnostics> {
    let files = Files::read(source)?;
    Ok(sections::operators::file(&mut files.given(source), &files.folder))
}

/// Returns the valid listening addresses. Nothing else is checked.
#[must_use]
pub fn addresses(source: &ConfigSources) -> Vec<ListenAddress> {
    let files = Files::read(source).ok();
    files.map(|files| resolve::addresses_of(&mut files.given(source))).unwrap_or_default()
}

/// Returns the state folder: `stateDir`, otherwise `state` next to the ini file. Works with invalid
/// files too, so that a running server can still be found.
#[must_use]
pub fn state_folder(source: &ConfigSources) -> PathBuf {
    match Files::read(source) {
        Ok(files) => resolve::state_dir(&mut files.given(source), &files.folder),
        Err(_) => state_beside(source.ini_path().parent().unwrap_or_else(|| Path::new(""))),
    }
}

fn state_beside(folder: &Path) -> PathBuf {
    folder.join("state")
}

/// Returns the files of a configuration, including missing ones.
#[must_use]
pub fn files(source: &ConfigSources) -> Vec<PathBuf> {
    let mut all = vec![source.ini_path()];
    if let Ok(files) = Files::read(source) {
        let mut given = files.given(source);
        all.push(files.folder.join(".env"));
        let named = resolve::auth_path(&mut given, &files.folder);
        let named = named.unwrap_or_else(|| Some(files.folder.join(AUTH_FILE)));
        all.extend(named.iter().flat_map(|path| auth_file::named_files(path)));
        all.extend(named);
        all.extend(sections::operators::file(&mut given, &files.folder));
        all.extend(sections::tls::files(&mut given, &files.folder).into_iter().flatten());
    }
    all
}

impl ConfigSources {
    /// Returns the path of the ini file, even if it is missing.
    #[must_use]
    pub fn ini_path(&self) -> PathBuf {
        self.folder.join(self.ini.as_deref().unwrap_or_else(|| Path::new(INI)))
    }
}

/// The files of a configuration.
struct Files {
    path: PathBuf,
    text: Option<Zeroizing<String>>,
    folder: PathBuf,
    dot_env: DotEnv,
    /// The reason why an existing `.env` was not read.
    unread: Option<(PathBuf, Problem)>,
}

impl Files {
    fn read(source: &ConfigSources) -> Result<Self, Diagnostics> {
        let named = source.ini.as_ref().map(|ini| source.folder.join(ini));
        let path = named.clone().unwrap_or_else(|| source.folder.join(INI));
        let text = match read(&path) {
            Ok(text) => Some(text),
            Err(UnreadFile::Absent) if named.is_none() => None,
            Err(unread) => {
                let place = ValueLocation::File(path);
                return Err(Diagnostics(vec![Diagnostic::new(place, "", unread.fault())]));
            }
        };
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let env_path = folder.join(".env");
        let (dot_env, unread) = match read(&env_path) {
            Ok(text) => (DotEnv::parse(&text), None),
            Err(UnreadFile::Absent) => (DotEnv::default(), None),
            Err(unread) => (DotEnv::default(), Some((env_path, unread.fault()))),
        };
        Ok(Self { path, text, folder, dot_env, unread })
    }

    /// Warns about files that other users can read or change, and about files in the document root
    /// of a website.
    fn look_at_rights(&self, given: &mut ConfigLayers<'_>, config: &Config) {
        let mut odd = file_permissions::of(&self.path, Keep::FromWriters);
        odd.extend(file_permissions::of(&self.folder.join(".env"), Keep::FromWriters));
        let user = file_permissions::user_of(&config.state_folder);
        odd.extend(file_permissions::of_user(&config.state_folder, Keep::FromWriters, user));
        if let UuidKey::File(file) = &config.uuid_key {
            odd.extend(file_permissions::of_user(file, Keep::FromReaders, user));
        }
        let auth = resolve::auth_path(given, &self.folder);
        let auth = auth.unwrap_or_else(|| Some(self.folder.join(AUTH_FILE)));
        let exposed = auth.as_deref().and_then(file_permissions::in_a_site);
        odd.extend(exposed.or_else(|| file_permissions::in_a_site(&self.path)));
        given.take_read(Vec::new(), odd);
    }

    /// Returns the values of all sources.
    fn given<'a>(&'a self, source: &'a ConfigSources) -> ConfigLayers<'a> {
        let mut given = ConfigLayers::new(source, &self.dot_env);
        if let Some((path, fault)) = &self.unread {
            given.find_fault(ValueLocation::File(path.clone()), "", fault.clone());
        }
        if let Some(text) = &self.text {
            given.take_file(&self.path, text);
        }
        given.take_variables();
        given.take_flags();
        given.take_otlp_variable();
        given
    }
}

/// The reason why a file was not read.
enum UnreadFile {
    Absent,
    /// The path is a pipe or a device, which may be endless.
    NoFile,
    TooLarge,
    NotUtf8,
    Unreadable(std::io::Error),
}

impl UnreadFile {
    fn fault(&self) -> Problem {
        match self {
            Self::Absent => Problem::new("there is no such file", "name one that exists"),
            Self::NoFile => Problem::new("it is not a regular file", "name a file"),
            Self::TooLarge => Problem::new("the file is larger than 1 MiB", "use a smaller file"),
            Self::NotUtf8 => Problem::new("the file is not UTF-8", "save it as UTF-8"),
            Self::Unreadable(error) => {
                Problem::new(format!("the file cannot be read: {error}"), "fix its permissions")
            }
        }
    }
}

/// Reads a file without blocking on a pipe. The text is wiped when dropped, because any of the
/// files may contain secrets.
fn read(path: &Path) -> Result<Zeroizing<String>, UnreadFile> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => UnreadFile::Absent,
        _ => UnreadFile::Unreadable(error),
    };
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(UnreadFile::NoFile);
    }
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).custom_flags(NONBLOCK).open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(UnreadFile::NoFile);
    }
    if found.len() > FILE_BYTES_MAX {
        return Err(UnreadFile::TooLarge);
    }
    // Allocate the whole size at once, because a growing buffer would leave copies behind. A few
    // more bytes reveal whether the file has grown.
    let room = usize::try_from(found.len()).unwrap_or_default() + 64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(UnreadFile::TooLarge);
    }
    let text = str::from_utf8(&bytes).map_err(|_| UnreadFile::NotUtf8)?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests;
