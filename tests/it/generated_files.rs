//! `tagcast man` and `tagcast completions`: files that a package installs.

use std::fs;

use crate::harness::{Folder, run_to_end};

/// The commands that `tagcast --help` lists.
fn commands(folder: &Folder) -> Vec<String> {
    let help = run_to_end(folder, &["--help"]).text;
    let list = help.split_once("Commands:").unwrap().1.split_once("Options:").unwrap().0;
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_has_a_man_page_with_its_examples() {
    let folder = Folder::new();
    let pages = folder.path("share/man1");
    let finished = run_to_end(&folder, &["man", pages.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{}", finished.text);
    let commands = commands(&folder);
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let page = fs::read_to_string(pages.join(format!("tagcast-{command}.1"))).unwrap();
        assert!(page.contains(".SH OPTIONS"), "{command}");
        assert!(page.contains(".SH EXAMPLES") && !page.contains(".SH EXTRA"), "{command}");
        let (_, examples) = page.split_once(".SH EXAMPLES\n").unwrap();
        assert!(!examples.starts_with("Example"), "{command}: the title is there twice");
    }
    let nested = fs::read_to_string(pages.join("tagcast-app-add.1")).unwrap();
    assert!(nested.contains("tagcast\\-app\\-add") || nested.contains("tagcast app add"));
    assert!(pages.join("tagcast.1").exists());
}

#[test]
fn man_pages_that_cannot_be_written_are_an_error() {
    let folder = Folder::new();
    folder.write("taken", "");
    let finished = run_to_end(&folder, &["man", "taken"]);
    assert_eq!(finished.code, Some(78), "{}", finished.text);
    assert!(finished.text.contains("cannot be written into taken: "), "{}", finished.text);
}

#[test]
fn every_shell_gets_completions_of_all_commands() {
    let folder = Folder::new();
    let commands = commands(&folder);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let finished = run_to_end(&folder, &["completions", shell]);
        assert_eq!(finished.code, Some(0), "{shell}: {}", finished.text);
        let missing = commands.iter().find(|command| !finished.text.contains(*command));
        assert_eq!(missing, None, "{shell}");
    }
    let finished = run_to_end(&folder, &["completions", "basic"]);
    assert_eq!(finished.code, Some(2));
    assert!(finished.text.contains("bash, elvish, fish"), "{}", finished.text);
}
