//! The file of revoked tokens in the state folder: a title, and one line of JSON for each revocation.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::config::replace_state_file;
use crate::types::{RevocationList, TokenRevocation};

/// The first line. A file of another version is not read.
const TITLE: &str = "tagcast revoked 1\n";
/// Maximum bytes that are read: more than the largest file that is written.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Lines that may be added to a file for nothing before all of it is written again.
const SPARE_LINES_MAX: usize = 10_000;

/// The file, and how much of it is in use.
#[derive(Debug)]
pub(super) struct RevocationFile {
    path: PathBuf,
    /// Revocations in the file. `None`: all of it must be written again.
    lines: Option<usize>,
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct RevocationWrite {
    path: PathBuf,
    text: String,
    is_whole: bool,
    lines_after: usize,
}

impl RevocationFile {
    /// Reads the file. A line at its end that was not written completely is dropped: its revocation was never
    /// confirmed.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has another line that is not a revocation. A token that was revoked must not
    /// be valid again because of that.
    pub(super) fn open(folder: &Path, now: u64) -> io::Result<(Self, RevocationList)> {
        let path = folder.join("revoked");
        let mut list = RevocationList::default();
        let mut lines = None;
        match read(&path) {
            Ok(text) => {
                let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
                for (line, number) in whole.lines().skip(1).zip(2_usize..) {
                    let revocation = serde_json::from_str(line).map_err(|error| {
                        invalid(&path, &format!("line {number} is not a revocation: {error}"))
                    })?;
                    list.add(&revocation);
                }
                if text.ends_with('\n') {
                    lines = Some(whole.lines().count().saturating_sub(1));
                }
                list.forget_expired(now, usize::MAX);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok((Self { path, lines }, list))
    }

    /// Returns what must be written for new revocations: their lines, or the whole file if it has a broken
    /// line or many that are not in use. `known` are the revocations without the new ones.
    pub(super) fn writing(
        &mut self,
        known: &RevocationList,
        new: &[TokenRevocation],
    ) -> RevocationWrite {
        // If the write fails, the file may end with a part of a line.
        let lines = self.lines.take().filter(|lines| *lines <= known.len() + SPARE_LINES_MAX);
        let mut text = String::new();
        if lines.is_none() {
            text.push_str(TITLE);
            known.iter().for_each(|one| push_line(&mut text, &one));
        }
        new.iter().for_each(|one| push_line(&mut text, one));
        let lines_after = lines.unwrap_or(known.len()) + new.len();
        RevocationWrite { path: self.path.clone(), text, is_whole: lines.is_none(), lines_after }
    }

    /// Notes that everything was written.
    pub(super) fn written(&mut self, lines: usize) {
        self.lines = Some(lines);
    }
}

impl RevocationWrite {
    /// Returns how many revocations the file has after it.
    pub(super) fn lines_after(&self) -> usize {
        self.lines_after
    }

    /// Writes, and waits for the disk.
    pub(super) fn run(&self) -> io::Result<()> {
        if !self.is_whole {
            let mut file = open(&self.path, OpenOptions::new().append(true))?;
            file.write_all(self.text.as_bytes())?;
            return file.sync_data();
        }
        replace_state_file(&self.path, self.text.as_bytes())
    }
}

fn push_line(text: &mut String, revocation: &TokenRevocation) {
    if let Ok(json) = serde_json::to_string(revocation) {
        let _written = writeln!(text, "{json}");
    }
}

fn read(path: &Path) -> io::Result<String> {
    let file = open(path, OpenOptions::new().read(true))?;
    let found = file.metadata()?;
    if !found.is_file() || found.len() > FILE_BYTES_MAX {
        return Err(invalid(path, "it is not a file of this server"));
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    match text.starts_with(TITLE) {
        true => Ok(text),
        false => Err(invalid(path, "its first line is not that of this version")),
    }
}

/// Opens the file. Symbolic links are not followed, because another user may have created them.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    options.custom_flags(flags).open(path)
}

fn invalid(path: &Path, what: &str) -> io::Error {
    let text = format!("{}: {what}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::types::RevokedTokens;

    /// A temporary folder, removed at the end of the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder =
                std::env::temp_dir().join(format!("tagcast-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0);
        }
    }

    fn revocation(jti: &str, until: u64) -> TokenRevocation {
        let tokens = RevokedTokens::Id { jti: jti.into() };
        TokenRevocation { application: "shop".into(), tokens, until }
    }

    /// Adds a revocation as the supervisor does.
    fn add(file: &mut RevocationFile, list: &mut RevocationList, one: &TokenRevocation) {
        let write = file.writing(list, std::slice::from_ref(one));
        write.run().unwrap();
        file.written(write.lines_after());
        list.add(one);
    }

    fn read_again(folder: &Folder, now: u64) -> Vec<TokenRevocation> {
        RevocationFile::open(&folder.0, now).unwrap().1.iter().collect()
    }

    #[test]
    fn what_was_written_is_read_again_until_it_has_expired() {
        let folder = Folder::new("revoked");
        let (mut file, mut list) = RevocationFile::open(&folder.0, 0).unwrap();
        let all = [revocation("a", 100), revocation("b", 200), revocation("c", 300)];
        all.iter().for_each(|one| add(&mut file, &mut list, one));
        let path = folder.0.join("revoked");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_again(&folder, 50), all);
        assert_eq!(read_again(&folder, 200), all[2..]);
        let (mut file, mut list) = RevocationFile::open(&folder.0, 200).unwrap();
        add(&mut file, &mut list, &revocation("d", 400));
        assert_eq!(read_again(&folder, 250), [revocation("c", 300), revocation("d", 400)]);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 5, "it was appended to");
    }

    #[test]
    fn a_part_of_a_line_at_the_end_is_dropped_and_any_other_is_an_error() {
        let folder = Folder::new("partrevoked");
        let (mut file, mut list) = RevocationFile::open(&folder.0, 0).unwrap();
        add(&mut file, &mut list, &revocation("a", 100));
        add(&mut file, &mut list, &revocation("b", 100));
        let path = folder.0.join("revoked");
        let whole = fs::read_to_string(&path).unwrap();
        let of_a = whole.find("\n{\"app\":\"shop\",\"jti\":\"b\"").unwrap() + 1;
        for end in of_a..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(read_again(&folder, 0), [revocation("a", 100)], "{end}");
        }
        let (mut file, mut list) = RevocationFile::open(&folder.0, 0).unwrap();
        add(&mut file, &mut list, &revocation("c", 100));
        assert_eq!(read_again(&folder, 0), [revocation("a", 100), revocation("c", 100)]);
        for wrong in ["", "tagcast revoked 2\n", &whole.replace("jti", "jtj")] {
            fs::write(&path, wrong).unwrap();
            assert!(RevocationFile::open(&folder.0, 0).is_err(), "{wrong}");
        }
        let error = RevocationFile::open(&folder.0, 0).unwrap_err().to_string();
        assert!(error.contains("line 2 is not a revocation"), "{error}");
    }

    #[test]
    fn a_link_is_neither_read_nor_written_through() {
        let folder = Folder::new("linkedrevoked");
        let outside = folder.0.join("precious");
        fs::write(&outside, "precious").unwrap();
        let path = folder.0.join("revoked");
        symlink(&outside, &path).unwrap();
        assert!(RevocationFile::open(&folder.0, 0).is_err());
        fs::remove_file(&path).unwrap();
        let (mut file, mut list) = RevocationFile::open(&folder.0, 0).unwrap();
        symlink(&outside, path.with_extension("new")).unwrap();
        add(&mut file, &mut list, &revocation("a", 100));
        assert_eq!(fs::read(&outside).unwrap(), b"precious");
    }

    #[test]
    fn expired_lines_are_removed_from_the_file() {
        let folder = Folder::new("oldrevoked");
        let (mut file, mut list) = RevocationFile::open(&folder.0, 0).unwrap();
        let many: Vec<_> = (0..=SPARE_LINES_MAX).map(|n| revocation(&n.to_string(), 100)).collect();
        let write = file.writing(&list, &many);
        write.run().unwrap();
        file.written(write.lines_after());
        many.iter().for_each(|one| list.add(one));
        list.forget_expired(100, usize::MAX);
        add(&mut file, &mut list, &revocation("last", 200));
        let text = fs::read_to_string(folder.0.join("revoked")).unwrap();
        assert_eq!(text.lines().count(), 2);
    }
}
