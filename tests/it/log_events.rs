//! Names of log lines: each line for operators has an `event`, and the manual lists the same names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex_lite::Regex;

/// Collects the events in the code with their levels, and lines without an event.
fn in_code(folder: &Path, events: &mut BTreeMap<String, BTreeSet<String>>, bare: &mut Vec<String>) {
    let call =
        Regex::new(r#"\b(info|warn|error)!\(\s*(?:event = "([a-z]+(?:_[a-z]+)*)",)?"#).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            in_code(&path, events, bare);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let body = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        for found in call.captures_iter(body) {
            match found.get(2) {
                Some(event) => {
                    let levels = events.entry(event.as_str().to_owned()).or_default();
                    levels.insert(found[1].to_owned());
                }
                None => bare.push(format!("{}: {}", path.display(), &found[0])),
            }
        }
    }
}

/// Returns the events in the table of the manual with their levels.
fn in_manual() -> BTreeMap<String, BTreeSet<String>> {
    let page = std::fs::read_to_string("docs/operations.md").unwrap();
    let (_, table) = page.split_once("| event | level | meaning | what to do |\n").unwrap();
    let rows = table.lines().skip(1).take_while(|line| line.starts_with("| "));
    let row = Regex::new(r"^\| `([a-z_]+)` \| ([a-z, ]+) \| [^|]+ \| [^|]+ \|$").unwrap();
    let rows = rows.map(|line| {
        let cells = row.captures(line).unwrap_or_else(|| panic!("not a row: {line}"));
        (cells[1].to_owned(), cells[2].split(", ").map(str::to_owned).collect())
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.is_sorted_by(|one, next| one.0 < next.0), "sorted, each event once");
    rows.into_iter().collect()
}

#[test]
fn every_log_line_has_an_event_and_the_manual_lists_all_of_them() {
    let (mut events, mut bare) = (BTreeMap::new(), Vec::new());
    in_code(Path::new("src"), &mut events, &mut bare);
    // The logger writes this line about itself, without a macro.
    events.insert("log_lines_lost".to_owned(), ["warn".to_owned()].into());
    assert!(bare.is_empty(), "without an event:\n{}", bare.join("\n"));
    assert_eq!(events, in_manual());
}
