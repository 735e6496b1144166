//! Log rotation by size: `x.log` is renamed to `x.log.1`, `x.log.1` to `x.log.2`, and so on.

use std::ffi::OsString;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, OFlags, access};

/// `O_NONBLOCK` as a flag of open(2).
#[expect(clippy::cast_possible_wrap, reason = "flags of open(2) are small")]
const NONBLOCK: i32 = OFlags::NONBLOCK.bits() as i32;
/// Bytes that the file must grow after a failed rotation before the rotation is tried again.
const RETRY_BYTES: u64 = 64 * 1024;

/// A log file and its rotation settings.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// Path of the file. Lines are appended.
    pub path: PathBuf,
    /// Size in bytes at which the file is rotated; 0 disables rotation. The lines of one write may
    /// exceed it.
    pub bytes_max: u64,
    /// Number of rotated files to keep; `.1` is the newest. With 0 the file is emptied instead.
    pub old_files: usize,
}

/// The open log file. Rotation happens only between two lines, never within one.
#[derive(Debug)]
pub(super) struct RotatingFile {
    settings: LogFile,
    file: File,
    size: u64,
    /// Size in bytes at which the next rotation is tried. None if the file is never rotated.
    due: Option<u64>,
    place: FileState,
    /// The last rotation failed. Repeated failures are logged only once.
    is_stuck: bool,
}

/// Position within a line at which the next byte is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileState {
    LineStart,
    WithinLine,
}

impl LogFile {
    /// Checks that the log file can be opened, without creating it.
    ///
    /// # Errors
    ///
    /// The same as when the file is opened. The text names the file.
    pub fn probe(&self) -> io::Result<()> {
        let opened = match append_to(&self.path, OpenOptions::new().append(true)) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.could_be_made(),
            opened => opened.map(drop),
        };
        opened.map_err(|error| self.describe(&error))
    }

    fn could_be_made(&self) -> io::Result<()> {
        // Opening a dangling symbolic link creates its target.
        let path = fs::read_link(&self.path).unwrap_or_else(|_| self.path.clone());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
    }

    fn describe(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("the log file {}: {error}", self.path.display()))
    }
}

impl RotatingFile {
    /// Opens the file and creates it if it is missing.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or created. The text names the file.
    pub(super) fn open(settings: &LogFile) -> io::Result<Self> {
        let mut settings = settings.clone();
        let describe = |error: io::Error| settings.describe(&error);
        let file = begin(&settings.path).map_err(describe)?;
        let found = file.metadata().map_err(describe)?;
        // Only regular files are rotated; a terminal has no size.
        let due = (settings.bytes_max > 0 && found.is_file()).then_some(settings.bytes_max);
        if due.is_some() {
            // If the path is a symbolic link, its target is rotated, not the link.
            settings.path = fs::canonicalize(&settings.path).map_err(describe)?;
        }
        let (place, is_stuck) = (FileState::LineStart, false);
        Ok(Self { settings, file, size: found.len(), due, place, is_stuck })
    }

    /// Rotates the file if it has reached its size. If that fails, writing continues in the same
    /// file.
    fn rotate_when_due(&mut self) {
        if self.place == FileState::WithinLine || self.due.is_none_or(|due| self.size < due) {
            return;
        }
        match self.rotate() {
            Ok(()) => {
                self.size = 0;
                self.due = Some(self.settings.bytes_max);
                self.is_stuck = false;
            }
            Err(error) => {
                self.due = Some(self.size.saturating_add(RETRY_BYTES));
                if !self.is_stuck {
                    self.is_stuck = true;
                    // This goes through the log like any other event. Neither the queue of this
                    // file nor that of the console blocks.
                    let file = self.settings.path.display();
                    tracing::warn!(
                        event = "log_rotation_failed",
                        %file,
                        %error,
                        "log rotation failed, continuing in the same file"
                    );
                }
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let path = &self.settings.path;
        let kept = self.settings.old_files;
        if kept == 0 {
            self.file.set_len(0)?;
        } else {
            make_room(path, kept)?;
            self.file = put_aside(path)?;
        }
        remove_from(path, kept.saturating_add(1));
        Ok(())
    }
}

impl Write for RotatingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rotate_when_due();
        let count = self.file.write(bytes)?;
        self.size = self.size.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        match bytes.get(..count).and_then(<[u8]>::last) {
            Some(b'\n') => self.place = FileState::LineStart,
            Some(_) => self.place = FileState::WithinLine,
            None => {}
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Renames old files to the next higher number until `.1` is free. If all numbers are taken, the
/// oldest file is deleted.
///
/// Only the files below the first free number are renamed, so that repeated failed rotations do not
/// push old files out.
fn make_room(path: &Path, kept: usize) -> io::Result<()> {
    let free = (1..kept).find(|number| !exists(&numbered(path, *number))).unwrap_or(kept);
    for number in (1..free).rev() {
        fs::rename(numbered(path, number), numbered(path, number + 1))?;
    }
    Ok(())
}

/// Renames the file to `.1` and creates a new one; undoes the rename if that fails.
fn put_aside(path: &Path) -> io::Result<File> {
    let aside = numbered(path, 1);
    match fs::rename(path, &aside) {
        // Another program has moved the file away.
        Err(error) if error.kind() == ErrorKind::NotFound => return begin(path),
        renamed => renamed?,
    }
    begin(path).inspect_err(|_| {
        // If this fails too, lines are still written to the file that is now named `.1`.
        let _as_it_is = fs::rename(&aside, path);
    })
}

/// Removes the old files from this number on, because an earlier run may have kept more of them.
fn remove_from(path: &Path, first: usize) {
    let mut number = first;
    while fs::remove_file(numbered(path, number)).is_ok() {
        number = number.saturating_add(1);
    }
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn begin(path: &Path) -> io::Result<File> {
    // Other users must not read the log, because it contains IP addresses of people.
    append_to(path, OpenOptions::new().create(true).append(true).mode(0o640))
}

/// Opens the file for appending and rejects a named pipe. Opening a pipe would block until a reader
/// connects, and a stalled reader would block every write. A terminal and `/dev/null` have no such
/// reader.
fn append_to(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let is_fit = |kind: FileType| kind.is_file() || kind.is_char_device();
    let unfit = || io::Error::other("it is not a regular file");
    if fs::metadata(path).is_ok_and(|found| !found.is_dir() && !is_fit(found.file_type())) {
        return Err(unfit());
    }
    let file = options.custom_flags(NONBLOCK).open(path)?;
    if !is_fit(file.metadata()?.file_type()) {
        return Err(unfit());
    }
    // `O_NONBLOCK` is used only to open the file. Writes block, so that a slow terminal loses no
    // lines.
    rustix::io::ioctl_fionbio(&file, false)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
