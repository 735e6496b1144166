//! From a child's pipe to the sink, line by line.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use crate::telemetry::{LINE_BYTES_MAX, LogOutput, Sink};

/// Bytes that the pipe holds while the supervisor is busy; less where the system allows less.
const PIPE_BYTES: usize = 256 * 1024;

/// What one read takes.
const READ_BYTES: usize = 4 * LINE_BYTES_MAX;

/// Passes lines on until the child has ended and everything was read.
///
/// # Errors
///
/// When this is no pipe, or reading fails.
pub(super) async fn read_log(pipe: OwnedFd, sink: Sink) -> io::Result<()> {
    // More room only means fewer lost lines.
    let _as_it_was = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_BYTES);
    let mut pipe = Receiver::from_owned_fd(pipe)?;
    let mut bytes = vec![0; READ_BYTES];
    let mut lines = LineSplitter::default();
    loop {
        let count = pipe.read(&mut bytes).await?;
        lines.add(bytes.get(..count).unwrap_or_default(), |line| {
            // A place that does not take it counts for itself.
            let _counted = sink.offer(line);
        });
        if count == 0 {
            return Ok(());
        }
    }
}

/// Cuts a stream of bytes into lines of bounded length.
#[derive(Debug, Default)]
struct LineSplitter {
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
}

impl LineSplitter {
    /// Gives out every line that is whole, too long, or (without more bytes) the last.
    fn add(&mut self, bytes: &[u8], mut give: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if self.begun.ends_with(b"\n") || self.begun.len() >= LINE_BYTES_MAX {
                self.give(&mut give);
            }
        }
        if bytes.is_empty() && !self.begun.is_empty() {
            self.give(&mut give);
        }
    }

    fn give(&mut self, give: &mut impl FnMut(&str)) {
        let mut line = String::from_utf8_lossy(&self.begun).into_owned();
        if !line.ends_with('\n') {
            line.push('\n');
        }
        give(&line);
        self.begun.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_cut_and_mended() {
        let mut lines = LineSplitter::default();
        let mut seen = Vec::new();
        let long = "x".repeat(LINE_BYTES_MAX);
        for bytes in [&b"o"[..], b"ne\ntwo\nth", b"ree\xff\n", long.as_bytes(), b"end", b""] {
            lines.add(bytes, |line| seen.push(line.to_owned()));
        }
        assert_eq!(seen, ["one\n", "two\n", "three\u{fffd}\n", &(long + "\n"), "end\n"]);
    }
}
