//! Reads a child's log pipe and passes it to the sink line by line.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use crate::telemetry::{LINE_BYTES_MAX, LogOutput, Sink};

/// Capacity of the pipe in bytes, for times when the supervisor is busy. It is smaller if the
/// system allows only less.
const PIPE_BYTES: usize = 256 * 1024;

/// Bytes per read.
const READ_BYTES: usize = 4 * LINE_BYTES_MAX;

/// Passes lines on until the child has exited and everything has been read.
///
/// # Errors
///
/// If this is not a pipe, or if reading fails.
pub(super) async fn read_log(pipe: OwnedFd, sink: Sink) -> io::Result<()> {
    // An error is ignored. A smaller pipe only loses lines earlier.
    let _as_it_was = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_BYTES);
    let mut pipe = Receiver::from_owned_fd(pipe)?;
    let mut bytes = vec![0; READ_BYTES];
    let mut lines = LineSplitter::default();
    loop {
        let count = pipe.read(&mut bytes).await?;
        lines.add(bytes.get(..count).unwrap_or_default(), |line| {
            // A destination that does not accept a line counts it itself.
            let _counted = sink.offer(line);
        });
        if count == 0 {
            return Ok(());
        }
    }
}

/// Splits a byte stream into lines of limited length.
#[derive(Debug, Default)]
struct LineSplitter {
    /// An incomplete line.
    begun: Vec<u8>,
}

impl LineSplitter {
    /// Passes on every line that is complete or too long. Without more bytes, passes on the
    /// incomplete last line.
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
    fn lines_are_joined_truncated_and_made_valid() {
        let mut lines = LineSplitter::default();
        let mut seen = Vec::new();
        let long = "x".repeat(LINE_BYTES_MAX);
        for bytes in [&b"o"[..], b"ne\ntwo\nth", b"ree\xff\n", long.as_bytes(), b"end", b""] {
            lines.add(bytes, |line| seen.push(line.to_owned()));
        }
        assert_eq!(seen, ["one\n", "two\n", "three\u{fffd}\n", &(long + "\n"), "end\n"]);
    }
}
