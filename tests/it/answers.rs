//! `docs/answers.md` against the code: whoever searches for the reason of a Close finds it there.

use std::path::{Path, PathBuf};

/// What never travels: the reasons that backends and logs are told for connections without a Close.
const NEVER_SENT: [&str; 2] = ["it was never opened", "told to the client, or by it"];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            into.push(path);
        }
    }
}

/// The texts that stand in `CloseReason::new(code, "text")`.
fn reasons(source: &str) -> Vec<String> {
    let body = source.split("#[cfg(test)]").next().unwrap();
    let calls = body.split("CloseReason::new(").skip(1);
    let texts = calls.filter_map(|rest| {
        let arguments = rest.split(')').next()?;
        let text = arguments.split('"').nth(1)?;
        Some(text.to_owned())
    });
    texts.filter(|text| !text.is_empty()).collect()
}

#[test]
fn every_reason_of_a_close_stands_in_the_table() {
    let answers = std::fs::read_to_string("docs/answers.md").unwrap();
    let (mut all, mut found) = (Vec::new(), 0);
    sources(Path::new("src"), &mut all);
    for path in all {
        for reason in reasons(&std::fs::read_to_string(&path).unwrap()) {
            found += 1;
            let is_there = answers.contains(&reason) || NEVER_SENT.contains(&reason.as_str());
            assert!(is_there, "{reason:?} of {} is not in docs/answers.md", path.display());
        }
    }
    assert!(found > 15, "{found} reasons: the search has lost them");
    for code in ["1000", "1001", "1002", "1003", "1006", "1007", "1008", "1009", "1011", "1013"] {
        assert!(answers.contains(&format!("\n| {code} | ")), "{code}");
    }
}

#[test]
fn no_link_between_the_documents_leads_nowhere() {
    let slug = |title: &str| -> String {
        let kept = title.to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-');
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    for document in ["docs/answers.md", "docs/operations.md", "docs/configuration.md", "README.md"]
    {
        let text = std::fs::read_to_string(document).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.contains(' ')) {
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
