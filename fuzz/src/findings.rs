//! Requirements on findings, whatever the configuration contains.

use std::path::PathBuf;

use tagcast::config::{Diagnostic, ValueLocation};

/// Parsed file, and its number of lines.
pub struct Written {
    path: PathBuf,
    lines: usize,
}

impl Written {
    pub fn new(path: PathBuf, text: &[u8]) -> Self {
        Self { path, lines: 1 + text.iter().filter(|byte| **byte == b'\n').count() }
    }
}

/// Checks that a finding names an existing line and is a single line of printable text.
pub fn is_well_formed(finding: &Diagnostic, files: &[Written]) {
    let shown = finding.to_string();
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert!(!finding.what.is_empty(), "{shown}");
    let ValueLocation::Line(path, line) = &finding.place else { return };
    let file = files.iter().find(|file| file.path == *path).expect("a file that was read");
    assert!((1..=file.lines).contains(line), "{shown}: the file has {} lines", file.lines);
}
