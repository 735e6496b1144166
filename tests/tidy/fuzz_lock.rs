//! The lock file of the fuzz targets, which no build of the gate reads, knows the dependencies of the server.

use std::path::Path;

/// Returns the names in a section of a manifest.
fn section<'a>(manifest: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let begin = format!("[{name}]");
    let lines = manifest.lines().skip_while(move |line| *line != begin).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name)
}

#[test]
fn the_lock_of_the_fuzz_targets_is_up_to_date() {
    if !Path::new("fuzz").exists() {
        return;
    }
    let [manifest, lock] =
        ["Cargo.toml", "fuzz/Cargo.lock"].map(|path| std::fs::read_to_string(path).unwrap());
    let server = lock.split("[[package]]").find(|it| it.contains("name = \"tagcast\"\n")).unwrap();
    let is_missing = |name: &&str| {
        !server.contains(&format!("\"{name}\"")) && !server.contains(&format!("\"{name} "))
    };
    let missing: Vec<_> = section(&manifest, "dependencies").filter(is_missing).collect();
    assert!(
        missing.is_empty(),
        "fuzz/Cargo.lock has no {missing:?}: run `cargo metadata --manifest-path fuzz/Cargo.toml`"
    );
}
