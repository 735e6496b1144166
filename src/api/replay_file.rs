//! The file that takes spent nonces and used ids from a server that ended in an orderly way to the next one.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tracing::{error, info, warn};

use crate::config::replace_state_file;
use crate::link::codec::{MessageDecoder, WireMessage};
use crate::link::message::ToBroker;
use crate::types::{ReplayBasis, ReplayRecords};

/// The first line. A file of another version is not read.
const TITLE: &[u8] = b"tagcast nonces 2\n";
/// Maximum bytes that are read: more than all records with the largest `idempotencyMax`.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The file in the state folder.
#[derive(Debug)]
pub(super) struct ReplayFile {
    path: PathBuf,
    /// What the file says about its records, until it is removed.
    basis: Option<ReplayBasis>,
}

impl ReplayFile {
    /// Reads the file, if there is one.
    pub(super) fn open(folder: &Path) -> (Self, Vec<ReplayRecords>) {
        let path = folder.join("nonces");
        let (basis, records) = match read(&path) {
            Ok(found) => (Some(found.basis), found.records),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, Vec::new()),
            Err(error) => {
                warn!(
                    event = "nonces_unreadable", path = %path.display(), %error,
                    "failed to read the nonces of the last server; requests that were signed before now are refused"
                );
                (None, Vec::new())
            }
        };
        (Self { path, basis }, records)
    }

    /// Removes the file, because from now on it is incomplete. Returns what it said about its records;
    /// `None` if it could not be removed, because then it may be from an earlier server.
    pub(super) fn remove(&mut self) -> Option<ReplayBasis> {
        match fs::remove_file(&self.path) {
            Ok(()) => self.basis.take(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                error!(
                    event = "nonces_not_removed", path = %self.path.display(), %error,
                    "failed to remove the nonces of the last server; remove the file before the next start"
                );
                None
            }
        }
    }

    /// Writes all records, which end with their basis.
    pub(super) fn write(&self, records: &[ReplayRecords]) {
        match write(&self.path, records) {
            Ok(()) => info!(
                event = "nonces_written",
                count = records.iter().map(ReplayRecords::len).sum::<usize>().saturating_sub(1),
                "nonces written for the next start"
            ),
            Err(error) => warn!(
                event = "nonces_not_written", path = %self.path.display(), %error,
                "failed to write the nonces; the next server refuses requests that were signed before its start"
            ),
        }
    }
}

/// The content of a whole file.
struct WrittenRecords {
    records: Vec<ReplayRecords>,
    basis: ReplayBasis,
}

fn read(path: &Path) -> io::Result<WrittenRecords> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.len() > FILE_BYTES_MAX {
        return Err(invalid("it is not a file of this server"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    let body = bytes.strip_prefix(TITLE).ok_or_else(|| invalid("it has another version"))?;
    let mut decoder = MessageDecoder::default();
    decoder.extend(body);
    let mut records = Vec::new();
    while let Some(message) = decoder.take().map_err(|error| invalid(&error.to_string()))? {
        match message {
            ToBroker::Remember(ReplayRecords::Basis(Some(basis))) if !decoder.has_rest() => {
                return Ok(WrittenRecords { records, basis });
            }
            ToBroker::Remember(
                part @ (ReplayRecords::Nonces(_)
                | ReplayRecords::OtherNonces(_)
                | ReplayRecords::Ids(_)),
            ) => {
                records.push(part);
            }
            _ => return Err(invalid("it has other messages than records")),
        }
    }
    Err(invalid("it ends too early"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn write(path: &Path, records: &[ReplayRecords]) -> io::Result<()> {
    let mut bytes = TITLE.to_vec();
    records.iter().for_each(|part| ToBroker::Remember(part.clone()).encode(&mut bytes));
    replace_state_file(path, &bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::types::{ReplayDigest, SpentNonce};

    const BASIS: ReplayBasis = ReplayBasis { since: 5, window: 300 };

    /// A temporary folder, removed at the end of the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("tagcast-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn file(&self) -> PathBuf {
            self.0.join("nonces")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    fn nonces() -> ReplayRecords {
        let spent = |byte| SpentNonce { nonce: ReplayDigest([byte; 16]), until: 400 };
        ReplayRecords::Nonces((0..9).map(spent).collect())
    }

    #[test]
    fn what_was_written_is_read_once_and_by_the_owner_only() {
        let folder = Folder::new("nonces");
        let (file, none) = ReplayFile::open(&folder.0);
        assert_eq!(none, []);
        file.write(&[nonces(), nonces(), ReplayRecords::Basis(Some(BASIS))]);
        assert_eq!(fs::metadata(folder.file()).unwrap().permissions().mode() & 0o777, 0o600);
        let (mut file, records) = ReplayFile::open(&folder.0);
        assert_eq!(records, [nonces(), nonces()]);
        assert_eq!((file.remove(), folder.file().exists()), (Some(BASIS), false));
        assert_eq!(file.remove(), None);
    }

    #[test]
    fn a_file_that_is_not_whole_counts_as_missing() {
        let folder = Folder::new("partnonces");
        let (file, _) = ReplayFile::open(&folder.0);
        file.write(&[nonces(), ReplayRecords::Basis(Some(BASIS))]);
        let whole = fs::read(folder.file()).unwrap();
        for end in 0..whole.len() {
            fs::write(folder.file(), &whole[..end]).unwrap();
            let (mut file, records) = ReplayFile::open(&folder.0);
            assert_eq!((file.remove(), records), (None, Vec::new()), "{end}");
        }
        fs::write(folder.file(), [&whole[..], &whole[TITLE.len()..]].concat()).unwrap();
        assert_eq!(ReplayFile::open(&folder.0).1, []);
    }

    #[test]
    fn a_link_is_neither_read_nor_written_through() {
        let folder = Folder::new("linkednonces");
        let outside = folder.0.join("precious");
        fs::write(&outside, "precious").unwrap();
        symlink(&outside, folder.file()).unwrap();
        symlink(&outside, folder.file().with_extension("new")).unwrap();
        let (file, records) = ReplayFile::open(&folder.0);
        assert_eq!(records, []);
        file.write(&[nonces(), ReplayRecords::Basis(Some(BASIS))]);
        assert_eq!(fs::read(&outside).unwrap(), b"precious");
        assert_eq!(ReplayFile::open(&folder.0).1, [nonces()]);
    }
}
