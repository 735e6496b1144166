//! Compares the documents with the code: every key is in the table and in `websock.ini`, with its exact
//! values.

use std::collections::BTreeMap;

use tagcast::config::KEYS;

/// Returns the cells of the table's rows, by section and key.
fn documented() -> BTreeMap<(String, String), Vec<String>> {
    let text = std::fs::read_to_string("docs/configuration.md").unwrap();
    let rows =
        text.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 7);
    rows.map(|row| {
        let cells: Vec<String> =
            row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let section = if cells[1] == "-" { String::new() } else { cells[1].clone() };
        ((section, cells[0].clone()), cells)
    })
    .collect()
}

#[test]
fn the_table_has_every_key_with_its_default_unit_and_variable() {
    let mut documented = documented();
    for key in KEYS {
        let row = documented.remove(&(key.section.to_owned(), key.name.to_owned()));
        let row = row.unwrap_or_else(|| panic!("{} is not in docs/configuration.md", key.flag()));
        let reloadable = if key.reloadable { "yes" } else { "no" };
        let expected = [key.default, key.unit, &key.variable(), reloadable];
        assert_eq!(row[2..], expected.map(str::to_owned), "{}", key.flag());
    }
    assert!(documented.is_empty(), "in docs/configuration.md only: {documented:?}");
}

/// Returns the keys that have a description, by section.
fn described() -> Vec<(String, String)> {
    let text = std::fs::read_to_string("docs/configuration.md").unwrap();
    let (_, after) = text.split_once("## What each key does\n").unwrap();
    let part = after.split("\n## ").next().unwrap();
    let mut described = Vec::new();
    for section in part.split("\n### ").skip(1) {
        let title = section.lines().next().unwrap().trim_matches(['`', '[', ']']);
        let name = if title.starts_with("websocketserver") { "" } else { title };
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let keys = rows.filter_map(|row| row.split('`').next());
        described.extend(keys.map(|key| (name.to_owned(), key.to_owned())));
    }
    described
}

#[test]
fn every_key_has_a_sentence_in_the_table() {
    let mut described = described();
    for key in KEYS {
        let at = described.iter().position(|it| *it == (key.section.into(), key.name.into()));
        let at = at.unwrap_or_else(|| panic!("{} has no description", key.flag()));
        described.remove(at);
    }
    assert!(described.is_empty(), "in docs/configuration.md only: {described:?}");
}

#[test]
fn the_shipped_file_has_every_key_with_its_default() {
    let text = std::fs::read_to_string("websock.ini").unwrap();
    let mut section = String::new();
    let mut written = BTreeMap::new();
    // A resource is an example up to the next empty line. Its keys belong to its kind.
    let mut is_example = false;
    for line in text.lines() {
        is_example = line.starts_with(";[resource ") || (is_example && !line.is_empty());
        if is_example {
            continue;
        }
        if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = if title == "websocketserver" { String::new() } else { title.to_owned() };
        }
        let setting = line.strip_prefix(';').unwrap_or(line);
        if let Some((key, value)) = setting.split_once(" = ")
            && !key.contains(' ')
        {
            written.insert((section.clone(), key.to_owned()), value.to_owned());
        }
    }
    for key in KEYS {
        let value = written.remove(&(key.section.to_owned(), key.name.to_owned()));
        assert_eq!(value.as_deref(), Some(key.default), "{} in websock.ini", key.flag());
    }
    assert!(written.is_empty(), "in websock.ini only: {written:?}");
}
