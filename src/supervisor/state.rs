//! The folder beside the ini that outlives the server: its lock, and the key of its UUIDs.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use super::StartError;

/// Bytes of the key: as many as HMAC-SHA256 gives out (RFC 2104 §3).
const KEY_BYTES: usize = 32;
/// The file that is locked for as long as a server runs.
const LOCK_NAME: &str = "lock";

/// The folder, locked against a second server until this is dropped.
#[derive(Debug)]
pub struct StateFolder {
    _lock: File,
}

impl StateFolder {
    /// Makes the folder (mode 0700) where it is missing, and locks it.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or another server holds the lock.
    pub fn open(path: &Path) -> Result<Self, StartError> {
        let wrong = |error| StartError::StateFolder { path: path.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(wrong)?;
        let file = path.join(LOCK_NAME);
        let mut options = OpenOptions::new();
        let lock = options.create(true).append(true).mode(0o600).open(&file).map_err(wrong)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(Errno::WOULDBLOCK) => Err(StartError::AlreadyRunning { path: file }),
            Err(error) => Err(wrong(error.into())),
        }
    }
}

/// Reads the key of the UUIDs, or makes one: 64 hexadecimal digits, readable by the owner only.
///
/// # Errors
///
/// When the file cannot be read or made, or holds something else.
pub(super) fn uuid_key(path: &Path) -> Result<String, StartError> {
    let wrong = |error| StartError::UuidKeyFile { path: path.to_owned(), error };
    match fs::read(path) {
        Ok(bytes) => read_key(path, &bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(path).map_err(wrong),
        Err(error) => Err(wrong(error)),
    }
}

fn read_key(path: &Path, bytes: &[u8]) -> Result<String, StartError> {
    let text = bytes.trim_ascii();
    if text.len() != 2 * KEY_BYTES || !text.iter().all(u8::is_ascii_hexdigit) {
        return Err(StartError::UuidKeyWrong { path: path.to_owned() });
    }
    Ok(text.iter().map(|digit| char::from(*digit).to_ascii_lowercase()).collect())
}

/// A new key, as 64 hexadecimal digits.
pub(super) fn random_key() -> io::Result<String> {
    let mut key = [0_u8; KEY_BYTES];
    let filled = getrandom(&mut key, GetRandomFlags::empty())?;
    if filled != KEY_BYTES {
        return Err(io::Error::other("the system gave too few random bytes"));
    }
    Ok(key.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn make_key(path: &Path) -> io::Result<String> {
    let text = random_key()?;
    // Under another name first: a crash in between leaves no half a key.
    let draft = draft_of(path);
    let mut options = OpenOptions::new();
    let mut file = options.create(true).write(true).truncate(true).mode(0o600).open(&draft)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(text)
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A folder of this test's own, removed at its end.
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
    fn a_second_server_is_refused_until_the_first_is_gone() {
        let folder = Folder::new("lock");
        let first = StateFolder::open(&folder.0).unwrap();
        assert_eq!(mode(&folder.0), 0o700);
        let error = StateFolder::open(&folder.0).unwrap_err();
        assert!(matches!(error, StartError::AlreadyRunning { .. }), "{error}");
        assert_eq!(error.exit_code(), 1);
        drop(first);
        StateFolder::open(&folder.0).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = Folder::new("nofolder");
        fs::create_dir_all(folder.0.parent().unwrap()).unwrap();
        fs::write(&folder.0, "a file").unwrap();
        let text = StateFolder::open(&folder.0).unwrap_err().to_string();
        assert!(text.contains(&folder.0.display().to_string()), "{text}");
    }

    #[test]
    fn the_key_is_made_once_and_for_the_owner_only() {
        let folder = Folder::new("key");
        fs::create_dir_all(&folder.0).unwrap();
        let path = folder.0.join("uuid.key");
        let key = uuid_key(&path).unwrap();
        assert_eq!((key.len(), mode(&path)), (64, 0o600));
        assert_eq!(uuid_key(&path).unwrap(), key);
        fs::write(&path, key.to_uppercase()).unwrap();
        assert_eq!(uuid_key(&path).unwrap(), key);
        assert_ne!(uuid_key(&folder.0.join("other.key")).unwrap(), key);
    }

    #[test]
    fn a_wrong_key_file_is_named_and_left_alone() {
        let folder = Folder::new("wrongkey");
        fs::create_dir_all(&folder.0).unwrap();
        let path = folder.0.join("uuid.key");
        for wrong in [&b""[..], b"abc", &[b'g'; 64], &[b'a'; 63], &[0xff; 64]] {
            fs::write(&path, wrong).unwrap();
            let error = uuid_key(&path).unwrap_err();
            assert!(matches!(error, StartError::UuidKeyWrong { .. }), "{error}");
            assert_eq!((error.exit_code(), fs::read(&path).unwrap()), (78, wrong.to_vec()));
        }
    }
}
