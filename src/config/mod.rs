//! `websock.ini`, variables and flags: read, checked, and told what is wrong all at once.

mod app_add;
mod applications;
mod auth_file;
mod broker;
mod build;
mod certificate;
mod env;
mod finding;
mod given;
mod ini;
mod keys;
mod listen;
mod secret;
mod settings;
mod value;

use std::path::{Path, PathBuf};

pub use app_add::{NewApplication, NotAdded, add_application};
pub use applications::{Application, Applications};
pub use broker::BrokerConfig;
pub use finding::{Finding, Findings, Place};
pub use keys::{KEYS, Key};
pub use listen::ListenAddress;
pub use secret::Secret;
pub use settings::{
    Admission, AuthorizeOpen, Config, DialectName, Limits, LogFormat, LogLevel, LogSettings,
    PhpwsSettings, Refuse, ResourceBinding, ResourceKind, Tls, TlsMode, UnknownPath, UuidForm,
    UuidKey,
};

use self::env::DotEnv;
use self::finding::Fault;
use self::given::Given;

/// The file that is read when none is named.
const INI: &str = "websock.ini";
/// A file above this is none of ours.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where settings come from; a later field wins over an earlier one.
#[derive(Clone, Debug, Default)]
pub struct Source {
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
    pub warnings: Vec<Finding>,
    /// The file that was read.
    pub ini: Option<PathBuf>,
}

/// Reads and checks everything.
///
/// # Errors
///
/// All that is wrong, in the order of the file, then variables, then flags.
pub fn load(source: &Source) -> Result<Loaded, Findings> {
    let named = source.ini.as_ref().map(|ini| source.folder.join(ini));
    let path = named.clone().unwrap_or_else(|| source.folder.join(INI));
    let text = match read(&path) {
        Ok(text) => Some(text),
        Err(Unread::Absent) if named.is_none() => None,
        Err(unread) => {
            let place = Place::File(path);
            return Err(Findings(vec![Finding::new(place, "", unread.fault())]));
        }
    };
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let env_path = folder.join(".env");
    let (dot_env, unread) = match read(&env_path) {
        Ok(text) => (DotEnv::parse(&text), None),
        Err(Unread::Absent) => (DotEnv::default(), None),
        Err(unread) => (DotEnv::default(), Some(unread.fault())),
    };
    let mut given = Given::new(source, &dot_env);
    if let Some(fault) = unread {
        given.find_fault(Place::File(env_path), "", fault);
    }
    if let Some(text) = &text {
        given.take_file(&path, text);
    }
    given.take_variables();
    given.take_flags();
    let config = build::build(&mut given, &folder);
    let (mut findings, warnings) = given.findings();
    // Each file by itself, in the order of its lines.
    findings.sort_by_key(|finding| {
        let Finding { place, .. } = finding;
        (place.rank(), place.file() != Some(path.as_path()), place.line())
    });
    if findings.is_empty() {
        Ok(Loaded { config, warnings, ini: text.map(|_| path) })
    } else {
        Err(Findings(findings))
    }
}

/// Why a file was not read.
enum Unread {
    Absent,
    TooLarge,
    NotUtf8,
    Unreadable(std::io::Error),
}

impl Unread {
    fn fault(&self) -> Fault {
        match self {
            Self::Absent => Fault::new("there is no such file", "name one that exists"),
            Self::TooLarge => Fault::new("the file is larger than 1 MiB", "use a smaller file"),
            Self::NotUtf8 => Fault::new("the file is not UTF-8", "save it as UTF-8"),
            Self::Unreadable(error) => {
                Fault::new(format!("the file cannot be read: {error}"), "mend its permissions")
            }
        }
    }
}

fn read(path: &Path) -> Result<String, Unread> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Unread::Absent,
        _ => Unread::Unreadable(error),
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        return Err(Unread::TooLarge);
    }
    String::from_utf8(std::fs::read(path).map_err(failed)?).map_err(|_| Unread::NotUtf8)
}

#[cfg(test)]
mod tests;
