//! Files and types that the documents name exist.

use std::collections::BTreeSet;
use std::path::Path;

use regex_lite::Regex;

use crate::files;

/// Pages that describe the present code. Decisions describe the code of their time.
const PAGES: &[&str] = &[
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/architecture.md",
    "docs/expressions.md",
    "docs/glossary.md",
    "docs/limits.md",
    "docs/promises.md",
    "docs/scaling.md",
];

/// Folders that a path on a page may be relative to.
const ROOTS: &[&str] = &["", "src", "src/worker", "src/broker_client", "tests/simulation", "docs"];

#[test]
fn pages_name_files_and_types_that_exist() {
    let code: String = ["src", "tests", "examples"]
        .iter()
        .flat_map(|folder| files(Path::new(folder), "rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let defined: BTreeSet<&str> = code.lines().filter_map(defined_type).collect();
    let quoted = Regex::new(r"`([^`]+)`").unwrap();
    let mut findings = Vec::new();
    for page in PAGES {
        for (number, line) in (1..).zip(std::fs::read_to_string(page).unwrap().lines()) {
            for cited in quoted.captures_iter(line).map(|found| found.get(1).unwrap().as_str()) {
                let exists = match cited.ends_with(".rs") {
                    true => ROOTS.iter().any(|root| Path::new(root).join(cited).exists()),
                    false => names_code(cited, &words, &defined),
                };
                if !exists {
                    findings.push(format!("{page}:{number}: there is no `{cited}`"));
                }
            }
        }
    }
    assert!(defined.len() > 300, "only {} types were found", defined.len());
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// Returns the name of the type that a line defines. A visibility may come before the keyword.
fn defined_type(line: &str) -> Option<&str> {
    let mut parts = line.split_whitespace().filter(|_| !line.trim_start().starts_with("//"));
    parts.by_ref().take(3).find(|part| ["struct", "enum", "trait", "type"].contains(part))?;
    parts.next()?.split(|c: char| !c.is_alphanumeric()).next()
}

/// Returns false if a text such as `Router::end_turn` or `http::WireFormat` contains an unknown name. A name
/// with an upper-case letter that is not the last one must be a type.
fn names_code(cited: &str, words: &BTreeSet<&str>, defined: &BTreeSet<&str>) -> bool {
    let parts: Vec<&str> = cited.split("::").collect();
    let is_path = parts.len() > 1
        && parts
            .iter()
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_'));
    let is_type = |part: &&str| part.starts_with(char::is_uppercase);
    !is_path
        || parts.iter().all(|part| words.contains(part))
            && parts
                .iter()
                .rev()
                .skip(1)
                .filter(|part| is_type(part))
                .all(|it| defined.contains(it))
}
