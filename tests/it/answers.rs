//! Compares `docs/errors.md` with the code: the page must contain the reason of every Close and of every HTTP
//! refusal. Also checks the links between all documents.

use std::path::{Path, PathBuf};

use regex_lite::Regex;

/// Reasons that are never sent in a Close. Only backends and logs see them.
const NEVER_SENT: [&str; 2] = ["it was never opened", "the reason was sent to or by the client"];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if !path.ends_with("tests.rs")
            && !path.components().any(|it| it.as_os_str() == "tests")
        {
            into.push(path);
        }
    }
}

/// Returns the first literals after a call such as `CloseReason::new(`. These are the fixed reasons;
/// formatted ones are skipped.
fn reasons(source: &str, call: &str) -> Vec<String> {
    let body = source.split("#[cfg(test)]").next().unwrap();
    let joined = Regex::new(r"\\\n\s*").unwrap().replace_all(body, "").into_owned();
    let calls = joined.split(call).skip(1);
    let texts = calls.filter_map(|rest| {
        let arguments = rest.split(';').next()?.split("format!").next()?;
        Some(arguments.split('"').nth(1)?.to_owned())
    });
    texts.filter(|text| !text.is_empty()).collect()
}

#[test]
fn every_reason_of_a_close_or_a_refusal_is_on_the_page() {
    let page = std::fs::read_to_string("docs/errors.md").unwrap();
    let (mut all, mut found) = (Vec::new(), 0);
    sources(Path::new("src"), &mut all);
    for path in all {
        let source = std::fs::read_to_string(&path).unwrap();
        for call in ["CloseReason::new(", "Refusal::bad(", "Refusal::new(Status::"] {
            for reason in reasons(&source, call) {
                found += 1;
                let is_there = page.contains(&reason) || NEVER_SENT.contains(&reason.as_str());
                assert!(is_there, "{reason:?} of {} is not in docs/errors.md", path.display());
            }
        }
    }
    assert!(found > 60, "{found} reasons: the search has lost them");
    for code in ["1000", "1001", "1002", "1003", "1006", "1007", "1008", "1009", "1011", "1013"] {
        assert!(page.contains(&format!("\n| {code} | ")), "{code}");
    }
}

/// RFC 9110 names each status by its code and phrase. The statuses of refusals are in one function.
#[test]
fn every_status_of_a_refusal_is_on_the_page() {
    let page = std::fs::read_to_string("docs/errors.md").unwrap();
    let source = std::fs::read_to_string("src/http/refusal.rs").unwrap();
    let status = Regex::new(r#"=> "([0-9]{3}) [A-Z]"#).unwrap();
    let all: Vec<String> = status.captures_iter(&source).map(|it| it[1].to_owned()).collect();
    assert!(all.len() > 8, "{all:?}");
    for status in all {
        assert!(page.contains(&format!("\n| {status} | ")), "{status}");
    }
}

/// Returns the documents: at the root, in `docs/` and next to the examples.
fn documents() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from).into();
    for folder in ["docs", "examples"] {
        let mut files = Vec::new();
        sources(Path::new(folder), &mut files);
        all.extend(files.into_iter().filter(|path| path.extension().is_some_and(|it| it == "md")));
    }
    all
}

#[test]
fn no_link_between_the_documents_leads_nowhere() {
    let slug = |title: &str| -> String {
        let kept = title.to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-');
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    let documents = documents();
    assert!(documents.len() > 20, "{documents:?}");
    for path in documents {
        let document = path.to_str().unwrap();
        let text = std::fs::read_to_string(document).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.contains([' ', '`', '"'])) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = Path::new(document).parent().unwrap();
            let path = if file.is_empty() { document.into() } else { folder.join(file) };
            assert!(path.exists(), "{document}: {link}");
            if !anchor.is_empty() {
                let target = std::fs::read_to_string(&path).unwrap();
                let mut titles = target.lines().filter(|line| line.starts_with('#'));
                let is_there =
                    titles.any(|line| slug(line.trim_start_matches(['#', ' '])) == anchor);
                assert!(is_there, "{document}: {link}");
            }
        }
    }
}
