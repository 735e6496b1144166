//! The scripts of `clients/conformance`, asynchronous and blocking (V221).
//!
//! They need Node and the development dependencies of `clients/js`, in which the scripted server is written. Without
//! them they are shown as ignored; with `TAGCAST_REQUIRE_TOOLS=1` a missing Node is a failure.

#![allow(
    unreachable_pub,
    clippy::print_stdout,
    clippy::large_futures,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod driver;
mod recorder;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../conformance");
/// What `npm ci` in `clients/js` leaves.
const INSTALLED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../js/node_modules/.package-lock.json");
/// First argument of this program when it is the driver of a script.
const DRIVE: &str = "drive";
/// What this client does not have, as `needs` of a script: it is for programs, not for pages; a stream takes the place
/// of handlers, so no handler joins a topic.
const ABSENT: &[&str] = &["page", "storage", "handlers", "topics"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(DRIVE) => driver::run(&arguments[2]),
        _ => libtest_mimic::run(&Arguments::from_args(), trials()).exit_code(),
    }
}

fn trials() -> Vec<Trial> {
    let trial = |mode: &'static str| {
        let missing = missing();
        let is_ignored = missing.is_some() && !is_required();
        let trial = Trial::test(format!("the_scripts_pass_{mode}"), move || match missing {
            Some(missing) => Err(Failed::from(missing)),
            None => play_all(mode),
        });
        trial.with_ignored_flag(is_ignored)
    };
    modes().iter().copied().map(trial).collect()
}

fn modes() -> &'static [&'static str] {
    if cfg!(feature = "blocking") { &["asynchronous", "blocking"] } else { &["asynchronous"] }
}

/// The scripts that need nothing that this client does not have.
fn scripts() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(format!("{FOLDER}/scripts")).unwrap();
    let mut all: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all.retain(|path| {
        let script: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let needs = script["needs"].as_array().cloned().unwrap_or_default();
        !needs.iter().any(|need| ABSENT.contains(&need.as_str().unwrap()))
    });
    all
}

/// Whether a missing Node is a failure. The dependencies need a registry, which a machine may not reach.
fn is_required() -> bool {
    let is_set = std::env::var("TAGCAST_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
    is_set && !has_node()
}

fn has_node() -> bool {
    Command::new("node").arg("--version").output().is_ok()
}

/// What must be installed first.
fn missing() -> Option<String> {
    if !has_node() {
        return Some("needs node (apt install nodejs)".to_owned());
    }
    (!Path::new(INSTALLED).exists()).then(|| "needs .ci/install-js-client".to_owned())
}

/// Plays all scripts by one Node, which takes longer to start than to play most of them.
fn play_all(mode: &str) -> Result<(), Failed> {
    let scripts = scripts();
    let output = Command::new("node")
        .arg(format!("{FOLDER}/server.mjs"))
        .args(&scripts)
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args([DRIVE, mode])
        .output()
        .unwrap();
    let passed = String::from_utf8_lossy(&output.stdout).matches(": passed\n").count();
    if output.status.success() && passed == scripts.len() {
        return Ok(());
    }
    Err(Failed::from(String::from_utf8_lossy(&output.stderr).into_owned()))
}
