//! Compares `docs/limits.md` with the code: the page has every number of `types/limits/`, and every default
//! of a key.

use std::collections::BTreeMap;

use regex_lite::Regex;
use tagcast::config::KEYS;

/// Returns the constants of the source by name: bytes and counts unchanged, times in nanoseconds.
fn constants() -> BTreeMap<String, u128> {
    let files = std::fs::read_dir("src/types/limits").unwrap();
    let source: String =
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let declaration = Regex::new(r"pub const ([A-Z_0-9]+): \w+ =\s+([^;]+);").unwrap();
    let found = declaration.captures_iter(&source);
    found.map(|it| (it[1].to_owned(), value(&it[2]))).collect()
}

/// Evaluates a product of numbers, or a duration of one number.
fn value(expression: &str) -> u128 {
    let (unit, product) = match expression.split_once('(') {
        Some((made_by, number)) => {
            let unit = match made_by {
                "Duration::from_secs" => 1_000_000_000,
                "Duration::from_millis" => 1_000_000,
                "Duration::from_micros" => 1_000,
                "Duration::from_nanos" => 1,
                other => panic!("{other} is not known here"),
            };
            (unit, number.trim_end_matches(')'))
        }
        None => (1, expression),
    };
    let factors = product.split('*').map(|it| it.trim().replace('_', ""));
    unit * factors.map(|it| it.parse::<u128>().unwrap()).product::<u128>()
}

/// Returns the numbers of a cell with their units applied.
fn numbers(cell: &str) -> Vec<u128> {
    let number = Regex::new(r"([0-9][0-9,]*) ?(KiB|MiB|s\b|ms\b|µs|ns\b)?").unwrap();
    let found = number.captures_iter(cell).map(|it| {
        let unit = match it.get(2).map_or("", |unit| unit.as_str()) {
            "KiB" => 1024,
            "MiB" => 1024 * 1024,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "µs" => 1_000,
            _ => 1,
        };
        unit * it[1].replace(',', "").parse::<u128>().unwrap()
    });
    found.collect()
}

/// Parses a default as `websock.ini` writes it; `None` for words.
fn default_of(text: &str) -> Option<u128> {
    let digits = text.trim_end_matches(|sign: char| sign.is_alphabetic());
    let unit = match text.strip_prefix(digits)? {
        "" => 1,
        "K" => 1024,
        "M" => 1024 * 1024,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u128>().ok().map(|number| number * unit)
}

#[test]
fn every_limit_is_on_the_page_with_its_value() {
    let page = std::fs::read_to_string("docs/limits.md").unwrap();
    let mut constants = constants();
    assert!(constants.len() > 80, "{} constants: the search has lost them", constants.len());
    for row in page.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let names: Vec<&str> = cells[cells.len() - 1].split('`').skip(1).step_by(2).collect();
        let (upper, keys): (Vec<&str>, Vec<&str>) =
            names.into_iter().partition(|name| name.chars().all(|sign| !sign.is_lowercase()));
        let found = numbers(cells[1]);
        for (at, name) in upper.iter().enumerate() {
            let expected = constants.remove(*name);
            assert_eq!(expected, found.get(at).copied(), "{name}: {row}");
        }
        for name in keys {
            let key = KEYS.iter().find(|key| key.name == name);
            let default = key.and_then(|key| default_of(key.default));
            if let (Some(default), Some(number)) = (default, found.first()) {
                assert_eq!(default, *number, "{name}: {row}");
            }
            assert!(key.is_some() || ["maxConcurrent", "deadline"].contains(&name), "{row}");
        }
    }
    assert!(constants.is_empty(), "not in docs/limits.md: {constants:?}");
}
