//! Parses the text of an INI file into sections, entries and errors, with their lines.
//!
//! It does not know the keys. It accepts the files of phpWebSocketServer: with or without sections,
//! `;` and `#` comments at the start of a line, `;` comments after a space, single or double
//! quotes, a byte order mark, CRLF.

use super::diagnostic::Problem;

/// The contents and syntax errors of an INI file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ini {
    pub(crate) blocks: Vec<IniSection>,
    pub(crate) faults: Vec<(usize, Problem)>,
}

/// The entries of one section.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IniSection {
    /// Line of the heading, from 1.
    pub(crate) line: usize,
    pub(crate) title: Title,
    pub(crate) entries: Vec<IniEntry>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Title {
    /// The entries before the first heading.
    Top,
    Named(String),
    /// A section with an invalid heading. Its entries are ignored.
    Unreadable,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IniEntry {
    pub(crate) line: usize,
    pub(crate) key: String,
    /// Value without quotes and comment.
    pub(crate) value: String,
}

enum IniLine {
    Nothing,
    Heading(String),
    Entry(String, String),
}

/// Parses a text. Each invalid line becomes an error; all other lines are used.
pub(crate) fn parse(text: &str) -> Ini {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut ini = Ini::default();
    let mut block = IniSection { line: 1, title: Title::Top, entries: Vec::new() };
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        match read_line(text) {
            Ok(IniLine::Nothing) => {}
            Ok(IniLine::Heading(name)) => open(&mut ini, &mut block, line, Title::Named(name)),
            Ok(IniLine::Entry(key, value)) => block.entries.push(IniEntry { line, key, value }),
            Err(fault) => {
                ini.faults.push((line, fault));
                if text.starts_with('[') {
                    open(&mut ini, &mut block, line, Title::Unreadable);
                }
            }
        }
    }
    ini.blocks.push(block);
    ini
}

fn open(ini: &mut Ini, block: &mut IniSection, line: usize, title: Title) {
    let next = IniSection { line, title, entries: Vec::new() };
    ini.blocks.push(std::mem::replace(block, next));
}

fn read_line(text: &str) -> Result<IniLine, Problem> {
    if text.is_empty() || text.starts_with([';', '#']) {
        return Ok(IniLine::Nothing);
    }
    if text.contains(|letter: char| letter.is_control() && letter != '\t') {
        return Err(Problem::new("a control character in the line", "remove it"));
    }
    if let Some(rest) = text.strip_prefix('[') {
        return heading(rest);
    }
    let shape = || Problem::new("neither a section, nor a key with a value", "write `key = value`");
    let (key, value) = text.split_once('=').ok_or_else(shape)?;
    if key.trim().is_empty() {
        return Err(shape());
    }
    Ok(IniLine::Entry(key.trim().to_owned(), read_value(value.trim())?))
}

fn heading(rest: &str) -> Result<IniLine, Problem> {
    let fault = || Problem::new("a section's heading that is not closed", "write `[name]`");
    let (name, behind) = rest.split_once(']').ok_or_else(fault)?;
    if name.trim().is_empty() || !is_comment(behind) {
        return Err(fault());
    }
    Ok(IniLine::Heading(name.trim().to_owned()))
}

fn read_value(text: &str) -> Result<String, Problem> {
    let Some(quote) = text.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        return Ok(before_comment(text).to_owned());
    };
    let Some((value, behind)) = text.get(1..).and_then(|inside| inside.split_once(quote)) else {
        return Err(Problem::new(
            "a quote that is not closed",
            format!("end the value with {quote}"),
        ));
    };
    if !is_comment(behind) {
        return Err(Problem::new("text after the closing quote", "quote the whole value once"));
    }
    Ok(value.to_owned())
}

/// Returns an unquoted value up to its comment: a `;` at the start or after a space.
fn before_comment(text: &str) -> &str {
    let starts = |(at, _): &(usize, char)| {
        text.get(..*at).is_none_or(|before| before.is_empty() || before.ends_with([' ', '\t']))
    };
    let end = text.char_indices().filter(|(_, letter)| *letter == ';').find(starts);
    end.and_then(|(at, _)| text.get(..at)).unwrap_or(text).trim_end()
}

fn is_comment(behind: &str) -> bool {
    let behind = behind.trim();
    behind.is_empty() || behind.starts_with(';')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries(text: &str) -> Vec<(usize, String, String)> {
        let ini = parse(text);
        assert_eq!(ini.faults, [], "{text:?}");
        let all = ini.blocks.into_iter().flat_map(|block| block.entries);
        all.map(|entry| (entry.line, entry.key, entry.value)).collect()
    }

    #[test]
    fn values_lose_quotes_and_comments() {
        for (written, value) in [
            ("a=1", "1"),
            ("  a =  1  ", "1"),
            ("a = 1 ; why", "1"),
            ("a = 1\t;why", "1"),
            ("a = x;y", "x;y"),
            ("a = x#y # z", "x#y # z"),
            ("a = ; nothing", ""),
            ("a =", ""),
            ("a = 'x ; y' ; z", "x ; y"),
            ("a = \"x'y\"", "x'y"),
            ("a = \"\"", ""),
            ("a = b = c", "b = c"),
            ("a = ws://[::1]:80", "ws://[::1]:80"),
        ] {
            assert_eq!(entries(written), [(1, "a".into(), value.into())], "{written}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_crlf_are_accepted() {
        let text = "\u{feff}a=1\r\n\r\n[s] ; note\r\nb='2'\r\n";
        assert_eq!(entries(text), [(1, "a".into(), "1".into()), (4, "b".into(), "2".into())]);
        assert_eq!(parse(text).blocks[1].title, Title::Named("s".into()));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_a_fault_with_its_line() {
        for (line, words) in [
            ("console", "neither"),
            ("= 1", "neither"),
            ("[phpws", "not closed"),
            ("[]", "not closed"),
            ("[a] b", "not closed"),
            ("a = 'b", "quote that is not closed"),
            ("a = 'b' c", "after the closing quote"),
            ("a = 'b','c'", "after the closing quote"),
            ("a = b\0", "control character"),
        ] {
            let ini = parse(&format!("; first\n{line}\nc = 1"));
            assert_eq!(ini.faults.len(), 1, "{line}");
            assert_eq!(ini.faults[0].0, 2);
            assert!(ini.faults[0].1.what.contains(words), "{line}: {:?}", ini.faults);
        }
        assert_eq!(parse("[x\nb=1").blocks[1].title, Title::Unreadable);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_line_is_lost(text in "(?s)([\\[\\]=;#'\"a \\n\\r\\t\u{feff}é]|.){0,80}") {
            let ini = parse(&text);
            let entries: usize = ini.blocks.iter().map(|block| block.entries.len()).sum();
            let headings = ini.blocks.iter().filter(|b| matches!(b.title, Title::Named(_))).count();
            let bare = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let lines = bare.lines().map(str::trim);
            let meant = lines.filter(|line| !line.is_empty() && !line.starts_with([';', '#'])).count();
            prop_assert_eq!(entries + headings + ini.faults.len(), meant);
        }
    }
}
