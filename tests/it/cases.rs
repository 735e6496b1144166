//! The cases of `docs/cases.md`: all of them, each with a test where the table says it is.

use std::collections::BTreeSet;

const CASES: u32 = 152;

/// The numbers of the cases that a file tests: from names like `case_98_to_101_…` and
/// `case_104_105_and_107_…`, and from comments like `Cases 18 and 19`.
fn tested_in(file: &str) -> BTreeSet<u32> {
    let places = ["it", "timing"].map(|folder| format!("tests/{folder}/{file}.rs"));
    let source = places.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap();
    let mut cases = BTreeSet::new();
    for line in source.lines().map(str::trim_start) {
        let name = line.strip_prefix("fn case").map(|rest| rest.trim_start_matches(['s', '_']));
        let comment = line.strip_prefix("///").map(str::to_lowercase);
        let said = comment.as_deref().and_then(|text| text.split_once("case"));
        let said = said.map(|(_, rest)| rest.trim_start_matches(['s', ' ']));
        for words in name.into_iter().chain(said) {
            cases.extend(numbers(words));
        }
    }
    cases
}

/// The numbers at the beginning of a text, with those between two that `to` joins.
fn numbers(text: &str) -> Vec<u32> {
    let mut found: Vec<u32> = Vec::new();
    let mut goes_on = false;
    for word in text.split(['_', ' ', ',', ':', '.']).filter(|word| !word.is_empty()) {
        match (word, word.parse::<u32>()) {
            (_, Ok(number)) if goes_on => {
                found.extend(found.last().map_or(number, |last| last + 1)..=number);
                goes_on = false;
            }
            (_, Ok(number)) => found.push(number),
            ("to", _) => goes_on = true,
            ("and" | "legacy", _) => {}
            _ => break,
        }
    }
    found
}

#[test]
fn every_case_has_its_tests_where_the_table_says() {
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
