//! `websock.ini`, variables and flags: read, checked, and told what is wrong all at once.

mod app_add;
mod app_edit;
mod auth_file;
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
mod parse;
mod reload;
mod resolve;
mod schema;
mod sections;
mod settings;

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub use self::diagnostic::{Diagnostic, Diagnostics, ValueLocation};
pub use self::effective::EffectiveValues;
pub use self::file_permissions::site_in;
pub use self::schema::{ConfigKey, KEYS};
pub use self::sections::compat::HttpErrors;
pub use app_add::{NewApplication, NotAdded, add_application};
pub use app_edit::{applications_in, make_anonymous, remove_application, rotate_application};
pub use broker::BrokerConfig;
pub use listen::ListenAddress;
pub use reload::{ConfigChange, Reload};
pub use sections::backend::BackendBinding;
pub use sections::bloatless::{BloatlessSettings, PushSocketSettings};
pub use sections::echo::{EchoHandshake, EchoSettings};
pub use sections::gomoob::GomoobSettings;
pub use sections::jsauth::JsAuth;
pub use sections::legacy::LegacySettings;
pub use sections::phpws::PhpwsSettings;
pub use sections::resource::ResourceBinding;
pub use settings::{
    Admission, Config, LimitSettings, LogSettings, MaxMemory, Refuse, TlsMode, TlsSettings, UuidKey,
};

use self::diagnostic::Problem;
use self::env::DotEnv;
use self::file_permissions::Keep;
use self::layers::ConfigLayers;

/// The file that is read when none is named.
const INI: &str = "websock.ini";
/// The applications, when no other file is named.
const AUTH_FILE: &str = "auth.yml";
/// `O_NONBLOCK`, as a file is opened.
#[expect(clippy::cast_possible_wrap, reason = "flags of open(2) are small")]
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;
/// A file above this is none of ours.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where settings come from; a later field wins over an earlier one.
#[derive(Clone, Debug, Default)]
pub struct ConfigSources {
    /// The file; by default `websock.ini` in `folder`, which may be absent.
    pub ini: Option<PathBuf>,
    /// The process's variables.
    pub variables: Vec<(String, String)>,
    /// Flags of the command line, as key and value; `phpws.frameGap` for a key of a section.
    pub flags: Vec<(String, String)>,
    /// The current folder.
    pub folder: PathBuf,
}

/// A configuration without a fault.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// What is odd but does no harm.
    pub warnings: Vec<Diagnostic>,
    /// The file that was read.
    pub ini: Option<PathBuf>,
    /// The values as they were written.
    pub values: EffectiveValues,
}

/// Reads and checks everything.
///
/// # Errors
///
/// All that is wrong, in the order of the file, then variables, then flags.
pub fn load(source: &ConfigSources) -> Result<Loaded, Diagnostics> {
    let files = Files::read(source)?;
    let mut given = files.given(source);
    let config = resolve::build(&mut given, &files.folder);
    let values = given.values();
    files.look_at_rights(&mut given, &config);
    let (mut findings, warnings) = given.findings();
    // Each file by itself, in the order of its lines.
    findings.sort_by_key(|finding| {
        let Diagnostic { place, .. } = finding;
        (place.rank(), place.file() != Some(files.path.as_path()), place.line())
    });
    if findings.is_empty() {
        Ok(Loaded { config, warnings, ini: files.text.map(|_| files.path), values })
    } else {
        Err(Diagnostics(findings))
    }
}

/// Where the applications stand, or would stand: `authFile`, else `auth.yml` beside the ini. Nothing
/// else is checked.
///
/// # Errors
///
/// When the ini or `.env` cannot be read.
pub fn auth_file(source: &ConfigSources) -> Result<PathBuf, Diagnostics> {
    let files = Files::read(source)?;
    let named = resolve::auth_path(&mut files.given(source), &files.folder);
    Ok(named.flatten().unwrap_or_else(|| files.folder.join(AUTH_FILE)))
}

/// Where a server of this configuration listens, as far as that is right. Nothing else is checked.
#[must_use]
pub fn addresses(source: &ConfigSources) -> Vec<ListenAddress> {
    let files = Files::read(source).ok();
    files.map(|files| resolve::addresses_of(&mut files.given(source))).unwrap_or_default()
}

/// The folder of a server's state: `stateDir`, or `state` beside the ini. Whatever else is wrong with the
/// files, a server is found.
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

/// The files that a configuration is read from, also those that are not there.
#[must_use]
pub fn files(source: &ConfigSources) -> Vec<PathBuf> {
    let mut all = vec![source.ini_path()];
    if let Ok(files) = Files::read(source) {
        let mut given = files.given(source);
        all.push(files.folder.join(".env"));
        let named = resolve::auth_path(&mut given, &files.folder);
        let named = named.unwrap_or_else(|| Some(files.folder.join(AUTH_FILE)));
        all.extend(named.iter().flat_map(|path| auth_file::schema_files(path)));
        all.extend(named);
        all.extend(resolve::tls_files(&mut given, &files.folder).into_iter().flatten());
    }
    all
}

impl ConfigSources {
    /// The file, also when it is not there.
    #[must_use]
    pub fn ini_path(&self) -> PathBuf {
        self.folder.join(self.ini.as_deref().unwrap_or_else(|| Path::new(INI)))
    }
}

/// The files that settings come from.
struct Files {
    path: PathBuf,
    text: Option<Zeroizing<String>>,
    folder: PathBuf,
    dot_env: DotEnv,
    /// Why `.env` was not read, though it is there.
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

    /// Warns about files that others can read or change, and about those in the document root of a site.
    fn look_at_rights(&self, given: &mut ConfigLayers<'_>, config: &Config) {
        let mut odd = file_permissions::of(&self.path, Keep::FromWriters);
        odd.extend(file_permissions::of(&self.folder.join(".env"), Keep::FromWriters));
        odd.extend(file_permissions::of(&config.state_folder, Keep::FromWriters));
        if let UuidKey::File(file) = &config.uuid_key {
            odd.extend(file_permissions::of(file, Keep::FromReaders));
        }
        let auth = resolve::auth_path(given, &self.folder);
        let auth = auth.unwrap_or_else(|| Some(self.folder.join(AUTH_FILE)));
        let exposed = auth.as_deref().and_then(file_permissions::in_a_site);
        odd.extend(exposed.or_else(|| file_permissions::in_a_site(&self.path)));
        given.take_read(Vec::new(), odd);
    }

    /// The values of all sources.
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
        given
    }
}

/// Why a file was not read.
enum UnreadFile {
    Absent,
    /// A pipe or a device, which may have no end.
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

/// A file is read without waiting for the other end of a pipe, and its text is wiped: secrets may be in
/// any of them.
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
    // Room for all of it at once, and for what shows that it has grown: a buffer that grows would leave
    // a copy behind.
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
