//! From the macros of tracing to an outlet that never lets them wait.

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

/// Where whole lines go.
pub trait LogOutput: Send + Sync + fmt::Debug + 'static {
    /// Takes the line, or not; never waits.
    fn offer(&self, line: &str) -> OfferResult;

    /// As [`LogOutput::offer`], for a line that may stay here until [`flush`] is called.
    fn hold(&self, line: &str) -> OfferResult {
        self.offer(line)
    }

    /// How many held lines were lost since the last time.
    fn take_lost(&self) -> u64 {
        0
    }
}

/// What became of a line.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferResult {
    /// It is on its way.
    Whole,
    /// There was no room: it is lost, and counted.
    Lost,
}

/// Sends every event of this process from `level` up to the outlet; `process` is its name in
/// the lines.
///
/// # Errors
///
/// When something else in this process already takes the events.
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

/// What changes the level of this process.
static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Sends events from another level up from now on; nothing where [`log_to`] was not called.
pub fn set_level(level: LogLevel) {
    if let Some(handle) = LEVEL.get() {
        // It fails when the subscriber is gone, and so is the process then.
        let _gone = handle.reload(level.filter());
    }
}

/// Logs a panic as one line.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("without a text");
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(event = "panic", at, text, "panic");
    }));
}

/// The pipe to the supervisor, which a child has as its standard error.
///
/// What is no warning is held back until the end of the turn that caused it, so that a storm of
/// openings does not wake the supervisor for each of them.
#[derive(Clone, Debug)]
pub struct Pipe(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pipe: OwnedFd,
    held: Mutex<BufferedLines>,
}

/// Whole lines that wait for the end of the turn.
#[derive(Debug, Default)]
struct BufferedLines {
    lines: String,
    /// Held lines that were lost and not reported yet.
    lost: u64,
}

/// The pipe of this process, once it has one.
static OWN: OnceLock<Pipe> = OnceLock::new();

/// Bytes that a pipe takes whole or not at all (`PIPE_BUF` of pipe(7)).
const BLOCK_BYTES: usize = 4096;

/// Writes the lines that this process holds back: before it waits, and before it exits.
pub fn flush() {
    if let Some(pipe) = OWN.get() {
        pipe.flush();
    }
}

impl Pipe {
    /// The standard error of this process, from now on without waiting.
    ///
    /// # Errors
    ///
    /// When there is none, or it was asked for before.
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
            held.lost += held.lines.lines().count() as u64;
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
    /// Lines that were not taken since the last one that was.
    lost: AtomicU64,
}

impl<O: LogOutput, S: Subscriber> Layer<S> for LogLayer<O> {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let lost = self.lost.swap(0, Ordering::Relaxed) + self.outlet.take_lost();
        let line = LogEntry::of(event).line(&self.process, self.format, lost);
        let is_urgent = *event.metadata().level() <= Level::WARN;
        let taken = if is_urgent { self.outlet.offer(&line) } else { self.outlet.hold(&line) };
        if taken == OfferResult::Lost {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
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
    fn a_pipe_that_nobody_reads_loses_lines_and_waits_for_nobody() {
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
    fn held_lines_leave_together_or_in_front_of_a_warning_and_lost_ones_are_counted() {
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
