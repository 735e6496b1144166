//! What findings of a configuration have to be, whatever the file says.

use std::path::Path;

use tagcast::config::{Finding, Place};

/// A finding names a place that is there, and is one line that a terminal shows as it is.
pub fn is_well_formed(finding: &Finding, files: &[(&Path, &[u8])]) {
    let shown = finding.to_string();
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert!(!finding.what.is_empty(), "{shown}");
    let Place::Line(path, line) = &finding.place else { return };
    let (_, text) = files.iter().find(|(file, _)| file == path).expect("a file that was read");
    let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
    assert!((1..=lines).contains(line), "{shown}: the file has {lines} lines");
}
