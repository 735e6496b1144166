//! `packaging/release`: all files of a release, from the binary under test.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Folder, binary};

pub fn a_release_has_all_files_with_checksums_and_a_bill_of_materials() {
    let folder = Folder::new();
    let files = folder.path("files");
    let made = Command::new("packaging/release")
        .arg(binary())
        .env("OUTPUT", &files)
        .env("COMPRESSION", "none")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let names: Vec<String> = fs::read_dir(&files)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    for ending in [".deb", ".tar.gz", ".cdx.json", "SHA256SUMS"] {
        assert!(names.iter().any(|name| name.ends_with(ending)), "{ending}: {names:?}");
    }
    let sums =
        Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&files).output();
    let sums = String::from_utf8(sums.unwrap().stdout).unwrap();
    assert_eq!(sums.matches(": OK").count(), names.len() - 1, "{sums}");

    let bill = names.iter().find(|name| name.ends_with(".cdx.json")).unwrap();
    let bill: Value = serde_json::from_slice(&fs::read(files.join(bill)).unwrap()).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let components = bill["components"].as_array().unwrap();
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    assert!(has("rustls") && has("hyper") && !has("criterion") && !has("proptest"));
    // What is in the repository itself has no checksum of a registry.
    let mut foreign = components.iter().filter(|component| component["name"] != "tagcast-client");
    assert!(foreign.all(|component| component["hashes"][0]["content"].is_string()));

    let archive = names.iter().find(|name| name.ends_with(".tar.gz")).unwrap();
    let list = Command::new("tar").arg("-tzf").arg(files.join(archive)).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    for file in ["/tagcast\n", "/man/tagcast-serve.1", "/completions/tagcast.bash", "/LICENSE"] {
        assert!(list.contains(file), "{file}: {list}");
    }
}
