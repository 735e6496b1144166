//! Names of tests are short English sentences about a behaviour.

use std::path::Path;

use crate::files;

const NAME_LENGTH_MAX: usize = 70;

/// Words that hide who does what, and what to write instead.
const UNCLEAR_WORDS: &[(&str, &str)] = &[
    ("nobody|nobodys|anybody|no_one", "no client, no process"),
    ("somebody|everybody|everyone", "a client, all clients"),
    ("who|whoever", "a client that, a process that"),
    ("hear|hears|heard", "gets, receives, is delivered"),
    ("say|says|said|tell|tells|told", "sends, reports, names"),
    ("beside|behind|aside|anew", "next to, after, rotated, again"),
    ("mend|mends|mended", "fix, repair"),
    ("newcomer|newcomers", "new connections"),
    ("stranger|strangers|neighbour|neighbours", "the kind of client"),
    ("crowd|crowds|doorman|ledger|gate|door|goodbye", "the thing itself"),
    ("wish|wishes", "request"),
    ("stand|stands|stood", "is in, is on, pauses"),
    ("harm|harms|hurt|hurts|rubbish|believed", "the effect that the test checks"),
    ("throw|throws|thrown", "close"),
    ("is_no|are_no|was_no|were_no", "is not a, is not valid, invalid"),
];

/// The tests of a file with their lines: functions with an attribute, and rows of `tests/tools.rs`.
fn tests_of(source: &str) -> Vec<(usize, &str)> {
    let (mut all, mut is_test) = (Vec::new(), false);
    for (number, line) in (1..).zip(source.lines().map(str::trim_start)) {
        is_test |= line.starts_with("#[test]");
        if let Some((test, _)) = line.split_once(" needs ")
            && let Some((_, name)) = test.split_once("::")
        {
            all.push((number, name));
        }
        let function = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("fn ");
        if let Some((name, _)) = function.and_then(|rest| rest.split_once('(')) {
            if is_test {
                all.push((number, name));
            }
            is_test = false;
        }
    }
    all
}

#[test]
fn names_of_tests_are_short_and_in_plain_english() {
    let (mut findings, mut count) = (Vec::new(), 0);
    for path in
        ["src", "tests", "clients/rust"].iter().flat_map(|folder| files(Path::new(folder), "rs"))
    {
        let source = std::fs::read_to_string(&path).unwrap();
        for (number, name) in tests_of(&source) {
            count += 1;
            let at = format!("{}:{number}: {name}", path.display());
            if name.len() > NAME_LENGTH_MAX {
                findings.push(format!("{at}: {} characters", name.len()));
            }
            let words = format!("_{name}_");
            for (unclear, better) in UNCLEAR_WORDS {
                for word in unclear.split('|').filter(|it| words.contains(&format!("_{it}_"))) {
                    findings.push(format!("{at}: `{word}`; write: {better}"));
                }
            }
        }
    }
    assert!(count > 1000, "only {count} tests were found");
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
