//! Help texts, messages of commands, findings about the configuration, log lines and comments are held to the same words
//! as the documents.

use std::path::Path;

use regex_lite::Regex;

use super::{UNCLEAR, files, without_tests};

/// Modules whose texts are all read by users or operators, not only those of log lines.
const MESSAGES: &[&str] = &[
    "src/admin",
    "src/client",
    "src/config",
    "src/supervisor",
    "src/webhook",
    "src/worker/connection/tls_failure.rs",
    "src/worker/handshake/refusals.rs",
];

/// Patterns that are wrong in texts of the program only: the pattern, and better words.
const UNCLEAR_TEXTS: &[(&str, &str)] = &[
    (r"\b(may stand|stands once|stands in it)\b", "must occur only once, is in"),
    // A title of a table is one word.
    (r"\w behind\b|\bbehind \w", "after"),
    (r"\bguessed soon\b", "is easy to guess"),
    (r"^let (it|the|a) |[;,:] let (it|a) ", "an instruction: enable, use, start"),
    (r"\b(is|are|it) none\b", "is not valid"),
    (r"\b(is|are) no [A-Z]", "is not a valid"),
    (r"\bwent (without|away|in the)\b", "disconnected"),
    (r"\b(go|goes|went) on\b", "continue, abort"),
    (r"\bkeep to\b", "comply with, a protocol error"),
    (r"\bbe told\b|^told ", "be notified, was sent"),
    (r"\b(give|gave|given) (it )?(out|once|before)\b", "issue, set once, already set"),
    (r"\b(gets?|lets?|lets himself) in\b", "can connect, allow"),
    (r"\bbr(oke|oken|eaks) off\b", "is incomplete, aborted"),
    (r"\bclock (of this machine )?right\b", "correct the clock"),
    (r"\bthis very\b", "this"),
    (r"\b(which|that) (is|are) spoken\b|\bkind of key\b", "supported"),
    (r"\binto quotes\b", "in quotes"),
    (r"\bany more\b", "no longer, now"),
    (r"\bof the owner's alone\b|\bthe owner's alone\b", "readable only by its owner"),
    (r"\bin time\b", "timed out"),
    (r"\bwhole world\b|\blooked at\b", "public, read"),
];

/// The texts of a source that a user or an operator reads, with their lines: help and messages of commands, and
/// what a log macro writes.
fn shown(path: &Path, source: &str) -> Vec<(usize, String)> {
    let literal = Regex::new(r#""((?:[^"\\]|\\.)*)""#).unwrap();
    let body = without_tests(source);
    let is_cli = path.starts_with("src/cli");
    let is_message = is_cli || MESSAGES.iter().any(|folder| path.starts_with(folder));
    let mut all = Vec::new();
    let mut is_log = false;
    for (number, line) in (1..).zip(body.lines()) {
        let code = line.trim_start();
        if is_cli && let Some(help) = code.strip_prefix("/// ") {
            all.push((number, help.to_owned()));
        }
        if code.starts_with("//") || code.starts_with("#[") {
            continue;
        }
        is_log |= ["info!(", "warn!(", "error!("].iter().any(|call| code.contains(call));
        if is_message || is_log {
            all.extend(literal.captures_iter(line).map(|text| (number, text[1].to_owned())));
        }
        is_log &= !code.ends_with(')') && !code.ends_with(");") && !code.ends_with("),");
    }
    all
}

/// The comments of a source that are whole lines: each block with its first line.
fn comments(source: &str) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    for (number, line) in (1..).zip(source.lines()) {
        let comment = line.trim_start().strip_prefix("//");
        if let Some(text) = comment.map(|text| text.trim_start_matches(['/', '!', ' '])) {
            match all.last_mut().filter(|_| is_open) {
                Some((_, block)) => *block = format!("{block} {text}"),
                None => all.push((number, text.to_owned())),
            }
        }
        is_open = comment.is_some();
    }
    all
}

#[test]
fn comments_are_in_plain_english() {
    let unclear: Vec<(&str, Regex, &str)> = UNCLEAR
        .iter()
        .map(|(part, pattern, better)| (*part, Regex::new(pattern).unwrap(), *better))
        .collect();
    let code = Regex::new(r"`[^`]*`").unwrap();
    let (mut findings, mut count) = (Vec::new(), 0);
    let paths =
        ["src", "tests", "clients/rust"].iter().flat_map(|folder| files(Path::new(folder), "rs"));
    for path in paths.filter(|path| !path.starts_with("tests/tidy")) {
        for (number, text) in comments(&std::fs::read_to_string(&path).unwrap()) {
            count += 1;
            let lower = text.to_lowercase();
            for (_, pattern, better) in unclear.iter().filter(|(part, ..)| lower.contains(part)) {
                if let Some(found) = pattern.find(&code.replace_all(&text, "")) {
                    let at = format!("{}:{number}", path.display());
                    findings.push(format!("{at}: `{}`; write: {better}", found.as_str()));
                }
            }
        }
    }
    assert!(count > 5000, "only {count} comments were found");
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn help_and_log_lines_are_in_plain_english() {
    let unclear: Vec<(Regex, &str)> = UNCLEAR
        .iter()
        .map(|(_, pattern, better)| (pattern, better))
        .chain(UNCLEAR_TEXTS.iter().map(|(pattern, better)| (pattern, better)))
        .map(|(pattern, better)| (Regex::new(pattern).unwrap(), *better))
        .collect();
    let code = Regex::new(r"`[^`]*`").unwrap();
    let (mut findings, mut count) = (Vec::new(), 0);
    for path in files(Path::new("src"), "rs") {
        let source = std::fs::read_to_string(&path).unwrap();
        for (number, text) in shown(&path, &source) {
            count += 1;
            let prose = code.replace_all(&text, "");
            for (pattern, better) in &unclear {
                if let Some(found) = pattern.find(&prose) {
                    let at = format!("{}:{number}", path.display());
                    findings.push(format!("{at}: `{}`; write: {better}", found.as_str()));
                }
            }
        }
    }
    assert!(count > 300, "only {count} texts were found");
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
