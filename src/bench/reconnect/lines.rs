//! Lines between a generator process and the process that started it.

use std::io;
use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

use crate::bench::error::BenchError;

/// Command to a generator: report [`GeneratorEvent::Result`].
pub(super) const REPORT: &str = "report";

/// An event of a generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum GeneratorEvent {
    /// All clients are open for the first time.
    Open,
    /// Number of connections that have ended so far.
    Lost(u64),
    /// All clients are open again. It is repeated after further losses.
    Back,
    /// All clients have received the probe of this number.
    Received(u64),
    /// The figures of the generator.
    Result(GeneratorResult),
}

/// The figures of a generator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct GeneratorResult {
    /// Connections that have ended.
    pub(super) lost: u64,
    /// Attempts that the server or the system refused.
    pub(super) refused: u64,
    /// Connections that continued one of `tagcast.v1`, and those of them whose clients got everything.
    pub(super) resumed: u64,
    pub(super) recovered: u64,
    /// Microseconds from the end of each connection to the next open one.
    pub(super) away_us: Vec<u64>,
}

impl GeneratorEvent {
    pub(super) fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn parse(line: &str) -> Result<Self, BenchError> {
        serde_json::from_str(line).map_err(|error| {
            BenchError::Plan(format!("a generator process wrote `{line}`: {error}"))
        })
    }
}

/// Bytes per read of a pipe.
const READ_BYTES: usize = 64 * 1024;

/// The lines of a pipe that have arrived.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Reads once and returns the lines that are complete now. None at the end of the pipe.
    pub(super) fn read(&mut self, pipe: impl AsFd) -> io::Result<Option<Vec<String>>> {
        let mut bytes = vec![0; READ_BYTES];
        let count = rustix::io::read(pipe, &mut bytes)?;
        self.partial.extend_from_slice(bytes.get(..count).unwrap_or_default());
        if count == 0 {
            return Ok(None);
        }
        let mut lines = Vec::new();
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim().to_owned());
        }
        Ok(Some(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_they_were_written() {
        let result = GeneratorResult {
            lost: 3,
            refused: 1,
            resumed: 2,
            recovered: 1,
            away_us: vec![1, 2, 3],
        };
        for event in [
            GeneratorEvent::Open,
            GeneratorEvent::Lost(7),
            GeneratorEvent::Back,
            GeneratorEvent::Received(0),
            GeneratorEvent::Result(result),
        ] {
            assert_eq!(GeneratorEvent::parse(&event.to_line()).unwrap(), event);
        }
        assert!(GeneratorEvent::parse("error: x").is_err());
    }
}
