//! The state folder next to the ini file: the lock of the server, the key of its UUIDs, and the id of its host.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

use super::StartError;
use super::probe::takes_files;
use crate::config::replace_state_file;
use crate::types::HostId;

/// Bytes of the key: the output length of HMAC-SHA256 (RFC 2104 §3).
const KEY_BYTES: usize = 32;
/// Maximum bytes read from a key file: more than a key with whitespace around it.
const KEY_FILE_BYTES_MAX: u64 = 1024;
/// Maximum bytes read from the lock file: the longest path (`PATH_MAX` of limits.h).
const NOTE_BYTES_MAX: u64 = 4096;
/// File that is locked while a server runs.
const LOCK_NAME: &str = "lock";
/// File with the id of the host.
const HOST_NAME: &str = "host.id";
/// Maximum bytes read from it: more than an id with whitespace around it.
const HOST_FILE_BYTES_MAX: u64 = 64;

/// The state folder, locked against a second server until this value is dropped.
#[derive(Debug)]
pub struct StateDir {
    lock: File,
}

impl StateDir {
    /// Creates the folder with mode 0700 if it is missing, and locks it.
    ///
    /// # Errors
    ///
    /// If it cannot be created, or if another server holds the lock.
    pub fn open(path: &Path) -> Result<Self, StartError> {
        let wrong = |error| StartError::StateFolder { path: path.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(wrong)?;
        let file = path.join(LOCK_NAME);
        let lock = open_own(&file, OpenOptions::new().create(true).append(true).mode(0o600));
        let lock = lock.map_err(wrong)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { lock }),
            Err(Errno::WOULDBLOCK) => {
                Err(StartError::AlreadyRunning { path: file, ini: started_with(path) })
            }
            Err(error) => Err(wrong(error.into())),
        }
    }
}

impl StateDir {
    /// Writes the path of the server's configuration file into the lock file.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn note(&self, ini: Option<&Path>) -> io::Result<()> {
        let ini = ini.map(|ini| fs::canonicalize(ini).unwrap_or_else(|_| ini.to_owned()));
        self.lock.set_len(0)?;
        let name = ini.as_ref().map_or(&[][..], |ini| ini.as_os_str().as_bytes());
        (&self.lock).write_all(name)
    }
}

/// Returns the configuration file of the server that uses a state folder, or of the last one that
/// did.
#[must_use]
pub fn started_with(folder: &Path) -> Option<PathBuf> {
    let lock = open_own(&folder.join(LOCK_NAME), OpenOptions::new().read(true)).ok()?;
    let mut name = Vec::new();
    lock.take(NOTE_BYTES_MAX).read_to_end(&mut name).ok()?;
    (!name.is_empty()).then(|| PathBuf::from(OsString::from_vec(name)))
}

/// Checks that [`StateDir::open`] would succeed, except for the lock, and [`host_id`].
pub(super) fn probe_folder(path: &Path) -> Result<(), StartError> {
    let wrong = |error| StartError::StateFolder { path: path.to_owned(), error };
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(wrong(Errno::EXIST.into())),
        Ok(_) => {
            takes_files(path).and_then(|()| probe_lock(path)).map_err(wrong)?;
            read_host_id(path).map(|_| ())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made_in = path.ancestors().skip(1).find(|folder| folder.exists());
            takes_files(made_in.unwrap_or_else(|| Path::new(""))).map_err(wrong)
        }
        Err(error) => Err(wrong(error)),
    }
}

fn probe_lock(folder: &Path) -> io::Result<()> {
    match open_own(&folder.join(LOCK_NAME), OpenOptions::new().append(true)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Opens a file of the state folder. Symbolic links are not followed, because another user may have
/// created them. Opening a pipe does not block.
fn open_own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
        return Err(io::Error::other(format!("{} is a symbolic link", path.display())));
    }
    regular(path, options.custom_flags(flags).open(path)?)
}

fn regular(path: &Path, file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::other(format!("{} is not a regular file", path.display())))
}

/// Reads the key of the UUIDs or creates it: 64 hexadecimal digits, readable by the owner only.
///
/// # Errors
///
/// If the file cannot be read or created, or does not contain a valid key.
pub(super) fn uuid_key(path: &Path, state: &Path) -> Result<String, StartError> {
    let wrong = |error| StartError::UuidKeyFile { path: path.to_owned(), error };
    match read_key(path, state)? {
        Some(key) => Ok(key),
        None => make_key(path).map_err(wrong),
    }
}

/// Checks that [`uuid_key`] would succeed.
pub(super) fn probe_key(path: &Path, state: &Path) -> Result<(), StartError> {
    if read_key(path, state)?.is_some() {
        return Ok(());
    }
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    // The state folder is created before the key.
    if folder == state {
        return Ok(());
    }
    let wrong = |error| StartError::UuidKeyFile { path: path.to_owned(), error };
    takes_files(folder).map_err(wrong)
}

/// Reads the key from a file. Returns None if the file does not exist.
fn read_key(path: &Path, state: &Path) -> Result<Option<String>, StartError> {
    let wrong = |error| StartError::UuidKeyFile { path: path.to_owned(), error };
    let file = match open_key(path, state) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * KEY_BYTES));
    file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(wrong)?;
    let text = bytes.trim_ascii();
    if text.len() != 2 * KEY_BYTES || !text.iter().all(u8::is_ascii_hexdigit) {
        return Err(StartError::UuidKeyWrong { path: path.to_owned() });
    }
    Ok(Some(text.iter().map(|digit| char::from(*digit).to_ascii_lowercase()).collect()))
}

/// Opens the key file. Outside the state folder it may be a symbolic link, because Kubernetes
/// mounts secrets that way.
fn open_key(path: &Path, state: &Path) -> io::Result<File> {
    if path.parent() == Some(state) {
        return open_own(path, OpenOptions::new().read(true));
    }
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    regular(path, OpenOptions::new().read(true).custom_flags(flags).open(path)?)
}

/// Reads the id of the host from the state folder, or makes one.
///
/// # Errors
///
/// If the file cannot be read or created, or does not contain a valid id.
pub(super) fn host_id(state: &Path) -> Result<HostId, StartError> {
    let wrong = |error| StartError::StateFolder { path: state.to_owned(), error };
    match read_host_id(state)? {
        Some(host) => Ok(host),
        None => make_host_id(&state.join(HOST_NAME)).map_err(wrong),
    }
}

/// Reads the id of the host. Returns None if there is none yet.
fn read_host_id(state: &Path) -> Result<Option<HostId>, StartError> {
    let path = state.join(HOST_NAME);
    let wrong = |error| StartError::StateFolder { path: state.to_owned(), error };
    let file = match open_own(&path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    let mut text = Vec::new();
    file.take(HOST_FILE_BYTES_MAX).read_to_end(&mut text).map_err(wrong)?;
    let host = str::from_utf8(text.trim_ascii()).ok().and_then(HostId::parse);
    host.map(Some).ok_or(StartError::HostIdWrong { path })
}

fn make_host_id(path: &Path) -> io::Result<HostId> {
    let mut bytes = [0; 4];
    fill(&mut bytes)?;
    let host = HostId(u32::from_ne_bytes(bytes));
    replace_state_file(path, format!("{host}\n").as_bytes())?;
    Ok(host)
}

/// Creates a random key as 64 hexadecimal digits.
pub(super) fn random_key() -> io::Result<String> {
    let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
    fill(key.as_mut_slice())?;
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Fills a few bytes from the kernel.
/// Returns the number of this life of the supervisor. It is not 0.
pub(super) fn random_run() -> io::Result<u64> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes).max(1))
}

fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let filled = getrandom(&mut *bytes, GetRandomFlags::empty())?;
    if filled != bytes.len() {
        return Err(io::Error::other("the system returned too few random bytes"));
    }
    Ok(())
}

fn make_key(path: &Path) -> io::Result<String> {
    let text = random_key()?;
    replace_state_file(path, format!("{text}\n").as_bytes())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A temporary folder, removed at the end of the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("tagcast-{name}-{}", std::process::id());
            Self(std::env::temp_dir().join(name).join("state"))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(self.0.parent().unwrap());
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_second_server_is_refused_until_the_first_has_exited() {
        let folder = Folder::new("lock");
        let first = StateDir::open(&folder.0).unwrap();
        assert_eq!(mode(&folder.0), 0o700);
        let error = StateDir::open(&folder.0).unwrap_err();
        assert!(matches!(error, StartError::AlreadyRunning { .. }), "{error}");
        assert_eq!(error.exit_code(), 1);
        first.note(Some(Path::new("/etc/tagcast/websock.ini"))).unwrap();
        let error = StateDir::open(&folder.0).unwrap_err().to_string();
        assert!(error.contains("started with /etc/tagcast/websock.ini"), "{error}");
        first.note(Some(Path::new("/x.ini"))).unwrap();
        assert_eq!(started_with(&folder.0).as_deref(), Some(Path::new("/x.ini")));
        first.note(None).unwrap();
        assert_eq!(started_with(&folder.0), None);
        drop(first);
        StateDir::open(&folder.0).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = Folder::new("nofolder");
        fs::create_dir_all(folder.0.parent().unwrap()).unwrap();
        fs::write(&folder.0, "a file").unwrap();
        let text = StateDir::open(&folder.0).unwrap_err().to_string();
        assert!(text.contains(&folder.0.display().to_string()), "{text}");
    }

    #[test]
    fn the_key_is_made_once_and_for_the_owner_only() {
        let folder = Folder::new("key");
        fs::create_dir_all(&folder.0).unwrap();
        let path = folder.0.join("uuid.key");
        let key = uuid_key(&path, &folder.0).unwrap();
        assert_eq!((key.len(), mode(&path)), (64, 0o600));
        assert_eq!(uuid_key(&path, &folder.0).unwrap(), key);
        fs::write(&path, key.to_uppercase()).unwrap();
        assert_eq!(uuid_key(&path, &folder.0).unwrap(), key);
        assert_ne!(uuid_key(&folder.0.join("other.key"), &folder.0).unwrap(), key);
    }

    #[test]
    fn a_wrong_key_file_is_named_and_left_alone() {
        let folder = Folder::new("wrongkey");
        fs::create_dir_all(&folder.0).unwrap();
        let path = folder.0.join("uuid.key");
        for wrong in [&b""[..], b"abc", &[b'g'; 64], &[b'a'; 63], &[0xff; 64]] {
            fs::write(&path, wrong).unwrap();
            let error = uuid_key(&path, &folder.0).unwrap_err();
            assert!(matches!(error, StartError::UuidKeyWrong { .. }), "{error}");
            assert_eq!((error.exit_code(), fs::read(&path).unwrap()), (78, wrong.to_vec()));
        }
    }

    #[test]
    fn a_link_in_the_folder_is_never_followed() {
        let folder = Folder::new("links");
        let (state, outside) = (&folder.0, folder.0.parent().unwrap().join("precious"));
        fs::create_dir_all(state).unwrap();
        fs::write(&outside, "precious").unwrap();
        for name in ["lock", "uuid.key"] {
            let link = state.join(name);
            std::os::unix::fs::symlink(&outside, &link).unwrap();
            let open = || StateDir::open(state).map(|_| ());
            let key = || uuid_key(&link, state).map(|_| ());
            let opened = if name == "lock" { open() } else { key() };
            let probed = if name == "lock" { probe_folder(state) } else { probe_key(&link, state) };
            let (opened, probed) =
                (opened.unwrap_err().to_string(), probed.unwrap_err().to_string());
            assert!(opened.contains("is a symbolic link"), "{opened}");
            assert_eq!(opened, probed);
            fs::remove_file(&link).unwrap();
        }
        let draft = state.join("uuid.key.new");
        std::os::unix::fs::symlink(&outside, &draft).unwrap();
        let key = uuid_key(&state.join("uuid.key"), state).unwrap();
        assert_eq!(uuid_key(&state.join("uuid.key"), state).unwrap(), key);
        assert!(fs::symlink_metadata(&draft).is_err());
        assert_eq!(fs::read(&outside).unwrap(), b"precious");
        assert_eq!(mode(&state.join("uuid.key")), 0o600);
    }

    #[test]
    fn a_key_file_elsewhere_may_be_a_link_and_is_a_regular_file() {
        let folder = Folder::new("mounted");
        let root = folder.0.parent().unwrap();
        fs::create_dir_all(&folder.0).unwrap();
        let (file, link) = (root.join("data"), root.join("mounted.key"));
        fs::write(&file, "a".repeat(64)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(uuid_key(&link, &folder.0).unwrap(), "a".repeat(64));
        for wrong in [root.to_owned(), "/dev/zero".into()] {
            let text = uuid_key(&wrong, &folder.0).unwrap_err().to_string();
            assert!(text.contains("not a regular file"), "{text}");
            assert_eq!(probe_key(&wrong, &folder.0).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn a_dry_run_reports_the_same_errors_and_creates_nothing() {
        let folder = Folder::new("probe");
        let root = folder.0.parent().unwrap().to_owned();
        fs::create_dir_all(&root).unwrap();
        probe_folder(&folder.0).unwrap();
        probe_key(&folder.0.join("uuid.key"), &folder.0).unwrap();
        assert!(!folder.0.exists());
        fs::write(&folder.0, "a file").unwrap();
        for path in [folder.0.clone(), folder.0.join("below")] {
            let expected = StateDir::open(&path).unwrap_err().to_string();
            assert_eq!(probe_folder(&path).unwrap_err().to_string(), expected);
        }
        for path in [root.join("no").join("uuid.key"), folder.0.join("uuid.key")] {
            let expected = uuid_key(&path, &root.join("state2")).unwrap_err().to_string();
            assert_eq!(probe_key(&path, &root.join("state2")).unwrap_err().to_string(), expected);
        }
        let rubbish = root.join("rubbish.key");
        fs::write(&rubbish, "rubbish").unwrap();
        let expected = uuid_key(&rubbish, &folder.0).unwrap_err().to_string();
        assert_eq!(probe_key(&rubbish, &folder.0).unwrap_err().to_string(), expected);
    }
}
