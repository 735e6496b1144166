//! Checks of the code itself: what rustc and clippy cannot see.
//!
//! Reads every source once and reports all findings together, so one run is enough to mend them.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod cited_code;
mod fuzz_lock;
mod shape;
mod spoken;
mod test_names;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

/// Which room may name which. A room absent from a row must not be named in it.
const ROOMS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("json", &[]),
    ("reactor", &[]),
    ("demo_page", &[]),
    ("telemetry", &["types"]),
    ("http", &["types"]),
    ("replay", &["types"]),
    ("rate_limit", &["types"]),
    ("cluster", &["types"]),
    ("websocket", &["types"]),
    ("index", &["types"]),
    ("json_schema", &["types", "json"]),
    ("expression", &["types", "json"]),
    ("protocol", &["types", "json", "http"]),
    ("auth", &["types", "json", "json_schema", "protocol"]),
    ("session", &["types", "protocol", "auth"]),
    ("webhook", &["types", "json", "expression", "http", "protocol"]),
    ("webhook/client", &["types", "reactor", "webhook"]),
    ("resource", &["types", "json", "http", "protocol", "auth", "session", "webhook"]),
    (
        "config",
        &["types", "telemetry", "websocket", "protocol", "auth", "webhook", "resource", "cluster"],
    ),
    ("link", &["types", "telemetry", "reactor", "cluster"]),
    ("broker", &["types", "telemetry", "config", "index", "reactor", "link", "replay", "cluster"]),
    ("carrier", &["types", "config", "reactor", "cluster"]),
    ("bridge", &["types", "telemetry", "config", "reactor", "link", "cluster", "carrier"]),
    ("broker_client", &["types", "protocol", "websocket", "link", "replay"]),
    (
        "worker",
        &[
            "types",
            "telemetry",
            "config",
            "http",
            "websocket",
            "protocol",
            "auth",
            "session",
            "resource",
            "webhook",
            "reactor",
            "link",
            "broker_client",
            "rate_limit",
            "demo_page",
        ],
    ),
    (
        "api",
        &[
            "types",
            "telemetry",
            "json",
            "http",
            "expression",
            "protocol",
            "auth",
            "config",
            "reactor",
            "link",
            "broker_client",
            "replay",
            "rate_limit",
            "admin",
        ],
    ),
    ("admin", &["types", "telemetry"]),
    ("supervisor", &["types", "telemetry", "config", "link", "admin"]),
    ("client", &["types", "http", "websocket", "protocol"]),
    ("bench", &["types", "telemetry", "config", "index", "websocket", "reactor", "link", "client"]),
];

/// Modules that do no I/O and take time and randomness as arguments.
const PURE: &[&str] = &[
    "types",
    "json",
    "http",
    "websocket",
    "index",
    "replay",
    "cluster",
    "json_schema",
    "expression",
    "auth",
    "protocol",
    "session",
    "webhook",
    "resource",
];
const IMPURE: &[&str] =
    &["tokio::", "std::net::", "std::fs::", "Instant::now", "SystemTime::now", "rand::"];

/// Words that may be written while working but not merged.
const LEFTOVERS: &[&str] = &["FIXME", "XXX", "#[ignore]"];

/// What reads bytes that we did not write: each needs a fuzz target of this name.
const FUZZED: &[&str] = &[
    "head",
    "query",
    "phpws",
    "gomoob",
    "bloatless",
    "schema",
    "frames",
    "hixie",
    "raw",
    "uuid",
    "php_session",
    "link",
    "control",
    "ini",
    "auth_file",
    "operations",
    "answer",
    "expression",
    "token",
    "resume_token",
    "v1_frames",
    "client_frames",
    "envelope",
];

const LINES_MAX: usize = 400;

/// The pages outside of `docs/`.
const ROOT_PAGES: &[&str] = &[
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "clients/conformance/README.md",
    "clients/js/README.md",
    "clients/php/README.md",
    "clients/rust/README.md",
];

/// The Rust client: a crate of its own, whose code keeps the rules of the server's.
const RUST_CLIENT: &str = "clients/rust/src";

struct Source {
    path: PathBuf,
    room: String,
    text: String,
    /// The text without its test module.
    body_lines: usize,
}

#[test]
fn tidy() {
    let mut findings = Vec::new();
    let client = sources(Path::new(RUST_CLIENT));
    for source in sources(Path::new("src")).into_iter().chain(client) {
        size(&source, &mut findings);
        module_doc(&source, &mut findings);
        imports(&source, &mut findings);
        purity(&source, &mut findings);
        leftovers(&source, &mut findings);
        module_style(&source, &mut findings);
    }
    fuzz_targets(&mut findings);
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// A file of tests that its binary does not declare would never run.
#[test]
fn every_file_with_tests_is_a_module_of_its_binary() {
    for folder in ["tests/it", "tests/timing"] {
        let main = std::fs::read_to_string(format!("{folder}/main.rs")).unwrap();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let declared = main.contains(&format!("\nmod {name};\n"));
            let has_tests = text.lines().any(|line| line == "#[test]");
            assert!(declared || !has_tests, "{}: not in {folder}/main.rs", path.display());
        }
    }
}

/// What code, tests or pages cite by a label is defined in `docs/`: promises and rules (`P1`, `L3`, `R2`) in
/// the first cells of promises.md, decisions by a file of their number.
#[test]
fn every_label_that_is_cited_is_defined() {
    let promises = std::fs::read_to_string("docs/promises.md").unwrap();
    let rows = promises.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let defined: BTreeSet<&str> = rows.map(|(label, _)| label).collect();
    let label = Regex::new(r"\b[PLR][1-9][0-9]?\b").unwrap();
    let decision = Regex::new(r"decisions?[/ ](00[0-9]{2})").unwrap();
    let decisions: Vec<String> = files(Path::new("docs/decisions"), "md")
        .into_iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut findings = Vec::new();
    for path in texts() {
        let text = std::fs::read_to_string(&path).unwrap();
        let may_cite = |line: &&str| {
            let is_label = |two: &[u8]| b"PLR".contains(&two[0]) && two[1].is_ascii_digit();
            line.contains("decision") || line.as_bytes().windows(2).any(is_label)
        };
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| may_cite(line)) {
            for cited in label.find_iter(line).filter(|cited| !defined.contains(cited.as_str())) {
                findings.push(format!("{}:{number}: {}", path.display(), cited.as_str()));
            }
            for cited in decision.captures_iter(line) {
                if !decisions.iter().any(|name| name.starts_with(&cited[1])) {
                    findings.push(format!("{}:{number}: {}", path.display(), &cited[0]));
                }
            }
        }
    }
    assert!(findings.is_empty(), "cited and not defined:\n{}\n", findings.join("\n"));
}

/// Words and turns of phrase that a reader of English stumbles over: a part that each has, the pattern, and
/// what to write instead.
#[rustfmt::skip]
const UNCLEAR: &[(&str, &str, &str)] = &[
    (" told", r"\b(is|are|be|was|were) told\b", "is notified, knows, must"),
    ("hear", r"(?i)\b(hear|hears|heard)\b", "gets, receives"),
    ("anew", r"(?i)\banew\b", "again"),
    ("at the", r"(?i)\bat the (most|least)\b", "at most, at least"),
    ("into", r"(?i)\bbelongs? into\b", "belongs in"),
    ("mend", r"(?i)\bmend(s|ed|ing)?\b", "fix"),
    ("body", r"(?i)\b(nobody|somebody|everybody)\b", "no client, a client, all clients"),
    ("whoever", r"(?i)\bwhoever\b", "a client that"),
    ("newcomer", r"(?i)\bnewcomers?\b", "new connections"),
    (" none", r"\b(it|that|which|one|who) (is|are) none\b", "is not valid, is invalid"),
    (" no ", r"\b(it|that|which|this|what|they) (is|are) no [a-z]+\b", "is not a"),
    ("is no", r"^is no [a-z]+\b", "is not a, is not valid"),
    (" of", r"\b(it|they|that|which) (hear|tell|say)s? of\b", "receives, reports, names"),
    ("who ", r"(^|[.;:] )Who [^?]*$", "a noun: a client that, a process that"),
    ("aside", r"(?i)\bput aside\b", "rotate"),
    ("stands", r"(?i)\bstands (in|on|there|below|above|beside)\b", "is in, is below, is next to"),
    ("beside", r"(?i)\bbeside\b", "next to, in addition to, during"),
    ("household", r"(?i)\bhousehold\b", "supervisor"),
    ("crew", r"(?i)\bcrew\b", "processes"),
    ("steward", r"(?i)\bsteward\b", "leader"),
    ("courier", r"(?i)\bcourier\b", "webhook client"),
    ("census", r"(?i)\bcensus\b", "connection limits"),
    ("errand", r"(?i)\berrands?\b", "event"),
    ("dice", r"(?i)\bdice\b", "randomness"),
];

/// Lines that may contain such a word: a part of the line, and the reason.
const UNCLEAR_ALLOWED: &[(&str, &str, &str)] =
    &[("CONTRIBUTING.md", "| ", "its tables name the words that are not to be used")];

/// Two branches that add rows to one table leave these behind if nobody looks at the merge.
#[test]
fn documents_have_no_leftovers_of_a_merge() {
    let mut findings = Vec::new();
    for page in texts() {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut previous = "";
        for (index, line) in text.lines().enumerate() {
            let is_marker = ["<<<<<<<", ">>>>>>>"].iter().any(|marker| line.starts_with(marker));
            let is_repeated = line == previous && line.starts_with('|');
            if is_marker || is_repeated {
                findings.push(format!("{}:{}: {line}", page.display(), index + 1));
            }
            previous = line;
        }
    }
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn documents_are_in_plain_english() {
    let unclear: Vec<(&str, Regex, &str)> = UNCLEAR
        .iter()
        .map(|(part, pattern, better)| (*part, Regex::new(pattern).unwrap(), *better))
        .collect();
    let code = Regex::new(r"`[^`]*`|\]\([^)]*\)|\*[^*]+\*").unwrap();
    let mut findings = Vec::new();
    for path in texts().into_iter().filter(|path| path.extension().is_some_and(|it| it == "md")) {
        let name = path.to_string_lossy().into_owned();
        let mut is_block = false;
        for (number, line) in (1..).zip(std::fs::read_to_string(&path).unwrap().lines()) {
            is_block ^= line.trim_start().starts_with("```");
            let is_allowed = UNCLEAR_ALLOWED
                .iter()
                .any(|(page, start, _)| *page == name && line.starts_with(start));
            if is_block || is_allowed || line.starts_with("    ") {
                continue;
            }
            let lower = line.to_lowercase();
            for (_, pattern, better) in unclear.iter().filter(|(part, ..)| lower.contains(part)) {
                let prose = code.replace_all(line, "");
                if let Some(found) = pattern.find(&prose) {
                    findings
                        .push(format!("{name}:{number}: `{}`; write: {better}", found.as_str()));
                }
            }
        }
    }
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// Everything that people read: code, tests and pages.
fn texts() -> Vec<PathBuf> {
    let code =
        ["src", "tests", "benches", "examples", "fuzz/src", "fuzz/fuzz_targets", "clients/rust"];
    let mut all: Vec<PathBuf> =
        code.iter().flat_map(|folder| files(Path::new(folder), "rs")).collect();
    all.extend(files(Path::new("docs"), "md"));
    all.extend(ROOT_PAGES.iter().map(PathBuf::from));
    all
}

fn size(source: &Source, findings: &mut Vec<String>) {
    if source.body_lines > LINES_MAX {
        found(findings, source, 1, format!("{} lines, {LINES_MAX} at most", source.body_lines));
    }
}

fn module_doc(source: &Source, findings: &mut Vec<String>) {
    if !source.text.starts_with("//! ") {
        found(findings, source, 1, "begins without a sentence that says what it is for");
    }
}

fn imports(source: &Source, findings: &mut Vec<String>) {
    let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == source.room) else { return };
    for (number, line) in source.body() {
        let Some((_, rest)) = line.split_once("crate::") else { continue };
        let named: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if named.is_empty() {
            found(findings, source, number, "one `use crate::room::…` a room, no `crate::{…}`");
        } else if named != source.room && !allowed.contains(&named.as_str()) {
            found(findings, source, number, format!("`{}` must not name `{named}`", source.room));
        }
    }
}

fn purity(source: &Source, findings: &mut Vec<String>) {
    if !PURE.contains(&source.room.as_str()) {
        return;
    }
    for (number, line) in source.body() {
        for word in IMPURE.iter().filter(|word| line.contains(**word)) {
            found(findings, source, number, format!("`{word}` in a pure room"));
        }
    }
}

fn leftovers(source: &Source, findings: &mut Vec<String>) {
    for (number, line) in source.text.lines().enumerate() {
        for word in LEFTOVERS.iter().filter(|word| line.contains(**word)) {
            found(findings, source, number + 1, format!("`{word}` left behind"));
        }
    }
}

/// A module with a folder of its own stands in that folder, as `mod.rs`.
fn module_style(source: &Source, findings: &mut Vec<String>) {
    let folder = source.path.with_extension("");
    if folder.is_dir() {
        found(findings, source, 1, format!("belongs in {}/mod.rs", folder.display()));
    }
}

fn fuzz_targets(findings: &mut Vec<String>) {
    for name in FUZZED {
        let path = Path::new("fuzz/fuzz_targets").join(name).with_extension("rs");
        if Path::new("fuzz").exists() && !path.exists() {
            findings.push(format!("{}: missing", path.display()));
        }
    }
}

fn found(findings: &mut Vec<String>, source: &Source, line: usize, what: impl Display) {
    findings.push(format!("{}:{line}: {what}", source.path.display()));
}

impl Source {
    fn read(folder: &Path, path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap();
        let inside = path.strip_prefix(folder).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
        let room = if folder == Path::new(RUST_CLIENT) {
            // The client has no rooms: its modules know each other.
            RUST_CLIENT.to_owned()
        } else if inside.starts_with("webhook/client") {
            "webhook/client".to_owned()
        } else {
            first.trim_end_matches(".rs").to_owned()
        };
        let body_lines = without_tests(&text).lines().count();
        Self { path, room, text, body_lines }
    }

    /// The numbered lines above the test module.
    fn body(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).take(self.body_lines)
    }
}

/// Cuts a source where its test module begins. A declaration such as `mod tests;` may stand above the code.
fn without_tests(text: &str) -> &str {
    let module = Regex::new(r"(?m)^#\[cfg\(test\)\]\n(?:#!?\[[^\]]*\]\n)*mod \w+ \{").unwrap();
    module.find(text).map_or(text, |found| &text[..found.start()])
}

fn sources(folder: &Path) -> Vec<Source> {
    files(folder, "rs").into_iter().map(|path| Source::read(folder, path)).collect()
}

/// The files of a folder and those below it, by their extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            all.push(path);
        }
    }
    all.sort();
    all
}
