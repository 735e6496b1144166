//! Writes the lines of all processes to the console and the log file. Each has its own thread, and
//! only that thread blocks.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::log::{LogOutput, OfferResult, note_lost};
use super::rotation::{LogFile, RotatingFile};
use super::utc::Utc;

/// Maximum lines queued for one destination, at most 4 KiB each. Further lines are lost and
/// counted.
pub const LINES_WAITING_MAX: usize = 4096;

/// Bytes at which queued lines are written instead of being joined with more lines.
const BLOCK_BYTES: usize = 16 * 1024;

/// Time that the shutdown of the server waits for a blocked console or disk.
const FINISH_WAIT: Duration = Duration::from_millis(500);

/// Destinations of the log.
#[derive(Clone, Debug)]
pub struct SinkSettings {
    /// The log file; None for no file.
    pub file: Option<LogFile>,
    /// Copies the lines to standard error. Standard output carries only the output of commands, so
    /// that a pipe after `tagcast` never gets log lines.
    pub has_console: bool,
}

/// Accepts lines without blocking. Clones share the same destinations.
#[derive(Clone, Debug)]
pub struct Sink(Arc<[LogDestination]>);

/// One destination with its writer thread.
#[derive(Debug)]
struct LogDestination {
    /// Sender to the writer thread. Taking it out makes the thread exit.
    lines: Mutex<Option<SyncSender<String>>>,
    lost: Arc<AtomicU64>,
    finished: Mutex<Receiver<()>>,
}

impl Sink {
    /// Opens the destinations and starts their threads.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or a thread cannot be started. The text names the file.
    pub fn open(settings: &SinkSettings) -> io::Result<Self> {
        let mut places = Vec::new();
        if settings.has_console {
            places.push(LogDestination::start("log console", io::stderr())?);
        }
        if let Some(file) = &settings.file {
            places.push(LogDestination::start("log file", RotatingFile::open(file)?)?);
        }
        Ok(Self(places.into()))
    }

    /// Writes all queued lines and stops the threads. A thread that is still blocked after 500 ms
    /// is abandoned.
    pub fn finish(&self) {
        for place in self.0.iter() {
            drop(place.lines.lock().take());
        }
        for place in self.0.iter() {
            // The thread has finished, has panicked or is blocked. In all three cases nothing more
            // can be done.
            let _ended = place.finished.lock().recv_timeout(FINISH_WAIT);
        }
    }
}

impl LogOutput for Sink {
    /// Always reports success. Each destination counts its own lost lines, because a line may be
    /// lost for one of them only.
    fn offer(&self, line: &str) -> OfferResult {
        for place in self.0.iter() {
            place.offer(line);
        }
        OfferResult::Whole
    }
}

impl LogDestination {
    fn start(name: &str, target: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, waiting) = mpsc::sync_channel::<String>(LINES_WAITING_MAX);
        let (end, finished) = mpsc::sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let mut writer = LogWriter { target, lost: Arc::clone(&lost), is_cut: false };
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Ok(mut lines) = waiting.recv() {
                // Lines that arrived in the meantime are written together with this one.
                while lines.len() < BLOCK_BYTES
                    && let Ok(more) = waiting.try_recv()
                {
                    lines.push_str(&more);
                }
                writer.write(&lines);
            }
            let _nobody_waits = end.send(());
        })?;
        Ok(Self { lines: Mutex::new(Some(lines)), lost, finished: Mutex::new(finished) })
    }

    fn offer(&self, line: &str) {
        let lines = self.lines.lock();
        let Some(lines) = &*lines else { return };
        if lines.try_send(line.to_owned()).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
            note_lost(1);
        }
    }
}

/// Writes lines to a destination that may be full or gone.
#[derive(Debug)]
struct LogWriter<W> {
    target: W,
    lost: Arc<AtomicU64>,
    /// The last line was written only in part, as happens on a full disk.
    is_cut: bool,
}

impl<W: Write> LogWriter<W> {
    fn write(&mut self, lines: &str) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let mut block = String::new();
        if self.is_cut {
            block.push('\n');
        }
        if lost > 0 {
            block.push_str(&notice(lines, lost));
        }
        block.push_str(lines);
        match self.target.write_all(block.as_bytes()) {
            Ok(()) => self.is_cut = false,
            Err(_) => {
                self.is_cut = true;
                // Some of these lines may have been written. It is better to count too many than
                // too few.
                let count = lines.lines().count() as u64;
                self.lost.fetch_add(lost + count, Ordering::Relaxed);
                note_lost(count);
            }
        }
    }
}

/// Returns a line that reports the number of lost lines, in the format of `next`.
fn notice(next: &str, lost: u64) -> String {
    let now = Utc::now();
    if next.starts_with('{') {
        return format!(
            r#"{{"time":"{now}","level":"warn","process":"log","message":"log lines lost","event":"log_lines_lost","lost_lines":{lost}}}"#
        ) + "\n";
    }
    if next.ends_with("\r\n") {
        return format!(
            "{};log lines lost event=log_lines_lost lost_lines={lost}\r\n",
            now.rfc_2822()
        );
    }
    format!("{now} WARN  log: log lines lost event=log_lines_lost lost_lines={lost}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[derive(Debug, Default)]
    struct Disk {
        room: Arc<Mutex<usize>>,
        written: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut room = self.room.lock();
            let taken = bytes.len().min(*room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *room -= taken;
            self.written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_was_full_gets_the_count_of_what_it_missed() {
        let room = Arc::new(Mutex::new(7));
        let target = Disk { room: Arc::clone(&room), written: Vec::new() };
        let mut writer = LogWriter { target, lost: Arc::default(), is_cut: false };
        writer.write("one\n");
        writer.write("two, cut\n");
        writer.write("three\n");
        *room.lock() = 1000;
        writer.write("four\n");
        writer.write("five\n");
        let text = String::from_utf8(writer.target.written).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines[0], lines[1], lines[3], lines[4]), ("one", "two", "four", "five"));
        assert!(lines[2].ends_with("log lines lost event=log_lines_lost lost_lines=2"), "{text}");
    }

    #[test]
    fn a_destination_that_accepts_nothing_blocks_no_writer() {
        let (mut reader, writer) = io::pipe().unwrap();
        let blocked = LogDestination::start("blocked", writer).unwrap();
        let sink = Sink(Arc::from([blocked]));
        let line = format!("{}\n", "x".repeat(999));
        for _ in 0..2 * LINES_WAITING_MAX {
            assert_eq!(sink.offer(&line), OfferResult::Whole);
        }
        sink.finish();
        let lost = Arc::clone(&sink.0[0].lost);
        drop(sink);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let (notices, whole): (Vec<_>, Vec<_>) =
            text.lines().partition(|line| line.contains("lost_lines="));
        let reported: usize = notices
            .iter()
            .map(|notice| notice.rsplit('=').next().unwrap().parse::<usize>().unwrap())
            .sum();
        let untold = usize::try_from(lost.load(Ordering::Relaxed)).unwrap();
        assert!(whole.len() >= LINES_WAITING_MAX && reported + untold > 0);
        assert_eq!(
            whole.len() + reported + untold,
            2 * LINES_WAITING_MAX,
            "every line is accounted for"
        );
    }

    #[test]
    fn the_file_is_appended_to_and_finish_waits_for_it() {
        let folder = std::env::temp_dir().join(format!("tagcast-sink-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("log");
        let file = Some(LogFile { path: path.clone(), bytes_max: 0, old_files: 0 });
        let settings = SinkSettings { file, has_console: false };
        for text in ["one\n", "two\n"] {
            let sink = Sink::open(&settings).unwrap();
            assert_eq!(sink.offer(text), OfferResult::Whole);
            sink.finish();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        std::fs::remove_dir_all(&folder).unwrap();
        let error = Sink::open(&settings).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}
