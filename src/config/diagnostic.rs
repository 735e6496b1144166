//! Findings about the configuration: location, problem and fix.

use std::fmt;
use std::path::PathBuf;

/// One finding on one line: `websock.ini:12: maxMessage: … ; use …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Location of the value.
    pub place: ValueLocation,
    /// Key as it was written. Empty if the finding is not about a key.
    pub key: String,
    /// The problem.
    pub what: String,
    /// The fix.
    pub right: String,
}

/// The location of a value. The order is the precedence of the sources: a later one wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueLocation {
    /// The built-in default.
    Default,
    /// A whole file.
    File(PathBuf),
    /// A line of a file, counted from 1.
    Line(PathBuf, usize),
    /// An environment variable, by its full name.
    Variable(String),
    /// A command-line flag.
    Flag,
    /// The running server.
    Running,
}

/// All findings: first those of the file, then of variables, then of flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

/// A problem with a value whose location is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The problem, to follow the value in a sentence: "is not a number".
    pub(crate) what: String,
    /// The fix: "use 1 to 256".
    pub(crate) right: String,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>, right: impl Into<String>) -> Self {
        Self { what: what.into(), right: right.into() }
    }
}

impl Diagnostic {
    pub(crate) fn new(place: ValueLocation, key: &str, fault: Problem) -> Self {
        let Problem { what, right } = fault;
        Self { place, key: visible(key), what: printable(what), right: printable(right) }
    }

    /// Creates a finding about a value. The text begins with the value as it was written.
    pub(crate) fn of_value(place: ValueLocation, key: &str, written: &str, fault: Problem) -> Self {
        let what = format!("`{}` {}", visible(written), fault.what);
        Self::new(place, key, Problem { what, ..fault })
    }
}

impl ValueLocation {
    /// Returns the line in the file, or 0 without a line.
    pub(crate) const fn line(&self) -> usize {
        match self {
            Self::Line(_, line) => *line,
            _ => 0,
        }
    }

    /// Returns the file. None for other locations.
    pub(crate) fn file(&self) -> Option<&std::path::Path> {
        match self {
            Self::File(file) | Self::Line(file, _) => Some(file),
            Self::Default | Self::Variable(_) | Self::Flag | Self::Running => None,
        }
    }

    /// Returns the rank for sorting. All locations of one source (the file, the variables, the
    /// flags) have the same rank.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(_) | Self::Line(..) => 1,
            Self::Variable(_) => 2,
            Self::Flag => 3,
            Self::Running => 4,
        }
    }
}

impl fmt::Display for ValueLocation {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => to.write_str("default"),
            Self::File(file) => to.write_str(&shown(file)),
            Self::Line(file, line) => write!(to, "{}:{line}", shown(file)),
            Self::Variable(name) => to.write_str(name),
            Self::Flag => to.write_str("flag"),
            Self::Running => to.write_str("the running server"),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: ", self.place)?;
        // The name of a variable already identifies the key.
        if !self.key.is_empty() && !matches!(self.place, ValueLocation::Variable(_)) {
            write!(to, "{}: ", self.key)?;
        }
        to.write_str(&self.what)?;
        if self.right.is_empty() { Ok(()) } else { write!(to, "; {}", self.right) }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Diagnostic::to_string).collect();
        to.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Diagnostics {}

/// Maximum characters of a foreign text that a finding repeats.
const SHOWN_MAX: usize = 80;

/// Makes a foreign text safe for a terminal: escapes control characters and limits the length.
pub(crate) fn visible(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_MAX).flat_map(escaped).collect();
    if text.chars().nth(SHOWN_MAX).is_some() { format!("{shown}…") } else { shown }
}

fn shown(file: &std::path::Path) -> String {
    printable(file.display().to_string())
}

/// Makes a text safe for a terminal without limiting its length. It may contain unchecked parts,
/// such as list items and paths.
fn printable(text: String) -> String {
    if text.contains(char::is_control) { text.chars().flat_map(escaped).collect() } else { text }
}

fn escaped(letter: char) -> Box<dyn Iterator<Item = char>> {
    if letter.is_control() {
        Box::new(letter.escape_debug())
    } else {
        Box::new(Some(letter).into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_even_for_hostile_values() {
        let place = ValueLocation::Line("websock.ini".into(), 12);
        let fault = Problem::new("is not a number", "use 1 to 256");
        let finding = Diagnostic::of_value(place, "workers", "a\u{1b}[31m\nb", fault);
        assert_eq!(
            finding.to_string(),
            "websock.ini:12: workers: `a\\u{1b}[31m\\nb` is not a number; use 1 to 256"
        );
        let place = ValueLocation::File("a\tb.yml".into());
        let fault = Problem::new("holds `a\tb`", "use \u{1b}");
        let finding = Diagnostic::new(place, "", fault);
        assert_eq!(finding.to_string(), "a\\tb.yml: holds `a\\tb`; use \\u{1b}");
        assert_eq!(visible(&"é".repeat(100)).chars().count(), SHOWN_MAX + 1);
    }
}
