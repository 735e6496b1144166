//! Checks the tables of `docs/` that name tests (cases, faults, promises and rules): the tests of each row
//! must exist.

use std::collections::BTreeSet;
use std::path::Path;

const CASES: u32 = 152;

/// Returns the numbers of the cases that a file tests, from names such as `case_98_to_101_…` and
/// `case_104_105_and_107_…`, and from comments such as `Cases 18 and 19`.
fn tested_in(file: &str) -> BTreeSet<u32> {
    let places = ["it", "timing"].map(|folder| format!("tests/{folder}/{file}.rs"));
    let source = places.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap();
    let mut cases = BTreeSet::new();
    for line in source.lines().map(str::trim_start) {
        let name = line.strip_prefix("fn case").map(|rest| rest.trim_start_matches(['s', '_']));
        let comment = line.strip_prefix("///").map(str::to_lowercase);
        let output = comment.as_deref().and_then(|text| text.split_once("case"));
        let output = output.map(|(_, rest)| rest.trim_start_matches(['s', ' ']));
        for words in name.into_iter().chain(output) {
            cases.extend(numbers(words));
        }
    }
    cases
}

/// Returns the numbers at the beginning of a text. Two numbers joined by `to` are a range.
fn numbers(text: &str) -> Vec<u32> {
    let mut found: Vec<u32> = Vec::new();
    let mut is_range = false;
    for word in text.split(['_', ' ', ',', ':', '.']).filter(|word| !word.is_empty()) {
        match (word, word.parse::<u32>()) {
            (_, Ok(number)) if is_range => {
                found.extend(found.last().map_or(number, |last| last + 1)..=number);
                is_range = false;
            }
            (_, Ok(number)) => found.push(number),
            ("to", _) => is_range = true,
            ("and" | "legacy", _) => {}
            _ => break,
        }
    }
    found
}

#[test]
fn every_case_has_its_tests_in_the_named_file() {
    let table = std::fs::read_to_string("docs/cases.md").unwrap();
    let mut listed = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let Some(case) = cells.first().and_then(|cell| cell.strip_prefix("| ")?.parse().ok())
        else {
            continue;
        };
        assert!(listed.insert(case), "case {case} stands twice");
        let files = cells.last().unwrap().trim_end_matches([' ', '|']);
        for file in files.split(", ").map(|file| file.trim_matches('`')) {
            assert!(tested_in(file).contains(&case), "no test of case {case} in {file}.rs");
        }
    }
    assert_eq!(listed, (1..=CASES).collect(), "the cases of the table");
}

/// Returns whether a file cites a case: in a comment such as `V4, V9.` or `A17 to A21.`, in the name of a test in
/// JavaScript, or as the case of a script of `clients/conformance`.
fn cites(file: &str, case: &str) -> bool {
    let is_place = |line: &str| {
        let line = line.trim_start();
        ["//", "test(", "\"case\":"].iter().any(|begin| line.starts_with(begin))
    };
    let has_case = |line: &str| {
        let words: Vec<&str> = line.split(|sign: char| !sign.is_alphanumeric()).collect();
        let is_inside = |it: &[&str]| it[1] == "to" && is_between(case, it[0], it[2]);
        words.contains(&case) || words.windows(3).any(is_inside)
    };
    sources_of(file).lines().any(|line| is_place(line) && has_case(line))
}

/// Returns whether a label such as `A19` is in a range of labels with the same letter.
fn is_between(label: &str, first: &str, last: &str) -> bool {
    let number = |text: &str| text.strip_prefix(label.get(..1)?)?.parse::<u32>().ok();
    match (number(first), number(label), number(last)) {
        (Some(first), Some(number), Some(last)) => (first..=last).contains(&number),
        _ => false,
    }
}

#[test]
fn every_case_of_v1_has_its_tests_in_the_named_file() {
    let rows = rows("docs/cases.md");
    let cases = rows.iter().filter(|(label, _)| label.starts_with('V'));
    let mut count = 0;
    for (case, files) in cases {
        assert!(!files.is_empty(), "case {case} names no file");
        assert!(files.iter().any(|file| cites(file, case)), "no test of case {case} in {files:?}");
        count += 1;
    }
    assert!(count > 50, "{count} cases");
}

#[test]
fn every_case_of_backends_has_its_tests_or_is_measured() {
    let rows = rows("docs/cases.md");
    let cases: Vec<_> = rows.iter().filter(|(label, _)| label.starts_with('A')).collect();
    let expected: Vec<String> = (1..=274).map(|number| format!("A{number}")).collect();
    assert_eq!(cases.iter().map(|(label, _)| label.clone()).collect::<Vec<_>>(), expected);
    // Without a test it is measured by hand.
    let is_tested = |files: &[String], case: &str| files.iter().all(|file| cites(file, case));
    let untested = cases.iter().filter(|(case, files)| files.is_empty() || !is_tested(files, case));
    assert_eq!(untested.map(|(case, _)| case.as_str()).collect::<Vec<_>>(), ["A99", "A234"]);
}

/// Returns the rows of all tables on a page: the first cell, and the words in backquotes of the last cell.
fn rows(page: &str) -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(page).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    rows.filter_map(|row| {
        let cells: Vec<&str> = row.strip_prefix("| ")?.split(" | ").collect();
        let (label, last) = (*cells.first()?, cells.last()?);
        let is_heading = label.starts_with(['|', '-']) && label.len() > 1;
        let tests = last.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (!is_heading).then(|| (label.to_owned(), tests))
    })
    .collect()
}

/// Returns the sources of the tests that a word names: a module, a folder, or a prefix with `*`.
fn sources_of(word: &str) -> String {
    if word.contains('/') {
        return if Path::new(word).exists() { read_all(Path::new(word)) } else { String::new() };
    }
    let folders = ["tests/it", "tests/timing", "tests", "src", "fuzz/fuzz_targets"];
    let mut found = String::new();
    for entry in folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_meant = word.strip_suffix('*').map_or(name == word, |start| name.starts_with(start));
        if is_meant {
            found.push_str(&read_all(&path));
        }
    }
    found
}

fn read_all(path: &Path) -> String {
    if path.is_file() {
        return std::fs::read_to_string(path).unwrap();
    }
    let entries = std::fs::read_dir(path).unwrap();
    entries.map(|entry| read_all(&entry.unwrap().path())).collect()
}

#[test]
fn every_fault_names_tests_that_exist() {
    let rows = rows("docs/faults.md");
    assert!(rows.len() > 40, "{} rows", rows.len());
    for (label, tests) in rows {
        assert!(!tests.is_empty() || label.contains(','), "fault {label} has no test");
        let mut source = String::new();
        for word in tests {
            match word.strip_suffix('…') {
                Some(start) => assert!(source.contains(&format!("fn {start}")), "no test {word}"),
                None => source = sources_of(&word),
            }
            assert!(!source.is_empty(), "fault {label}: there is no {word}");
        }
    }
}

#[test]
fn every_promise_and_every_rule_names_tests_that_exist() {
    let rows = rows("docs/promises.md");
    let labels: Vec<&str> = rows.iter().map(|(label, _)| label.as_str()).collect();
    let numbered = |letter, last| (1..=last).map(move |number| format!("{letter}{number}"));
    let expected: Vec<_> =
        numbered('P', 10).chain(numbered('L', 13)).chain(numbered('R', 10)).collect();
    assert_eq!(labels, expected);
    for (label, tests) in &rows {
        assert!(!tests.is_empty(), "{label} has no test");
        for word in tests {
            let (module, test) = word.split_once("::").unwrap_or((word, ""));
            let source = sources_of(module);
            assert!(source.contains("#[test]") || source.contains("mod "), "{label}: no {module}");
            assert!(source.contains(&format!("fn {test}")), "{label}: no test {word}");
        }
    }
}
