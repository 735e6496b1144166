//! The log file, put aside when it has reached its size: `x.log` becomes `x.log.1`, and so on.

use std::ffi::OsString;
use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, OFlags, access};

/// `O_NONBLOCK`, as a file is opened.
#[expect(clippy::cast_possible_wrap, reason = "flags of open(2) are small")]
const NONBLOCK: i32 = OFlags::NONBLOCK.bits() as i32;
/// What the file grows by before a switch that failed is tried again, in bytes.
const RETRY_BYTES: u64 = 64 * 1024;

/// A log file, and when it is put aside.
#[derive(Clone, Debug)]
pub struct LogFile {
    /// The file, appended to.
    pub path: PathBuf,
    /// The size from which it is put aside and begun anew, in bytes; 0 means never. It may be
    /// exceeded by what is written in one piece.
    pub bytes_max: u64,
    /// Old files that are kept: `.1` is the newest of them. With 0 the file is emptied.
    pub old_files: usize,
}

/// The open log file. It is switched between two lines only, never within one.
#[derive(Debug)]
pub(super) struct RotatingFile {
    settings: LogFile,
    file: File,
    size: u64,
    /// The size from which the next switch is tried; none when it never is.
    due: Option<u64>,
    place: FileState,
    course: RotationState,
}

/// Where the next byte goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileState {
    LineStart,
    WithinLine,
}

/// Whether the last rotation succeeded, so that a failure is logged once and not at every try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RotationState {
    Smooth,
    Stuck,
}

impl LogFile {
    /// Whether the log could be opened; makes nothing.
    ///
    /// # Errors
    ///
    /// As those of opening it; the text names the file.
    pub fn probe(&self) -> io::Result<()> {
        let opened = match append_to(&self.path, OpenOptions::new().append(true)) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.could_be_made(),
            opened => opened.map(drop),
        };
        opened.map_err(|error| self.describe(&error))
    }

    fn could_be_made(&self) -> io::Result<()> {
        // A link to nowhere is made where it leads.
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
    /// Opens the file, or makes it.
    ///
    /// # Errors
    ///
    /// When that fails; the text names the file.
    pub(super) fn open(settings: &LogFile) -> io::Result<Self> {
        let mut settings = settings.clone();
        let describe = |error: io::Error| settings.describe(&error);
        let file = begin(&settings.path).map_err(describe)?;
        let found = file.metadata().map_err(describe)?;
        // A terminal has no size to reach.
        let due = (settings.bytes_max > 0 && found.is_file()).then_some(settings.bytes_max);
        if due.is_some() {
            // If the path is a link, its target is rotated, not the link.
            settings.path = fs::canonicalize(&settings.path).map_err(describe)?;
        }
        let (place, course) = (FileState::LineStart, RotationState::Smooth);
        Ok(Self { settings, file, size: found.len(), due, place, course })
    }

    /// Puts the file aside if it is time; if that fails, this file goes on.
    fn rotate_when_due(&mut self) {
        if self.place == FileState::WithinLine || self.due.is_none_or(|due| self.size < due) {
            return;
        }
        match self.rotate() {
            Ok(()) => {
                self.size = 0;
                self.due = Some(self.settings.bytes_max);
                self.course = RotationState::Smooth;
            }
            Err(error) => {
                self.due = Some(self.size.saturating_add(RETRY_BYTES));
                if self.course == RotationState::Smooth {
                    self.course = RotationState::Stuck;
                    // Through the log as everything else: neither this file's queue nor the
                    // console's makes anybody wait.
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

/// Moves old files up until `.1` is free; with all numbers taken the oldest one goes.
///
/// The first free number ends it: tries that fail later do not push the old files out.
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
        // Another program has moved it away.
        Err(error) if error.kind() == ErrorKind::NotFound => return begin(path),
        renamed => renamed?,
    }
    begin(path).inspect_err(|_| {
        // If this fails too, the lines go on into the file that is now called `.1`.
        let _as_it_is = fs::rename(&aside, path);
    })
}

/// Removes old files from this number on: fewer may be kept than in the last life of the server.
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
    // Others may read no log: it has addresses of people in it.
    append_to(path, OpenOptions::new().create(true).append(true).mode(0o640))
}

/// A named pipe would keep the start waiting for a reader, and later every line. A terminal and
/// /dev/null have no other end that could be missing.
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
    // What was for opening is not for writing: a slow terminal loses no lines.
    rustix::io::ioctl_fionbio(&file, false)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
