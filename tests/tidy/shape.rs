//! The shape of the code: in how many files a type has methods, what functions take, how types are named.
//!
//! Works on the text of the sources with comments and literals blanked out, so it needs no parser of Rust.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex_lite::Regex;

use crate::{RUST_CLIENT, files, without_tests};

/// In how many files an inherent `impl` of one type may be.
const IMPL_FILES_MAX: usize = 3;
/// A type that is private to a file below this size may have the name of another one.
const SMALL_FILE: usize = 100;

/// How many enums may have two variants without data. Such an enum is right for a parameter beside
/// others, and where its words say more than yes and no; a field, a return value and a single argument
/// are a `bool` named `is_…` or `has_…`. Lower the number with each one that goes.
const TWO_VARIANT_ENUMS_MAX: usize = 39;

/// Files of the worker that name a family of clients, with the reason. What a family does differently
/// is in its `ProtocolSpec`.
const FAMILIES_ALLOWED: &[(&str, &str)] = &[
    ("src/worker/settings.rs", "hands the options of each family to the protocols"),
    ("src/worker/compat.rs", "options that apply before a client has a protocol"),
    (
        "src/worker/dispatch/resource_registry.rs",
        "creates the resources that the configuration names",
    ),
    ("src/worker/handshake/legacy.rs", "handshakes that are older than RFC 6455"),
    ("src/worker/push_socket.rs", "the socket of bloatless/php-websocket's scripts"),
];

/// Functions that take a tuple, by file and name, with the reason.
const TUPLES_ALLOWED: &[(&str, &str, &str)] = &[];

/// Type names that are used more than once, with the reason.
const NAMES_ALLOWED: &[(&str, &str)] = &[
    ("Result", "an alias of the standard type, as in `std::io`"),
    ("Client", "the blocking Rust client has the names of the asynchronous one"),
    ("Events", "the same"),
    ("Messages", "the same"),
    ("Watch", "the same"),
];

/// One source file without its tests, comments and literals.
struct Code {
    path: String,
    text: String,
    lines: usize,
}

#[test]
fn methods_of_a_type_are_in_few_files() {
    let findings: Vec<String> = [code_of("src"), code_of(RUST_CLIENT)]
        .iter()
        .flat_map(|code| impl_files(code))
        .filter(|(_, files)| files.len() > IMPL_FILES_MAX)
        .map(|(name, files)| format!("impl {name} in {} files: {files:?}", files.len()))
        .collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn functions_take_no_tuples() {
    let findings: Vec<String> = code()
        .iter()
        .flat_map(tuple_parameters)
        .filter(|(path, _, name)| {
            let is_allowed =
                |(file, function, _): &(&str, &str, &str)| file == path && function == name;
            !TUPLES_ALLOWED.iter().any(is_allowed)
        })
        .map(|(path, line, name)| format!("{path}:{line}: `{name}` takes a tuple; name its parts"))
        .collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn type_names_are_unique() {
    let findings: Vec<String> = [code_of("src"), code_of(RUST_CLIENT)]
        .iter()
        .flat_map(|code| homonyms(code))
        .filter(|(name, _)| !NAMES_ALLOWED.iter().any(|(allowed, _)| allowed == name))
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    assert!(findings.is_empty(), "types of one name:\n{}\n", findings.join("\n"));
}

#[test]
fn the_worker_knows_no_family_of_clients() {
    let family = Regex::new(r"(?i)phpws|gomoob|bloatless|hixie").unwrap();
    let code = code_of("src");
    let named: BTreeSet<&str> = code
        .iter()
        .filter(|file| file.path.starts_with("src/worker/") && family.is_match(&file.text))
        .map(|file| file.path.as_str())
        .collect();
    let allowed: BTreeSet<&str> = FAMILIES_ALLOWED.iter().map(|(file, _)| *file).collect();
    assert_eq!(named, allowed, "move what a family does differently into its `ProtocolSpec`");
}

#[test]
fn enums_of_two_words_are_few() {
    let enums: Vec<String> = code_of("src").iter().flat_map(two_variant_enums).collect();
    assert!(
        enums.len() <= TWO_VARIANT_ENUMS_MAX,
        "{} enums have two variants without data, {TWO_VARIANT_ENUMS_MAX} at most; make one a bool:\n{}\n",
        enums.len(),
        enums.join("\n")
    );
}

/// Not a check: the figures, of all folders, for `cargo test --test tidy figures -- --nocapture`.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are for a person who asks for them")]
fn figures() {
    let code = code_of("src");
    let mut lengths: Vec<usize> = code.iter().flat_map(function_lengths).collect();
    lengths.sort_unstable();
    let quantile = |part: usize| lengths.get(lengths.len() * part / 100).copied().unwrap_or(0);
    println!("source files                        {}", code.len());
    println!("functions                           {}", lengths.len());
    println!("lines of a function, median and p90 {} {}", quantile(50), quantile(90));
    let tuples: usize = code.iter().map(|file| tuple_parameters(file).len()).sum();
    println!("tuple parameters                    {tuples}");
    let enums: Vec<String> = code.iter().flat_map(two_variant_enums).collect();
    println!("enums of two variants without data  {}", enums.len());
    enums.iter().for_each(|name| println!("    {name}"));
    println!("type names used more than once      {}", homonyms(&code).len());
    let mut impls: Vec<(usize, String)> =
        impl_files(&code).into_iter().map(|(name, files)| (files.len(), name)).collect();
    impls.sort_unstable_by(|one, other| other.cmp(one));
    for (count, name) in impls.iter().take(5) {
        println!("files with an impl of {name:<14}{count}");
    }
}

/// The sources of both crates, without those of unit tests.
fn code() -> Vec<Code> {
    let mut all = code_of("src");
    all.extend(code_of(RUST_CLIENT));
    all
}

fn code_of(folder: &str) -> Vec<Code> {
    let is_test = |path: &str| path.ends_with("/tests.rs") || path.contains("/tests/");
    files(Path::new(folder), "rs")
        .into_iter()
        .map(|path| (path.to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| {
            let body = without_tests(&text);
            Code { path, text: blank(body), lines: body.lines().count() }
        })
        .collect()
}

/// The files with an inherent `impl`, by the name of the type.
fn impl_files(code: &[Code]) -> BTreeMap<String, BTreeSet<String>> {
    let start = Regex::new(r"(?m)^\s*impl\b").unwrap();
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in code {
        for found in start.find_iter(&file.text) {
            let rest = file.text[found.end()..].trim_start();
            let rest = rest.get(closing(rest, '<', '>')..).unwrap_or("").trim_start();
            let head = rest.split('{').next().unwrap_or("");
            let path: String =
                head.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            let name = path.rsplit("::").next().unwrap_or("").to_owned();
            if !head.contains(" for ") && !name.is_empty() {
                all.entry(name).or_default().insert(file.path.clone());
            }
        }
    }
    all
}

/// File, line and name of each function with a tuple among its parameters.
fn tuple_parameters(file: &Code) -> Vec<(String, usize, String)> {
    let start = Regex::new(r"\bfn\s+(\w+)").unwrap();
    let mut all = Vec::new();
    for found in start.captures_iter(&file.text) {
        let whole = found.get(0).unwrap();
        let rest = &file.text[whole.end()..];
        let rest = rest.get(closing(rest, '<', '>')..).unwrap_or("");
        let list = rest.get(1..closing(rest, '(', ')').saturating_sub(1)).unwrap_or("");
        let is_tuple = |part: &&str| {
            let (pattern, of_type) = part.split_once(": ").unwrap_or((part, ""));
            let of_type = of_type.trim_start_matches('&').trim_start();
            let of_type = of_type.strip_prefix("mut ").unwrap_or(of_type);
            let pattern = pattern.trim().trim_start_matches('&');
            // Brackets without a comma group the bounds of one type: `&(impl Serialize + ?Sized)`.
            let has_parts = |text: &str| {
                let inside = text.get(1..closing(text, '(', ')').saturating_sub(1));
                inside.is_some_and(|inside| top_level(inside).len() > 1)
            };
            pattern.starts_with('(') || has_parts(of_type)
        };
        if top_level(list).iter().any(is_tuple) {
            let line = file.text[..whole.start()].matches('\n').count() + 1;
            all.push((file.path.clone(), line, found[1].to_owned()));
        }
    }
    all
}

/// The places of each type name that is used more than once, types private to a small file left out.
fn homonyms(code: &[Code]) -> BTreeMap<String, Vec<String>> {
    let defined =
        Regex::new(r"(?m)^\s*(pub\S*(?: [^\s)]+\))? )?(?:struct|enum|trait|union) (\w+)").unwrap();
    let alias = Regex::new(r"(?m)^(pub\S*(?: [^\s)]+\))? )?type (\w+)").unwrap();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in code {
        for found in defined.captures_iter(&file.text).chain(alias.captures_iter(&file.text)) {
            if found.get(1).is_some() || file.lines >= SMALL_FILE {
                let line = file.text[..found.get(2).unwrap().start()].matches('\n').count() + 1;
                all.entry(found[2].to_owned()).or_default().push(format!("{}:{line}", file.path));
            }
        }
    }
    all.retain(|_, places| places.len() > 1);
    all
}

/// The enums that say no more than a `bool`.
fn two_variant_enums(file: &Code) -> Vec<String> {
    let start = Regex::new(r"(?m)^\s*(?:pub\S* )?enum (\w+)[^{;]*").unwrap();
    let attribute = Regex::new(r"#\[[^\]]*\]").unwrap();
    let mut all = Vec::new();
    for found in start.captures_iter(&file.text) {
        let rest = &file.text[found.get(0).unwrap().end()..];
        let body = rest.get(1..closing(rest, '{', '}').saturating_sub(1)).unwrap_or("");
        let body = attribute.replace_all(body, "");
        let has_data = body.contains(['(', '{']);
        if !has_data && top_level(&body).iter().filter(|part| !part.trim().is_empty()).count() == 2
        {
            all.push(format!("{}: {}", file.path, &found[1]));
        }
    }
    all
}

fn function_lengths(file: &Code) -> Vec<usize> {
    let start = Regex::new(r"\bfn\s+\w+[^;{]*").unwrap();
    let body = |found: regex_lite::Match<'_>| {
        let rest = &file.text[found.end()..];
        let lines = rest.get(..closing(rest, '{', '}'))?.matches('\n').count() + 1;
        rest.starts_with('{').then_some(found.as_str().matches('\n').count() + lines)
    };
    start.find_iter(&file.text).filter_map(body).collect()
}

/// Where the bracket that begins a text is closed; 0 if it begins with none.
fn closing(text: &str, open: char, close: char) -> usize {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close && before != '-' {
            depth = depth.saturating_sub(1);
        }
        if depth == 0 {
            return if at == 0 { 0 } else { at + 1 };
        }
        before = c;
    }
    text.len()
}

/// A list split at the commas outside of its brackets.
fn top_level(list: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start, mut before) = (0_i32, 0, ' ');
    for (at, c) in list.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            '>' if before == '-' || before == '=' => {}
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    parts.push(&list[start..]);
    parts
}

/// A text of the same lines in which comments and literals are blank.
fn blank(text: &str) -> String {
    let mut clear = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let is_word = clear.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        let hidden = if is_word { 0 } else { literal(rest) };
        let (taken, after) = rest.split_at(hidden.max(c.len_utf8()));
        match hidden {
            0 => clear.push(c),
            _ => clear.extend(taken.chars().map(|c| if c == '\n' { c } else { ' ' })),
        }
        rest = after;
    }
    clear
}

/// How many bytes of a comment or a literal a text begins with.
fn literal(text: &str) -> usize {
    let until = |end: &str, from: usize| {
        text.get(from..)
            .and_then(|rest| rest.find(end))
            .map_or(text.len(), |at| from + at + end.len())
    };
    let plain = text.strip_prefix('b').unwrap_or(text);
    let prefix = text.len() - plain.len();
    if text.starts_with("//") {
        return until("\n", 0).saturating_sub(1);
    }
    if text.starts_with("/*") {
        return until("*/", 2);
    }
    if plain.starts_with("r#\"") {
        return until("\"#", prefix + 3);
    }
    if plain.starts_with("r\"") {
        return until("\"", prefix + 2);
    }
    let quote = match plain.as_bytes().first() {
        Some(b'"') => '"',
        Some(b'\'') if plain[1..].starts_with('\\') || plain.chars().nth(2) == Some('\'') => '\'',
        _ => return 0,
    };
    let mut is_escaped = false;
    for (at, c) in plain.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return prefix + at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}
