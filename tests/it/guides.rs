//! The migration guides: the server accepts the configurations that they show, and everything that their
//! tables name exists.

use crate::harness::{Finished, Folder, run_to_end};
use tagcast::config::KEYS;

const GUIDES: [&str; 4] = ["phpwebsocketserver", "gomoob", "php-websockets-server", "bloatless"];

/// The content of phpWebSocketServer's `.env`, for the guides that use it.
const ENVIRONMENT: &str = "SAVE_SESSION_PATH='sessions'\nLOG_FILE='websock.log'\n";

fn page(guide: &str) -> String {
    std::fs::read_to_string(format!("docs/migrate-from-{guide}.md")).unwrap()
}

/// Returns the code blocks of a language, without the indentation of a list.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != format!("```{language}") {
            continue;
        }
        let margin = line.len() - line.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        blocks
            .push(inside.map(|line| line.get(margin..).unwrap_or("").to_owned() + "\n").collect());
    }
    blocks
}

/// Returns the output of `tagcast check` for an ini file next to an `auth.yml`.
fn checked(ini: &str, applications: &str) -> Finished {
    let folder = Folder::new();
    folder.write(".env", ENVIRONMENT);
    folder.write("sessions/sess_1", "");
    folder.write("auth.yml", applications);
    folder.write("websock.ini", ini);
    run_to_end(&folder, &["check"])
}

#[test]
fn every_file_that_a_guide_shows_passes_the_check() {
    let shipped = std::fs::read_to_string("auth.yml").unwrap();
    for guide in GUIDES {
        let page = page(guide);
        let applications = blocks(&page, "yaml");
        let files = blocks(&page, "ini");
        assert!(!files.is_empty(), "{guide} shows no file");
        for ini in &files {
            let auth_file = applications.first().unwrap_or(&shipped);
            let finished = checked(ini, auth_file);
            assert_eq!(finished.code, Some(0), "{guide}:\n{ini}\n{}", finished.text);
        }
        for applications in &applications {
            let finished = checked("address = ws://0.0.0.0:8094\n", applications);
            assert_eq!(finished.code, Some(0), "{guide}:\n{applications}\n{}", finished.text);
        }
    }
}

/// Returns the texts in backticks.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Returns the second cells of the settings table, which is the last table of a guide.
fn answers(page: &str) -> Vec<&str> {
    let (_, settings) = page.split_once("\n## Settings\n").expect("a table of settings");
    let rows = settings.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.map(|row| row.split(" | ").nth(1).expect("three cells").trim_matches(['|', ' '])).collect()
}

/// Returns whether Tagcast has the feature that a table names.
fn exists(span: &str, help: &str, members: &str) -> bool {
    if let Some(command) = span.strip_prefix("tagcast ") {
        return help.lines().any(|line| line.trim_start().starts_with(&format!("{command} ")));
    }
    if let Some(member) = span.strip_prefix("auth.yml: ") {
        return members.contains(&format!("| `{member}`"));
    }
    if span.starts_with('-') {
        let long = format!("--{}", span.trim_start_matches('-').replace("adress", "address"));
        return help.contains(&long) || help.contains(&format!("{span}, "));
    }
    if span == "kind" || span.starts_with("[resource ") {
        return true;
    }
    let (section, name) =
        span.strip_prefix('[').and_then(|rest| rest.split_once("] ")).unwrap_or(("", span));
    KEYS.iter().any(|key| key.section == section && key.name == name)
}

#[test]
fn everything_that_the_table_of_a_guide_names_exists() {
    let folder = Folder::new();
    let help = [&["--help"][..], &["serve", "--help"]]
        .map(|arguments| run_to_end(&folder, arguments).text)
        .concat();
    let members = std::fs::read_to_string("docs/configuration.md").unwrap();
    for guide in GUIDES {
        let page = page(guide);
        let answers = answers(&page);
        assert!(answers.len() > 9, "the table of {guide} has {} rows", answers.len());
        for answer in answers {
            for span in spans(answer) {
                assert!(exists(span, &help, &members), "{guide}: there is no `{span}`");
            }
        }
    }
}

#[test]
fn every_guide_is_found_from_the_readme_and_from_the_configuration() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let configuration = std::fs::read_to_string("docs/configuration.md").unwrap();
    for guide in GUIDES {
        assert!(readme.contains(&format!("(docs/migrate-from-{guide}.md)")), "{guide}");
        assert!(configuration.contains(&format!("(migrate-from-{guide}.md)")), "{guide}");
    }
}

/// Returns the headings of a page in the form that links use.
fn anchors(text: &str) -> Vec<String> {
    let titles = text.lines().filter_map(|line| {
        line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))
    });
    titles
        .map(|title| {
            let kept = title.to_lowercase();
            let kept = kept.chars().filter(|sign| sign.is_alphanumeric() || " -_".contains(*sign));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_link_of_a_guide_leads_somewhere() {
    for guide in GUIDES {
        let page = page(guide);
        let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = std::path::Path::new("docs").join(file);
            let text = std::fs::read_to_string(&target);
            let text = text.unwrap_or_else(|_| panic!("{guide}: {link}: no such file"));
            let found = anchor.is_empty() || anchors(&text).iter().any(|title| title == anchor);
            assert!(found, "{guide}: {link}: no such heading");
        }
    }
}
