//! What is wrong with a configuration: where it stands, what it is, what would be right.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong, on one line: `websock.ini:12: maxMessage: … ; use …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where it stands.
    pub place: ValueLocation,
    /// The key as it was written; empty when the finding is not about a key.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub right: String,
}

/// Where a value was given. The order is the rank of the sources: the later one wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueLocation {
    /// The built-in default.
    Default,
    /// A file as a whole.
    File(PathBuf),
    /// A line of a file, counted from 1.
    Line(PathBuf, usize),
    /// A variable of the process, by its full name.
    Variable(String),
    /// A flag of the command line.
    Flag,
    /// The server that runs.
    Running,
}

/// Everything that is wrong, in the order of the file, then variables, then flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

/// What is wrong with one value, before it is known where the value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Completes the sentence that begins with the value: "is not a number".
    pub(crate) what: String,
    /// What would be right: "use 1 to 256".
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

    /// A finding about a value: the value as it was written stands before what is wrong with it.
    pub(crate) fn of_value(place: ValueLocation, key: &str, written: &str, fault: Problem) -> Self {
        let what = format!("`{}` {}", visible(written), fault.what);
        Self::new(place, key, Problem { what, ..fault })
    }
}

impl ValueLocation {
    /// The line in the file; 0 for what has none.
    pub(crate) const fn line(&self) -> usize {
        match self {
            Self::Line(_, line) => *line,
            _ => 0,
        }
    }

    /// The file, for what stands in one.
    pub(crate) fn file(&self) -> Option<&std::path::Path> {
        match self {
            Self::File(file) | Self::Line(file, _) => Some(file),
            Self::Default | Self::Variable(_) | Self::Flag | Self::Running => None,
        }
    }

    /// Places of one source (the file, the variables, the flags) have the same rank.
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
        // The name of a variable says which key it is.
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

/// Characters of a foreign text that a finding repeats.
const SHOWN_MAX: usize = 80;

/// A foreign text that may be put on a terminal: no control characters, not endless.
pub(crate) fn visible(text: &str) -> String {
    let shown: String = text.chars().take(SHOWN_MAX).flat_map(escaped).collect();
    if text.chars().nth(SHOWN_MAX).is_some() { format!("{shown}…") } else { shown }
}

fn shown(file: &std::path::Path) -> String {
    printable(file.display().to_string())
}

/// A text that may be put on a terminal, however long: what a list or a path brings into a sentence
/// has not been looked at.
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
