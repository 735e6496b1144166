//! Passes `tracing` events to a log output without blocking the caller.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{Registry, reload};

use super::level::LogLevel;
use super::line::{LogEntry, LogFormat};

/// A destination of whole log lines.
pub trait LogOutput: Send + Sync + fmt::Debug + 'static {
    /// Writes the line or drops it; never blocks.
    fn offer(&self, line: &str) -> OfferResult;

    /// Like [`LogOutput::offer`], but may keep the line in memory until [`flush`] is called.
    fn hold(&self, line: &str) -> OfferResult {
        self.offer(line)
    }

    /// Returns the number of held lines that were lost since the last call.
    fn take_lost(&self) -> u64 {
        0
    }
}

/// The result of offering a line.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferResult {
    /// The line was accepted.
    Whole,
    /// The output was full. The line is lost and counted.
    Lost,
}

/// Sends all events of this process at `level` or above to the output. `process` is the name of the
/// process in the lines.
///
/// # Errors
///
/// If this process has another `tracing` subscriber already.
pub fn log_to(
    outlet: impl LogOutput,
    process: impl Into<String>,
    format: LogFormat,
    level: LogLevel,
) -> io::Result<()> {
    let lines = LogLayer { outlet, process: process.into(), format, lost: AtomicU64::new(0) };
    let (filter, handle) = reload::Layer::new(level.filter());
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
    LEVEL.set(handle).map_err(|_| io::Error::other("the level of this process is set already"))
}

/// Handle that changes the log level of this process.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Changes the log level of this process. Does nothing if [`log_to`] was not called.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // This fails only if the subscriber is gone, which means that the process is exiting.
        let _gone = handle.reload(level.filter());
    }
}

/// Installs a panic hook that logs each panic as one line.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("without a text");
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(event = "panic", at, text, "panic");
    }));
}

/// The pipe to the supervisor, which is the standard error of a child process.
///
/// Lines below `warn` are buffered until the end of the turn that caused them, so that a burst of
/// new connections does not wake the supervisor once per connection.
#[derive(Clone, Debug)]
pub struct Pipe(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pipe: OwnedFd,
    held: Mutex<BufferedLines>,
}

/// Whole lines that are buffered until the end of the turn.
#[derive(Debug, Default)]
struct BufferedLines {
    lines: String,
    /// Buffered lines that were lost and not reported yet.
    lost: u64,
}

/// The log pipe of this process, set by [`Pipe::standard_error`].
static OWN: OnceLock<Pipe> = OnceLock::new();

/// Bytes that Linux writes to a pipe completely or not at all (`PIPE_BUF`, pipe(7)).
const BLOCK_BYTES: usize = 4096;

/// Lines that this process could not write, for the metrics.
static LINES_LOST: AtomicU64 = AtomicU64::new(0);

/// Counts lines that could not be written.
pub(super) fn note_lost(lines: u64) {
    LINES_LOST.fetch_add(lines, Ordering::Relaxed);
}

/// Returns the number of log lines that this process could not write.
pub fn lines_lost() -> u64 {
    LINES_LOST.load(Ordering::Relaxed)
}

/// Writes the buffered lines of this process. Called before the process waits and before it exits.
pub fn flush() {
    if let Some(pipe) = OWN.get() {
        pipe.flush();
    }
}

impl Pipe {
    /// Takes the standard error of this process and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// If standard error is closed, or if this function was called before.
    pub fn standard_error() -> io::Result<Self> {
        let pipe = Self::over(io::stderr().as_fd().try_clone_to_owned()?)?;
        OWN.set(pipe.clone())
            .map_err(|_| io::Error::other("the log of this process has a pipe already"))?;
        Ok(pipe)
    }

    fn over(pipe: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self(Arc::new(Inner { pipe, held: Mutex::default() })))
    }

    fn flush(&self) {
        self.write_held(&mut self.0.held.lock());
    }

    fn write_held(&self, held: &mut BufferedLines) {
        if !held.lines.is_empty() && self.write(&held.lines) == OfferResult::Lost {
            let lost = held.lines.lines().count() as u64;
            held.lost += lost;
            note_lost(lost);
        }
        held.lines.clear();
    }

    fn write(&self, lines: &str) -> OfferResult {
        match rustix::io::retry_on_intr(|| rustix::io::write(&self.0.pipe, lines.as_bytes())) {
            Ok(count) if count == lines.len() => OfferResult::Whole,
            _ => OfferResult::Lost,
        }
    }
}

impl LogOutput for Pipe {
    fn offer(&self, line: &str) -> OfferResult {
        self.flush();
        self.write(line)
    }

    fn hold(&self, line: &str) -> OfferResult {
        let mut held = self.0.held.lock();
        if held.lines.len() + line.len() > BLOCK_BYTES {
            self.write_held(&mut held);
        }
        if line.len() > BLOCK_BYTES {
            return self.write(line);
        }
        held.lines.push_str(line);
        OfferResult::Whole
    }

    fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.0.held.lock().lost)
    }
}

#[derive(Debug)]
struct LogLayer<O> {
    outlet: O,
    process: String,
    format: LogFormat,
    /// Lines lost since the last line that was written.
    lost: AtomicU64,
}

impl<O: LogOutput, S: Subscriber> Layer<S> for LogLayer<O> {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        // The bridge writes lines of its own about what this library reports.
        if event.metadata().target().starts_with("async_nats") {
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed) + self.outlet.take_lost();
        let line = LogEntry::of(event).line(&self.process, self.format, lost);
        let is_urgent = *event.metadata().level() <= Level::WARN;
        let taken = if is_urgent { self.outlet.offer(&line) } else { self.outlet.hold(&line) };
        if taken == OfferResult::Lost {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
            note_lost(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[derive(Clone, Debug, Default)]
    struct Narrow(Arc<Mutex<(usize, Vec<String>)>>);

    impl LogOutput for Narrow {
        fn offer(&self, line: &str) -> OfferResult {
            let (room, lines) = &mut *self.0.lock();
            if *room == 0 {
                return OfferResult::Lost;
            }
            *room -= 1;
            lines.push(line.to_owned());
            OfferResult::Whole
        }
    }

    #[test]
    fn lost_lines_are_counted_in_the_next_one_that_gets_through() {
        let narrow = Narrow::default();
        let (outlet, format) = (narrow.clone(), LogFormat::Text);
        let lines =
            LogLayer { outlet, process: "test".to_owned(), format, lost: AtomicU64::new(0) };
        let subscriber = tracing_subscriber::registry().with(LevelFilter::INFO).with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("one");
            tracing::warn!(reason = %"a b", "two");
            narrow.0.lock().0 = 2;
            tracing::debug!("below the level");
            tracing::error!(count = 3, "three");
            tracing::info!("four");
        });
        let seen: Vec<_> = narrow.0.lock().1.iter().map(|line| line[25..].to_owned()).collect();
        assert_eq!(seen, ["ERROR test: three count=3 lost_lines=2\n", "INFO  test: four\n"]);
    }

    #[test]
    fn an_unread_pipe_loses_lines_and_blocks_no_writer() {
        let (mut reader, writer) = io::pipe().unwrap();
        let pipe = Pipe::over(writer.into()).unwrap();
        let line = format!("{}\n", "x".repeat(1000));
        assert_eq!(pipe.hold(&line), OfferResult::Whole);
        let whole = 1 + (0..1000).take_while(|_| pipe.offer(&line) == OfferResult::Whole).count();
        assert!((1..1000).contains(&whole), "{whole}");
        drop(pipe);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, line.repeat(whole), "only whole lines");
    }

    #[test]
    fn held_lines_are_written_before_a_warning_and_lost_ones_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let pipe = Pipe::over(writer.into()).unwrap();
        let mut bytes = [0; 64];
        assert_eq!(
            (pipe.hold("one\n"), pipe.hold("two\n")),
            (OfferResult::Whole, OfferResult::Whole)
        );
        assert_eq!(reader.read(&mut bytes).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        pipe.flush();
        let count = reader.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"one\ntwo\n");
        assert_eq!(
            (pipe.hold("three\n"), pipe.offer("four\n")),
            (OfferResult::Whole, OfferResult::Whole)
        );
        let count = reader.read(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"three\nfour\n");
        drop(reader);
        assert_eq!(
            (pipe.hold("five\n"), pipe.hold("six\n")),
            (OfferResult::Whole, OfferResult::Whole)
        );
        pipe.flush();
        assert_eq!((pipe.take_lost(), pipe.take_lost()), (2, 0));
    }
}
